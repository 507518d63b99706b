"""Thresholds: from probabilities to codes, by one of several rules, chosen on validation notes alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from shl_utils import declarations
from shl_utils.method.score_counts import curve, next_below

RULES = declarations.Registry("threshold rule")


@dataclass(frozen=True)
class Validation:
    """Validation notes, never test notes, by which a rule chooses the threshold of every code.

    truth, probabilities: (notes, codes). segment: (codes,), -1 for a code without a model. Such a code has probability
    0 and is never predicted, since every threshold is above 0. floor: at least 1. A segment or code with fewer
    positives gets the global threshold: one chosen on one or two notes is noise. A code without positives would get the
    lowest score and be predicted everywhere.
    """

    truth: NDArray
    probabilities: NDArray
    segment: NDArray[np.int64]
    floor: int

    @cached_property
    def common(self) -> float:
        """The global threshold: the one with the largest micro-F1 over all codes."""
        return best(self.truth, self.probabilities)

    def own(self, groups: Iterable[NDArray[np.int64]]) -> NDArray[np.float64]:
        """(codes,): the threshold with the largest micro-F1 over each group of codes, by their positions."""
        result = np.full(len(self.segment), self.common)
        for codes in groups:
            if self.truth[:, codes].sum() >= self.floor:
                result[codes] = best(self.truth[:, codes], self.probabilities[:, codes])
        return result


def choose(rule: str, validation: Validation, **parameters: Any) -> NDArray[np.float64]:
    """Threshold of every code (codes,) by a rule of RULES: at or above it the code is predicted.

    parameters: of the run; a rule takes what it asks for by name. Raises ValueError for an unknown rule, or if there is
    no positive to choose by.
    """
    return RULES[rule](validation, **{name: parameters[name] for name in declarations.RULES[rule].takes})


@RULES.add()
def half(validation: Validation) -> NDArray[np.float64]:
    """0.5."""
    return np.full(len(validation.segment), 0.5)


@RULES.add("global")
def overall(validation: Validation) -> NDArray[np.float64]:
    """The one with the largest micro-F1."""
    return np.full(len(validation.segment), validation.common)


@RULES.add("segment")
def per_segment(validation: Validation) -> NDArray[np.float64]:
    """The largest micro-F1 over the codes of each segment."""
    return validation.own(np.flatnonzero(validation.segment == k) for k in range(validation.segment.max() + 1))


@RULES.add()
def per_code(validation: Validation) -> NDArray[np.float64]:
    """The largest F1 of each code."""
    return validation.own(np.flatnonzero(validation.segment >= 0)[:, None])


@RULES.add()
def shrunk(validation: Validation) -> NDArray[np.float64]:
    """Mean of the code's and the global one on the logit scale, with weights n and `floor`, n the code's positives."""
    own, common = logit(np.clip([per_code(validation), overall(validation)], 1e-12, 1 - 1e-7))
    share = validation.truth.sum(axis=0) / (validation.truth.sum(axis=0) + validation.floor)
    return expit(share * own + (1 - share) * common)


def best(truth: NDArray, probabilities: NDArray) -> float:
    """The threshold above 0 with the largest micro-F1 over all (notes, codes) pairs; ValueError without a positive."""
    if not truth.any():
        raise ValueError("validation has no positive label: no threshold can be chosen; use more notes")
    found = curve(truth, probabilities)
    f1 = np.where(found.scores > 0, found.f1, 0)
    score = float(found.scores[np.argmax(f1)])  # in double precision, so that halves of neighbours are between them
    if not f1.any():
        return 1.0  # no threshold above 0 finds a positive
    # midway to the next lower score, so that rounding of the scores flips no prediction
    return float(max((score + next_below(probabilities, score)) / 2, np.finfo(np.float32).tiny))
