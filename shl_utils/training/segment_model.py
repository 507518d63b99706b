"""Model of one segment: a LoRA adapter (PEFT) on the shared frozen encoder, and a float32 classification head."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from shl_utils.encoder.forward_pass import hidden_states, run_in_batches
from shl_utils.encoder.frozen_layers import encoder_layers, n_layers
from shl_utils.encoder.tokens import Ragged
from shl_utils.method.extensions.heads import AttentiveHead, Head

FILES = ("adapter_config.json", "adapter_model.safetensors", "head.safetensors")
POOLING = {"mean": Head, "attention": AttentiveHead}
QUERY_VALUE = {"mpnet": ["q", "v"], "distilbert": ["q_lin", "v_lin"]}  # of which PEFT has no default


class SegmentModel(nn.Module):
    """Maps states of the frozen layers, or token ids if nothing is precomputed, to logits of the segment's codes."""

    def __init__(self, encoder: nn.Module, head: Head) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Float32 logits (notes, codes) of inputs (notes, tokens[, width]) with a mask (notes, tokens)."""
        hidden = hidden_states(self.encoder, inputs, mask)
        with torch.autocast(hidden.device.type, enabled=False):  # the head and the loss stay in float32
            return self.head(hidden.float(), mask)


def create(
    trainable: nn.Module, prior: NDArray, *, pooling: str, rank: int, targets: str, layers: list[int], name: str
) -> SegmentModel:
    """An untrained model over the `trainable` layers; the head's bias is the logit of each code's `prior` (codes,).

    Three things keep a run of a few epochs from finding only the most frequent codes. These are prior biases, mean
    pooling (or attention that starts as it), and a separate learning rate for the head.
    pooling: "mean" or "attention", see `heads`. targets: "attention" adapts the maps in QUERY_VALUE,
    or else PEFT's default (BERT: query and value), "all" every linear map of the `layers`.
    name: of the encoder, kept in the adapter's configuration.
    """
    from peft import LoraConfig, get_peft_model  # seconds to import, and most notebooks only read results

    from shl_utils.encoder.lora_linear import LoraLinear

    names = QUERY_VALUE.get(trainable.config.model_type)  # None: PEFT's default
    if targets == "all":  # full names: PEFT finds no layers by number where they lie at the root, as in ModernBERT
        names = "|".join(map(re.escape, linear_maps(trainable, layers)))
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        layers_to_transform=layers if targets == "attention" and len(layers) < n_layers(trainable) else None,
        target_modules=names,
    )
    config._register_custom_module({nn.Linear: LoraLinear})  # PEFT's way to bring a layer; it calls it experimental
    encoder = get_peft_model(trainable, config)
    encoder.peft_config["default"].base_model_name_or_path = name  # not the path of a cache on this machine
    model = SegmentModel(encoder, POOLING[pooling](trainable.config.hidden_size, len(prior)))
    with torch.no_grad():
        model.head.weight.normal_(std=0.02)
        model.head.bias.copy_(torch.logit(torch.tensor(prior, dtype=torch.float32).clamp(1e-5, 1 - 1e-5)))
    return model.eval()  # no dropout in frozen layers; LoRA has none


def linear_maps(encoder: nn.Module, layers: list[int]) -> list[str]:
    """Names of the linear maps within the given layers, such as "encoder.layer.5.attention.self.query".

    If all layers are given and the encoder has no single list of them, all its linear maps. ValueError if none.
    """
    try:
        chosen = [encoder_layers(encoder)[i] for i in layers]
    except ValueError:
        if len(layers) < n_layers(encoder):
            raise
        chosen = [encoder]
    inside = {id(module) for part in chosen for module in part.modules() if isinstance(module, nn.Linear)}
    if not inside:
        raise ValueError(f"{type(encoder).__name__} has no linear map in its layers")
    return [name for name, module in encoder.named_modules() if id(module) in inside]


def save(model: SegmentModel, folder: Path) -> None:
    """Write the PEFT adapter and `head.safetensors` into `folder`."""
    model.encoder.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's model card, an empty form
    save_file({k: v.contiguous() for k, v in model.head.state_dict().items()}, folder / "head.safetensors")


def load(trainable: nn.Module, folder: Path) -> SegmentModel:
    """The model that `save` wrote, adapter merged, over the `trainable` layers of the same encoder.

    FileNotFoundError if one of its files is missing.
    """
    for name in FILES:
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name} is missing: run 03_train first")
    from peft import PeftModel

    head = load_file(folder / "head.safetensors")
    kind = POOLING[pooling_of(head)]
    model = SegmentModel(
        PeftModel.from_pretrained(trainable, folder), kind(trainable.config.hidden_size, head["bias"].numel())
    )
    model.head.load_state_dict(head)
    return merged(model)


def merged(model: SegmentModel) -> SegmentModel:
    """A copy with the adapter merged into the weights: it predicts at the cost of the plain encoder.

    In a copy nothing has to be unmerged, so the shared encoder does not drift.
    """
    result = copy.deepcopy(model)
    result.encoder = result.encoder.merge_and_unload()
    return result.eval()


def predict(
    model: SegmentModel, features: Ragged, rows: NDArray, *, device: str, dtype: torch.dtype
) -> NDArray[np.float32]:
    """Probability of every code for the notes `rows`: (rows, codes), float32. `device`: where the model is."""

    def probabilities(inputs: Tensor, mask: Tensor) -> Tensor:
        return model(inputs, mask).sigmoid()

    result = np.empty((len(rows), model.head.out_features), dtype=np.float32)
    for batch, values in run_in_batches(probabilities, features, rows, device=device, dtype=dtype):
        result[batch] = values.numpy()
    return result


def pooling_of(state: Mapping[str, Tensor]) -> str:
    """Pooling of a saved head, as a key of POOLING."""
    return "attention" if "query" in state else "mean"
