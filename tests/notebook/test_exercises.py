"""Answers are read as readers write them; a first miss gets a hint, a second the answer."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT

from shl_utils.notebook import exercises
from shl_utils.notebook.answers import ANSWERS, Answer
from shl_utils.notebook.exercises import OPEN, RIGHT, WRONG


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(exercises, "_missed", {})
    monkeypatch.setattr(exercises, "_guesses", {})
    monkeypatch.setitem(ANSWERS, "share", lambda: Answer(97.9, "why", "the hint", within=0.5, unit="%"))
    monkeypatch.setitem(ANSWERS, "way", lambda: Answer("rise", "why", "the hint", choices=("rise", "fall")))
    monkeypatch.setitem(ANSWERS, "none", lambda: None)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (98, [98]),
        (np.float32(0.5), [0.5]),
        (np.int64(7), [7]),
        ("98", [98]),
        (" 98 % ", [98]),
        ("33 codes", [33]),
        ("0,98", [0.98]),
        ((0, 98), [0.98]),
        ("0,125", [0.125]),
        ("2,597", [2597, 2.597]),
        ("1,234.5", [1234.5]),
        ("-3", [-3]),
        (True, []),
        ("many", []),
        ("1,2,3", []),
        ([98], []),
    ],
)
def test_a_number_is_read_as_it_is_written(text, values):
    assert exercises.numbers(text, "codes") == pytest.approx(values)


def test_a_comma_of_decimals_is_no_miss(monkeypatch):
    monkeypatch.setitem(ANSWERS, "points", lambda: Answer(5.88, "why", within=0.01, unit="points"))
    assert exercises.check("points", "5,882").text == "Right: 5.88 points. why"
    monkeypatch.setitem(ANSWERS, "notes", lambda: Answer(12_345, "why", within=1))
    assert exercises.check("notes", "12,345").text == "Right: 12,345. why"


@pytest.mark.parametrize("empty", [None, "", "  "])
def test_no_answer_is_not_a_wrong_one(empty):
    assert exercises.check("share", empty).kind == OPEN
    assert exercises.check("share", 50).text == "Too low. the hint Try once more."


def test_a_first_miss_gets_a_hint_and_a_second_the_answer():
    assert exercises.check("share", "99 %").text == "Too high. the hint Try once more."
    assert exercises.check("share", 99).text.startswith("Too high"), "the same again is not a second try"
    second = exercises.check("share", 50)
    assert (second.kind, second.text) == (WRONG, "Not quite: it is 97.9 %. why")
    right = exercises.check("share", "98")
    assert (right.kind, right.text) == (RIGHT, "Right: 97.9 %. why")


def test_another_choice_is_another_question():
    counts = np.array([3, 40, 41, 100])
    assert exercises.check("00-2", 20, counts, 40).kind == WRONG
    assert not exercises.check("00-2", 20, counts, 100).answered
    assert exercises.check("00-2", 30, counts, 100).answered


def test_what_cannot_be_meant_is_asked_for_and_no_miss():
    assert exercises.check("share", 0.98).text == "Do you mean per cent? Write it in per cent."
    assert exercises.check("share", "nearly all").text == "Write a number."
    assert exercises.check("way", "sideways").text == "Write 'rise' or 'fall'."
    assert exercises.check("way", "fall").text == "No. the hint Try once more."
    assert exercises.check("none", 3).text == "There is nothing to ask of this run."


@pytest.mark.parametrize("word", ["rise", " Rises ", "'rise'", "RISE."])
def test_a_word_is_read_in_any_form(word):
    assert exercises.check("way", word).kind == RIGHT


def test_true_is_yes():
    assert exercises.check("08-2", True).kind == RIGHT
    assert exercises.check("08-2", False).kind == WRONG


def test_a_guess_is_shown_beside_the_result():
    assert exercises.recall("share").text == "It is 97.9 %. why"
    assert exercises.guess("share", 70).text.startswith("Your guess: 70.")
    assert exercises.recall("share").text == "Your guess: 70. It is 97.9 %. why"


def test_a_teacher_sees_every_answer(monkeypatch):
    monkeypatch.setenv("SHL_ANSWERS", "1")
    assert exercises.check("share", None).text == "97.9 %. why"


def test_feedback_has_a_mark_and_escapes_what_it_shows():
    shown = exercises.guess("share", "<b>")
    data, about = shown._repr_mimebundle_()
    assert "&lt;b&gt;" in data["text/html"]
    assert data["text/plain"].startswith("… Your guess: <b>")
    assert about == {"answered": False}
    assert exercises.recall("share")._repr_mimebundle_()[1] == {"answered": True}


def test_every_question_of_a_notebook_has_an_answer_and_none_is_left_over():
    asked = set()
    for path in sorted((PROJECT / "notebooks").glob("*.ipynb")):
        text = "\n".join("".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"])
        calls = re.findall(r"exercises\.(check|guess|recall)\(\"([^\"]+)\"", text)
        by_kind = {kind: {key for one, key in calls if one == kind} for kind in ("check", "guess", "recall")}
        assert by_kind["guess"] == by_kind["recall"], path.name
        assert all(key.startswith(path.name[:2]) for _, key in calls)
        asked |= {key for _, key in calls}
    assert asked == {key for key in ANSWERS if "-" in key}


def test_answers_by_hand():
    counts = np.array([3, 40, 41, 100])
    assert ANSWERS["00-2"](counts, 40).right == 3
    table = pd.DataFrame({"comparable": True, "factor": ["loss", "filter"], "micro_f1": [0.01, -0.05]}, ["a", "b"])
    table[["micro_f1_low", "micro_f1_high"]] = [[-0.01, 0.03], [-0.07, -0.03]]
    assert ANSWERS["05-1"](table).right == "filter"
    assert "zero" not in ANSWERS["05-1"](table).why
    assert ANSWERS["05-1"](table.iloc[:1]).why.endswith("Its interval holds zero, though.")
    assert ANSWERS["05-1"](table[:0]) is None
    assert ANSWERS["05-2"](4, 10_000).right == pytest.approx(4 / 10_001)
    assert ANSWERS["06-3"](pd.Series({"frozen": 4.0, "trained": 4.0})).right == 50
    assert ANSWERS["04-1"](-0.01, 0.02).right == "no"
    assert ANSWERS["04-3"](10, 20).right == "fewer"
    assert ANSWERS["02-guess"]().right == 7
    groups = pd.MultiIndex.from_product([["a", "b"], ["0", "1-4", "50-99"]], names=["model", "group"])
    by_bin = pd.DataFrame(
        {"positives": [5, 5, 9] * 2, "false_positives": 0, "micro_recall": [0, 0.2, 1, 0, 0.4, 1]}, groups
    )
    assert ANSWERS["04-guess"](by_bin).why.startswith("Micro-F1 there: a 18.2; b 33.3."), "10 positives, 1 or 2 found"
