"""Metrics of an ablation's experiments, all measured with the same draws of notes, codes and seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import predictions, results, score_metrics
from shl_utils.evaluation.predictions import Predictions
from shl_utils.experiments import grid
from shl_utils.experiments.ablation import Row
from shl_utils.method import harmonic_weights
from shl_utils.method.extensions import stacking
from shl_utils.parameters import Parameters
from shl_utils.training import similarities, variants


def measure(folder: Path, corpus: Corpus, row: Row, linear: Predictions | None = None) -> results.Measured:
    """Metrics of one experiment on the test notes, under its own thresholds, labels and scoring.

    linear: predictions of the linear model, measured in place of the experiment's models.
    """
    gold = similarities.read_labels(folder / "filter.parquet", corpus, row.parameters)
    truth = results.test_truth(corpus, gold)
    predicted, maps = [], []
    models = [linear] if linear else [predictions.read_variant(folder, v, corpus) for v in row.trained]
    for i, found in enumerate(models):
        if row.scoring == "oracle_routing":
            found = route_by_oracle(corpus, gold, found, row.parameters)
        elif row.scoring == "stacked":
            partner = predictions.read_variant(folder, row.partners[i], corpus)
            found = stack(corpus, gold, found, partner)
        limits = results.choose_thresholds(corpus, gold, found, row.parameters)
        predicted.append(results.binarize(corpus, found, limits))
        maps.append(score_metrics.mean_average_precision(truth, found.select(corpus.rows("test"))))
    result = results.measured_on(truth, predicted, row.parameters)
    comparable = row.comparable or linear is not None
    return replace(result, points=result.points | {"map": float(np.mean(maps))}, comparable=comparable)


def one_factor(table: pd.DataFrame, wanted: list[Row]) -> dict[str, pd.DataFrame]:
    """One curve per last factor of a combination: name to its rows of `table` by `level`, all other factors held fixed.

    A combination without a factor is on no curve, nor is one whose last factor has no effect.
    """
    found: dict[str, dict[Any, dict]] = {}
    places = {n: (place, row) for row in wanted if not row.added for n, place in row.places.items() if place}
    for place, row in dict(sorted(places.items())).values():
        levels, last = row.levels(place), list(place)[-1]
        if last in levels:
            held = ", ".join(f"{k} {grid.short(v)}" for k, v in levels.items() if k != last)
            line = {"level": levels[last]} | table.loc[row.name].to_dict()
            found.setdefault(f"{last} ({held})" if held else last, {})[levels[last]] = line
    return {name: pd.DataFrame(lines.values()) for name, lines in found.items()}


def together(curves: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """All curves of `one_factor` in one table, with the columns `factor` and `level` (as text)."""
    parts = [curve.assign(factor=factor, level=curve["level"].map(grid.short)) for factor, curve in curves.items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"factor": [], "level": []})


def route_by_oracle(corpus: Corpus, gold: sparse.csr_array, found: Predictions, parameters: Parameters) -> Predictions:
    """Oracle routing: a segment predicts only for notes that hold one of its codes by gold; no way to code a note."""
    mask = oracle_mask(corpus, gold, parameters, rows=found.rows)
    return replace(found, probabilities=found.probabilities * mask)


def stack(corpus: Corpus, gold: sparse.csr_array, found: Predictions, partner: Predictions) -> Predictions:
    """Stacked ensemble of `found` and the single model `partner`, calibrated together on validation. Codes that only
    the single model has become a segment of their own."""
    validation, other = corpus.rows("validation"), partner.select(found.rows)
    truth = gold[validation].toarray()
    fitted = stacking.fit(found.select(validation), partner.select(validation), truth, found.segments)
    alone = (found.segments < 0) & (partner.segments >= 0)
    return replace(
        found,
        probabilities=stacking.stack(found.probabilities, other, found.segments, fitted),
        segments=np.where(alone, found.segments.max() + 1, found.segments),
    )


def oracle_mask(
    corpus: Corpus, gold: sparse.csr_array, parameters: Parameters, *, rows: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(rows, codes) of bool: whether the note holds, by gold, any code of the code's segment. Segments follow eta."""
    table = variants.segment_table(corpus, gold, segmentation="eta", eta=parameters.eta)
    segments = variants.segment_of_code(table, corpus)
    modelled = segments >= 0
    holds = harmonic_weights.note_sources(sparse.csr_array(gold[rows][:, modelled]), segments[modelled])
    return holds[:, segments] & modelled
