"""Uncertainty: intervals by a Bayesian bootstrap, a paired permutation test, and a correction for multiple tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shl_utils.evaluation import label_metrics

HEADLINE_METRICS = {"micro_f1": "micro", "macro_f1_present": "macro"}  # with an interval; their names in tables
INTERVAL = "95%, of a Bayesian bootstrap over test notes, those of a patient together, for macro-F1 over codes too"


@dataclass(frozen=True)
class Draws:
    """Weights of a Bayesian bootstrap. notes: (draws, notes). codes: (draws, codes)."""

    notes: NDArray[np.float32]
    codes: NDArray[np.float32]


def resamples(n_notes: int, n_codes: int, *, times: int, seed: int, patients: NDArray[np.int64] | None = None) -> Draws:
    """Exponential weights with mean 1, for notes and for codes. The same seed gives the same, so models are paired.

    patients: (notes,), number of each note's patient, from 0; its notes weigh alike. None: each note has its own.

    The weights are smooth (Rubin 1981): resampling whole notes would lose a code with one test note in a third of the
    draws. Codes are weighted too (Owen and Eckles 2012). Such a code is found or missed alike in every draw of notes,
    so notes alone would understate the uncertainty of a mean over codes.
    """
    patients, rng = _patients(patients, n_notes), np.random.default_rng(seed)
    of_patients, codes = (rng.exponential(size=(times, n)).astype(np.float32) for n in (patients.max() + 1, n_codes))
    return Draws(of_patients[:, patients], codes)


def _patients(patients: NDArray[np.int64] | None, n_notes: int) -> NDArray[np.int64]:
    return np.arange(n_notes) if patients is None else patients


def bootstrap(truth: NDArray, predicted: NDArray, draws: Draws) -> dict[str, NDArray[np.float64]]:
    """micro_f1 (notes weighted) and macro_f1_present (notes and codes weighted) in every draw: (draws,) each."""
    present = truth.any(axis=0)
    by_code = [sparse.csr_array(part.T).astype(np.float32) for part in (truth & predicted, truth, predicted)]
    parts = []
    for block in blocks(*draws.codes.shape):
        counts = [weighted_sum(part, draws.notes[block]) for part in by_code]  # true positives, support, predicted
        per_code, weights = label_metrics.f1(*counts)[:, present], draws.codes[block][:, present]
        macro = (per_code * weights).sum(axis=1) / weights.sum(axis=1)
        parts.append((label_metrics.f1(*(count.sum(axis=1) for count in counts)), macro))
    return dict(zip(HEADLINE_METRICS, map(np.concatenate, zip(*parts))))


def blocks(times: int, n_codes: int) -> list[slice]:
    """Slices of the draws such that an array (draws, codes) takes 80 MB at most, however many codes there are."""
    size = max(10_000_000 // n_codes, 1)
    return [slice(first, first + size) for first in range(0, times, size)]


def weighted_sum(by_code: sparse.csr_array, weights: NDArray) -> NDArray[np.float64]:
    """Weighted number of notes per draw and code, (draws, codes). by_code: (codes, notes). weights: (draws, notes)."""
    return np.asarray((by_code @ weights.T).T, dtype=np.float64)


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Lower and upper end of the middle 95% of bootstrap values."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def seed_weights(n: int, *, times: int, seed: int) -> NDArray[np.float64]:
    """Weights (times, n) of `n` training seeds per draw, equal for all experiments so that these are paired in them.

    A Bayesian bootstrap, widened by sqrt((n + 1) / (n - 1)), without which a mean of n values would vary too little.
    The 95% interval over three seeds alone covers 79%, over seeds and as much other noise 93%: a test measures it.
    """
    share = np.random.default_rng(seed).dirichlet(np.ones(n), size=times)
    return 1 / n + (share - 1 / n) * (((n + 1) / (n - 1)) ** 0.5 if n > 1 else 0)


def permutation_test(
    truth: NDArray,
    first: list[NDArray],
    second: list[NDArray],
    *,
    times: int,
    seed: int,
    patients: NDArray[np.int64] | None = None,
) -> dict[str, float]:
    """Two-sided p of no difference in micro_f1 and macro_f1_present between two models, by metric.

    truth: (notes, codes). first, second: predicted codes, one array per seed, equally many or one alone; else
    ValueError. The statistic is the difference of the means over seeds. Under no difference each note's predictions may
    be swapped between the models; notes of one patient are swapped together, and in all seeds at once. patients: as for
    `resamples`.
    Source: approximate randomization, Noreen 1989; Yeh 2000 for F1. With the +1 of Phipson and Smyth 2010.
    """
    patients, rng = _patients(patients, len(truth)), np.random.default_rng(seed)
    first, second = _alike(first, second)
    points = [(label_metrics.scores(truth, a), label_metrics.scores(truth, b)) for a, b in zip(first, second)]
    observed = {metric: np.mean([a[metric] - b[metric] for a, b in points]) for metric in HEADLINE_METRICS}
    extreme = dict.fromkeys(HEADLINE_METRICS, 0)
    for block in blocks(times, max(truth.shape)):
        swaps = rng.random((len(range(times)[block]), patients.max() + 1)) < 0.5
        swaps = swaps.astype(np.float32)[:, patients]
        there, back = (
            [_swapped(truth, a, b, swaps) for a, b in pairs] for pairs in (zip(first, second), zip(second, first))
        )
        for metric, value in observed.items():
            shuffled = np.mean([a[metric] - b[metric] for a, b in zip(there, back)], axis=0)
            extreme[metric] += int((abs(shuffled) >= abs(value) - 1e-12).sum())
    return {metric: (1 + n) / (1 + times) for metric, n in extreme.items()}


def _alike(mine: list[NDArray], other: list[NDArray]) -> tuple[list[NDArray], list[NDArray]]:
    n = max(len(mine), len(other))
    if len(mine) not in (1, n) or len(other) not in (1, n):
        raise ValueError(f"{len(mine)} and {len(other)} seeds cannot be paired: give both models the same")
    return mine * (n // len(mine)), other * (n // len(other))


def _swapped(truth: NDArray, a: NDArray, b: NDArray, swaps: NDArray) -> dict[str, NDArray[np.float64]]:
    """micro_f1 and macro_f1_present of `a`, (times,) each, with the notes marked in `swaps` (times, notes) from `b`."""
    present, support = truth.any(axis=0), truth.sum(axis=0)
    pairs = [(truth & a, truth & b), (a, b)]
    true_positives, predicted = (
        mine.sum(axis=0)
        + weighted_sum((sparse.csr_array(other.T) - sparse.csr_array(mine.T)).astype(np.float32), swaps)
        for mine, other in pairs
    )
    micro = label_metrics.f1(true_positives.sum(axis=1), support.sum(), predicted.sum(axis=1))
    return dict(
        zip(HEADLINE_METRICS, (micro, label_metrics.f1(true_positives, support, predicted)[:, present].mean(axis=1)))
    )


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """Holm-corrected p-values, which control the probability of any false positive among all of them.

    Source: Holm 1979.
    """
    corrected, largest = {}, 0.0
    for i, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(p * (len(p_values) - i), 1.0))
        corrected[name] = largest
    return corrected
