"""Answers of a reader, held against what the run found."""

from __future__ import annotations

UNANSWERED = "No answer yet: put yours in place of None and run this cell again."


def check(answer: float | str | None, right: float | str, why: str, *, within: float = 0.0) -> str:
    """Whether `answer` is `right`, or a number no further from it than `within`, and why it is."""
    if answer is None:
        return UNANSWERED
    if isinstance(right, str):
        good = str(answer).strip().casefold() == right.casefold()
        shown = right
    else:
        good = isinstance(answer, (int, float)) and abs(answer - right) <= within
        shown = f"{right:.4g}"
    return f"{'Right' if good else 'Not quite'}: it is {shown}. {why}"
