"""The linear model of every table: the same each time, one code after the other or side by side."""

import pytest

from shl_utils.data import corpus, sources
from shl_utils.evaluation import linear_baseline, score_metrics
from shl_utils.parameters import check
from shl_utils.runs import mixed_precision


@pytest.mark.long
def test_codes_side_by_side_end_as_one_after_the_other(tmp_path, monkeypatch):
    """On all open reports: in threads, on which smaller corpora had been right, probabilities differed by 0.15."""
    notes, _ = corpus.build(sources.load(check({}), tmp_path), check({"min_notes": 30}))
    terms = linear_baseline.terms(notes)
    alone = linear_baseline.tfidf_logistic(notes, terms)[0].probabilities
    monkeypatch.setattr(linear_baseline, "MIN_PAIRS_FOR_PARALLEL", 0)
    monkeypatch.setattr(mixed_precision, "cores", lambda: 2)
    assert (linear_baseline.tfidf_logistic(notes, terms)[0].probabilities == alone).all()


def test_a_setting_is_chosen_on_validation(tmp_path):
    notes, _ = corpus.build(sources.load(check({}), tmp_path), check({"min_notes": 150}))
    plain, line = linear_baseline.tfidf_logistic(notes, linear_baseline.WORDS)
    assert line[["longest", "C", "class_weight", "chosen"]].to_numpy().tolist() == [[2, 10, "balanced", True]]
    found, trials = linear_baseline.tfidf_logistic(notes, linear_baseline.WORDS, tune=True)
    assert len(trials) == len(trials.drop_duplicates(["longest", "C", "class_weight"])) == 12
    validation = notes.rows("validation")
    score = score_metrics.validation_score(notes.labels[validation].toarray(), found.select(validation))
    assert (
        score
        == pytest.approx(trials["validation_score"].max())
        == trials.loc[trials["chosen"], "validation_score"].item()
    )
    assert score >= line["validation_score"].item() == trials["validation_score"][0]
    assert plain.probabilities.shape == found.probabilities.shape
