"""Sentences that name a code by hand, and what chance gives."""

import pandas as pd
import pytest

from shl_utils.data.corpus import Corpus
from shl_utils.inference import coding, sentence_audit

TEXT = "Heart enlarged. Lungs clear. Small pleural effusion."


def coded(drawn):
    """Two codes, of which the first is predicted; `drawn`: number of the sentence that draws it most."""
    spans = coding.sentences_of(TEXT)
    first = [] if drawn is None else [(*spans[drawn], 0.1)]
    codes = pd.DataFrame(
        {
            "code": ["e", "f"],
            "description": ["pleural effusion", "fracture"],
            "predicted": [True, False],
            "sentences": [first, []],
        }
    )
    return coding.Coded(codes, len(TEXT), 0.0)


@pytest.mark.parametrize(("drawn", "right"), [(2, True), (0, False), (None, False)])
def test_what_names_a_code(monkeypatch, drawn, right):
    monkeypatch.setattr(coding, "code", lambda *_: coded(drawn))
    notes = pd.DataFrame({"note": ["a"], "split": ["test"], "text": [TEXT], "codes": [["e"]]})
    corpus = Corpus(notes, pd.DataFrame({"code": ["e", "f"], "description": ["pleural effusion", "fracture"]}))
    (line,) = sentence_audit.named(None, corpus, [0]).to_dict("records")
    assert (line["code"], line["drawn"]) == ("e", right)
    assert line["chance"] == pytest.approx(1 / 3)


def test_most_of_a_descriptions_words_name_it():
    assert sentence_audit._names("A small PLEURAL effusion.", "pleural effusion, right")
    assert not sentence_audit._names("A small effusion.", "pleural effusion, right")
    assert not sentence_audit._names("of the", "a to z"), "no word to go by"


def test_shares_have_intervals_over_notes():
    one = {"drawn": True, "chance": 0.25}
    lines = [{"note": "a"} | one, {"note": "a"} | one, {"note": "b", "drawn": False, "chance": 0.5}]
    table = sentence_audit.shares(pd.DataFrame(lines), draws=4000, seed=0)
    assert table["mean"].tolist() == pytest.approx([2 / 3, 1 / 3, 1 / 3])
    # by hand: note a has weight u, exponential, for both of its lines: share s = 2u / (2u + v) has
    # P(s < x) = x / (2 - x), so s = 2 q / (1 + q) at its quantile q
    low, high = (2 * q / (1 + q) for q in (0.025, 0.975))
    assert table.loc["drawn", ["low", "high"]].tolist() == pytest.approx([low, high], abs=0.02)
    assert table.loc["difference", "low"] == pytest.approx(-0.5 + 1.25 * low, abs=0.02)


def test_shares_of_no_line_are_unknown():
    empty = pd.DataFrame(columns=["note", "code", "drawn", "chance"])
    assert sentence_audit.shares(empty, draws=10, seed=0).isna().all(axis=None)
