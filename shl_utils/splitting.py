"""Train, validation and test: stratified over codes, no group and no text on two sides."""

from __future__ import annotations

import heapq

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

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
    """Split of every note: "train", "validation" or "test".

    labels: (notes, codes) of 0 and 1. groups, texts: (notes,); notes that share either stay together.
    Source: iterative stratification, Sechidis et al. 2011, Algorithm 1. Departures: what is placed is a set of notes
    that must stay together, and a code whose notes all fell outside training gets one such set back. Well-kept
    libraries place single rows of a dense matrix: neither groups nor thousands of codes fit.
    """
    unit_of_note = together(groups, texts)
    n_notes, n_units = len(unit_of_note), int(unit_of_note.max()) + 1
    membership = sparse.csr_array((np.ones(n_notes), (unit_of_note, np.arange(n_notes))), shape=(n_units, n_notes))
    counts = sparse.csr_array(membership @ labels)
    sizes = np.bincount(unit_of_note)
    shares = np.array([1 - validation - test, validation, test])
    side = _stratify(counts, sizes, shares=shares, rng=np.random.default_rng(seed))
    _bring_back(side, counts)
    return np.array(SPLITS)[side[unit_of_note]]


def together(groups: ArrayLike, texts: ArrayLike) -> NDArray[np.int64]:
    """Number of the set every note belongs to; notes of one group or text, directly or through others, share it."""
    group = pd.factorize(np.asarray(groups, dtype=object))[0]
    # texts differ in white space only when two exports differ: that is the same text
    text = pd.factorize(np.array([" ".join(t.split()) for t in texts], dtype=object))[0]
    n = len(group)
    nodes = np.arange(n)
    rows = np.concatenate([nodes, nodes])
    columns = np.concatenate([n + group, n + group.max() + 1 + text])
    size = n + group.max() + 1 + text.max() + 1
    graph = sparse.coo_array((np.ones(2 * n, dtype=bool), (rows, columns)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][:n]
    return np.unique(component, return_inverse=True)[1]


def _stratify(counts: sparse.csr_array, sizes: NDArray, *, shares: NDArray, rng: np.random.Generator) -> NDArray:
    """Side (0, 1, 2) of every unit, from counts (units, codes) of notes with each code and sizes (units,) in notes."""
    side = np.full(len(sizes), -1)
    by_code = counts.tocsc()
    remaining = counts.sum(axis=0)
    need = np.outer(shares, remaining)  # notes of each code that a side still wants
    room = shares * sizes.sum()
    tie = rng.permuted(np.arange(len(sizes)))
    queue = [(left, code) for code, left in enumerate(remaining) if left > 0]
    heapq.heapify(queue)
    # rarest code first: its notes have the fewest places left
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
    for unit in np.flatnonzero(side < 0):  # units without any code
        _place(unit, int(np.argmax(room)), side, counts, sizes, remaining, need, room)
    return side


def _place(unit, chosen, side, counts, sizes, remaining, need, room) -> None:
    span = slice(counts.indptr[unit], counts.indptr[unit + 1])
    codes, notes = counts.indices[span], counts.data[span]
    side[unit] = chosen
    remaining[codes] -= notes
    need[chosen, codes] -= notes
    room[chosen] -= sizes[unit]


def _bring_back(side: NDArray, counts: sparse.csr_array) -> None:
    """Move a unit to training for every code without a training note; no other code loses one by it."""
    by_code = counts.tocsc()
    for code in np.flatnonzero(counts[side == 0].sum(axis=0) == 0):
        units = by_code.indices[by_code.indptr[code] : by_code.indptr[code + 1]]
        if units.size and not (side[units] == 0).any():
            side[units[0]] = 0
