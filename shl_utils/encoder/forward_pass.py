"""Forward passes over ragged rows, without gradients, in batches of similar length."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shl_utils.encoder.tokens import Ragged, by_length
from shl_utils.method.extensions.heads import mean_pool


def autocast(device: str, dtype: torch.dtype) -> torch.autocast:
    """Context in which products are computed in `dtype`, whatever that of the weights; none for float32."""
    return torch.autocast(torch.device(device).type, dtype=dtype, enabled=dtype != torch.float32)


def hidden_states(encoder: nn.Module, inputs: Tensor, mask: Tensor) -> Tensor:
    """Last states (rows, tokens, width) of token ids (rows, tokens), or of states of lower layers in their place."""
    name = "inputs_embeds" if inputs.is_floating_point() else "input_ids"
    if inputs.is_floating_point() and not torch.is_autocast_enabled(inputs.device.type):
        inputs = inputs.float()  # they are kept in 16 bits
    return encoder(**{name: inputs}, attention_mask=mask).last_hidden_state


def run_in_batches(
    function: Callable[[Tensor, Tensor], Tensor],
    rows: Ragged,
    chosen: NDArray,
    *,
    device: str,
    dtype: torch.dtype,
    label: str | None = None,
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Yield positions in `chosen` (row numbers) and `function(inputs, mask)` of these rows, on the CPU.

    dtype: to compute in, see `autocast`. label: of a progress bar; None for no bar.
    """
    for batch in by_length(rows.lengths[chosen], label=label):
        inputs, mask = rows.pad(chosen[batch], device=device)
        with torch.inference_mode(), autocast(device, dtype):
            result = function(inputs, mask)
        yield batch, result.cpu()


def embed(
    model: nn.Module,
    features: Ragged,
    rows: NDArray | None = None,
    *,
    device: str,
    dtype: torch.dtype,
    unit_length: bool = True,
    label: str | None = None,
) -> NDArray[np.float32]:
    """Mean over the tokens of the last states: (rows, width). Moves the model to `device`.

    features: token ids, or states of the layers below `model`. rows: row numbers in `features`; None for all.
    unit_length: whether to scale each to the length 1.
    """
    model = model.to(device)

    def pooled(inputs: Tensor, mask: Tensor) -> Tensor:
        mean = mean_pool(hidden_states(model, inputs, mask), mask)
        return nn.functional.normalize(mean) if unit_length else mean

    rows = np.arange(len(features)) if rows is None else rows
    result = np.empty((len(rows), model.config.hidden_size), dtype=np.float32)
    for batch, means in run_in_batches(pooled, features, rows, device=device, dtype=dtype, label=label):
        result[batch] = means.numpy()
    return result


def encode(
    frozen: nn.Module, rows: Ragged, flat: Tensor, *, device: str, dtype: torch.dtype, label: str | None
) -> None:
    """Write the states that the frozen layers compute in `dtype` from rows of token ids into `flat` (tokens, width).

    Tokens keep the rows' order. ValueError if a state is no finite number in the type of `flat`.
    """
    frozen, kept, chosen = frozen.to(device), flat.dtype, np.arange(len(rows))

    def states(ids: Tensor, mask: Tensor) -> Tensor:
        return hidden_states(frozen, ids, mask).to(kept)

    for batch, hidden in run_in_batches(states, rows, chosen, device=device, dtype=dtype, label=label):
        for i, row in enumerate(batch):
            own = hidden[i, : rows.lengths[row]]
            if not own.isfinite().all():
                remedy = "set `precision: bf16`" if kept == torch.float16 else "are they damaged?"
                raise ValueError(f"encoder: its weights make states that are no finite {kept}: {remedy}")
            flat[rows.offsets[row] : rows.offsets[row + 1]] = own
