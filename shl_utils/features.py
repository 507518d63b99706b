"""What the trained layers see of each note, computed once for all segments, epochs and variants."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from shl_utils import encoder, precision, tokens
from shl_utils.parameters import Parameters
from shl_utils.runs import digest
from shl_utils.tokens import Ragged

FILE = "trunk.safetensors"


def top_layers(model: nn.Module, parameters: Parameters) -> int:
    """How many layers are trained; ValueError where there are fewer."""
    have = encoder.n_layers(model)
    if parameters.lora_layers > have:
        raise ValueError(f"lora_layers is {parameters.lora_layers}, but {parameters.encoder} has {have} layers")
    return have if parameters.lora_layers == -1 else parameters.lora_layers


def load_or_compute(folder: Path, parameters: Parameters, texts, tokenizer, model: nn.Module) -> Ragged:
    """Features of every note: hidden states of the frozen trunk, or token numbers where every layer is trained.

    The trunk gives every segment and epoch the same states, so it runs once; the file may be deleted at any time.
    """
    rows = tokens.tokenize(tokenizer, texts, max_tokens=parameters.max_tokens)
    top = top_layers(model, parameters)
    if top == encoder.n_layers(model):
        return rows
    dtype = precision.DTYPES[precision.resolve(parameters.precision)]
    key = f"{digest(folder / 'corpus.parquet')} {parameters.encoder} {parameters.max_tokens} {top} {dtype}"
    path = folder / FILE
    if path.exists():
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("key") == key:
                return Ragged(file.get_tensor("flat"), rows.offsets)
    trunk, _ = encoder.halves(model, top=top)
    features = encoder.encode(trunk, rows, device=precision.device(), dtype=dtype, label="encode notes")
    partial = path.with_suffix(".part")
    save_file({"flat": features.flat}, partial, metadata={"key": key})
    partial.replace(path)
    return features


def trained_part(model: nn.Module, parameters: Parameters) -> tuple[nn.Module, list[int]]:
    """A fresh view of the layers to be trained, and their numbers in the full encoder."""
    have, top = encoder.n_layers(model), top_layers(model, parameters)
    if top == have:
        return encoder.view(model), list(range(have))
    return encoder.halves(model, top=top)[1], list(range(have - top, have))
