"""Probabilities of a variant for every note of validation and test, the segments' outputs side by side."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shl_utils import corpus as corpora
from shl_utils import encoder, features, model, precision, progress, variants
from shl_utils.corpus import Corpus
from shl_utils.parameters import Parameters
from shl_utils.variants import Variant


@dataclass(frozen=True)
class Predictions:
    """rows: numbers of notes in the corpus. probabilities: (rows, codes), 0 for a code that has no model."""

    rows: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(len(rows), codes), for notes that were predicted."""
        position = pd.Index(self.rows).get_indexer(rows)
        if (position < 0).any():
            raise ValueError("some notes asked for were not predicted")
        return self.probabilities[position]


def compute(folder: Path, parameters: Parameters, wanted: list[Variant]) -> list[Predictions]:
    """Predict with every segment of every variant; their union: each code from its own segment's model."""
    corpus = corpora.read(folder)
    rows = np.concatenate([corpus.rows("validation"), corpus.rows("test")])
    tokenizer, base = encoder.load(parameters.encoder, download=parameters.download)
    seen = features.load_or_compute(folder, parameters, corpus.notes["text"], tokenizer, base)
    device = precision.device()
    dtype = precision.DTYPES[precision.resolve(parameters.precision)]
    tables = [variants.read_segments(folder, v) for v in wanted]
    results = []
    with progress.bar(sum(table["segment"].nunique() for table in tables), "predict segments") as bar:
        for variant, table in zip(wanted, tables):
            segments = variants.segment_of_code(table, corpus)
            probabilities = np.zeros((len(rows), len(segments)), dtype=np.float32)
            for k in range(segments.max() + 1):
                top, _ = features.trained_part(base, parameters)
                net = model.load(top, folder / variant.folder / "segments" / str(k)).to(device)
                codes = np.flatnonzero(segments == k)
                probabilities[:, codes] = model.predict(net, seen, rows, device=device, dtype=dtype)
                bar.update(1)
            results.append(Predictions(rows, probabilities))
    return results


def write(predictions: Predictions, corpus: Corpus, path: Path) -> None:
    """Parquet: `note`, `split`, and `probability`, a list in the order of the codes named in the file's metadata."""
    probability = pa.FixedSizeListArray.from_arrays(
        pa.array(predictions.probabilities.ravel()), predictions.probabilities.shape[1]
    )
    notes = corpus.notes.iloc[predictions.rows]
    table = pa.table({"note": pa.array(notes["note"]), "split": pa.array(notes["split"]), "probability": probability})
    path.parent.mkdir(parents=True, exist_ok=True)
    table = table.replace_schema_metadata({"codes": json.dumps(corpus.codes["code"].tolist())})
    pq.write_table(table, path, compression="zstd")


def read(path: Path, corpus: Corpus) -> Predictions:
    """What `write` wrote; ValueError if it belongs to another list of codes."""
    table = pq.read_table(path)
    codes = json.loads(table.schema.metadata[b"codes"])
    if codes != corpus.codes["code"].tolist():
        raise ValueError(f"{path} is about other codes than this run's: run 04_evaluate again")
    column = table["probability"].combine_chunks()
    rows = pd.Index(corpus.notes["note"]).get_indexer(table["note"].to_pylist())
    return Predictions(rows, column.flatten().to_numpy().reshape(len(rows), len(codes)))
