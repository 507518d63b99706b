"""The linear model of every table: the same each time, one code after the other or side by side."""

import pytest

from shl_utils import baselines, corpus, precision, sources
from shl_utils.parameters import check


@pytest.mark.slow
def test_codes_side_by_side_end_as_one_after_the_other(tmp_path, monkeypatch):
    """On all open reports: in threads, on which smaller corpora had been right, probabilities differed by 0.15."""
    notes, _ = corpus.build(sources.load(check({}), tmp_path), check({"min_notes": 30}))
    terms = baselines.terms(notes)
    alone = baselines.tfidf_logistic(notes, terms).probabilities
    monkeypatch.setattr(baselines, "WORTH", 0)
    monkeypatch.setattr(precision, "cores", lambda: 2)
    for _ in range(2):
        assert (baselines.tfidf_logistic(notes, terms).probabilities == alone).all()
