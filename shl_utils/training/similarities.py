"""Similarities of notes and descriptions of codes, kept in a run's folder, and the labels that the filter leaves."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from shl_utils.data.corpus import Corpus
from shl_utils.encoder import encoder, forward_pass, tokens
from shl_utils.encoder.feature_cache import FeatureCache
from shl_utils.method import label_filter
from shl_utils.parameters import Parameters
from shl_utils.runs import dependencies, mixed_precision, storage
from shl_utils.training import adapter_check


def similarities(
    corpus: Corpus, parameters: Parameters, cache: FeatureCache | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cosine similarity of note and code description for every label: `note` and `code` (row numbers), `similarity`.

    The second table has the same columns for random codes, as many per note as it has labels: similarity by chance.
    The note is truncated to `max_tokens` and divided into chunks; its embedding is the mean over its chunks.
    Source: Ray et al. 2023. Chunk length, the pooling within a chunk (mean over tokens) and unit-length chunk
    embeddings are our choice.
    cache: of the run; with it, notes of one chunk each are read by the frozen layers once, for the filter and training.
    The states between the layers are rounded to 16 bits then, so `lora_layers` counts in the last digits.
    """
    by = mixed_precision.computing(parameters)
    tokenizer, model = encoder.load(parameters.encoder, download=parameters.download)
    encoder.check(tokenizer, model, parameters.max_tokens)
    adapter_check.check_adapter(model, parameters)  # a mistake in it would show only in training
    if cache and _one_chunk(parameters):
        del model  # the cache has its own
        note_of_chunk = np.arange(len(corpus.notes))
        pieces = cache.mean_pooled(parameters, note_of_chunk, label="embed notes")
        codes = cache.embed_descriptions(parameters, corpus.codes["description"])
    else:
        lengths = parameters.model_dump(include={"max_tokens", "chunk_tokens"})
        chunks, note_of_chunk = tokens.chunk(tokenizer, corpus.notes["text"], **lengths)
        pieces = forward_pass.embed(model, chunks, device=by.device, dtype=by.dtype, label="embed notes")
        described = tokens.tokenize(tokenizer, corpus.codes["description"], max_tokens=parameters.max_tokens)
        codes = forward_pass.embed(model, described, device=by.device, dtype=by.dtype, label="embed codes")
    notes = label_filter.average(pieces, note_of_chunk, n=len(corpus.notes))
    random = _shuffled(corpus.labels, parameters.seed)
    return label_filter.pairwise(notes, codes, corpus.labels), label_filter.pairwise(notes, codes, random)


def kept(
    folder: Path, corpus: Corpus, parameters: Parameters
) -> tuple[pd.DataFrame, pd.DataFrame, mixed_precision.Computing]:
    """The tables of `similarities`, device and precision; cached in the run's `folder`, as they may take minutes."""
    by, path = mixed_precision.computing(parameters), folder / "trunk" / "similarities.parquet"
    names = {"max_tokens", "chunk_tokens", "seed", *(["lora_layers"] if _one_chunk(parameters) else [])}
    counts = parameters.model_dump(include=names)
    data = [storage.digest(folder / name) for name in ("corpus.parquet", "codes.parquet")]
    code = dependencies.trace(similarities)
    key = storage.short([data, encoder.identity(parameters), counts, by.precision, code])
    about = pq.read_schema(path).metadata if path.exists() else {}
    if about.get(b"key", b"").decode() != key:
        own, chance = similarities(corpus, parameters, FeatureCache(folder, corpus.notes["text"]))
        both = pd.concat([own.assign(drawn=False), chance.assign(drawn=True)])
        table = pa.Table.from_pandas(both, preserve_index=False)
        about = {b"key": key.encode(), b"computed": json.dumps(asdict(by)).encode()}
        with storage.atomic(path) as partial:
            pq.write_table(table.replace_schema_metadata(about), partial)
    both = pd.read_parquet(path)
    own, chance = (both[both["drawn"] == drawn].drop(columns="drawn").reset_index(drop=True) for drawn in (False, True))
    return own, chance, mixed_precision.Computing(**json.loads(about[b"computed"]))


def _one_chunk(parameters: Parameters) -> bool:
    """Whether a note, as truncated, is a single chunk: the row of tokens that training reads."""
    return parameters.chunk_tokens >= parameters.max_tokens


def _shuffled(labels: sparse.csr_array, seed: int) -> sparse.csr_array:
    """Random labels: as many codes per note, each drawn uniformly from all codes."""
    codes = np.random.default_rng(seed).integers(0, labels.shape[1], size=labels.nnz)
    return sparse.csr_array((np.ones(labels.nnz, np.float32), codes, labels.indptr), shape=labels.shape)


def write(table: pd.DataFrame, corpus: Corpus, path: Path) -> None:
    """Write `table` to `path` with names of notes and codes in place of their row numbers."""
    named = table.assign(
        note=corpus.notes["note"].to_numpy()[table["note"]], code=corpus.codes["code"].to_numpy()[table["code"]]
    )
    named.to_parquet(path, index=False)


def read_labels(folder: Path, corpus: Corpus, parameters: Parameters) -> sparse.csr_array:
    """Labels (notes, codes), float32 0 or 1, that the filter keeps by `parameters` and by the similarities in a run's
    folder. Training and every choice use them; test metrics use labels of their own."""
    if parameters.filter_labels == "none":
        return corpus.labels
    named = pd.read_parquet(folder / "filter.parquet", columns=["note", "code", "similarity"])
    rows = pd.Index(corpus.notes["note"]).get_indexer(named["note"])
    columns = pd.Index(corpus.codes["code"]).get_indexer(named["code"])
    table, _ = label_filter.apply(named.assign(note=rows, code=columns), corpus.split, parameters)
    table = table[table["kept"]]
    values = np.ones(len(table), dtype=np.float32)
    return sparse.csr_array((values, (table["note"], table["code"])), shape=corpus.labels.shape)
