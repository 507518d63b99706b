"""Checks a reader's answers against the results of the run."""

from __future__ import annotations

UNANSWERED = "No answer yet: put yours in place of None and run this cell again."


def check(answer: float | str | None, right: float | str, why: str, *, within: float = 0.0) -> str:
    """Say whether `answer` is `right` (a number: within `within` of it), and why."""
    if answer is None:
        return UNANSWERED
    if isinstance(right, str):
        good = str(answer).strip().casefold() == right.casefold()
        shown = right
    else:
        good = isinstance(answer, (int, float)) and abs(answer - right) <= within
        shown = f"{right:.4g}"
    return f"{'Right' if good else 'Not quite'}: it is {shown}. {why}"
