"""A reader's run held against what was published of its parameter file: `shl check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from shl_utils.evaluation import results
from shl_utils.evaluation.resampling import HEADLINE_METRICS
from shl_utils.publication import results_file
from shl_utils.reporting import tables
from shl_utils.runs.stages import outside

PRINTED = 0.0005  # half of the last digit that tables print of an F1
SAME, WITHIN, OUTSIDE = "the same", "within the interval", "outside"


def compare(file: Path) -> pd.DataFrame:
    """F1 of every row of the finished run of a parameter file, beside what was published of that file.

    Indexed by the row's name. Per headline metric: its value here; `published_<metric>` with the ends of its 95%
    interval over test notes and seeds; and `<metric>_verdict`: the same as printed, within that interval, or outside.
    ValueError where nothing was published of the file, and where parameters, notes or codes were others.
    """
    here, (published, name) = results_file.record(file), _published(file)
    for part in ("parameters", "grids", "fingerprints"):
        if changed := results_file.differ(here[part], published[part]):
            raise ValueError(f"{file}: {name} was made with other {part}: {', '.join(changed)}")
    ours, theirs = (pd.DataFrame(run["tables"]["ablation"]).set_index("id") for run in (here, published))
    table = ours[["row", *HEADLINE_METRICS]].join(theirs.add_prefix("published_"))
    for metric in HEADLINE_METRICS:
        lines = table[[metric, *_published_columns(metric)]].to_numpy(dtype=float)
        table[f"{metric}_verdict"] = [_verdict(*line) for line in lines]
    return table.set_index("row")


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """`compare` in a readable form, F1 x 100."""
    columns = {}
    for metric, title in HEADLINE_METRICS.items():
        lines = table[_published_columns(metric)].to_numpy(dtype=float)
        columns[f"{title}-F1 here"] = tables.text(100 * table[metric], "{:.1f}")
        columns[f"{title} published"] = ["{:.1f} [{:.1f}, {:.1f}]".format(*(100 * line)) for line in lines]
        columns[f"{title} verdict"] = table[f"{metric}_verdict"]
    return pd.DataFrame(columns)


def agrees(table: pd.DataFrame) -> bool:
    """Whether no value of `compare` lies outside."""
    return not (table[[f"{metric}_verdict" for metric in HEADLINE_METRICS]] == OUTSIDE).any(axis=None)


def _published_columns(metric: str) -> list[str]:
    return [f"published_{metric}{end}" for end in results.ENDS]


def _verdict(here: float, published: float, low: float, high: float) -> str:
    if abs(here - published) < PRINTED:
        return SAME
    return WITHIN if low <= here <= high else OUTSIDE


def _published(file: Path) -> tuple[dict[str, Any], Path]:
    """What was published of the run of a parameter file, and where."""
    runs = list(results_file.published())
    for path, run in runs:
        if run["file"] == outside(file.resolve()):
            return run, path
    known = ", ".join(run["file"] for _, run in runs) or "nothing yet"
    raise ValueError(f"{file}: nothing was published of it; there is {known}")
