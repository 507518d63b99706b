"""Forward passes over ragged rows, without gradients, in batches of similar length."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shl_utils.encoder.tokens import Ragged, by_length
from shl_utils.method.pooling import mean_pool

Function = Callable[[Tensor, Tensor], Tensor]  # of the inputs and the mask that `Ragged.pad` gives


def autocast(device: str, dtype: torch.dtype) -> torch.autocast:
    """Context in which products are computed in `dtype`, whatever that of the weights; none for float32."""
    return torch.autocast(torch.device(device).type, dtype=dtype, enabled=dtype != torch.float32)


def hidden_states(encoder: nn.Module, inputs: Tensor, mask: Tensor) -> Tensor:
    """Last states (rows, tokens, width) of token ids (rows, tokens), or of states of lower layers in their place."""
    name = "inputs_embeds" if inputs.is_floating_point() else "input_ids"
    return encoder(**{name: inputs}, attention_mask=mask).last_hidden_state


def batches(
    function: Function, rows: Ragged, chosen: NDArray, *, device: str, dtype: torch.dtype, label: str | None = None
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Yield positions in `chosen` (row numbers) and what `function` makes of these rows, on the CPU.

    label: of a progress bar; None for no bar.
    """
    for batch in by_length(rows.lengths[chosen], label=label):
        inputs, mask = rows.pad(chosen[batch], device=device)
        with torch.inference_mode(), autocast(device, dtype):
            result = function(inputs, mask)
        yield batch, result.cpu()


def per_row(
    function: Function, rows: Ragged, chosen: NDArray, *, width: int, device: str, dtype: torch.dtype, label=None
) -> NDArray[np.float32]:
    """(len(chosen), width): what `function` makes of each chosen row, see `batches`."""
    result = np.empty((len(chosen), width), dtype=np.float32)
    for batch, values in batches(function, rows, chosen, device=device, dtype=dtype, label=label):
        result[batch] = values.numpy()
    return result


def embed(model: nn.Module, rows: Ragged, *, device: str, dtype: torch.dtype, label: str | None) -> NDArray[np.float32]:
    """Mean-pooled embedding of every row of token ids: (rows, width), unit length. Moves the model to `device`."""
    model, width = model.to(device), model.config.hidden_size

    def unit(ids: Tensor, mask: Tensor) -> Tensor:
        return nn.functional.normalize(mean_pool(hidden_states(model, ids, mask), mask))

    return per_row(unit, rows, np.arange(len(rows)), width=width, device=device, dtype=dtype, label=label)


def pool(model: nn.Module, features: Ragged, rows: NDArray, *, device: str, dtype: torch.dtype) -> NDArray[np.float32]:
    """Mean over the tokens of the last states: (len(rows), width). Moves the model to `device`.

    features: token ids, or states of the layers below `model`. rows: row numbers in `features`.
    """
    model, width = model.to(device), model.config.hidden_size

    def mean(inputs: Tensor, mask: Tensor) -> Tensor:
        return mean_pool(hidden_states(model, inputs, mask), mask)

    return per_row(mean, features, rows, width=width, device=device, dtype=dtype)


def encode(frozen: nn.Module, rows: Ragged, flat: Tensor, *, device: str, label: str | None) -> None:
    """Write the states that the frozen layers compute from rows of token ids into `flat` (tokens, width).

    Tokens keep the rows' order. The type of `flat` is the one to compute in.
    """
    frozen, dtype = frozen.to(device), flat.dtype

    def states(ids: Tensor, mask: Tensor) -> Tensor:
        return hidden_states(frozen, ids, mask).to(dtype)

    chosen = np.arange(len(rows))
    for batch, hidden in batches(states, rows, chosen, device=device, dtype=dtype, label=label):
        for i, row in enumerate(batch):
            flat[rows.offsets[row] : rows.offsets[row + 1]] = hidden[i, : rows.lengths[row]]
