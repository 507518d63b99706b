"""Harmonic weights 1/beta of the notes without a code of a segment (the paper's step 3)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Beta = Literal["R1", "R2", "R3"]  # definitions of beta, see `weights`


def note_sources(labels: sparse.csr_array | NDArray, segments: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which segments a note has codes of: (notes, segments + 1); the last column is 'no code at all'.

    labels: (notes, codes) of 0 and 1. segments: (codes,).
    """
    n_segments = int(segments.max()) + 1
    membership = sparse.csr_array(
        (np.ones(len(segments)), (np.arange(len(segments)), segments)), shape=(len(segments), n_segments)
    )
    holds = (sparse.csr_array(labels) @ membership).toarray() > 0
    return np.column_stack([holds, ~holds.any(axis=1)])


def betas(sources: NDArray[np.bool_], segment: int) -> NDArray[np.float64]:
    """beta_{r,s} = N_r / N_s of every source r for segment s: N_s notes with a code of s, N_r without one but with r.

    sources: (notes, segments + 1) from `note_sources`. An entry is 0 where no note comes from r; s itself is 0.
    """
    positive = sources[:, segment]
    if not positive.any():
        raise ValueError(f"segment {segment} has no training note: drop its codes")
    return sources[~positive].sum(axis=0) / positive.sum()


def inverse_betas(sources: NDArray[np.bool_]) -> NDArray[np.float64]:
    """1/beta_{r,s} of every segment s in training (rows) and source r (columns); NaN on the diagonal, where empty."""
    rows = [betas(sources, s) for s in range(sources.shape[1] - 1)]
    return np.array([np.divide(1.0, b, out=np.full_like(b, np.nan), where=b > 0) for b in rows])


def weights(sources: NDArray[np.bool_], segment: int, *, beta: Beta, largest: float = 0.0) -> NDArray[np.float64]:
    """Weight of every training note for one segment: (notes,); 1 for notes with a code of it, 1/beta for the others.

    Source: Ray et al. 2023, 1/beta_r. What we know of the paper does not define beta; these are three definitions.
    R1: a negative from source r weighs 1/beta_{r,s}, one from several sources the mean of theirs.
    R2: every negative weighs 1 over the harmonic mean of beta_{r,s} over the sources r.
    R3: every negative weighs 1 over the sum of beta_{r,s} over the sources r.
    A note without any code is a source of its own. A source without notes is skipped.

    largest: a cap on the weights of negatives, 0 for none. Under R1 the few notes of a rare source weigh about as much
    as all positives of a frequent segment, each of them many times a positive, and the loss follows their accidents.
    The cap is ours, not the paper's.
    """
    positive = sources[:, segment]
    ratios = betas(sources, segment)
    result = np.ones(len(sources))
    if positive.all():
        return result
    present = ratios[ratios > 0]
    if beta == "R1":
        inverse = np.divide(1.0, ratios, out=np.zeros_like(ratios), where=ratios > 0)
        negatives = sources[~positive]
        result[~positive] = negatives @ inverse / negatives.sum(axis=1)
    elif beta == "R2":
        result[~positive] = np.mean(1.0 / present)
    elif beta == "R3":
        result[~positive] = 1.0 / present.sum()
    else:
        raise ValueError(f"beta {beta!r} is unknown: use R1, R2 or R3")
    if largest:
        result[~positive] = np.minimum(result[~positive], largest)
    return result
