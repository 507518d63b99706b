"""Trainings that failed to converge: such a score reflects learning rates and steps more than the loss function."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from shl_utils.training import variants
from shl_utils.training.segment_record import SegmentRecord
from shl_utils.training.variants import Variant

DIVERGED = "loss or weights that are no longer numbers"
NO_FALL = "loss never below that of the first epoch"
BLIND = "no better than the codes' frequencies"


def failed_segments(folder: Path, models: Iterable[Variant]) -> pd.DataFrame:
    """Failed segments of these models: `model` (its folder), `segment`, `why`."""
    lines = [
        {"model": variant.folder, "segment": record.segment, "why": reason}
        for variant in models
        for record in variants.read_records(folder, variant)
        if (reason := why(record))
    ]
    return pd.DataFrame(lines, columns=["model", "segment", "why"])


def why(record: SegmentRecord) -> str:
    """Why the training of a segment has failed; "" if nothing in its record suggests that it has."""
    losses = [epoch["loss"] for epoch in record.history]
    if None in losses:
        return DIVERGED
    reached = [epoch["validation_ap"] for epoch in record.history if epoch["validation_ap"] is not None]
    if len(losses) > 1 and min(losses) == losses[0]:
        return NO_FALL
    blind = record.frequency_ap
    return BLIND if blind is not None and reached and max(reached) <= blind else ""
