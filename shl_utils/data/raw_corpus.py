"""What sources of notes are and what each returns: notes, their codes, and descriptions of the codes."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from shl_utils.declarations import Registry

SOURCES = Registry("source")  # of what is imported already; all are in `declarations.SOURCES`


@dataclass(frozen=True)
class RawCorpus:
    """Coded notes, before any code is dropped and before any split.

    notes: one row per note, with these columns. `note`: unique str. `group`: str, a patient or document; a split keeps
    it together. `text`: str, never blank. `codes`: sorted list of str without repeats. A source with a published split
    adds `split`: "train", "validation" and "test". Without "validation", the project takes it from "train".
    descriptions: text of every code in `notes`.
    licence: under which terms the notes may be used, in one line.
    private: True if the notes must never appear in an output; `sources.load` sets it as the source declares.
    truth: None, or for synthetic notes one row per label: `note`, `code`, `evidence` ("present", "missing", or
    "beyond": only after the truncation).
    dropped: why rows of the source are not in `notes`, as {reason: count}; printed, so that none is lost silently.
    counts: None, or a table with what was found (`found`) and, one column per release, what it is known to hold.
    """

    name: str
    notes: pd.DataFrame
    descriptions: dict[str, str]
    licence: str
    private: bool = True
    truth: pd.DataFrame | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    counts: pd.DataFrame | None = None
