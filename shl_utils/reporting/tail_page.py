"""A page to play with: counts, eta, segments, threshold and F1, computed in the browser without a network."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shl_utils.data import corpus as corpora
from shl_utils.evaluation import predictions, results
from shl_utils.parameters import Parameters
from shl_utils.training import variants

TEMPLATE = Path(__file__).with_name("tail.html")
FULL = 65_535  # stands for probability 1


def write(folder: Path, parameters: Parameters, path: Path) -> None:
    """Write the page of a finished run to `path`: training counts, and validation labels and probabilities of the main
    model and the reference, in whole steps of 1/65,535. No text but the codes' descriptions."""
    corpus = corpora.read(folder)
    counts = results.train_counts(corpus)
    order = np.flatnonzero(counts)[np.argsort(counts[counts > 0], kind="stable")]  # from the rarest
    rows = corpus.rows("validation")
    found = {
        model.name: predictions.read_variant(folder, model, corpus).select(rows)[:, order]
        for model in variants.compared(parameters)
    }
    data = {
        "names": corpus.codes["description"].iloc[order].tolist(),
        "counts": counts[order].tolist(),
        "labels": _packed(corpus.labels[rows][:, order].toarray().astype(np.uint8)),
        "models": {name: _packed(np.round(FULL * values).astype("<u2")) for name, values in found.items()},
    }
    text = json.dumps(data).replace("</", "<\\/")  # what would end the script
    path.write_text(TEMPLATE.read_text(encoding="utf-8").replace("DATA", text), encoding="utf-8")


def _packed(values: NDArray) -> str:
    return base64.b64encode(values.tobytes()).decode()
