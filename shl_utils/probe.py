"""What would fail late is tried before time is spent: adapters on an encoder, filters on the labels of each split.

Nothing is made by it, so no result depends on it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from shl_utils import features, model
from shl_utils.parameters import Parameters
from shl_utils.splitting import SPLITS


def check_adapter(base: nn.Module, parameters: Parameters) -> None:
    """ValueError where no adapter of these parameters fits the encoder, with others that do: tried, not guessed."""
    features.top_layers(base, parameters)
    cause = _no_adapter(base, parameters)
    if not cause:
        return
    for layers, targets in ((parameters.lora_layers, "all"), (-1, "all"), (-1, "attention")):
        if not _no_adapter(base, parameters.model_copy(update={"lora_layers": layers, "lora_targets": targets})):
            remedy = f"set `lora_layers: {layers}` and `lora_targets: {targets}`"
            break
    else:
        remedy = "set another `encoder`, such as BERT or RoBERTa"
    asked = f"lora_layers {parameters.lora_layers} and lora_targets {parameters.lora_targets}"
    raise ValueError(f"{asked} do not fit {type(base).__name__}: {remedy} ({cause})")


@torch.inference_mode()
def _no_adapter(base: nn.Module, parameters: Parameters) -> str:
    """Why it cannot be made or gives no logits; "" if it can and does."""
    try:
        top, layers = features.trained_part(base, parameters)
        targets = parameters.lora_targets
        net = model.create(top, np.full(1, 0.5), pooling="mean", rank=1, targets=targets, layers=layers, name="")
        row = torch.ones(1, 16, dtype=torch.long)
        inputs = torch.ones(1, 16, top.config.hidden_size) if features.divided(base, parameters) else row
        net(inputs, row)
    except Exception as error:  # whatever PEFT or a model of another kind says
        return (str(error).splitlines() or [type(error).__name__])[0]
    return ""


def refuse_bare(similarity: pd.DataFrame, split: NDArray[np.str_], parameters: Parameters) -> None:
    """ValueError where the filter of the run, or of a row of its grids that reads the notes alike, leaves training,
    validation or test without a label: nothing could be learned, chosen or measured."""
    from shl_utils import ablation, filtering  # which lead here themselves

    grids = filter(None, (parameters.grid, parameters.sensitivity))
    asked = {"the run": parameters} | {
        f"row {row.name}": setting
        for name in grids
        for row in ablation.rows(name, parameters)
        for setting in row.settings
    }
    for name, one in asked.items():
        if (one.encoder, one.max_tokens) == (parameters.encoder, parameters.max_tokens):
            table, _ = filtering.apply(similarity, split, one)
            left = set(split[table["note"][table["kept"]]])
            bare = [side for side in SPLITS if side not in left]
            if bare:
                raise ValueError(
                    f"the filter of {name} leaves no label in {' and '.join(bare)}: lower `filter_threshold`, or set "
                    "`filter_labels: train`, which keeps those of validation and test"
                )
