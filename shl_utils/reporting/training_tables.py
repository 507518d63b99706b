"""Tables of trainings: a run's segments, and the gradients of an ablation's experiments."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from shl_utils.declarations import DERIVED
from shl_utils.reporting.formats import spaced, text
from shl_utils.training.segment_record import SegmentRecord

TRAINED = ["positives", "negatives_per_pass", "passes_per_epoch", "best_epoch", "trainable_parameters", "seconds"]
STEPS = {"gradient_norm": "{:.2g}", "clipped": "{:.0%}"}  # means over epochs
# what losses derive from the training notes: the harmonic weights, and their own arguments
LABELS = {"weights": "weight of a negative"} | {name: taken.label for name, taken in DERIVED.items()}


def segments(records: Sequence[SegmentRecord]) -> pd.DataFrame:
    """Per segment: training notes, best epoch, cost, validation AP, and the AP of the codes' frequencies alone; and how
    many negatives a drawn one stands for, by which its weight is multiplied.

    The other columns are what its loss derived from the training notes (LABELS), as minimum / median / maximum.
    """
    shown = [_trained(record) for record in records]
    texts = [{LABELS[name]: _spread(values) for name, values in record.derived.items()} for record in records]
    table = pd.DataFrame([row | text for row, text in zip(shown, texts)], index=[r.segment for r in records])
    return spaced(table.fillna("")).rename_axis("segment")


def _trained(record: SegmentRecord) -> dict[str, Any]:
    best = record.best_epoch
    reached = {
        "validation_ap": None if best is None else record.history[best]["validation_ap"],
        "frequency_ap": record.frequency_ap,
    }
    texts = {name: "" if ap is None else f"{ap:.3f}" for name, ap in reached.items()}
    texts["a negative stands for"] = f"{record.stands_for:.3g}" if record.negatives else ""
    texts["best_epoch"] = "" if best is None else str(best + 1)  # counted from 1, as curves are drawn
    return {name: getattr(record, name) for name in TRAINED} | texts | {"codes": len(record.codes)}


def steps(history: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Norm of the gradient and share of clipped steps, as means over the epochs that did not diverge."""
    done = [epoch for epoch in history if epoch["loss"] is not None]
    return {name: form.format(statistics.fmean(e[name] for e in done)) if done else "" for name, form in STEPS.items()}


def _spread(values: dict[str, float] | float) -> str:
    """Numbers as "0.5 / 1 / 10"."""
    return " / ".join(f"{value:.3g}" for value in (values.values() if isinstance(values, dict) else [values]))


def gradients(table: pd.DataFrame) -> pd.DataFrame:
    """Norm of the gradient before clipping, and share of the steps that were clipped, by experiment."""
    columns = {name.replace("_", " "): text(table[name], form) for name, form in STEPS.items()}
    return pd.DataFrame(columns).set_axis(table["row"])[table["gradient_norm"].notna().to_numpy()]
