"""Checks that an adapter fits an encoder before time is spent on either.

It writes nothing, so no result depends on it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from shl_utils.encoder import frozen_layers
from shl_utils.parameters import Parameters
from shl_utils.training import segment_model


def check_adapter(base: nn.Module, parameters: Parameters) -> None:
    """Raise ValueError if the adapter of these parameters does not fit the encoder, and name a setting that does.

    The adapter is built and run once; nothing is inferred from the encoder's name.
    """
    frozen_layers.first_trained(base, parameters)
    cause = _no_adapter(base, parameters)
    if not cause:
        return
    for layers, targets in ((parameters.lora_layers, "all"), (-1, "all"), (-1, "attention")):
        if not _no_adapter(base, parameters.model_copy(update={"lora_layers": layers, "lora_targets": targets})):
            remedy = f"set `lora_layers: {layers}` and `lora_targets: {targets}`"
            break
    else:
        remedy = "set another `encoder`, such as BERT or RoBERTa"
    settings = f"lora_layers {parameters.lora_layers} and lora_targets {parameters.lora_targets}"
    raise ValueError(f"{settings} do not fit {type(base).__name__}: {remedy} ({cause})")


@torch.inference_mode()
def _no_adapter(base: nn.Module, parameters: Parameters) -> str:
    """Why the adapter cannot be built or gives no logits; "" if it works."""
    try:
        parts = frozen_layers.split_encoder(base, parameters)
        about = {"rank": 1, "targets": parameters.lora_targets, "layers": parts.trained}
        net = segment_model.create(parts.trainable, np.full(1, 0.5), pooling="mean", name="", **about)
        row = torch.ones(1, 16, dtype=torch.long)
        net(torch.ones(1, 16, base.config.hidden_size) if parts.frozen else row, row)
    except Exception as error:  # PEFT and unsupported models raise errors of any type
        return (str(error).splitlines() or [type(error).__name__])[0]
    return ""
