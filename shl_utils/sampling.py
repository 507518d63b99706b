"""Which notes a segment trains on, and what each weighs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TrainingSet:
    """Training notes of one segment.

    positives: numbers of the notes with a code of the segment. negatives: of the others.
    weights: (all notes,), loss weight by note number if every training note were seen once an epoch.
    ratio: negatives drawn per positive and epoch.
    """

    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]
    weights: NDArray[np.float64]
    ratio: float

    @property
    def drawn(self) -> int:
        """Negatives an epoch."""
        return min(len(self.negatives), round(self.ratio * len(self.positives)))

    def epoch(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Notes of one epoch and the weight of each: all positives and a fresh draw of negatives.

        A drawn negative also stands for those left out, so the expected loss is that of the whole training set,
        whatever the ratio.
        """
        chosen = rng.choice(self.negatives, size=self.drawn, replace=False)
        stands_for = len(self.negatives) / max(len(chosen), 1)
        rows = np.concatenate([self.positives, chosen])
        weights = np.concatenate([self.weights[self.positives], self.weights[chosen] * stands_for])
        return rows, weights


def batches(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], *, size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Positions into `rows` in batches of notes of like length, both the batches and their make-up in random order.

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
    """How many batches `batches` gives."""
    full, rest = divmod(n_rows, 16 * size)
    return full * 16 + -(-rest // size)
