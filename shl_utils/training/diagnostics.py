"""Trainings that failed to converge: such a score reflects learning rates and steps more than the loss function."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from shl_utils.training import variants
from shl_utils.training.variants import FROM_UNIFIED, Variant

DIVERGED = "weights that are no longer numbers"
NO_FALL = "loss never below that of the first epoch"
BLIND = "no better than the codes' frequencies"


def failed_segments(folder: Path, models: Iterable[Variant]) -> pd.DataFrame:
    """Failed segments of these models and of the models they start from: `model` (its folder), `segment`, `why`."""
    lines = [
        {"model": variant.folder, "segment": fact["segment"], "why": reason}
        for variant in variants.with_origins(list(models))
        for fact in _facts(folder / variant.folder / "segments")
        if (reason := why(fact, fresh=variant.parameters.initialization not in FROM_UNIFIED))
    ]
    return pd.DataFrame(lines, columns=["model", "segment", "why"])


def why(fact: dict[str, Any], *, fresh: bool) -> str:
    """Why the training that `fact` (one `segment.json`) records has failed; "" if nothing suggests that it has.

    fresh: False after a warm start. A trained model has little loss left to lose, so its loss need not fall.
    """
    losses = [epoch["loss"] for epoch in fact["history"]]
    if None in losses:
        return DIVERGED
    reached = [epoch["validation_ap"] for epoch in fact["history"] if epoch["validation_ap"] is not None]
    if fresh and len(losses) > 1 and min(losses) == losses[0]:
        return NO_FALL
    blind = fact["frequency_ap"]
    return BLIND if blind is not None and reached and max(reached) <= blind else ""


def _facts(segments: Path) -> Iterable[dict[str, Any]]:
    paths = sorted(segments.glob("*/segment.json"), key=lambda path: int(path.parent.name))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]
