"""What is known of a corpus before any training: how much its segments have to learn from, and what they share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shl_utils.method.harmonic_weights import note_origins


def describe(labels: sparse.csr_array, segments: NDArray[np.int64]) -> dict[str, float]:
    """What is known of a corpus and its segments before any training, by name.

    labels: (training notes, codes) of 0 and 1. segments: (codes,), as from `segment`. A *shared* note has codes of more
    than one segment: each of these sees it as a positive, and no other code of it.
    """
    held = note_origins(labels, segments)[:, :-1]  # (notes, segments)
    per_note = held.sum(axis=1)
    coded = per_note > 0
    return {
        "training notes": len(held),
        "codes": len(segments),
        "codes per note": float(labels.sum() / len(held)),
        "training notes per code, median": float(np.median(labels.sum(axis=0))),
        "segments": held.shape[1],
        "training notes per segment, median": float(np.median(held.sum(axis=0))),
        "segments per note with a code": float(per_note[coded].mean()),
        "share of shared notes": float((per_note[coded] > 1).mean()),
    }
