"""The filter: similarity worked by hand, the threshold's two scales, and which splits it may touch."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from shl_utils.data import corpus as corpora
from shl_utils.data.corpus import Corpus
from shl_utils.encoder import feature_cache
from shl_utils.evaluation import filter_audit, label_metrics
from shl_utils.method import label_filter
from shl_utils.parameters import check
from shl_utils.training import similarities

SPLIT = np.array(["train", "train", "validation", "test"])


def table(similarity=(0.9, 0.2, 0.6, 0.1, 0.1)):
    # note 0 has codes 0 and 1, the others code 0
    return pd.DataFrame({"note": [0, 0, 1, 2, 3], "code": [0, 1, 0, 0, 0], "similarity": list(similarity)})


def settings(**values):
    return check({"filter_by": "cosine", "filter_threshold": 0.55} | values)


def test_chunks_are_averaged_at_unit_length():
    pieces = np.array([[1, 0], [0, 1], [0, 1]], dtype=np.float32)
    notes = label_filter.average(pieces, np.array([0, 0, 1]), n=2)
    assert notes.tolist() == [pytest.approx([2**-0.5, 2**-0.5]), [0, 1]]


def test_cosine_of_assignments_only(monkeypatch):
    monkeypatch.setattr(label_filter, "BLOCK", 2)
    notes = np.array([[1, 0], [0.6, 0.8]], dtype=np.float32)
    codes = np.array([[0, 1], [1, 0]], dtype=np.float32)
    labels = sparse.csr_array(np.array([[0, 1], [1, 1]]))
    result = label_filter.pairwise(notes, codes, labels)
    assert result["similarity"].tolist() == pytest.approx([1, 0.8, 0.6])


@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        ("none", [1, 1, 1, 1, 1]),
        ("train", [1, 0, 1, 1, 1]),
        ("train+validation", [1, 0, 1, 0, 1]),
        ("all", [1, 0, 1, 0, 0]),
    ],
)
def test_only_the_named_splits_are_touched(labels, kept):
    result, _ = label_filter.apply(table(), SPLIT, settings(filter_labels=labels))
    assert result["kept"].astype(int).tolist() == kept


def test_a_quantile_looks_at_training_labels_only():
    asked = settings(filter_by="quantile", filter_threshold=0.5)
    assert label_filter.apply(table(), SPLIT, asked)[1] == pytest.approx(0.6)
    assert label_filter.apply(table((0.9, 0.2, 0.6, 0.99, 0.99)), SPLIT, asked)[1] == pytest.approx(0.6)


def test_a_threshold_that_removes_everything_is_refused():
    with pytest.raises(ValueError, match=r"largest similarity is 0.90, the threshold 0.95; lower `filter_threshold`"):
        label_filter.apply(table(), SPLIT, settings(filter_threshold=0.95))
    with pytest.raises(ValueError, match=r"largest similarity is 0\.90"):  # that of the training notes, not 0.99
        label_filter.apply(table((0.9, 0.2, 0.6, 0.99, 0.99)), SPLIT, settings(filter_threshold=0.95))


def test_report_counts_codes_that_lost_their_last_note():
    kept, _ = label_filter.apply(table(), SPLIT, settings())
    train = filter_audit.report(kept, SPLIT).loc["train"]
    assert train["assignments"] == 3
    assert train["removed"] == 1
    assert train["codes per note before"] == 1.5
    assert train["codes per note after"] == 1.0
    assert train["codes that lost their last note"] == 1


def test_precision_and_recall_against_the_truth():
    kept, _ = label_filter.apply(table(), SPLIT, settings(filter_labels="all"))  # removes rows 1, 3, 4
    evidence = np.array(["present", "missing", "beyond", "present", "missing"])
    found = filter_audit.against_truth(kept, evidence)
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(2 / 3)
    assert (found["removed"], found["without evidence"], found["gold lost"]) == (3, 3, 1)


def test_what_is_written_is_read_back(tmp_path):
    notes = pd.DataFrame(
        {"note": list("abcd"), "split": SPLIT, "codes": [["x", "y"], ["x"], ["x"], ["x"]], "text": list("abcd")}
    )
    corpus = Corpus(notes, pd.DataFrame({"code": ["x", "y"], "description": ["x", "y"]}))
    kept, _ = label_filter.apply(table(), SPLIT, settings())
    similarities.write(kept, corpus, tmp_path / "filter.parquet")
    labels = similarities.read_labels(tmp_path, corpus, settings())
    assert labels.toarray().tolist() == [[1, 0], [1, 0], [1, 0], [1, 0]]
    assert corpus.labels.toarray().tolist() == [[1, 1], [1, 0], [1, 0], [1, 0]]


def test_what_is_removed_by_frequency():
    kept, _ = label_filter.apply(table(), SPLIT, settings(filter_labels="all"))  # removes rows 1, 3, 4
    evidence = np.array(["present", "present", "missing", "present", "missing"])
    found = filter_audit.by_frequency(kept, label_metrics.frequency_bin(np.array([200, 3])), evidence)
    assert found.index.tolist() == ["1-4", "100+"]
    assert found.loc["1-4"].tolist() == [1, 1, 0, 0, 1], "one assignment, removed though it was right"
    assert found.loc["100+"].tolist() == pytest.approx([4, 0.5, 0.5, 0.5, 0.5])


def test_a_sweep_says_what_other_thresholds_do():
    notes = pd.DataFrame({"note": list("abcd"), "split": SPLIT, "codes": [["x", "y"], ["x"], ["x"], ["x"]], "text": ""})
    corpus = Corpus(notes, pd.DataFrame({"code": ["x", "y"], "description": ["x", "y"]}))
    found = filter_audit.sweep(table(), corpus, settings())
    # training assignments: 0.9, 0.2, 0.6
    assert found.loc["cosine 0.55", ["removed", "codes lost"]].tolist() == pytest.approx([1 / 3, 1])
    assert found.loc["cosine 0.55", "codes per note"] == 2 / 2, "of two training notes"
    assert found.loc["quantile 0.3", "cosine"] == pytest.approx(np.quantile([0.9, 0.2, 0.6], 0.3))


@pytest.mark.parametrize("times", [1, 2], ids=["as long as a note", "longer"])
def test_notes_of_one_chunk_are_read_once_for_the_filter_and_for_training(small_run, times):
    """The same, but for what states in 16 bits round."""
    folder, parameters = small_run
    parameters = parameters.model_copy(update={"chunk_tokens": times * parameters.max_tokens, "precision": "fp32"})
    notes = corpora.read(folder)
    expected, by_chance = similarities.similarities(notes, parameters)
    path = feature_cache.path_of(folder, parameters)
    path.unlink(missing_ok=True)
    cache = feature_cache.FeatureCache(folder, notes.notes["text"])
    found, chance = similarities.similarities(notes, parameters, cache)
    assert path.exists(), "states of the frozen layers, for training"
    assert found["similarity"].to_numpy() == pytest.approx(expected["similarity"].to_numpy(), abs=1e-4)
    assert chance["similarity"].to_numpy() == pytest.approx(by_chance["similarity"].to_numpy(), abs=1e-4)
