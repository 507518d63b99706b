"""Tensors that lie in pieces over several processes, as FSDP leaves them. Every function is a call for all of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(value: Tensor) -> Tensor:
    """All of `value`; itself where it is in one piece."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def like(value: Tensor, model: Tensor) -> Tensor:
    """`value`, which every process has whole, in the pieces in which `model` lies."""
    if not isinstance(model, DTensor) or value.shape != model.shape:
        return value
    return distribute_tensor(value.to(model.device), model.device_mesh, model.placements)


def load(net: nn.Module, weights: dict[str, Tensor]) -> None:
    """Write `weights`, whole, into the parameters of these names."""
    parameters = dict(net.named_parameters())
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(like(value, parameters[name]))


def part(net: nn.Module) -> None:
    """Let each process keep its pieces alone: behind a prediction some weights stay whole, and training would go on
    with these instead of what the optimizer changes."""
    for module in net.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def any_in(net: nn.Module) -> bool:
    return any(isinstance(parameter, DTensor) for parameter in net.parameters())
