"""The corpus: what is dropped is counted, what cannot be used is refused."""

import pandas as pd
import pytest

from shl_utils import corpus, sources, variants
from shl_utils.parameters import check


def source(codes, texts=None, **values):
    n = len(codes)
    names = [f"n{i}" for i in range(n)]
    texts = texts or [f"text {i}" for i in range(n)]
    notes = pd.DataFrame({"note": names, "group": names, "text": texts, "codes": codes})
    described = {code: code for row in codes for code in row}
    return sources.Corpus(
        **({"name": "s", "notes": notes, "descriptions": described, "licence": "", "private": False} | values)
    )


def test_rare_codes_and_their_notes_are_dropped_and_counted():
    notes, left_out = corpus.build(source([["a"]] * 20 + [["b", "x"]] * 20 + [["rare"]]), check({"min_notes": 3}))
    assert notes.codes["code"].tolist() == ["a", "b", "x"]
    assert len(notes.notes) == 40
    assert left_out == {"codes with fewer than 3 notes": 1, "notes left without a code": 1}


def test_one_class_only_is_refused():
    with pytest.raises(ValueError, match="1 codes have at least 3 notes in s: at least two are needed"):
        corpus.build(source([["a"]] * 20), check({}))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"texts": ["x"] * 9 + [" "]}, "some notes are blank"),
        ({"descriptions": {"a": "a"}}, "1 codes lack a description, such as b"),
    ],
)
def test_a_source_that_breaks_its_promise_is_named(changed, message):
    with pytest.raises(ValueError, match=message):
        corpus.build(source([["a"], ["b"]] * 5, **changed), check({}))


def test_too_few_notes_for_three_splits():
    with pytest.raises(ValueError, match="leave none for"):
        corpus.build(source([["a", "b"]] * 3, texts=["same"] * 3), check({}))


def test_a_repeated_note_is_named():
    twice = source([["a"], ["b"]] * 5)
    twice.notes.loc[1, "note"] = "n0"
    with pytest.raises(ValueError, match="note n0 stands twice"):
        corpus.build(twice, check({}))


def test_a_main_model_that_is_the_reference_is_trained_once():
    same = check({"segmentation": "none", "loss": "bce", "filter_labels": "none"})
    assert [v.folder for v in variants.compared(same)] == ["."]
    assert [v.folder for v in variants.compared(check({}))] == [".", "reference"]
