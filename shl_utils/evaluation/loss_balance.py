"""Where the loss of a segment comes from: its positives, and the negatives of each other segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import logit

from shl_utils.evaluation import resampling
from shl_utils.method import loss_factory
from shl_utils.training.jobs import Plan


def shares(plan: Plan, k: int, *, losses: Sequence[str]) -> pd.DataFrame:
    """Shares of the loss and of its gradient in segment `k`, by loss and by origin of the training notes.

    Every note has the codes' priors as probabilities, as at the start of a head. The gradient is that of the logits,
    summed in absolute values. Index: `under` (the loss), and `origin`: "positives", "segment 0", ..., "several
    segments", "no code". Columns: `notes` (as a share of all), `loss`, `gradient`.
    """
    parts = {}
    for name in losses:
        parameters = plan.variant.parameters.model_copy(update={"loss": name})
        own = replace(plan, variant=replace(plan.variant, parameters=parameters))
        labels = own.labels[own.train][:, own.segments == k]
        weights = own.training_set(k).weights[own.train]
        prior = labels.T @ weights / weights.sum()
        start = torch.tensor(logit(np.clip(prior, 1e-6, 1 - 1e-6)), dtype=torch.float32)
        loss = loss_factory.fitted(name, labels, parameters)
        lines = []
        for block in resampling.blocks(*labels.shape):  # all pairs at once would take gigabytes where codes are many
            targets = torch.tensor(labels[block].toarray(), dtype=torch.float32)
            each = torch.tensor(weights[block], requires_grad=True)
            logits = start.expand(len(targets), -1).clone().requires_grad_()
            loss(logits, targets, each, notes=1.0).backward()
            # the loss is linear in the weights, so its gradient by them is each note's loss
            lines.append(torch.stack([each.grad * each.detach(), logits.grad.abs().sum(dim=1)], dim=1))
        found = {"notes": 1.0} | dict(zip(("loss", "gradient"), torch.cat(lines).numpy().T))
        table = pd.DataFrame(found).groupby(_origin_names(own.origins, k), sort=False).sum()
        parts[name] = table / table.sum()
    found = pd.concat(parts, names=["under", "origin"])
    return found.reindex(_order(plan), level="origin")


def _origin_names(origins: NDArray[np.bool_], k: int) -> NDArray[np.str_]:
    """The origin of every training note. origins: from `harmonic_weights.note_origins`."""
    names = np.array([*(f"segment {r}" for r in range(origins.shape[1] - 1)), "no code"])
    one = names[origins.argmax(axis=1)]
    return np.where(origins[:, k], "positives", np.where(origins.sum(axis=1) > 1, "several segments", one))


def _order(plan: Plan) -> list[str]:
    return ["positives", *(f"segment {r}" for r in range(plan.n)), "several segments", "no code"]
