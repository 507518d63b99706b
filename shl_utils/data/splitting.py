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
    labels: sparse.csr_array,
    *,
    groups: ArrayLike,
    texts: ArrayLike,
    validation: float,
    test: float,
    seed: int,
) -> NDArray[np.str_]:
    """Split of every note, (notes,): "train", "validation" or "test".

    labels: (notes, codes) of 0 and 1. groups, texts: (notes,); notes that share either stay together. validation, test:
    shares of the notes.
    Source: iterative stratification, Sechidis et al. 2011, Algorithm 1. Departures: sets of notes that must stay
    together are assigned, not single notes. A code whose notes all fell outside training gets one set back. Well-kept
    libraries assign single rows of a dense matrix: neither groups nor thousands of codes fit.
    In a long tail nearly every note has a code too rare to be divided. If that keeps a split from half its share, such
    codes are ignored. As many sets then stay in training as it takes for every code with two sets to have one there. A
    code with a single set may then fall to validation or test.
    """
    unit_of_note, counts, sizes = _units(labels, groups, texts)
    shares = np.array([1 - validation - test, validation, test])
    side = _stratify(counts, sizes, shares=shares, rng=np.random.default_rng(seed))
    _restore_training_notes(side, counts)
    if short(np.array(SPLITS)[side[unit_of_note]], validation=validation, test=test):
        rng = np.random.default_rng(seed)
        side = _stratify(
            _codes_large_enough(counts, shares), sizes, shares=shares, rng=rng, stay=_must_stay(counts, rng)
        )
    return np.array(SPLITS)[side[unit_of_note]]


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
    side = _stratify(_codes_large_enough(counts, shares), sizes, shares=shares, rng=np.random.default_rng(seed))
    _restore_training_notes(side, counts[:, _separable(counts)])
    return np.array(SPLITS)[side[unit_of_note]]


def short(sides: NDArray[np.str_], *, validation: float, test: float) -> list[str]:
    """Names of the splits that have no note or less than half their share: too few to choose or to judge by.

    sides: (notes,), the split of each note. validation, test: shares of the notes.
    """
    shares = dict(zip(SPLITS, (1 - validation - test, validation, test)))
    return [name for name, share in shares.items() if (sides == name).sum() < max(share * len(sides) // 2, 1)]


def separable(labels: sparse.csr_array, *, groups: ArrayLike, texts: ArrayLike) -> NDArray[np.bool_]:
    """(codes,): whether the notes of a code form two sets or more. If so, our split gives the code a training note."""
    return _separable(_units(labels, groups, texts)[1])


def _separable(counts: sparse.csr_array) -> NDArray[np.bool_]:
    return (counts > 0).sum(axis=0) > 1


def _codes_large_enough(counts: sparse.csr_array, shares: NDArray) -> sparse.csr_array:
    """The columns of the codes whose fair share is at least one note in every split."""
    return counts[:, counts.sum(axis=0) * shares.min() >= 1]


def _units(labels: sparse.csr_array, groups: ArrayLike, texts: ArrayLike) -> tuple[NDArray, sparse.csr_array, NDArray]:
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


def _stratify(
    counts: sparse.csr_array,
    sizes: NDArray,
    *,
    shares: NDArray,
    rng: np.random.Generator,
    stay: Iterable[int] = (),
) -> NDArray:
    """Split of every unit, as an index into `shares`.

    counts: (units, codes), notes with each code. sizes: (units,), notes. stay: units that are in training in any case.
    """
    side = np.full(len(sizes), -1)
    by_code = counts.tocsc()
    remaining = counts.sum(axis=0)
    need = np.outer(shares, remaining)  # notes of each code that a split still needs
    room = shares * sizes.sum()
    tie = rng.permuted(np.arange(len(sizes)))
    for unit in stay:
        _place(unit, 0, side, counts, sizes, remaining, need, room)
    queue = [(left, code) for code, left in enumerate(remaining) if left > 0]
    heapq.heapify(queue)
    # rarest code first: its notes leave the least choice
    with progress.bar(len(sizes), "split notes") as bar:
        while queue:
            left, code = heapq.heappop(queue)
            if left != remaining[code]:
                if remaining[code] > 0:
                    heapq.heappush(queue, (remaining[code], code))
                continue
            units = by_code.indices[by_code.indptr[code] : by_code.indptr[code + 1]]
            units = units[side[units] < 0]
            for unit in units[np.argsort(tie[units])]:
                chosen = max(range(len(shares)), key=lambda s: (need[s, code], room[s], rng.random()))
                _place(unit, chosen, side, counts, sizes, remaining, need, room)
            bar.update(len(units))
    for unit in rng.permutation(np.flatnonzero(side < 0)):  # units without any code
        _place(unit, int(np.argmax(room)), side, counts, sizes, remaining, need, room)
    return side


def _place(unit, chosen, side, counts, sizes, remaining, need, room) -> None:
    span = slice(counts.indptr[unit], counts.indptr[unit + 1])
    codes, notes = counts.indices[span], counts.data[span]
    side[unit] = chosen
    remaining[codes] -= notes
    need[chosen, codes] -= notes
    room[chosen] -= sizes[unit]


def _must_stay(counts: sparse.csr_array, rng: np.random.Generator) -> NDArray[np.int64]:
    """A minimal set of units that has every separable code: without any one of them, a code would be missing."""
    counts = counts[:, _separable(counts)]
    left = (counts > 0).sum(axis=0)
    free = np.zeros(counts.shape[0], dtype=bool)
    for unit in rng.permutation(counts.shape[0]):
        codes = counts.indices[counts.indptr[unit] : counts.indptr[unit + 1]]
        free[unit] = (left[codes] > 1).all()
        left[codes] -= free[unit]
    return np.flatnonzero(~free)


def _restore_training_notes(side: NDArray, counts: sparse.csr_array) -> None:
    """Move a unit to training for every code without a training note; no other code loses a training note by it."""
    by_code = counts.tocsc()
    for code in np.flatnonzero(counts[side == 0].sum(axis=0) == 0):
        units = by_code.indices[by_code.indptr[code] : by_code.indptr[code + 1]]
        if units.size and not (side[units] == 0).any():
            side[units[0]] = 0
