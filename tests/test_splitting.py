"""Splits: nothing that belongs together is parted, and no code is left without a training note."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from shl_utils.splitting import cut_validation, split, together


def labels_of(rng, notes, codes):
    share = 0.5 / np.arange(1, codes + 1)
    labels = rng.random((notes, codes)) < share
    labels[rng.integers(0, notes, codes), np.arange(codes)] = True
    return sparse.csr_array(labels.astype(float))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(12, 80), st.integers(2, 25))
def test_promises(seed, notes, codes):
    rng = np.random.default_rng(seed)
    labels = labels_of(rng, notes, codes)
    groups = rng.integers(0, max(notes // 2, 1), notes)
    texts = np.array([f"text {i}" for i in rng.integers(0, notes, notes)])
    sides = split(labels, groups=groups, texts=texts, validation=0.2, test=0.2, seed=seed)
    for keys in (groups, texts):
        for key in np.unique(keys):
            assert len(set(sides[keys == key])) == 1, "a group or a text was parted"
    assert (labels[sides == "train"].sum(axis=0) > 0).all(), "a code lost its training notes"
    again = split(labels, groups=groups, texts=texts, validation=0.2, test=0.2, seed=seed)
    assert (sides == again).all(), "the seed does not decide"


def test_shares_and_strata_are_met():
    rng = np.random.default_rng(0)
    labels = labels_of(rng, 3000, 40)
    names = np.arange(3000)
    sides = split(labels, groups=names, texts=names.astype(str), validation=0.15, test=0.15, seed=0)
    share = {s: (sides == s).mean() for s in ("train", "validation", "test")}
    assert share == pytest.approx({"train": 0.7, "validation": 0.15, "test": 0.15}, abs=0.01)
    totals = labels.sum(axis=0)
    frequent = totals >= 20
    in_test = labels[sides == "test"].sum(axis=0)[frequent] / totals[frequent]
    assert np.abs(in_test - 0.15).max() < 0.05, "a frequent code is spread unevenly"


def test_chains_of_groups_and_texts_stay_together():
    # 0 and 1 share a group, 1 and 2 a text but for white space, 3 is on its own
    sets = together(["a", "a", "b", "c"], ["x", "same  text", "same text\n", "y"])
    assert len(set(sets[:3])) == 1
    assert sets[3] != sets[0]


def test_another_seed_gives_another_split():
    labels = labels_of(np.random.default_rng(1), 200, 10)
    names = np.arange(200)
    one, two = (split(labels, groups=names, texts=names.astype(str), validation=0.2, test=0.2, seed=s) for s in (0, 1))
    assert (one != two).any()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(20, 80), st.integers(2, 25))
def test_a_cut_keeps_groups_and_every_code_that_can_be_in_training(seed, notes, codes):
    rng = np.random.default_rng(seed)
    labels = labels_of(rng, notes, codes)
    groups = rng.integers(0, max(notes // 2, 1), notes)
    texts = np.arange(notes).astype(str)
    sides = cut_validation(labels, groups=groups, texts=texts, validation=0.2, seed=seed)
    assert set(sides) <= {"train", "validation"}
    assert all(len(set(sides[groups == group])) == 1 for group in groups), "a group was parted"
    for code in range(codes):
        own = labels[:, [code]].toarray().ravel() > 0
        assert len(set(groups[own])) == 1 or (sides[own] == "train").any(), "a code lost its training notes"


def test_a_cut_has_its_share_though_every_note_has_a_code_of_its_own():
    rng = np.random.default_rng(0)
    own = sparse.identity(500, format="csr")
    shared = sparse.csr_array((rng.random((500, 20)) < 0.2).astype(float))
    labels = sparse.csr_array(sparse.hstack([own, shared]))
    names = np.arange(500).astype(str)
    sides = cut_validation(labels, groups=names, texts=names, validation=0.15, seed=0)
    assert abs((sides == "validation").mean() - 0.15) < 0.02
    ours = split(labels, groups=names, texts=names, validation=0.15, test=0.15, seed=0)
    assert (ours == "train").all(), "where no code may be lost, nothing can leave training"
