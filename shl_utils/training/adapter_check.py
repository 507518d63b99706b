"""Whether an adapter fits an encoder, tried before time is spent.

Nothing is made by it, so no result depends on it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from shl_utils.encoder import feature_cache
from shl_utils.parameters import Parameters
from shl_utils.training import segment_model


def check_adapter(base: nn.Module, parameters: Parameters) -> None:
    """ValueError where no adapter of these parameters fits the encoder, with others that do: tried, not guessed."""
    feature_cache.top_layers(base, parameters)
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
        top, layers = feature_cache.trained_part(base, parameters)
        targets = parameters.lora_targets
        net = segment_model.create(
            top, np.full(1, 0.5), pooling="mean", rank=1, targets=targets, layers=layers, name=""
        )
        row = torch.ones(1, 16, dtype=torch.long)
        inputs = torch.ones(1, 16, top.config.hidden_size) if feature_cache.split_encoder(base, parameters) else row
        net(inputs, row)
    except Exception as error:  # whatever PEFT or a model of another kind says
        return (str(error).splitlines() or [type(error).__name__])[0]
    return ""
