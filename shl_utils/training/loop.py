"""Training of one segment: our own loop under Accelerate, the same for one process and for several."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object, set_seed
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from shl_utils.encoder.tokens import Ragged
from shl_utils.method.score_counts import curve
from shl_utils.parameters import Parameters
from shl_utils.runs import mixed_precision
from shl_utils.training.checkpoint import TrainingState, trainable_weights
from shl_utils.training.sampling import TrainingSet, batches, n_batches
from shl_utils.training.segment_model import SegmentModel, merged, predict


@dataclass(frozen=True)
class Task:
    """One segment to be trained.

    features: of all notes. labels: (notes, codes of the segment). notes: the training notes and their weights.
    validation: numbers of the notes on which the best epoch is chosen. loss: of (logits, targets, weights, notes=...).
    """

    features: Ragged
    labels: sparse.csr_array
    notes: TrainingSet
    validation: NDArray[np.int64]
    loss: Callable[..., Tensor]
    epochs: int
    seed: int

    def prior(self) -> NDArray[np.float64]:
        """(codes,): weighted share of training notes with each code, from which the head's biases start."""
        weights = self.notes.weights[self.notes.rows]
        return (self.labels[self.notes.rows].T @ weights) / weights.sum()

    def frequency_ap(self) -> float | None:
        """Average precision on validation if every note gets the codes' training frequencies, whatever its text.

        None without a positive in validation.
        """
        truth = self.labels[self.validation].toarray()
        shares = np.asarray(self.labels[self.notes.rows].mean(axis=0)).ravel()
        scores = np.broadcast_to(shares, truth.shape)
        return curve(truth, scores).average_precision if truth.any() else None


def fit(
    build: Callable[[NDArray], SegmentModel],
    task: Task,
    parameters: Parameters,
    accelerator: Accelerator,
    on_step: Callable[[int], None],
    *,
    path: Path,
    key: str,
) -> tuple[SegmentModel, dict[str, Any]]:
    """Train; return the model at its best epoch on validation, and facts: the fields of `SegmentRecord` known here.

    A training that diverges stops, and the `loss` of that epoch is None. If that was the first epoch, the model is as
    it was built and `best_epoch` is None.

    build: makes the model from the prior (codes,). on_step: called with each batch's number of notes, for a progress
    bar. path: checkpoint, written after every epoch but the last; training resumes from one with the same `key`.
    Every process draws the same batches and takes its share of each. The loss is divided by the size of the whole
    batch, so that the sum over processes is the one-process gradient.
    """
    started = time.monotonic()
    training = prepared(build, task, parameters, accelerator)
    model, state, net = training.model, training.state, training.state.net
    state.resume(path, key)
    on_step(len(state.history) * task.notes.size)
    for epoch in range(len(state.history), task.epochs):
        facts = _epoch(training, on_step)
        weights = trainable_weights(net)
        # in fp16 no step follows such a loss, so that the weights stay numbers
        if not math.isfinite(facts["loss"]) or not all(values.isfinite().all() for values in weights.values()):
            state.history.append({"epoch": epoch, "loss": None, "validation_ap": None})
            break
        state.add(facts, _validate(net, task, accelerator), weights)
        if epoch + 1 < task.epochs and accelerator.is_main_process:
            state.save(path, key, time.monotonic() - started)
    net = accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    net.load_state_dict(state.best_weights, strict=False)
    facts = {
        "history": state.history,
        "best_epoch": state.best,
        "frequency_ap": task.frequency_ap(),
        "positives": len(task.notes.positives),
        "negatives": len(task.notes.negatives),
        "negatives_per_pass": task.notes.drawn,
        "stands_for": task.notes.stands_for,
        "passes_per_epoch": task.notes.passes,
        # their gradient overflowed in fp16
        "skipped_steps": len(state.history) * training.steps_per_epoch - state.schedule.last_epoch,
        "trainable_parameters": sum(p.numel() for p in net.parameters() if p.requires_grad),
        "seconds": round(state.seconds + time.monotonic() - started, 2),
    }
    return net, facts


def prepared(
    build: Callable[[NDArray], SegmentModel], task: Task, parameters: Parameters, accelerator: Accelerator
) -> Training:
    """A training before its first step; arguments as for `fit`."""
    set_seed(task.seed)
    net = build(task.prior())
    net.to(accelerator.device)
    # fused would hide from Accelerate which steps fp16 skipped
    optimizer = optimizer_of(net, parameters, fused=accelerator.scaler is None)
    steps = task.epochs * n_batches(task.notes.size, size=parameters.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _share_of_peak(steps, parameters.warmup_share))
    model, optimizer = accelerator.prepare(net, optimizer)
    state = TrainingState(
        net,
        optimizer,
        schedule,
        rng=np.random.default_rng(task.seed),
        scaler=accelerator.scaler,
        best_weights=trainable_weights(net),
    )
    return Training(model, task, parameters, accelerator, state)


def optimizer_of(net: SegmentModel, parameters: Parameters, *, fused: bool) -> torch.optim.AdamW:
    """AdamW with one peak learning rate for adapter and one for head."""
    adapter = [p for p in net.encoder.parameters() if p.requires_grad]
    groups = [
        {"params": adapter, "lr": parameters.lr_lora},
        {"params": net.head.parameters(), "lr": parameters.lr_head},
    ]
    return torch.optim.AdamW(groups, fused=fused)


@dataclass(frozen=True)
class Training:
    """What the steps of a training use. model: the net of `state`, or its wrapper where several processes train it."""

    model: nn.Module
    task: Task
    parameters: Parameters
    accelerator: Accelerator
    state: TrainingState

    @property
    def steps_per_epoch(self) -> int:
        return n_batches(self.task.notes.size, size=self.parameters.batch_size)

    @cached_property
    def trainable(self) -> list[nn.Parameter]:
        return [p for p in self.model.parameters() if p.requires_grad]


def step(
    training: Training, rows: NDArray[np.int64], weights: NDArray[np.float64], *, notes: float
) -> tuple[Tensor, Tensor]:
    """One step on these notes; returns the loss, and the norm of the gradient before clipping.

    weights: (rows,). notes: that the loss is divided by.
    """
    task, accelerator, state = training.task, training.accelerator, training.state
    inputs, mask = task.features.pad(rows, device=accelerator.device)
    targets = torch.tensor(task.labels[rows].toarray(), device=accelerator.device)
    weighed = torch.tensor(weights, device=accelerator.device)
    loss = task.loss(training.model(inputs, mask), targets, weighed, notes=notes)
    accelerator.backward(loss)
    norm = accelerator.clip_grad_norm_(training.trainable, training.parameters.max_grad_norm or torch.inf)
    state.optimizer.step()
    if not accelerator.optimizer_step_was_skipped:
        state.schedule.step()
    state.optimizer.zero_grad()
    return loss.detach(), norm.detach()


def _epoch(training: Training, on_step: Callable[[int], None]) -> dict[str, float]:
    """Train one epoch; returns what `SegmentRecord` says of it: `loss`, `gradient_norm` and `clipped`."""
    task, accelerator, state = training.task, training.accelerator, training.state
    rows, weights = task.notes.epoch(state.rng)
    rank, world = accelerator.process_index, accelerator.num_processes
    total, norms = torch.zeros((), device=accelerator.device), []
    for batch in batches(rows, task.features.lengths, size=training.parameters.batch_size, rng=state.rng):
        mine = batch[rank::world]
        share = weights[mine]
        if not len(mine):  # a last batch smaller than the number of processes: all must step together
            mine, share = batch[:1], np.zeros(1)
        # DDP averages the gradients over processes, hence the division by world
        loss, norm = step(training, rows[mine], share, notes=len(batch) / world)
        total += loss * len(batch)  # read once per epoch: reading it here would wait for the GPU
        norms.append(norm)
        on_step(len(batch))
    taken = torch.stack(norms)
    taken = taken[taken.isfinite()]  # in fp16 some overflow, and their steps are skipped
    return {
        "loss": float(accelerator.reduce(total, "mean")) / len(rows),
        "gradient_norm": float(taken.mean()) if len(taken) else 0.0,
        "clipped": float((taken > (training.parameters.max_grad_norm or torch.inf)).sum()) / len(norms),
    }


def _validate(net: SegmentModel, task: Task, accelerator: Accelerator) -> float:
    """Average precision over all (note, code) pairs of the segment in validation; NaN without a positive there."""
    rows = task.validation
    truth = task.labels[rows].toarray()
    if not truth.any():
        return float("nan")
    dtype = mixed_precision.DTYPES[effective_precision(accelerator)]
    mine = np.arange(len(rows))[accelerator.process_index :: accelerator.num_processes]
    part = predict(merged(net), task.features, rows[mine], device=str(accelerator.device), dtype=dtype)
    scores = np.empty_like(truth)
    for numbers, values in gather_object([(mine, part)]):
        scores[numbers] = values
    return curve(truth, scores).average_precision


def effective_precision(accelerator: Accelerator) -> str:
    """Precision that the accelerator computes in, by our names: its "no" is our "fp32"."""
    return {"no": "fp32"}.get(accelerator.mixed_precision, accelerator.mixed_precision)


def _share_of_peak(steps: int, warmup: float) -> Callable[[int], float]:
    """Learning-rate schedule, as a share of the peak at each step: linear warm-up, then linear decay to zero."""
    rise = max(round(steps * warmup), 1)
    return lambda step: min((step + 1) / rise, max((steps - step) / max(steps - rise, 1), 0.0))
