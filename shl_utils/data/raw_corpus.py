"""What every source of notes gives: notes, their codes, and descriptions of the codes."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd


@dataclass(frozen=True)
class RawCorpus:
    """Coded notes, before any code is dropped and before any split.

    notes: one row a note: `note` (unique str), `group` (str: patient or document; never parted by a split),
        `text` (str, never blank), `codes` (sorted list of str without repeats). A source with a published split adds
        `split`: "train", "validation" and "test"; without "validation", the project cuts it from "train".
    descriptions: text of every code in `notes`.
    licence: under which terms the notes may be used, in one line.
    private: True if the notes must never appear in an output.
    truth: None, or for synthetic notes one row an assignment: `note`, `code`, `evidence`
        ("present", "missing", or "beyond": behind the truncation).
    dropped: why rows of the source are not in `notes`, as {reason: count}; printed, so that none is lost silently.
    counts: None, or what was found (`found`) beside what each release of the source is known to hold, a column each.
    """

    name: str
    notes: pd.DataFrame
    descriptions: dict[str, str]
    licence: str
    private: bool
    truth: pd.DataFrame | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    counts: pd.DataFrame | None = None
