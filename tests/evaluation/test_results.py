"""The results table: where its thresholds come from, what of them is saved, and that every metric is defined."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import f1_score

from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import label_metrics, results, score_metrics
from shl_utils.evaluation.predictions import Predictions
from shl_utils.method import thresholds
from shl_utils.notebook import style
from shl_utils.parameters import check
from shl_utils.reporting import tables

SIDES = np.repeat(["train", "validation", "test"], [4, 20, 20])
CODES = ["a", "b", "c", "d"]
SEGMENTS = np.array([1, 1, 0, -1])


@pytest.fixture
def corpus():
    drawn = np.random.default_rng(0).random((len(SIDES), 3)) < [0.5, 0.4, 0.3]
    names = [str(i) for i in range(len(SIDES))]
    labels = [[code for code, has in zip(CODES, row) if has] for row in drawn]
    notes = pd.DataFrame({"note": names, "group": names, "split": SIDES, "text": "", "codes": labels})
    return Corpus(notes, pd.DataFrame({"code": CODES, "description": CODES}))


@pytest.fixture
def found(corpus):
    """Every code has a scale of its own, so that the rules draw different lines."""
    rows = np.concatenate([corpus.rows("validation"), corpus.rows("test")])
    noise = np.random.default_rng(1).random((len(rows), 4))
    probabilities = (0.4 * corpus.labels[rows].toarray() + 0.6 * noise) * [1.0, 0.6, 0.3, 0.0]
    return Predictions(rows, probabilities.astype(np.float32), SEGMENTS)


def flipped(gold, rows):
    values = gold.toarray()
    values[rows] = 1 - values[rows]
    return sparse.csr_array(values)


@pytest.mark.parametrize("rule", thresholds.RULES)
def test_thresholds_know_validation_and_nothing_of_the_test(corpus, found, rule):
    def cut(gold, predictions):
        return results.choose_thresholds(
            corpus, gold, predictions, check({"threshold": rule, "min_positives": 2})
        ).tolist()

    other = found.probabilities.copy()
    other[np.isin(found.rows, corpus.rows("test"))] = 0.5
    limits = cut(corpus.labels, found)
    assert cut(flipped(corpus.labels, corpus.rows("test")), found) == limits
    assert cut(corpus.labels, Predictions(found.rows, other, SEGMENTS)) == limits
    changed = cut(flipped(corpus.labels, corpus.rows("validation")), found) != limits
    assert changed == (rule != "half"), "a half is a half whatever validation says"


def test_the_table_that_is_saved_holds_the_line_of_every_rule(corpus, found):
    parameters = check({"threshold": "per_code", "min_positives": 2})
    table = results.threshold_table(corpus, corpus.labels, found, parameters)
    assert table.columns.tolist() == ["code", "model", *thresholds.RULES]
    assert table["code"].tolist() == CODES
    assert table["model"].tolist() == SEGMENTS.tolist()
    validation = corpus.rows("validation")
    truth = corpus.labels[validation].toarray().astype(int)
    for rule in thresholds.RULES:
        expected = thresholds.choose(rule, thresholds.Validation(truth, found.select(validation), SEGMENTS, 2))
        assert table[rule].tolist() == expected.tolist(), rule
    for one, other in combinations(thresholds.RULES, 2):
        assert table[one].tolist() != table[other].tolist(), "the rules differ here, so none stands in for another"


def test_test_notes_are_decided_under_the_line_of_the_rule(corpus, found):
    parameters = check({"min_positives": 2})
    limits = results.threshold_table(corpus, corpus.labels, found, parameters)
    shown = results.by_rule(corpus, corpus.labels, {"m": found}, {"m": limits})
    test = corpus.rows("test")
    for rule in thresholds.RULES:
        expected = found.select(test) >= limits[rule].to_numpy()
        parameters = check({"threshold": rule, "min_positives": 2, "bootstrap_draws": 100})
        _, measured = results.compare(corpus, corpus.labels, {"m": found}, parameters, reference="m")
        assert measured["m"].predicted[0].toarray().tolist() == expected.tolist()
        micro = f1_score(corpus.labels[test].toarray(), expected, average="micro")
        assert shown.loc["m", ("micro-F1", rule)] == pytest.approx(100 * micro)


def test_every_metric_stands_beside_its_whole_definition(corpus, found):
    table, _ = results.compare(corpus, corpus.labels, {"m": found}, check({"bootstrap_draws": 100}), reference="m")
    shown = tables.all_metrics(table)
    assert shown["definition"].tolist() == list((label_metrics.DEFINITIONS | score_metrics.DEFINITIONS).values())
    assert shown.loc["micro-F1", "m"] == f"{100 * table.loc['m', 'micro_f1']:.1f}"
    assert shown.loc["codes all", "m"] == f"{table.loc['m', 'codes_all']:.0f}", "counts are whole"
    ratio = f"{table.loc['m', 'expected_over_found']:.2f}"
    assert shown.loc["expected over found", "m"] == ratio, "1 if calibrated, not 100"
    style.setup_notebook()
    displayed = shown._repr_html_()
    assert all(text in displayed for text in shown["definition"]), "pandas cuts long text in notebooks by default"


def test_the_models_of_a_run_are_measured_as_experiments_are(corpus, found):
    parameters = check({"bootstrap_draws": 100})
    flat = Predictions(found.rows, found.probabilities / 2 + 0.1, SEGMENTS)
    models = {"m": found, "flat": flat}
    compared, measured = results.compare(corpus, corpus.labels, models, parameters, reference="flat")
    table = results.table(measured, times=10, seed=0, reference="flat")
    shared = [name for name in compared if name in table]
    assert {"micro_f1", "macro_f1_present_low", "micro_f1_gain_high", "exact_match"} <= set(shared)
    pd.testing.assert_frame_equal(compared[shared], table[shared], check_dtype=False)
    assert (compared.loc["flat", ["micro_f1_gain_low", "micro_f1_gain_high"]] == 0).all()
