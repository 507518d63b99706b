"""Which notes a segment trains on, and with what weight."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_up import invented_plan
from scipy import sparse
from scipy.special import logit

from shl_utils.method import losses
from shl_utils.training.sampling import TrainingSet, batches, n_batches
from shl_utils.training.worker import _corrected, task_of


def test_expected_weight_of_drawn_negatives_is_that_of_all():
    rng = np.random.default_rng(0)
    weight = rng.random(100)
    notes = TrainingSet(np.arange(10), np.arange(10, 100), weight, ratio=2.0)
    totals = []
    for _ in range(400):
        rows, weights_ = notes.epoch(rng)
        assert len(rows) == 30
        assert len(set(rows)) == 30
        assert weights_[:10] == pytest.approx(weight[:10])
        totals.append(weights_[10:].sum())
    assert np.mean(totals) == pytest.approx(weight[10:].sum(), rel=0.02)


def test_batches_hold_every_note_once_and_are_counted():
    rng = np.random.default_rng(0)
    for n in (1, 15, 16, 17, 255, 256, 257, 1000):
        rows = rng.permutation(2000)[:n]
        cut = list(batches(rows, rng.integers(1, 100, 2000), size=16, rng=rng))
        assert sorted(np.concatenate(cut).tolist()) == list(range(n))
        assert len(cut) == n_batches(n, size=16)


def test_without_weights_a_drawn_negative_stands_for_itself():
    rng = np.random.default_rng(0)
    notes = TrainingSet(np.arange(10), np.arange(10, 100), np.full(100, 0.5), ratio=2.0, weighted=False)
    assert notes.repeated(batch_size=8, min_steps=10).epoch(rng)[1].tolist() == [0.5] * 90


def test_the_correction_of_logits_by_hand():
    """4 of 10 positives have the code; 90 negatives weigh 45 in all, 10 where 20 of them are drawn."""
    labels = sparse.csr_array((np.arange(100) < 4).astype(np.float64)[:, None])
    notes = TrainingSet(np.arange(10), np.arange(10, 100), np.where(np.arange(100) < 10, 1.0, 0.5), ratio=2.0)
    assert notes.correction(labels) == pytest.approx([logit(4 / 20) - logit(4 / 55)])
    assert replace(notes, ratio=9.0).correction(labels) == pytest.approx([0.0]), "all are drawn"


def test_a_model_of_drawn_notes_learns_the_share_among_all():
    """The best constant logit, under BCE on the drawn notes with their correction, is that of the prior among all."""
    labels = sparse.csr_array((np.arange(100) < 4).astype(np.float32)[:, None])
    notes = TrainingSet(np.arange(10), np.arange(10, 100), np.ones(100), ratio=2.0, weighted=False)
    rows, weights = notes.epoch(np.random.default_rng(0))
    constant = torch.tensor(logit(4 / 100), dtype=torch.float32, requires_grad=True)
    logits, targets = constant.expand(len(rows), 1), torch.tensor(labels[rows].toarray())
    correction = torch.tensor(notes.correction(labels), dtype=torch.float32)
    _corrected(losses.bce, correction, logits, targets, torch.tensor(weights), notes=len(rows)).backward()
    assert constant.grad.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", ["bce", "sh"])
def test_the_loss_of_a_task_is_that_of_corrected_logits(loss):
    labels = np.zeros((30, 3), dtype=np.float32)
    labels[:4, 0] = labels[3:6, 1] = labels[6:25, 2] = 1
    how = {"loss": loss, "undersampling": "prior_correction", "min_steps": 0}
    plan = invented_plan(labels, np.array([0, 0, 1]), np.arange(30), **how)
    task = task_of(None, SimpleNamespace(rows=lambda split: np.array([0])), plan, 0)
    assert not task.notes.weighted
    logits, targets, weights = torch.randn(5, 2), torch.ones(5, 2), torch.rand(5)
    correction = torch.tensor(task.notes.correction(task.labels), dtype=torch.float32)
    assert (correction > 0.5).all()
    expected = losses.LOSSES[loss](logits + correction, targets, weights, notes=5)
    assert task.loss(logits, targets, weights, notes=5) == pytest.approx(expected)
