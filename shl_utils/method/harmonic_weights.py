"""Harmonic weights 1/beta of the negative notes of a segment (the paper's step 3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def note_origins(labels: sparse.csr_array | NDArray, segments: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(notes, segments + 1): of which segments (codes,) a note has labels (notes, codes); last, whether of none."""
    n_segments = int(segments.max()) + 1
    membership = sparse.csr_array(
        (np.ones(len(segments)), (np.arange(len(segments)), segments)), shape=(len(segments), n_segments)
    )
    holds = (sparse.csr_array(labels) @ membership).toarray() > 0
    return np.column_stack([holds, ~holds.any(axis=1)])


def betas(origins: NDArray[np.bool_], segment: int) -> NDArray[np.float64]:
    """beta_{r,s} = N_r / N_s of every origin segment r for segment s, (segments + 1,).

    N_s counts the notes with a code of s, N_r those without one but with a code of r. origins: from `note_origins`. An
    entry is 0 where no note comes from r, and for s itself. Raises ValueError if no note has a code of s.
    """
    positive = origins[:, segment]
    if not positive.any():
        raise ValueError(f"segment {segment} has no training note: drop its codes")
    return origins[~positive].sum(axis=0) / positive.sum()


def inverse_betas(origins: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(segments, segments + 1): 1/beta_{r,s} of segment s (row) and origin segment r; NaN where no note is from r."""
    rows = [betas(origins, s) for s in range(origins.shape[1] - 1)]
    return np.array([np.divide(1.0, b, out=np.full_like(b, np.nan), where=b > 0) for b in rows])


def weights(origins: NDArray[np.bool_], segment: int, *, beta: str) -> NDArray[np.float64]:
    """Weight of every training note for one segment, (notes,): 1 with a code of it, 1/beta without (negative notes).

    Source: Ray et al. 2023, 1/beta_r. What we know of the paper does not define beta; these are three definitions.
    R1: a negative note from origin segment r weighs 1/beta_{r,s}; one from several weighs the mean of theirs.
    R2: every negative note weighs 1 over the harmonic mean of beta_{r,s} over the origin segments r.
    R3: every negative note weighs 1 over the sum of beta_{r,s} over the origin segments r.
    Notes without any code are an origin segment of their own. Origin segments without notes are skipped.

    Under R1 the few notes of a rare origin segment together weigh about as much as all positives of a frequent segment.
    Each weighs many times a positive, and the loss may follow what is accidental in them (docs/results/why.md).
    """
    positive = origins[:, segment]
    ratios = betas(origins, segment)
    result = np.ones(len(origins))
    if positive.all():
        return result
    present = ratios[ratios > 0]
    if beta == "R1":
        inverse = np.divide(1.0, ratios, out=np.zeros_like(ratios), where=ratios > 0)
        negatives = origins[~positive]
        result[~positive] = negatives @ inverse / negatives.sum(axis=1)
    elif beta == "R2":
        result[~positive] = np.mean(1.0 / present)
    elif beta == "R3":
        result[~positive] = 1.0 / present.sum()
    else:
        raise ValueError(f"beta {beta!r} is unknown: use R1, R2 or R3")
    return result
