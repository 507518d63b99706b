"""The metrics of one model on the test notes, in every bootstrap draw, and paired differences of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shl_utils.evaluation import label_metrics, resampling
from shl_utils.evaluation.resampling import HEADLINE_METRICS
from shl_utils.parameters import Parameters

Values = dict[str, NDArray[np.float64]]  # metric to (1 + draws,): the estimate, then the value in every bootstrap draw
ENDS = ("", "_low", "_high")  # of the columns that hold an estimate and its interval
INTERVAL = f"{resampling.INTERVAL}, and over seeds of training where there are several"


@dataclass(frozen=True)
class Measured:
    """The metrics of a model or an experiment on the test notes, each a mean over seeds.

    points: metric to value. samples: headline metric to (draws,), for intervals. seeds: headline metric to (seeds,).
    truth: (test notes, codes). predicted: one such array per seed. Both are sparse, since all experiments are held at
    once. patients: (test notes,), number of each note's patient.
    name: as tables print it. comparable: whether it is measured on all pairs of the labels that the source has.
    """

    points: dict[str, float]
    samples: dict[str, NDArray[np.float64]]
    seeds: dict[str, NDArray[np.float64]]
    truth: sparse.csr_array
    predicted: list[sparse.csr_array]
    patients: NDArray[np.int64]
    name: str = ""
    comparable: bool = True

    def values(self, metric: str) -> NDArray[np.float64]:
        """A headline metric, (1 + draws,): its estimate, then the value in every bootstrap draw."""
        return np.append(self.points[metric], self.samples[metric])


def measure(
    truth: NDArray,
    predicted: list[NDArray],
    parameters: Parameters,
    *,
    patients: NDArray[np.int64],
    mean_ap: Sequence[float] = (),
) -> Measured:
    """Metrics of predicted codes, one array (test notes, codes) per seed; `parameters` set the bootstrap draws.

    patients: from `results.test_patients`. mean_ap: mean average precision per seed, if known; its mean becomes `map`.
    """
    how = {"times": parameters.bootstrap_draws, "seed": parameters.seed}
    draws = resampling.resamples(*truth.shape, **how, patients=patients)
    points = [label_metrics.scores(truth, part) for part in predicted]
    samples = [resampling.bootstrap(truth, part, draws) for part in predicted]
    share = resampling.seed_weights(len(predicted), **how)
    ranked = {"map": float(np.mean(mean_ap))} if mean_ap else {}
    return Measured(
        points={metric: float(np.mean([p[metric] for p in points])) for metric in points[0]} | ranked,
        samples={
            metric: (share * np.stack([s[metric] for s in samples], axis=1)).sum(axis=1) for metric in HEADLINE_METRICS
        },
        seeds={metric: np.array([p[metric] for p in points]) for metric in HEADLINE_METRICS},
        truth=sparse.csr_array(truth),
        predicted=[sparse.csr_array(part) for part in predicted],
        patients=patients,
    )


def difference(found: Measured, base: Measured) -> Values:
    """Paired differences of the headline metrics, `found` minus `base`."""
    return {metric: found.values(metric) - base.values(metric) for metric in HEADLINE_METRICS}


def summarize(values: Values) -> dict[str, float]:
    """Each estimate by its name, and the ends of its 95% interval as `_low` and `_high`."""
    line = {}
    for name, found in values.items():
        line |= dict(zip((name + end for end in ENDS), (float(found[0]), *resampling.interval(found[1:]))))
    return line


def with_gain(found: Measured, base: Measured) -> dict[str, float]:
    """The headline metrics, their paired gains over `base` (`_gain`), and intervals of both (`_low`, `_high`)."""
    values = {}
    for metric, gain in difference(found, base).items():
        values |= {metric: found.values(metric), f"{metric}_gain": gain}
    return summarize(values)


def within(found: Measured, codes: NDArray[np.int64], parameters: Parameters) -> Measured:
    """What was measured, on some of the codes alone: their columns."""
    predicted = [part[:, codes].toarray() for part in found.predicted]
    return measure(found.truth[:, codes].toarray(), predicted, parameters, patients=found.patients)
