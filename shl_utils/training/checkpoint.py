"""State of a segment's training after an epoch, in one safetensors file from which a killed training resumes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from shl_utils.runs import storage


@dataclass
class TrainingState:
    """What a training carries from one epoch to the next.

    history: one entry per epoch. best: number of the best epoch on validation, None if there is none. best_weights: the
    trainable weights of that epoch. seconds: time spent by earlier attempts.
    """

    net: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    rng: np.random.Generator
    scaler: torch.amp.GradScaler | None
    best_weights: dict[str, Tensor]
    best: int | None = None
    best_score: float = -np.inf
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, facts: dict[str, float], score: float, weights: dict[str, Tensor]) -> None:
        """Append an epoch: facts of its steps, its `score` on validation (NaN if undefined), its trainable weights."""
        unknown = bool(np.isnan(score))
        self.history.append({"epoch": len(self.history), **facts, "validation_ap": None if unknown else score})
        if unknown or score > self.best_score:  # without validation positives, nothing speaks against the last
            self.best, self.best_weights = len(self.history) - 1, weights
            self.best_score = self.best_score if unknown else score

    def save(self, path: Path, key: str, seconds: float) -> None:
        """Write the state to `path`. key: hash of what the training depends on. seconds: of this attempt so far."""
        facts = {
            "history": self.history,
            "best": self.best,
            "best_score": self.best_score,
            "rng": self.rng.bit_generator.state,
            "steps": self.schedule.last_epoch,
            "rates": [group["lr"] for group in self.optimizer.param_groups],
            "scaler": self.scaler.state_dict() if self.scaler else None,
            "seconds": self.seconds + seconds,
        }
        tensors = {f"best/{name}": values for name, values in self.best_weights.items()}
        # copied again: safetensors refuses two names for one tensor, which the best epoch would have
        tensors |= {f"now/{name}": values for name, values in trainable_weights(self.net).items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{i}/{name}": values.cpu() for name, values in state.items()}
        with storage.atomic(path) as partial:  # a kill leaves the file of an earlier epoch, or this one
            save_file(tensors, partial, metadata={"key": key, "facts": json.dumps(facts)})

    def resume(self, path: Path, key: str) -> None:
        """Restore what `save` wrote to `path` under the same key; without such a file, change nothing."""
        if not path.exists():
            return
        with safe_open(path, framework="pt") as file:
            about = file.metadata()
            if about["key"] != key:
                return
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, `file` is no dict
        facts = json.loads(about["facts"])
        self.best, self.best_score = facts["best"], facts["best_score"]
        self.history, self.seconds = facts["history"], facts["seconds"]
        self.best_weights = _below("best", tensors)
        self.net.load_state_dict(_below("now", tensors), strict=False)
        self.rng.bit_generator.state = facts["rng"]
        self.schedule.last_epoch = facts["steps"]
        if self.scaler:
            self.scaler.load_state_dict(facts["scaler"])
        state = self.optimizer.state_dict()
        state["state"] = {}
        for name, values in _below("optimizer", tensors).items():
            i, what = name.split("/")
            state["state"].setdefault(int(i), {})[what] = values
        for group, rate in zip(state["param_groups"], facts["rates"]):
            group["lr"] = rate
        self.optimizer.load_state_dict(state)


def trainable_weights(net: nn.Module) -> dict[str, Tensor]:
    """A copy, on the CPU, of the weights that are trained, by parameter name."""
    return {n: p.detach().cpu().clone() for n, p in net.named_parameters() if p.requires_grad}


def _below(group: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{group}/"): t for name, t in tensors.items() if name.startswith(f"{group}/")}
