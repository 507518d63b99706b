"""The results table: every model on the same test notes, thresholds from validation, intervals over notes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from shl_utils import corpus as corpora
from shl_utils import metrics, progress, ranking, runs, thresholds
from shl_utils.corpus import Corpus
from shl_utils.parameters import Parameters
from shl_utils.predictions import Predictions


def cut(
    corpus: Corpus, gold: sparse.csr_array, predictions: Predictions, parameters: Parameters
) -> NDArray[np.float64]:
    """Thresholds (codes,) that validation gives under the run's own rule."""
    validation = corpus.rows("validation")
    return thresholds.choose(
        parameters.threshold,
        _dense(gold[validation]),
        predictions.of(validation),
        segment=predictions.segments,
        floor=parameters.min_positives,
    )


def decide(corpus: Corpus, predictions: Predictions, limits: NDArray[np.float64]) -> NDArray[np.int8]:
    """Predicted codes of the test notes: (notes, codes)."""
    return (predictions.of(corpus.rows("test")) >= limits).astype(np.int8)


def compare(
    corpus: Corpus, gold: sparse.csr_array, models: dict[str, Predictions], parameters: Parameters, *, reference: str
) -> tuple[pd.DataFrame, dict[str, NDArray[np.int8]]]:
    """One row a model: figures, 95% intervals, and the paired difference to `reference`; also the predicted codes.

    gold: (notes, codes).
    """
    truth = test_truth(corpus, gold)
    draws = metrics.resamples(*truth.shape, times=parameters.bootstrap_draws, seed=parameters.seed)
    limits = {name: cut(corpus, gold, predictions, parameters) for name, predictions in models.items()}
    decided = {name: decide(corpus, predictions, limits[name]) for name, predictions in models.items()}
    points = {name: metrics.scores(truth, predicted) for name, predicted in decided.items()}
    shown = progress.over(decided.items(), "bootstrap")
    samples = {name: metrics.bootstrap(truth, predicted, draws) for name, predicted in shown}
    rows = {}
    for name, predictions in models.items():
        row: dict[str, Any] = {"threshold": float(np.median(limits[name]))} | points[name]
        row |= ranking.scores(truth, predictions.of(corpus.rows("test")))
        for figure, values in samples[name].items():
            row[f"{figure}_low"], row[f"{figure}_high"] = metrics.interval(values)
            low, high = metrics.interval(values - samples[reference][figure])
            row[f"{figure}_gain"] = row[figure] - points[reference][figure]
            row[f"{figure}_gain_low"], row[f"{figure}_gain_high"] = low, high
        rows[name] = row
    return pd.DataFrame(rows).T.infer_objects(), decided


def by_rule(
    corpus: Corpus, gold: sparse.csr_array, models: dict[str, Predictions], limits: dict[str, pd.DataFrame]
) -> pd.DataFrame:
    """Micro- and macro-F1 x 100 of every model under every threshold rule. limits: of `limits_table`, by model."""
    truth, rows = test_truth(corpus, gold), {}
    for name, predictions in models.items():
        for rule in thresholds.RULES:
            figures = metrics.scores(truth, decide(corpus, predictions, limits[name][rule].to_numpy()))
            rows[name, rule] = {"micro-F1": 100 * figures["micro_f1"], "macro-F1": 100 * figures["macro_f1_present"]}
    return pd.DataFrame(rows).T.unstack().rename_axis(columns=["", "threshold"])


def limits_table(
    corpus: Corpus, gold: sparse.csr_array, predictions: Predictions, parameters: Parameters
) -> pd.DataFrame:
    """`code`, `model` (the segment that speaks of it, -1 for none) and its threshold under each rule, by the rule's
    name: what is saved beside a model."""
    validation = corpus.rows("validation")
    truth, found = _dense(gold[validation]), predictions.of(validation)
    given = {
        "segment": predictions.segments,
        "floor": parameters.min_positives,
        "common": thresholds.best(truth, found),
    }
    columns = {rule: thresholds.choose(rule, truth, found, **given) for rule in thresholds.RULES}
    return pd.DataFrame({"code": corpus.codes["code"], "model": predictions.segments, **columns})


def test_truth(corpus: Corpus, gold: sparse.csr_array) -> NDArray[np.int8]:
    """(test notes, codes) of 0 and 1."""
    return _dense(gold[corpus.rows("test")])


def said_of_few(table: pd.DataFrame) -> str:
    """What the reader should know of figures that very few notes or codes gave; table: of `compare`."""
    inside = table["micro_f1"].astype(float).between(table["micro_f1_low"] - 1e-9, table["micro_f1_high"] + 1e-9)
    if inside.all():
        return ""
    return (
        f"The interval of {', '.join(table.index[~inside])} does not hold its estimate: the test has too few notes for "
        "an interval. Take more notes, or raise `test_share`."
    )


def by_frequency(
    corpus: Corpus, gold: sparse.csr_array, predicted: dict[str, NDArray[np.int8]], groups: pd.Series
) -> pd.DataFrame:
    """`metrics.scores` of every model within each group of codes: index (model, group)."""
    truth = test_truth(corpus, gold)
    parts = {name: metrics.by_group(truth, codes, groups) for name, codes in predicted.items()}
    return pd.concat(parts, names=["model", "group"], sort=False)


def write(
    path: Path,
    table: pd.DataFrame,
    by_bin: pd.DataFrame,
    by_segment: pd.DataFrame,
    corpus: Corpus,
    parameters: Parameters,
) -> None:
    """`metrics.json`: every figure by model, frequency bin and segment, and what it was measured on."""

    def nested(part: pd.DataFrame) -> dict[str, Any]:
        return {
            name: json.loads(part.loc[name].to_json(orient="index"))
            for name in dict.fromkeys(part.index.get_level_values("model"))
        }

    runs.write_json(
        path,
        {
            "fingerprints": corpora.fingerprints(corpus),
            "test_labels": "filtered" if parameters.filter_labels == "all" else "as the source has them",
            "threshold": f"rule {parameters.threshold}, chosen on validation",
            "definitions": metrics.DEFINITIONS | ranking.DEFINITIONS,
            "interval": f"{metrics.INTERVAL}; {parameters.bootstrap_draws} draws",
            "models": json.loads(table.to_json(orient="index")),
            "by_frequency": nested(by_bin),
            "by_segment": nested(by_segment),
        },
    )


def train_counts(corpus: Corpus) -> NDArray[np.int64]:
    """(codes,): unfiltered training notes of each code, the measure of rarity in every report."""
    return np.asarray(corpus.labels[corpus.rows("train")].sum(axis=0)).astype(np.int64)


def _dense(values: sparse.csr_array) -> NDArray[np.int8]:
    return values.astype(np.int8).toarray()
