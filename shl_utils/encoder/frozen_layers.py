"""Frozen lower layers and trainable upper layers of an encoder."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from shl_utils.encoder.forward_pass import hidden_states
from shl_utils.parameters import Parameters


class SplitEncoder(NamedTuple):
    """Two parts that share the encoder's weights: the states of `frozen`, given to `trainable`, become the encoder's.

    frozen: None where `trainable` is all of it. trained: numbers of the layers that are trained.
    A part skips the layers of the other. So it has their names, and an adapter trained on it loads into the whole.
    """

    frozen: nn.Module | None
    trainable: nn.Module
    trained: list[int]


def n_layers(model: nn.Module) -> int:
    """Number of transformer layers."""
    return model.config.num_hidden_layers


def first_trained(model: nn.Module, parameters: Parameters) -> int:
    """Number of the lowest trained layer; ValueError where the encoder has fewer than are to be trained."""
    have, n = n_layers(model), parameters.lora_layers
    if n > have:
        raise ValueError(
            f"lora_layers is {n}, but {parameters.encoder} has {have} layers: set at most that, or -1 for all"
        )
    return 0 if n == -1 else have - n


def split_encoder(model: nn.Module, parameters: Parameters) -> SplitEncoder:
    """The encoder in two; whole where every layer is trained, or where the parts would not equal the whole.

    They would not if the encoder does more than its embeddings and layers in turn. BERT, RoBERTa, MPNet, DistilBERT and
    ModernBERT can be split. ValueError as `first_trained` and `encoder_layers`.
    """
    cut = first_trained(model, parameters)
    trained = list(range(cut, n_layers(model)))
    if cut == 0:
        return SplitEncoder(None, view(model), trained)
    frozen, trainable, as_tuple = view(model), view(model), _layers_return_tuples(model)
    for i, layer in enumerate(encoder_layers(model)):
        encoder_layers(frozen if i >= cut else trainable)[i] = _SkippedLayer(layer, as_tuple)
    trainable.embeddings = _PrecomputedEmbeddings()
    if hasattr(frozen, "final_norm"):  # of ModernBERT, after its last layer
        frozen.final_norm = nn.Identity()
    if not _equal_whole(frozen, trainable, model):
        return SplitEncoder(None, view(model), trained)
    return SplitEncoder(frozen, trainable, trained)


def view(model: nn.Module) -> nn.Module:
    """A copy of the module tree over the same weight tensors."""
    shared = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    return copy.deepcopy(model, shared)


def encoder_layers(model: nn.Module) -> nn.ModuleList:
    """The transformer layers; ValueError for a model that has no single list of them, or no `embeddings`."""
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == n_layers(model)]
    if len(lists) != 1 or not hasattr(model, "embeddings"):
        # what is supported instead, `adapter_check.check_adapter` says
        raise ValueError(f"{type(model).__name__} is laid out unlike BERT")
    return lists[0]


class _SkippedLayer(nn.Module):
    """Takes the place of a layer and returns its input, as a tuple if the layer would."""

    def __init__(self, layer: nn.Module, as_tuple: bool) -> None:
        super().__init__()
        self.as_tuple = as_tuple
        self.attention_type = getattr(layer, "attention_type", None)  # ModernBERT reads it from each layer

    def forward(self, hidden: Tensor, *args, **kwargs) -> Tensor | tuple[Tensor]:
        return (hidden,) if self.as_tuple else hidden


class _PrecomputedEmbeddings(nn.Module):
    """Takes the place of the embeddings and returns the frozen layers' states: the one floating-point argument."""

    def forward(self, *args, **kwargs) -> Tensor:
        values = (*args, *kwargs.values())
        return next(value for value in values if torch.is_tensor(value) and value.is_floating_point())


def _probe(model: nn.Module) -> tuple[Tensor, Tensor]:
    """Ids and mask of one row of a few tokens that any vocabulary has."""
    ids = torch.arange(5, 13, device=model.device).reshape(1, -1)
    return ids, torch.ones_like(ids)


@torch.inference_mode()
def _layers_return_tuples(model: nn.Module) -> bool:
    seen = []
    hook = encoder_layers(model)[0].register_forward_hook(lambda _, __, out: seen.append(isinstance(out, tuple)))
    hidden_states(model, *_probe(model))
    hook.remove()
    return seen[0]


@torch.inference_mode()
def _equal_whole(frozen: nn.Module, trainable: nn.Module, model: nn.Module) -> bool:
    ids, mask = _probe(model)
    try:
        states = hidden_states(trainable, hidden_states(frozen, ids, mask), mask)
        return torch.allclose(states, hidden_states(model, ids, mask), atol=1e-3)
    except Exception:  # layers that do not get what they expect may raise anything
        return False
