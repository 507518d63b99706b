"""Baseline implementation that our training is measured against: the same models by transformers.Trainer with PEFT.

It trains one model per run, in batches of notes of similar length, padded to the longest. Settings are Trainer's own,
except those that decide the result: epochs, batch size, loss, learning rates, warm-up and head are ours. Without our
head, a few epochs find only the most frequent codes. Trainer clips gradients to the norm 1, as ours does by default,
whatever `max_grad_norm` is. It sees one draw of the negatives in all epochs. In its favour, it neither validates
between epochs nor writes checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shl_utils.encoder.tokens import Ragged
from shl_utils.parameters import Parameters
from shl_utils.runs import mixed_precision
from shl_utils.training.loop import Task, optimizer_of
from shl_utils.training.segment_model import SegmentModel


class _WithLoss(nn.Module):
    """A segment's model with its loss, whose arguments have the names that Trainer uses for a batch."""

    def __init__(self, net: SegmentModel, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.net, self.loss = net, loss

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Tensor]:
        logits = self.net(input_ids, attention_mask)
        return {"loss": self.loss(logits, labels, weights, notes=len(labels)), "logits": logits}


def trainer(net: SegmentModel, task: Task, parameters: Parameters, tokenizer, *, folder: Path, precision: str):
    """A Trainer that is ready to train `net` for `task.epochs` epochs, each on the same notes of one epoch of `task`.

    task.features: token ids. precision: "fp32", or by Trainer's own switches, both off by default, "bf16" or "fp16".
    """
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    rows, weights = task.notes.epoch(np.random.default_rng(task.seed))
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=task.epochs,
        per_device_train_batch_size=parameters.batch_size,
        warmup_steps=parameters.warmup_share,  # below 1 it is a share
        train_sampling_strategy="group_by_length",
        seed=task.seed,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=mixed_precision.device() == "cpu",  # else it refuses bf16 on a CPU
        save_strategy="no",
        disable_tqdm=True,
        label_names=["labels"],
    )
    return Trainer(
        model=_WithLoss(net, task.loss),
        args=arguments,
        train_dataset=examples(task, rows, weights),
        data_collator=DataCollatorWithPadding(tokenizer),
        optimizers=(optimizer_of(net, parameters, fused=True), None),
    )


def examples(task: Task, rows: NDArray[np.int64], weights: NDArray[np.float64]) -> list[dict[str, list]]:
    """Training examples for Trainer, one per note of `rows`; weights: loss weight of each, (rows,)."""
    features: Ragged = task.features
    labels = task.labels[rows].toarray().astype(np.float32)
    result = []
    for i, row in enumerate(rows):
        ids = features.flat[features.offsets[row] : features.offsets[row + 1]].tolist()
        line = {"input_ids": ids, "attention_mask": [1] * len(ids)}
        result.append(line | {"labels": labels[i].tolist(), "weights": float(weights[i])})
    return result


def predict(ready, task: Task, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Probabilities by the Trainer `ready` for the notes `rows`: float32 (rows, codes)."""
    order = np.argsort(task.features.lengths[rows], kind="stable")
    # grouped by length it would predict in an order of its own, and not say which
    ready.args.train_sampling_strategy = "sequential"
    logits = ready.predict(examples(task, rows[order], np.ones(len(rows)))).predictions
    probabilities = np.empty_like(logits, dtype=np.float32)
    probabilities[order] = torch.tensor(logits).sigmoid().numpy()
    return probabilities
