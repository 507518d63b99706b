"""Whether one model beats another on the same notes: a paired test, and a correction for asking often."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shl_utils import metrics


def permutation_test(
    truth: NDArray, first: list[NDArray], second: list[NDArray], *, times: int, seed: int
) -> dict[str, float]:
    """Two-sided p of no difference in micro_f1 and macro_f1_present between two models.

    truth: (notes, codes). first, second: predicted codes, one array a seed, alike in number or one of them alone; the
    statistic is the difference of the means over seeds. Under no difference each note's predictions may be swapped
    between the models; a note is swapped in all seeds at once.
    Source: approximate randomization, Noreen 1989; Yeh 2000 for F1. With the +1 of Phipson and Smyth 2010.
    """
    swaps = (np.random.default_rng(seed).random((times, len(truth))) < 0.5).astype(np.float32)
    observed, shuffled = {}, {}
    for sign, mine, other in ((1, first, second), (-1, second, first)):
        mine, other = _alike(mine, other)
        for a, b in zip(mine, other):
            points = metrics.scores(truth, a)
            for figure, values in _swapped(truth, a, b, swaps).items():
                observed[figure] = observed.get(figure, 0) + sign * points[figure] / len(mine)
                shuffled[figure] = shuffled.get(figure, 0) + sign * values / len(mine)
    return {
        figure: float((1 + (abs(values) >= abs(observed[figure]) - 1e-12).sum()) / (1 + times))
        for figure, values in shuffled.items()
    }


def _alike(mine: list[NDArray], other: list[NDArray]) -> tuple[list[NDArray], list[NDArray]]:
    n = max(len(mine), len(other))
    if len(mine) not in (1, n) or len(other) not in (1, n):
        raise ValueError(f"{len(mine)} and {len(other)} seeds cannot be paired: give both models the same")
    return mine * (n // len(mine)), other * (n // len(other))


def _swapped(truth: NDArray, a: NDArray, b: NDArray, swaps: NDArray) -> dict[str, NDArray[np.float64]]:
    """F1 of `a` where the notes that `swaps` (times, notes) marks are taken from `b`: (times,) each."""
    present = truth.any(axis=0)
    true = truth.sum(axis=0)
    pairs = [(truth & a, truth & b), (a, b)]
    at_first = [mine.sum(axis=0) for mine, _ in pairs]
    by_code = [(sparse.csr_array(b.T) - sparse.csr_array(a.T)).astype(np.float32) for a, b in pairs]
    parts = []
    for block in metrics.blocks(len(swaps), truth.shape[1]):
        hit, said = (n + metrics.weighted_sum(part, swaps[block]) for n, part in zip(at_first, by_code))
        micro = metrics.f1(hit.sum(axis=1), true.sum(), said.sum(axis=1))
        parts.append((micro, metrics.f1(hit, true, said)[:, present].mean(axis=1)))
    return dict(zip(("micro_f1", "macro_f1_present"), map(np.concatenate, zip(*parts))))


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """Each p corrected for all of them: the chance that any is below a bound by luck stays below it.

    Source: Holm 1979.
    """
    corrected, largest = {}, 0.0
    for i, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(p * (len(p_values) - i), 1.0))
        corrected[name] = largest
    return corrected
