"""Published results that a run can be compared with: the same notes, split and codes under another model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shl_utils.evaluation import label_metrics
from shl_utils.evaluation.results import Measured


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
    ours = {name: _figures(found, group, known) for name, found in measured.items()}
    theirs = {f"published: {name}": row for name, row in known.rows.items()}
    lines = {name: ["{:.1f} / {:.1f}".format(*pair) for pair in row] for name, row in (ours | theirs).items()}
    sizes = [f"{name} ({(group == name).sum()})" for name in known.bins]
    table = pd.DataFrame.from_dict(lines, orient="index", columns=[f"all ({len(counts)})", *sizes])
    macro = "macro (over all codes of the group, in the test or not)"
    return table.rename_axis(f"micro / {macro}; published: {known.citation}")


def _figures(found: Measured, group: pd.Series, known: Published) -> list[NDArray[np.float64]]:
    """(micro, macro over all codes) x 100, of all codes and of each group: means over seeds."""
    shown = ["micro_f1", "macro_f1_all"]
    truth, parts = found.truth.toarray(), []
    for predicted in (part.toarray() for part in found.predicted):
        whole = label_metrics.scores(truth, predicted)
        by_group = label_metrics.by_group(truth, predicted, group)
        parts.append([[whole[f] for f in shown], *by_group.loc[list(known.bins), shown].to_numpy()])
    return list(100 * np.mean(np.array(parts, dtype=float), axis=0))
