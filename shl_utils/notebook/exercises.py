"""Questions to the reader, held against this run: a guess before a result, exercises after it.

What is right, and why, stands in `answers`, out of the reader's sight. A first miss gets a hint, a second the answer.
"""

from __future__ import annotations

import html
import os
import re
from dataclasses import dataclass
from numbers import Real
from typing import Any

from shl_utils.notebook.answers import ANSWERS, Answer

RIGHT, WRONG, OPEN = ("✓", "#1a7f37"), ("✗", "#b35900"), ("…", "#57606a")  # mark, and colour of the box's edge
KEY = "SHL_ANSWERS"  # a variable that shows every answer, for a teacher's key
SAME = {"yes": ("y", "true"), "no": ("n", "false")}  # other spellings of a choice
_missed: dict[tuple[str, str], set[str]] = {}  # wrong answers so far, by question and what is right
_guesses: dict[str, Any] = {}


@dataclass(frozen=True)
class Feedback:
    """A sentence with its mark, shown as a coloured box. answered: it says what is right; pages show no other."""

    kind: tuple[str, str]
    text: str
    answered: bool = False

    def __repr__(self) -> str:
        return f"{self.kind[0]} {self.text}"

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, bool]]:
        mark, colour = self.kind
        style = f"border-left: 4px solid {colour}; padding: 0.3em 0.8em; display: inline-block"
        box = f'<div style="{style}"><b style="color: {colour}">{mark}</b> {html.escape(self.text)}</div>'
        return {"text/plain": repr(self), "text/html": box}, {"answered": self.answered}


def check(question: str, guess: Any, *known: Any) -> Feedback:
    """Hold an answer against the right one. question: a key of `answers.ANSWERS`; known: what that takes of the run."""
    answer = _answer(question, *known)
    if answer is None:
        return Feedback(OPEN, "There is nothing to ask of this run.")
    if os.environ.get(KEY):
        return Feedback(RIGHT, f"{answer.shown}. {answer.why}", answered=True)
    if guess is None or not str(guess).strip():
        return Feedback(OPEN, "No answer yet: put yours in place of None and run this cell again.")
    if answer.choices:
        read = _choice(guess, answer.choices)
        if read is None:
            return Feedback(OPEN, f"Write {' or '.join(map(repr, answer.choices))}.")
        good, direction = read == answer.right, "No."
    else:
        meant = numbers(guess, answer.unit)
        if not meant:
            return Feedback(OPEN, "Write a number.")
        read = next(filter(answer.holds, meant), meant[0])
        good, direction = answer.holds(read), "Too low." if read < answer.right else "Too high."
        if not good and answer.unit == "%" and answer.holds(100 * read):
            return Feedback(OPEN, "Do you mean per cent? Write it in per cent.")
    if good:
        return Feedback(RIGHT, f"Right: {answer.shown}. {answer.why}", answered=True)
    missed = _missed.setdefault((question, answer.shown), set())
    missed.add(str(read))
    if len(missed) == 1:
        return Feedback(WRONG, f"{direction} {answer.hint} Try once more.")
    return Feedback(WRONG, f"Not quite: it is {answer.shown}. {answer.why}", answered=True)


def _answer(question: str, *known: Any) -> Answer | None:
    found = ANSWERS[question]
    return found if isinstance(found, Answer) else found(*known)


def guess(question: str, mine: Any) -> Feedback:
    """Keep a guess until `recall` sets it beside the result."""
    _guesses[question] = mine
    if mine is None or not str(mine).strip():
        return Feedback(OPEN, "Put your guess in place of None and run this cell.")
    return Feedback(OPEN, f"Your guess: {mine}. It is kept until the result is there.")


def recall(question: str, *known: Any) -> Feedback:
    """The guess beside the result."""
    answer, mine = _answer(question, *known), _guesses.get(question)
    if answer is None:
        return Feedback(OPEN, "This run does not answer it.")
    guessed = "" if mine is None or not str(mine).strip() else f"Your guess: {mine}. "
    return Feedback(OPEN, f"{guessed}It is {answer.shown}. {answer.why}", answered=True)


def numbers(text: Any, unit: str = "") -> list[float]:
    """What a reader's number may mean: of 98, numpy's 98.0, "98", "98 %", "98 codes" or "0,98" one; of "2,597" two,
    since a comma parts thousands or decimals; none where it is no number. 0,98 without quotes is a pair in Python.
    unit: that may stand after it."""
    if isinstance(text, bool):
        return []
    if isinstance(text, tuple) and len(text) == 2:
        text = ",".join(map(str, text))
    if isinstance(text, Real):
        return [float(text)]
    word = str(text).strip().removesuffix("%").removesuffix(unit).strip()
    spelled = [word.replace(",", ".")]
    if re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", word):
        spelled.insert(0, word.replace(",", ""))
    try:
        return [float(one) for one in spelled if one.count(".") < 2]
    except ValueError:
        return []


def _choice(text: Any, choices: tuple[str, ...]) -> str | None:
    word = str(text).strip().strip(".\"'").casefold()
    for choice in choices:
        if word in (choice.casefold(), f"{choice}s".casefold(), *SAME.get(choice, ())):
            return choice
    return None
