"""Segments of codes of like frequency (the paper's step 2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def segment(counts: ArrayLike, *, eta: float) -> NDArray[np.int64]:
    """Segment of every code (codes,), 0 for the rarest, from `counts` (codes,) of training notes per code.

    A segment grows from the rarest code upwards, one code at a time. It ends before the first code that would bring the
    population standard deviation of its counts above `eta` times its smallest count. The next one begins there. Codes
    of equal count share a segment: the boundary moves back to the first of them.

    Source: Ray et al. 2023, segmentation with eta_S = 0.5. Population deviation and whole ties are our choice.
    Raises ValueError for a count below 1 or an eta that is not positive.
    """
    counts = np.asarray(counts)
    if counts.ndim != 1 or counts.size == 0:
        raise ValueError("counts must be one number per code, and at least one code")
    if not np.isfinite(eta) or eta <= 0:
        raise ValueError(f"eta must be above 0, got {eta}")
    empty = np.flatnonzero(counts < 1)
    if empty.size:
        raise ValueError(f"{empty.size} codes have no training note, the first at position {empty[0]}: drop them")
    order = np.argsort(counts, kind="stable")
    ascending = counts[order].astype(float)
    segments = np.empty(len(counts), dtype=np.int64)
    start, name = 0, 0
    while start < len(counts):
        end = _end(ascending, start, eta)
        segments[order[start:end]] = name
        start, name = end, name + 1
    return segments


def _end(ascending: NDArray[np.float64], start: int, eta: float) -> int:
    """End (exclusive) of the segment that begins at `start`, searched in blocks of doubling length."""
    smallest, length = ascending[start], 64
    while True:
        block = ascending[start : start + length] - smallest  # small numbers keep the sums below exact
        n = np.arange(1, len(block) + 1)
        # n^2 times the variance of the first n codes, so that whole counts are compared without division
        spread = n * np.cumsum(block**2) - np.cumsum(block) ** 2
        beyond = np.flatnonzero(spread > (eta * smallest * n) ** 2)
        if beyond.size:
            return int(np.searchsorted(ascending, ascending[start + beyond[0]], side="left"))
        if start + length >= len(ascending):
            return len(ascending)
        length *= 2
