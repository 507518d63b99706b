"""The obvious way to train the same models, which ours is measured against: transformers.Trainer with PEFT.

One run a model, batches padded to their longest note, and Trainer's own settings but for what decides the result:
epochs, batch size, our loss and learning rates, and our head, without which a few epochs find only the most frequent
codes. By itself it clips gradients to the norm 1, as ours does by default, whatever `max_grad_norm` says, and it sees
one draw of the negatives in all epochs. It neither validates between epochs nor writes checkpoints, which is in its
favour.
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
    """A segment's model under the names that Trainer hands its batches on by."""

    def __init__(self, net: SegmentModel, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.net, self.loss = net, loss

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Tensor]:
        logits = self.net(input_ids, attention_mask)
        return {"loss": self.loss(logits, labels, weights, notes=len(labels)), "logits": logits}


def trainer(net: SegmentModel, task: Task, parameters: Parameters, tokenizer, *, folder: Path, half: str):
    """A Trainer that is ready to train `net` on the notes of one epoch of `task`, `task.epochs` times over.

    task.features: token numbers. half: "bf16" or "fp16", switches of its own, both off by default; or "".
    """
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    rows, weights = task.notes.epoch(np.random.default_rng(task.seed))
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=task.epochs,
        per_device_train_batch_size=parameters.batch_size,
        seed=task.seed,
        bf16=half == "bf16",
        fp16=half == "fp16",
        use_cpu=mixed_precision.device() == "cpu",  # else it refuses bf16 there
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
    """One a row, as a data set of Trainer's."""
    features: Ragged = task.features
    labels = task.labels[rows].toarray().astype(np.float32)
    result = []
    for i, row in enumerate(rows):
        ids = features.flat[features.offsets[row] : features.offsets[row + 1]].tolist()
        line = {"input_ids": ids, "attention_mask": [1] * len(ids)}
        result.append(line | {"labels": labels[i].tolist(), "weights": float(weights[i])})
    return result


def predict(ready, task: Task, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Probabilities by the Trainer `ready`: (rows, codes)."""
    logits = ready.predict(examples(task, rows, np.ones(len(rows)))).predictions
    return torch.tensor(logits).sigmoid().numpy()
