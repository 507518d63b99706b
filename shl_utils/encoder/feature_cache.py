"""Cache of the input of the trained layers for every note, computed once for all segments, epochs and variants. Its
files are mapped into memory and may be deleted at any time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from shl_utils.encoder import encoder, forward_pass, frozen_layers, ragged_file, tokens, weight_files
from shl_utils.encoder.tokens import Ragged
from shl_utils.parameters import Parameters
from shl_utils.runs import dependencies, mixed_precision, storage


class FeatureCache:
    """Encoder and features of a run's notes, kept for the parameters last requested.

    folder: of the run, with corpus.parquet. texts: of all notes.
    """

    def __init__(self, folder: Path, texts: Sequence[str]) -> None:
        self.folder, self.texts = folder, texts
        self.corpus = storage.digest(folder / "corpus.parquet")
        self._key, self._found, self._pooled = None, None, None

    def features(self, parameters: Parameters) -> tuple[nn.Module, Ragged]:
        """The encoder, and for every note the hidden states of its frozen lower layers. Instead of states, token ids
        (int32) where every layer is trained or the encoder cannot be split.

        Frozen layers give the same states for every segment and epoch, so they run once. States are kept in 16 bits,
        see `Computing.kept`. ValueError, before they are computed, if they need more than `states_gb`.
        """
        by = mixed_precision.computing(parameters)
        about = [encoder.identity(parameters), parameters.max_tokens, parameters.lora_layers, str((by.dtype, by.kept))]
        code = dependencies.trace(encoder.load, forward_pass.encode, frozen_layers.split_encoder, tokens.tokenize)
        key = storage.short([self.corpus, *about, code])
        if key != self._key:
            self._key = self._found = self._pooled = None  # freed before the next is loaded: two would not fit
            self._found, self._key = self._load_or_compute(parameters, key, by), key
        return self._found

    def mean_pooled(self, parameters: Parameters, rows: NDArray, *, label: str | None = None) -> NDArray[np.float32]:
        """(len(rows), width): mean over the tokens of the frozen encoder's last states, for these notes.

        label: of a progress bar; None for no bar.
        """
        model, seen = self.features(parameters)
        if self._pooled is None or not np.array_equal(self._pooled[0], rows):  # every segment requests the same notes
            trainable = frozen_layers.split_encoder(model, parameters).trainable
            by = mixed_precision.computing(parameters)
            on = {"device": by.device, "dtype": by.dtype, "label": label}
            self._pooled = rows, forward_pass.embed(trainable, seen, rows, unit_length=False, **on)
        return self._pooled[1]

    def embed_descriptions(self, parameters: Parameters, descriptions: Sequence[str]) -> NDArray[np.float32]:
        """(descriptions, width) of unit length, by the same encoder."""
        model, _ = self.features(parameters)
        rows = tokens.tokenize(self._tokenizer, descriptions, max_tokens=parameters.max_tokens)
        by = mixed_precision.computing(parameters)
        return forward_pass.embed(model, rows, device=by.device, dtype=by.dtype)

    def _load_or_compute(
        self, parameters: Parameters, key: str, by: mixed_precision.Computing
    ) -> tuple[nn.Module, Ragged]:
        self._tokenizer, model = encoder.load(parameters.encoder, download=parameters.download)
        encoder.check(self._tokenizer, model, parameters.max_tokens)
        model.to(by.device)  # before it is split: its parts share the weights, but move on their own
        parts = frozen_layers.split_encoder(model, parameters)
        if parts.frozen is None:
            if len(parts.trained) < frozen_layers.n_layers(model):
                name = type(model).__name__
                warnings.warn(f"{name} cannot be split: all its layers run for every batch", stacklevel=2)
            return model, self._tokens(parameters)
        path = path_of(self.folder, parameters)
        if ragged_file.read(path, key=key) is None:
            rows, kept, width = self._tokens(parameters), by.kept, model.config.hidden_size
            _check_size(len(rows.flat) * width * kept.itemsize / 1e9, parameters)
            with ragged_file.created(path, rows.offsets, (width,), kept, key=key) as states:
                on = {"device": by.device, "dtype": by.dtype, "label": "encode notes"}
                forward_pass.encode(parts.frozen, rows, states.flat, **on)
        return model, ragged_file.read(path, key=key)

    def _tokens(self, parameters: Parameters) -> Ragged:
        path = path_of(self.folder, parameters, of="tokens")
        key = storage.short([self.corpus, encoder.identity(parameters), dependencies.trace(tokens.tokenize)])
        if ragged_file.read(path, key=key) is None:
            rows = tokens.tokenize(self._tokenizer, self.texts, max_tokens=parameters.max_tokens)
            with ragged_file.created(path, rows.offsets, (), rows.flat.dtype, key=key) as kept:
                kept.flat[:] = rows.flat
        return ragged_file.read(path, key=key)


def _check_size(needed: float, parameters: Parameters) -> None:
    """needed: size of all states in GB."""
    if needed > parameters.states_gb:
        raise ValueError(
            f"states_gb is {parameters.states_gb:g}, but the states of the frozen layers need {needed:.1f} GB of disk: "
            "raise it, lower max_tokens, or train all layers (`lora_layers: -1`), which keeps no states"
        )


def path_of(folder: Path, parameters: Parameters, *, of: str = "") -> Path:
    """File of the frozen layers' states: one per encoder, length and number of trained layers. of: "tokens" for
    token ids instead."""
    name = f"{weight_files.digest(parameters.encoder)}-{parameters.max_tokens}-{of or parameters.lora_layers}"
    return folder / "trunk" / f"{name}.safetensors"
