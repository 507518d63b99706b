"""Probabilities of a variant for every validation and test note, the outputs of its segments combined."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from torch import nn

from shl_utils.data import corpus as corpora
from shl_utils.data.corpus import Corpus
from shl_utils.encoder import encoder, feature_cache, frozen_layers
from shl_utils.runs import dependencies, mixed_precision, progress, storage
from shl_utils.training import segment_model, variants
from shl_utils.training.variants import Variant


@dataclass(frozen=True)
class Predictions:
    """rows: (notes,), row numbers in the corpus. probabilities: (notes, codes), 0 for a code without a model. segments:
    (codes,), the segment whose model predicts each code, -1 for none."""

    rows: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    segments: NDArray[np.int64]

    def select(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Probabilities (len(rows), codes) of these notes; ValueError for a note that was not predicted."""
        position = pd.Index(self.rows).get_indexer(rows)
        if (position < 0).any():
            raise ValueError("some of these notes were not predicted")
        return self.probabilities[position]


def compute(folder: Path, wanted: list[Variant]) -> Iterator[Predictions]:
    """Predictions of each variant for validation and test notes; each code comes from its own segment's model."""
    corpus = corpora.read(folder)
    rows = corpus.rows("validation", "test")
    cache = feature_cache.FeatureCache(folder, corpus.notes["text"])
    tables = [variants.read_segments(folder, v) for v in wanted]
    with progress.bar(sum(table["segment"].nunique() for table in tables), "predict segments") as bar:
        for variant, table in zip(wanted, tables):
            base, features = cache.features(variant.parameters)
            by = mixed_precision.computing(variant.parameters)
            segments = variants.segment_of_code(table, corpus)
            probabilities = np.zeros((len(rows), len(segments)), dtype=np.float32)
            for k in range(segments.max() + 1):
                net = load_segment(base, folder, variant, k)
                probabilities[:, segments == k] = segment_model.predict(
                    net, features, rows, device=by.device, dtype=by.dtype
                )
                bar.update(1)
            yield Predictions(rows, probabilities, segments)


def load_segment(base: nn.Module, folder: Path, variant: Variant, k: int) -> segment_model.SegmentModel:
    """The trained model of segment `k` on the device, its adapter merged into the encoder `base`."""
    trainable = frozen_layers.split_encoder(base, variant.parameters).trainable
    return segment_model.load(trainable, folder / variant.folder / "segments" / str(k)).to(mixed_precision.device())


def keep(folder: Path, wanted: list[Variant], corpus: Corpus) -> None:
    """Compute and write the predictions of those variants whose file is missing or belongs to other models."""
    keys = {variant.folder: key(folder, variant) for variant in wanted}
    stale = [variant for variant in wanted if _about(_path(folder, variant), "key") != keys[variant.folder]]
    for variant, found in zip(stale, compute(folder, stale)):
        write(found, corpus, _path(folder, variant), key=keys[variant.folder], computed=_computing(variant))


def read_variant(folder: Path, variant: Variant, corpus: Corpus) -> Predictions:
    """What `keep` wrote for a variant, for the validation and test notes of the corpus; ValueError as for `read`."""
    return read(_path(folder, variant), corpus)


def computed(folder: Path, wanted: list[Variant]) -> list[dict[str, Any]]:
    """Device, precision and number of processes with which the saved predictions of each variant were computed."""
    return [json.loads(_about(_path(folder, v), "computed")) for v in wanted]


def key(folder: Path, variant: Variant) -> str:
    """Hash of what predictions depend on: adapters and heads, the encoder, the numerical precision, and the code."""
    by, base = _computing(variant), encoder.identity(variant.parameters)
    code = dependencies.trace(compute, segment_model.load, segment_model.predict)
    return storage.short([storage.digest(folder / variant.folder / "segments"), base, by["precision"], code])


def _computing(variant: Variant) -> dict[str, Any]:
    return asdict(mixed_precision.computing(variant.parameters))


def _path(folder: Path, variant: Variant) -> Path:
    return folder / variant.folder / "predictions.parquet"


def _about(path: Path, name: str) -> str:
    """An entry of a prediction file's metadata; "" if there is no file or no such entry."""
    if not path.exists():
        return ""
    return (pq.read_schema(path).metadata or {}).get(name.encode(), b"").decode()


def write(
    predictions: Predictions, corpus: Corpus, path: Path, *, key: str = "", computed: dict[str, Any] | None = None
) -> None:
    """Write a Parquet file with the columns `note`, `split` and `probability`, one row per note.

    `probability` is a list in the order of the codes in the file's metadata, which also hold the segment of each code.
    """
    probability = pa.FixedSizeListArray.from_arrays(
        pa.array(predictions.probabilities.ravel()), predictions.probabilities.shape[1]
    )
    notes = corpus.notes.iloc[predictions.rows]
    table = pa.table({"note": pa.array(notes["note"]), "split": pa.array(notes["split"]), "probability": probability})
    about = {"codes": corpus.codes["code"].tolist(), "segments": predictions.segments.tolist()}
    about |= {"computed": computed or {}}
    facts = {name: json.dumps(values) for name, values in about.items()} | {"key": key}
    table = table.replace_schema_metadata(facts)
    with storage.atomic(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def read(path: Path, corpus: Corpus) -> Predictions:
    """What `write` wrote, with rows of the corpus; ValueError if its codes are not those of the corpus."""
    table = pq.read_table(path)
    codes = json.loads(table.schema.metadata[b"codes"])
    if codes != corpus.codes["code"].tolist():
        raise ValueError(f"{path} is about other codes than this run's: run 04_evaluate again")
    column = table["probability"].combine_chunks()
    rows = pd.Index(corpus.notes["note"]).get_indexer(table["note"].to_pylist())
    segments = np.array(json.loads(table.schema.metadata[b"segments"]))
    return Predictions(rows, column.flatten().to_numpy().reshape(len(rows), len(codes)), segments)
