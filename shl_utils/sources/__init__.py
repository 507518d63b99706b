"""Where notes and codes come from: one module a source, one small interface.

A source module offers `load(...) -> Corpus`. Everything after that (splits, filter, segments, training)
sees only the `Corpus`, so a new source is one new module here and one line in `load`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

NAMES = ("openi", "mimic3", "synthetic")


@dataclass(frozen=True)
class Corpus:
    """Coded notes, before any code is dropped and before any split.

    notes: one row a note: `note` (unique str), `group` (str: patient or document; never parted by a split),
        `text` (str, never blank), `codes` (sorted list of str without repeats).
    descriptions: text of every code in `notes`.
    licence: under which terms the notes may be used, in one line.
    private: True if the notes must never appear in an output.
    truth: None, or for synthetic notes one row an assignment: `note`, `code`, `evidence`
        ("present", "missing", or "beyond": behind the truncation).
    dropped: why rows of the source are not in `notes`, as {reason: count}; printed, so that none is lost silently.
    """

    name: str
    notes: pd.DataFrame
    descriptions: dict[str, str]
    licence: str
    private: bool
    truth: pd.DataFrame | None = None
    dropped: dict[str, int] = field(default_factory=dict)


def load(name: str, *, folder: str, depth: int, synthetic_notes: int, seed: int) -> Corpus:
    """Read the source called `name`.

    folder: tables of `mimic3`; where `synthetic` writes its tables; unused by `openi`.
    depth: `openi` only, how much of a MeSH code is kept (1 heading, 2 heading/first qualifier).
    """
    if name == "openi":
        from shl_utils.sources import openi

        return openi.load(depth=depth)
    if name == "mimic3":
        from shl_utils.sources import mimic3

        return mimic3.load(Path(folder))
    if name == "synthetic":
        from shl_utils.sources import synthetic

        return synthetic.load(Path(folder), notes=synthetic_notes, seed=seed)
    raise ValueError(f"source {name!r} is unknown: use one of {', '.join(NAMES)}")
