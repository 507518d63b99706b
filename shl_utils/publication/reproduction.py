"""A reader's run held against what was published of its parameter file: `shl check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from shl_utils.evaluation.resampling import HEADLINE_METRICS
from shl_utils.evaluation.verdicts import MARGINS
from shl_utils.publication import results_file
from shl_utils.runs.locations import outside

PRINTED = 0.0005  # half of the last digit that tables print of an F1
SAME, NEAR, FAR = "the same", "near", "far off"
DEFINITION = (
    "near: F1 and gain both within the margin of equivalence, "
    f"{100 * MARGINS['micro_f1']:g} point of micro-F1 or {100 * MARGINS['macro_f1_present']:g} of macro-F1"
)


def compare(file: Path) -> pd.DataFrame:
    """F1 and gain of every row of the finished run of a parameter file, beside what was published of that file.

    Indexed by the row's name; a row that one side lacks is far off. Per headline metric: its value and gain here, the
    same with `published_` before them, and `<metric>_verdict`, for the worse of the two: the same as printed; near,
    within `verdicts.MARGINS`; or far off. The notes are the same, so the intervals, which hold the luck of the notes,
    are no measure.
    ValueError where nothing was published of the file, and where parameters, notes or codes were others.
    """
    published, name = _published(file)
    here = results_file.record(file)
    for part in ("parameters", "grids", "fingerprints"):
        if changed := results_file.differ(here[part], published[part]):
            raise ValueError(f"{file}: {name} was made with other {part}: {', '.join(changed)}")
    ours, theirs = (pd.DataFrame(run["tables"]["ablation"]).set_index("id") for run in (here, published))
    judged = [name for metric in HEADLINE_METRICS for name in _judged(metric)]
    table = ours[["row", *judged]].join(theirs[["row", *judged]].add_prefix("published_"), how="outer")
    table["row"] = table["row"].fillna(table.pop("published_row"))
    table = table.loc[[*ours.index, *theirs.index.difference(ours.index)]]
    for metric in HEADLINE_METRICS:
        gaps = pd.DataFrame({name: (table[name] - table[f"published_{name}"]).abs() for name in _judged(metric)})
        table[f"{metric}_verdict"] = [_verdict(gap, metric) for gap in gaps.astype(float).max(axis=1, skipna=False)]
    return table.set_index("row")


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """`compare` in a readable form, F1 x 100 and gain."""
    columns = {}
    for metric, title in HEADLINE_METRICS.items():
        for head, prefix in (("here", ""), ("published", "published_")):
            lines = 100 * table[[f"{prefix}{name}" for name in _judged(metric)]].to_numpy(dtype=float)
            columns[f"{title} {head}"] = ["none" if f1 != f1 else f"{f1:.1f}, {gain:+.1f}" for f1, gain in lines]
        columns[f"{title} verdict"] = table[f"{metric}_verdict"]
    return pd.DataFrame(columns)


def agrees(table: pd.DataFrame) -> bool:
    """Whether no value of `compare` is far off."""
    return not (table[[f"{metric}_verdict" for metric in HEADLINE_METRICS]] == FAR).any(axis=None)


def _judged(metric: str) -> tuple[str, str]:
    return metric, f"{metric}_gain"


def _verdict(gap: float, metric: str) -> str:
    """gap: NaN for a row that was not published."""
    if gap < PRINTED:
        return SAME
    return NEAR if gap < MARGINS[metric] else FAR


def _published(file: Path) -> tuple[dict[str, Any], Path]:
    """What was published of the run of a parameter file, and where."""
    runs = list(results_file.published())
    for path, run in runs:
        if run["file"] == outside(file.resolve()):
            return run, path
    known = ", ".join(run["file"] for _, run in runs) or "nothing yet"
    raise ValueError(f"{file}: nothing was published of it; there is {known}")
