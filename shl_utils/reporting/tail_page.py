"""A page to play with: counts, eta, segments, threshold and F1, computed in the browser without a network."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shl_utils.data import corpus as corpora
from shl_utils.evaluation import predictions
from shl_utils.parameters import Parameters
from shl_utils.training import similarities, variants

TEMPLATE = Path(__file__).with_name("tail.html")
FULL = 65_535  # stands for probability 1


def write(folder: Path, parameters: Parameters, path: Path) -> None:
    """Write the page of a finished run to `path`: training notes of every code as `02_segment` counts them, after the
    filter, and validation labels and probabilities of the main model and the reference. It holds no text but the codes'
    descriptions."""
    corpus = corpora.read(folder)
    rows = corpus.rows("validation")
    counts = corpus.train_counts(similarities.read_labels(folder, corpus, parameters))
    models = {
        model.name: predictions.read_variant(folder, model, corpus).select(rows)
        for model in variants.compared(parameters)
    }
    names, labels = corpus.codes["description"].tolist(), corpus.labels[rows].toarray()
    path.write_text(page(names, counts, labels, models, eta=parameters.eta), encoding="utf-8")


def page(
    names: Sequence[str], counts: NDArray[np.int64], labels: NDArray, models: Mapping[str, NDArray], *, eta: float
) -> str:
    """The page as HTML. names, counts: (codes,); those without a training note are left out. labels: (notes, codes) of
    0 and 1. models: name to probabilities (notes, codes), which are rounded to whole steps of 1/65,535. eta: where the
    page begins."""
    order = np.flatnonzero(counts)[np.argsort(counts[counts > 0], kind="stable")]  # from the rarest
    data = {
        "eta": eta,
        "names": [names[i] for i in order],
        "counts": counts[order].tolist(),
        "labels": _packed(labels[:, order].astype(np.uint8)),
        "models": {name: _packed(np.round(FULL * values[:, order]).astype("<u2")) for name, values in models.items()},
    }
    text = json.dumps(data).replace("<", "\\u003c")  # nothing in it ends the script
    return TEMPLATE.read_text(encoding="utf-8").replace("DATA", text)


def _packed(values: NDArray) -> str:
    return base64.b64encode(values.tobytes()).decode()
