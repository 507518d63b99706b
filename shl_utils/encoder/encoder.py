"""Loads an encoder with its tokenizer, and checks that it is one."""

from __future__ import annotations

import os
import warnings
from bisect import bisect
from functools import cache

import torch
from torch import nn

from shl_utils.encoder import frozen_layers, tokens
from shl_utils.encoder.forward_pass import hidden_states
from shl_utils.encoder.weight_files import digest, local
from shl_utils.parameters import Parameters


def load(name: str, *, download: bool = False) -> tuple[object, nn.Module]:
    """Tokenizer and float32 encoder, frozen and in evaluation mode; no remote code, and no network unless `download`.

    name: one of `weight_files.PUBLISHED`, another name on the Hugging Face hub, or a folder.
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
        tokenizer = AutoTokenizer.from_pretrained(source, truncation_side="right", **given)
        model, info = AutoModel.from_pretrained(
            source,
            dtype=torch.float32,
            output_loading_info=True,
            # on a CPU the backward pass of fused attention takes 1.5 times the whole step with plain attention
            attn_implementation="sdpa" if torch.cuda.is_available() else "eager",
            **given,
        )
    except Exception as error:  # the tokenizers raise no narrower one
        cause = (str(error).splitlines() or [type(error).__name__])[0]
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
        states = hidden_states(model, *tokens.Ragged.from_rows([[word]]).pad([0]))
        fits = states.shape[-1] == model.config.hidden_size and frozen_layers.n_layers(model) > 0
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
        first = frozen_layers.encoder_layers(model)[0].register_forward_hook(stop)
    except ValueError:
        first = None
    try:
        hidden_states(model, *tokens.Ragged.from_rows([row]).pad([0]))
    except _Enough:
        return True
    except (IndexError, RuntimeError, ValueError, AssertionError):
        return False
    finally:
        if first:
            first.remove()
    return True
