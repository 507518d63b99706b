"""Train, validation and test: stratified over codes, with each group and each text within one split."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from shl_utils.runs import progress

SPLITS = ("train", "validation", "test")


def split(
    labels: sparse.csr_array, *, groups: ArrayLike, texts: ArrayLike, validation: float, test: float, seed: int
) -> NDArray[np.str_]:
    """Split of every note, (notes,): "train", "validation" or "test".

    labels: (notes, codes) of 0 and 1. groups, texts: (notes,); notes that share either stay together. validation, test:
    shares of the notes.
    Source: iterative stratification, Sechidis et al. 2011, Algorithm 1. Departures: sets of notes that must stay
    together are assigned, not single notes. A code whose notes all fell outside training gets one set back. Libraries
    assign single rows, so groups do not fit: scikit-multilearn, and iterative-stratification, whose matrix is dense.
    In a long tail nearly every note has a code too rare to be divided. If that keeps a split from half its share, such
    codes are ignored. As many sets then stay in training as it takes for every code with two sets to have one there. A
    code with a single set may then fall to validation or test.
    """
    unit_of_note, counts, sizes = _units(labels, groups, texts)
    shares = np.array([1 - validation - test, validation, test])
    assigned = _stratify(counts, sizes, shares=shares, rng=np.random.default_rng(seed))
    _restore_training_notes(assigned, counts)
    if short(np.array(SPLITS)[assigned[unit_of_note]], validation=validation, test=test):
        rng = np.random.default_rng(seed)
        stay = _must_stay(counts, rng)
        assigned = _stratify(_codes_large_enough(counts, shares), sizes, shares=shares, rng=rng, stay=stay)
    return np.array(SPLITS)[assigned[unit_of_note]]


def split_off_validation(
    labels: sparse.csr_array, *, groups: ArrayLike, texts: ArrayLike, validation: float, seed: int
) -> NDArray[np.str_]:
    """Split of every training note of a published split, (notes,): "train" or "validation". Arguments as in `split`.

    Departure from `split`: a code whose fair share of validation is below one note is ignored, and one with a single
    set of notes may fall to validation. In a long tail that is not ours to shorten nearly every note has such a code.
    All these would stay in training, and the few notes left would not represent the test.
    """
    unit_of_note, counts, sizes = _units(labels, groups, texts)
    shares = np.array([1 - validation, validation])
    assigned = _stratify(_codes_large_enough(counts, shares), sizes, shares=shares, rng=np.random.default_rng(seed))
    _restore_training_notes(assigned, counts[:, _separable(counts)])
    return np.array(SPLITS)[assigned[unit_of_note]]


def short(splits: NDArray[np.str_], *, validation: float, test: float) -> list[str]:
    """Names of the splits that have no note or less than half their share: too few to choose or to judge by.

    splits: (notes,), the split of each note. validation, test: shares of the notes.
    """
    shares = dict(zip(SPLITS, (1 - validation - test, validation, test)))
    return [name for name, share in shares.items() if (splits == name).sum() < max(share * len(splits) // 2, 1)]


def separable(labels: sparse.csr_array, *, groups: ArrayLike, texts: ArrayLike) -> NDArray[np.bool_]:
    """(codes,): whether the notes of a code form two sets or more. If so, our split gives the code a training note."""
    return _separable(_units(labels, groups, texts)[1])


def _separable(counts: sparse.csr_array) -> NDArray[np.bool_]:
    return (counts > 0).sum(axis=0) > 1


def _codes_large_enough(counts: sparse.csr_array, shares: NDArray[np.float64]) -> sparse.csr_array:
    """The columns of the codes whose fair share is at least one note in every split."""
    return counts[:, counts.sum(axis=0) * shares.min() >= 1]


def _units(
    labels: sparse.csr_array, groups: ArrayLike, texts: ArrayLike
) -> tuple[NDArray[np.int64], sparse.csr_array, NDArray[np.int64]]:
    """For units of notes that must stay together: unit of every note, notes per code (units, codes), notes in each."""
    unit_of_note = together(groups, texts)
    n_notes, n_units = len(unit_of_note), int(unit_of_note.max()) + 1
    membership = sparse.csr_array((np.ones(n_notes), (unit_of_note, np.arange(n_notes))), shape=(n_units, n_notes))
    return unit_of_note, sparse.csr_array(membership @ labels), np.bincount(unit_of_note)


def together(groups: ArrayLike, texts: ArrayLike) -> NDArray[np.int64]:
    """(notes,): number of the set of every note; notes of one group or text, directly or through others, share it."""
    group = pd.factorize(np.asarray(groups, dtype=object))[0]
    text = text_numbers(texts)
    n = len(group)
    nodes = np.arange(n)
    rows = np.concatenate([nodes, nodes])
    columns = np.concatenate([n + group, n + group.max() + 1 + text])
    size = n + group.max() + 1 + text.max() + 1
    graph = sparse.coo_array((np.ones(2 * n, dtype=bool), (rows, columns)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][:n]
    return np.unique(component, return_inverse=True)[1]


def text_numbers(texts: ArrayLike) -> NDArray[np.int64]:
    """(notes,): the same number for the same text but for white space, in which two exports of one text may differ."""
    return pd.factorize(np.array([" ".join(t.split()) for t in texts], dtype=object))[0]


class _Assignment:
    """Units assigned so far, and what each split still needs.

    counts: (units, codes), notes of each unit with each code. sizes: (units,), notes. shares: (splits,), of the notes.
    split: (units,), as an index into `shares`, -1 while open. remaining: (codes,), notes of open units. need: (splits,
    codes), notes with each code that a split lacks. room: (splits,), notes that it lacks.
    """

    def __init__(self, counts: sparse.csr_array, sizes: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
        self.counts, self.sizes = counts, sizes
        self.split = np.full(len(sizes), -1)
        self.remaining = counts.sum(axis=0)
        self.need = np.outer(shares, self.remaining)
        self.room = shares * sizes.sum()

    def place(self, unit: int, split: int) -> None:
        span = slice(*self.counts.indptr[unit : unit + 2])
        codes, notes = self.counts.indices[span], self.counts.data[span]
        self.split[unit] = split
        self.remaining[codes] -= notes
        self.need[split, codes] -= notes
        self.room[split] -= self.sizes[unit]


def _stratify(
    counts: sparse.csr_array,
    sizes: NDArray[np.int64],
    *,
    shares: NDArray[np.float64],
    rng: np.random.Generator,
    stay: Iterable[int] = (),
) -> NDArray[np.int64]:
    """Split of every unit, as an index into `shares`. stay: units that are in training in any case."""
    state = _Assignment(counts, sizes, shares)
    by_code = counts.tocsc()
    tie = rng.permuted(np.arange(len(sizes)))
    for unit in stay:
        state.place(unit, 0)
    queue = [(left, code) for code, left in enumerate(state.remaining) if left > 0]
    heapq.heapify(queue)
    # rarest code first: its notes leave the least choice
    with progress.bar(len(sizes), "split notes") as bar:
        while queue:
            left, code = heapq.heappop(queue)
            if left != state.remaining[code]:
                if state.remaining[code] > 0:
                    heapq.heappush(queue, (state.remaining[code], code))
                continue
            units = _entries(by_code, code)
            units = units[state.split[units] < 0]
            for unit in units[np.argsort(tie[units])]:
                neediest = max(range(len(shares)), key=lambda s: (state.need[s, code], state.room[s], rng.random()))
                state.place(unit, neediest)
            bar.update(len(units))
    for unit in rng.permutation(np.flatnonzero(state.split < 0)):  # units without any code
        state.place(unit, int(np.argmax(state.room)))
    return state.split


def _entries(matrix: sparse.csr_array | sparse.csc_array, i: int) -> NDArray[np.int32]:
    """Codes of unit `i` in a csr matrix (units, codes), or units with code `i` in a csc one."""
    return matrix.indices[matrix.indptr[i] : matrix.indptr[i + 1]]


def _must_stay(counts: sparse.csr_array, rng: np.random.Generator) -> NDArray[np.int64]:
    """A minimal set of units that has every separable code: without any one of them, a code would be missing."""
    counts = counts[:, _separable(counts)]
    left = (counts > 0).sum(axis=0)
    free = np.zeros(counts.shape[0], dtype=bool)
    for unit in rng.permutation(counts.shape[0]):
        codes = _entries(counts, unit)
        free[unit] = (left[codes] > 1).all()
        left[codes] -= free[unit]
    return np.flatnonzero(~free)


def _restore_training_notes(assigned: NDArray[np.int64], counts: sparse.csr_array) -> None:
    """Move a unit to training for every code without a training note; no other code loses a training note by it."""
    by_code = counts.tocsc()
    for code in np.flatnonzero(counts[assigned == 0].sum(axis=0) == 0):
        units = _entries(by_code, code)
        if units.size and not (assigned[units] == 0).any():
            assigned[units[0]] = 0
