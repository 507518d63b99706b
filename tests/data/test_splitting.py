"""Splits: nothing that belongs together is parted, and no code that can be in training is left without a note there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from shl_utils.data.splitting import separable, short, split, split_off_validation, together


def labels_of(rng, notes, codes):
    share = 0.5 / np.arange(1, codes + 1)
    labels = rng.random((notes, codes)) < share
    labels[rng.integers(0, notes, codes), np.arange(codes)] = True
    return sparse.csr_array(labels.astype(float))


def split_notes(labels, validation=0.15, test=0.15, seed=0):
    """Split of notes that have neither a group nor a text in common."""
    names = np.arange(labels.shape[0]).astype(str)
    return split(labels, groups=names, texts=names, validation=validation, test=test, seed=seed)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(12, 80), st.integers(2, 25))
def test_promises(seed, notes, codes):
    rng = np.random.default_rng(seed)
    labels = labels_of(rng, notes, codes)
    groups = rng.integers(0, max(notes // 2, 1), notes)
    texts = np.array([f"text {i}" for i in rng.integers(0, notes, notes)])
    splits = split(labels, groups=groups, texts=texts, validation=0.2, test=0.2, seed=seed)
    for keys in (groups, texts):
        for key in np.unique(keys):
            assert len(set(splits[keys == key])) == 1, "a group or a text was parted"
    kept = labels[splits == "train"].sum(axis=0) > 0
    assert kept[separable(labels, groups=groups, texts=texts)].all(), "a code lost its training notes"
    again = split(labels, groups=groups, texts=texts, validation=0.2, test=0.2, seed=seed)
    assert (splits == again).all(), "the seed does not decide"


def test_shares_and_strata_are_met():
    rng = np.random.default_rng(0)
    labels = labels_of(rng, 3000, 40)
    splits = split_notes(labels)
    share = {s: (splits == s).mean() for s in ("train", "validation", "test")}
    assert share == pytest.approx({"train": 0.7, "validation": 0.15, "test": 0.15}, abs=0.01)
    totals = labels.sum(axis=0)
    frequent = totals >= 20
    in_test = labels[splits == "test"].sum(axis=0)[frequent] / totals[frequent]
    assert np.abs(in_test - 0.15).max() < 0.05, "a frequent code is spread unevenly"


def test_chains_of_groups_and_texts_stay_together():
    # 0 and 1 share a group, 1 and 2 a text but for white space, 3 is on its own
    sets = together(["a", "a", "b", "c"], ["x", "same  text", "same text\n", "y"])
    assert len(set(sets[:3])) == 1
    assert sets[3] != sets[0]


def test_another_seed_gives_another_split():
    labels = labels_of(np.random.default_rng(1), 200, 10)
    assert (split_notes(labels, 0.2, 0.2, seed=0) != split_notes(labels, 0.2, 0.2, seed=1)).any()


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(20, 80), st.integers(2, 25))
def test_a_cut_keeps_groups_and_every_code_that_can_be_in_training(seed, notes, codes):
    rng = np.random.default_rng(seed)
    labels = labels_of(rng, notes, codes)
    groups = rng.integers(0, max(notes // 2, 1), notes)
    texts = np.arange(notes).astype(str)
    splits = split_off_validation(labels, groups=groups, texts=texts, validation=0.2, seed=seed)
    assert set(splits) <= {"train", "validation"}
    assert all(len(set(splits[groups == group])) == 1 for group in groups), "a group was parted"
    for code in range(codes):
        own = labels[:, [code]].toarray().ravel() > 0
        assert len(set(groups[own])) == 1 or (splits[own] == "train").any(), "a code lost its training notes"


def test_a_cut_has_its_share_though_every_note_has_a_code_of_its_own():
    rng = np.random.default_rng(0)
    own = sparse.identity(500, format="csr")
    shared = sparse.csr_array((rng.random((500, 20)) < 0.2).astype(float))
    labels = sparse.csr_array(sparse.hstack([own, shared]))
    names = np.arange(500).astype(str)
    taken = split_off_validation(labels, groups=names, texts=names, validation=0.15, seed=0)
    ours = split_notes(labels)
    for share in ((taken == "validation").mean(), (ours == "validation").mean(), (ours == "test").mean()):
        assert abs(share - 0.15) < 0.02


def long_tail(seed, notes, codes, exponent):
    """Ten draws per note from codes that grow rare as a power law does."""
    chances = 1 / np.arange(1, codes + 1) ** exponent
    drawn = np.random.default_rng(seed).choice(codes, size=(notes, 10), p=chances / chances.sum())
    labels = sparse.csr_array((np.ones(drawn.size), (np.repeat(np.arange(notes), 10), drawn.ravel())))
    return sparse.csr_array(labels[:, labels.sum(axis=0) > 0] > 0).astype(float)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(200, 400), st.integers(2, 20), st.floats(0, 1.2))
def test_no_tail_is_so_long_that_a_split_goes_without_its_notes(seed, notes, codes_a_note, exponent):
    labels = long_tail(seed, notes, notes * codes_a_note, exponent)
    splits = split_notes(labels, seed=seed)
    assert short(splits, validation=0.15, test=0.15) == []
    assert (labels[splits == "train"].sum(axis=0) > 0)[labels.sum(axis=0) > 1].all(), "a code lost its training notes"


def test_a_code_with_one_note_is_learned_where_the_splits_get_their_notes_without_it():
    labels = sparse.csr_array(sparse.hstack([labels_of(np.random.default_rng(0), 300, 8), np.eye(300, 30)]))
    splits = split_notes(labels)
    assert (splits[:30] == "train").all()
    assert short(splits, validation=0.15, test=0.15) == []


def test_frequent_codes_stay_even_in_a_long_tail():
    labels = long_tail(0, 3000, 100_000, 0.9)
    splits = split_notes(labels)
    totals = labels.sum(axis=0)
    share = labels[splits == "test"].sum(axis=0) / totals
    assert (totals == 1).sum() > len(totals) / 2, "rare codes in nearly every note"
    # 0.025 if no code had a say
    assert np.abs(share[totals >= 50] - (splits == "test").mean()).mean() < 0.02


def test_a_split_is_short_below_half_its_share_or_without_a_note():
    splits = np.array(["train"] * 88 + ["validation"] * 5 + ["test"] * 7)
    assert short(splits, validation=0.15, test=0.15) == ["validation"]
    assert short(splits[:-10], validation=0.01, test=0.01) == ["test"], "of so few it has none"
    assert short(np.array(["train", "train", "test"]), validation=0.15, test=0.15) == ["validation"]
