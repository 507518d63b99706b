"""Check, for every experiment of a run and before any training, that the filter leaves labels to learn from.

It produces nothing, so no result depends on it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shl_utils.data.splitting import SPLITS
from shl_utils.experiments import ablation
from shl_utils.method import label_filter
from shl_utils.parameters import Parameters


def refuse_bare(similarity: pd.DataFrame, split: NDArray[np.str_], parameters: Parameters) -> None:
    """ValueError where a filter leaves training, validation or test without a label: nothing could be learned, chosen
    or measured. Checked are the run, and the experiments of its grid with the run's encoder and `max_tokens`."""
    rows = ablation.experiments(parameters.grid, parameters)
    checked = {"the run": parameters} | {f"row {row.name}": row.parameters for row in rows}
    for name, one in checked.items():
        if (one.encoder, one.max_tokens) == (parameters.encoder, parameters.max_tokens):
            table, _ = label_filter.apply(similarity, split, one)
            left = set(split[table["note"][table["kept"]]])
            empty = [part for part in SPLITS if part not in left]
            if empty:
                raise ValueError(
                    f"the filter of {name} leaves no label in {' and '.join(empty)}: lower `filter_threshold`, or set "
                    "`filter_labels: train`, which keeps those of validation and test"
                )
