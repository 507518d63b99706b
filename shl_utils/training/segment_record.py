"""What a trained segment records of its training, in a file beside its model."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shl_utils.runs import storage

FILE = "segment.json"


@dataclass(frozen=True)
class SegmentRecord:
    """The training of one segment.

    segment: its number, 0 for the rarest codes. codes: in the order of the head's rows. key: hash of all that the
    training depends on, see `jobs.Plan`.
    device: "cpu" or "cuda". precision: "fp32", "fp16" or "bf16". world: processes that trained it together. threads:
    CPU threads of each. seconds: wall-clock time, of all attempts.
    positives, negatives: numbers of its training notes with and without one of its codes. negatives_per_pass: how many
    negatives are drawn for each pass. stands_for: factor on their weights. passes_per_epoch: passes over the positives.
    history: per epoch, `epoch` (from 0), `loss` (mean per note; None after divergence) and `validation_ap` (average
    precision over all pairs of validation; None without a positive there), `gradient_norm` (mean over steps, before
    clipping) and `clipped` (share of the steps whose gradient was). best_epoch: the epoch that was kept; None if the
    first one diverged. frequency_ap: validation AP of the codes' training frequencies alone, or None.
    skipped_steps: steps whose gradient overflowed in fp16. trainable_parameters: numbers in adapter and head.
    derived: values that the loss derives from the training labels, see `jobs.Plan.derived`.
    """

    segment: int
    codes: list[str]
    key: str
    device: str
    precision: str
    world: int
    threads: int
    seconds: float
    positives: int
    negatives: int
    negatives_per_pass: int
    stands_for: float
    passes_per_epoch: int
    history: list[dict[str, Any]]
    best_epoch: int | None
    frequency_ap: float | None
    skipped_steps: int
    trainable_parameters: int
    derived: dict[str, dict[str, float] | float]

    def write(self, folder: Path) -> None:
        """Write the record into the segment's `folder`."""
        storage.write_json(folder / FILE, dataclasses.asdict(self))

    @classmethod
    def read(cls, folder: Path) -> SegmentRecord:
        """The record in a segment's `folder`; FileNotFoundError if missing, ValueError if it is of another version."""
        values = json.loads((folder / FILE).read_text(encoding="utf-8"))
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"{folder / FILE} is of another version: {error}") from None


def read_all(segments: Path) -> list[SegmentRecord]:
    """The records of all trained segments in the folder `segments`, in their order."""
    folders = [path.parent for path in segments.glob(f"*/{FILE}") if path.parent.name.isdigit()]
    return [SegmentRecord.read(folder) for folder in sorted(folders, key=lambda folder: int(folder.name))]
