"""Which notes a segment trains on, and the loss weight of each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


@dataclass(frozen=True)
class TrainingSet:
    """Training notes of one segment.

    positives: numbers of the notes with a code of the segment. negatives: numbers of the negative notes.
    weights: (all notes,), loss weight by note number if every training note were seen once per epoch.
    ratio: negatives drawn per positive and pass. passes: passes over the positives per epoch. weighted: whether a drawn
    negative weighs for those left out; if not, the model's logits are to be corrected, see `correction`.
    """

    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]
    weights: NDArray[np.float64]
    ratio: float
    passes: int = 1
    weighted: bool = True

    @property
    def rows(self) -> NDArray[np.int64]:
        """Numbers of all training notes, the positives first."""
        return np.concatenate([self.positives, self.negatives])

    @property
    def drawn(self) -> int:
        """Negatives drawn per pass."""
        return min(len(self.negatives), max(round(self.ratio * len(self.positives)), 1))

    @property
    def stands_for(self) -> float:
        """Factor on the weight of a drawn negative, for those that are left out."""
        return len(self.negatives) / max(self.drawn, 1) if self.weighted else 1.0

    @property
    def size(self) -> int:
        """Notes per epoch, each counted as often as it is seen."""
        return self.passes * (len(self.positives) + self.drawn)

    def repeated(self, *, batch_size: int, min_steps: int) -> TrainingSet:
        """The same set with as many passes per epoch as `min_steps` steps need, at least one."""
        steps = n_batches(replace(self, passes=1).size, size=batch_size)
        return replace(self, passes=max(math.ceil(min_steps / steps), 1))

    def epoch(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Note numbers of one epoch and the weight of each; a pass is all positives and a new draw of negatives.

        If `weighted`, a drawn negative is up-weighted by (negatives / negatives drawn), for those left out. So the
        expected loss is that of the whole training set, whatever the ratio.
        """
        draws = [rng.choice(self.negatives, size=self.drawn, replace=False) for _ in range(self.passes)]
        rows = np.concatenate([part for draw in draws for part in (self.positives, draw)])
        drawn = np.isin(rows, self.negatives)
        return rows, self.weights[rows] * np.where(drawn, self.stands_for, 1.0)

    def correction(self, labels: sparse.csr_array) -> NDArray[np.float64]:
        """(codes,): log odds of each code among the drawn notes, less those among all. labels: (all notes, codes).

        A model that learns from the drawn notes alone, with this added to its logits, has the log odds among all notes
        in its logits themselves: the prior correction of King and Zeng 2001, code by code. It is exact under BCE.
        """
        positive, negative = self.weights[self.positives], self.weights[self.negatives].sum()
        without = positive.sum() - labels[self.positives].T @ positive
        return np.log((without + negative) / (without + negative * self.drawn / len(self.negatives)))


def batches(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], *, size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Yield positions into `rows`, in batches of notes of similar length; batches and their content are random.

    lengths: tokens of every note, by note number. Sorting within windows of 16 batches keeps the padding short and the
    batches random.
    """
    order = rng.permutation(len(rows))
    window = 16 * size
    cut = []
    for a in range(0, len(order), window):
        part = order[a : a + window]
        part = part[np.argsort(lengths[rows[part]], kind="stable")]
        cut += [part[b : b + size] for b in range(0, len(part), size)]
    for i in rng.permutation(len(cut)):
        yield cut[i]


def n_batches(n_rows: int, *, size: int) -> int:
    """Number of batches that `batches` yields."""
    return math.ceil(n_rows / size)  # only the last window's last batch is smaller
