"""Published results that a run can be compared with: the same notes, split and codes under another model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shl_utils.evaluation import results
from shl_utils.evaluation.measurement import Measured


@dataclass(frozen=True)
class Published:
    """A table of F1 x 100. citation: its source. codes: how many it covers. bins: name of each group of codes to its
    least and largest number of training notes. rows: model to (micro, macro) of all codes, then of each group."""

    citation: str
    codes: int
    bins: dict[str, tuple[float, float]]
    rows: dict[str, tuple[tuple[float, float], ...]]


KNOWN = {
    "reuters": Published(
        citation="Huang et al. 2021, Table 2 (BERT-base where it is no SVM; one run, no interval)",
        codes=90,
        bins={"head": (35, np.inf), "medium": (9, 34), "tail": (1, 8)},
        rows={
            "linear SVM": ((87.60, 51.63), (89.87, 78.47), (66.92, 61.00), (22.54, 13.83)),
            "BCE": ((89.14, 47.32), (91.75, 82.81), (66.28, 57.26), (0.00, 0.00)),
            "focal": ((89.97, 56.83), (91.83, 82.64), (76.16, 70.63), (27.40, 15.37)),
            "class-balanced": ((89.23, 52.96), (91.56, 80.44), (71.64, 66.61), (23.08, 9.93)),
            "CB-NTR": ((90.74, 63.31), (92.46, 83.28), (78.42, 72.98), (46.32, 32.31)),
            "distribution-balanced": ((90.62, 64.47), (92.14, 83.48), (80.25, 77.01), (48.89, 31.39)),
        },
    )
}


def beside(source: str, measured: dict[str, Measured], counts: NDArray[np.int64]) -> pd.DataFrame | None:
    """Micro / macro F1 x 100 of all codes and of each group: the run (mean over seeds), then the published models.

    counts: (codes,), training notes. None where nothing is published for `source` with this number of codes.
    """
    known = KNOWN.get(source)
    if known is None or len(counts) != known.codes:
        return None
    group = pd.Series("none", index=range(len(counts)))
    for name, (least, most) in known.bins.items():
        group[(counts >= least) & (counts <= most)] = name
    lines = {found.name: _scores(found, group, known) for found in measured.values()}
    lines |= {f"published: {name}": row for name, row in known.rows.items()}
    texts = {name: ["{:.1f} / {:.1f}".format(*pair) for pair in row] for name, row in lines.items()}
    sizes = [f"{name} ({(group == name).sum()})" for name in known.bins]
    table = pd.DataFrame.from_dict(texts, orient="index", columns=[f"all ({len(counts)})", *sizes])
    macro = "macro (over all codes of the group, in the test or not)"
    return table.rename_axis(f"micro / {macro}; published: {known.citation}")


def _scores(found: Measured, group: pd.Series, known: Published) -> list[NDArray[np.float64]]:
    """(micro, macro over all codes) x 100, of all codes and of each group: means over seeds."""
    shown = ["micro_f1", "macro_f1_all"]
    groups = results.by_group({found.name: found}, group).loc[found.name].loc[list(known.bins), shown]
    return list(100 * np.array([[found.points[metric] for metric in shown], *groups.to_numpy()], dtype=float))
