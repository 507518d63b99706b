"""The label filter: a label stays only if the code's description resembles the note (the paper's step 1)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from shl_utils.parameters import Parameters

SPLITS_FILTERED = {"none": (), "train": ("train",), "train+validation": ("train", "validation")}
SPLITS_FILTERED |= {"all": ("train", "validation", "test")}
BLOCK = 65536  # labels whose similarities are computed at once


def average(pieces: NDArray, owner: NDArray, *, n: int) -> NDArray:
    """Mean of the pieces of each owner (pieces,), below n, at unit length: (pieces, width) to (n, width), float32."""
    sums = np.zeros((n, pieces.shape[1]), dtype=np.float32)
    np.add.at(sums, owner, pieces)
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)


def pairwise(notes: NDArray, codes: NDArray, labels: sparse.csr_array) -> pd.DataFrame:
    """Similarity at every label: a table of `note` and `code` (their positions) and `similarity` (cosine, float32).

    notes: (n, width) and codes: (c, width), of unit length. labels: (n, c).
    """
    rows, columns = labels.nonzero()
    values = np.empty(len(rows), dtype=np.float32)
    for a in range(0, len(rows), BLOCK):
        part = slice(a, a + BLOCK)
        values[part] = np.einsum("ij,ij->i", notes[rows[part]], codes[columns[part]])
    return pd.DataFrame({"note": rows, "code": columns, "similarity": values})


def cosine_threshold(table: pd.DataFrame, split: NDArray[np.str_], parameters: Parameters) -> float:
    """The threshold as a cosine; a quantile is over training labels alone. table: from `pairwise`. split: (notes,)."""
    if parameters.filter_by == "cosine":
        return parameters.filter_threshold
    training = table["similarity"][split[table["note"]] == "train"]
    return float(np.quantile(training, parameters.filter_threshold))


def apply(table: pd.DataFrame, split: NDArray[np.str_], parameters: Parameters) -> tuple[pd.DataFrame, float]:
    """The table from `pairwise` with a column `kept` (bool), and the threshold as a cosine.

    split: (notes,). Splits that are not filtered keep all labels. Raises ValueError where no training label is left.
    """
    threshold = cosine_threshold(table, split, parameters)
    note_split = split[table["note"]]
    touched = np.isin(note_split, SPLITS_FILTERED[parameters.filter_labels])
    table = table.assign(kept=~touched | (table["similarity"] >= threshold).to_numpy())
    training = table[note_split == "train"]
    if not training["kept"].any():
        raise ValueError(
            f"the filter removes every training label: the largest similarity is "
            f"{training['similarity'].max():.2f}, the threshold {threshold:.2f}; lower `filter_threshold`"
        )
    return table, threshold
