"""The results table: every model on the same test notes, thresholds from validation, with intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from shl_utils.data import corpus as corpora
from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import label_metrics, measurement, resampling, score_metrics
from shl_utils.evaluation.predictions import Predictions
from shl_utils.evaluation.resampling import HEADLINE_METRICS
from shl_utils.method import thresholds
from shl_utils.parameters import Parameters
from shl_utils.runs import progress, storage


def choose_thresholds(
    corpus: Corpus, gold: sparse.csr_array, predictions: Predictions, parameters: Parameters
) -> NDArray[np.float64]:
    """Thresholds (codes,), chosen on validation by the rule `threshold` of the run. gold: (notes, codes)."""
    validation = _validation(corpus, gold, predictions, parameters)
    return thresholds.choose(parameters.threshold, validation, **parameters.model_dump())


def binarize(corpus: Corpus, predictions: Predictions, limits: NDArray[np.float64]) -> NDArray[np.int8]:
    """Predicted codes of the test notes, (test notes, codes) of 0 and 1. limits: (codes,), thresholds."""
    return (predictions.select(corpus.rows("test")) >= limits).astype(np.int8)


def compare(
    corpus: Corpus, gold: sparse.csr_array, models: dict[str, Predictions], parameters: Parameters, *, reference: str
) -> tuple[pd.DataFrame, dict[str, measurement.Measured]]:
    """One row per model: every metric, with intervals and gains over the model `reference` as in `with_gain`.

    gold: (notes, codes). Also returns what was measured, by model.
    """
    truth, patients = test_truth(corpus, gold), test_patients(corpus)
    limits = {name: choose_thresholds(corpus, gold, predictions, parameters) for name, predictions in models.items()}
    measured = {
        name: measurement.measure(truth, [binarize(corpus, predictions, limits[name])], parameters, patients=patients)
        for name, predictions in progress.over(models.items(), "bootstrap")
    }
    rows = {
        name: {"threshold": float(np.median(limits[name]))}
        | measured[name].points
        | score_metrics.scores(truth, predictions.select(corpus.rows("test")))
        | measurement.with_gain(measured[name], measured[reference])
        for name, predictions in models.items()
    }
    return pd.DataFrame(rows).T.infer_objects(), measured


def by_rule(
    corpus: Corpus, gold: sparse.csr_array, models: dict[str, Predictions], limits: dict[str, pd.DataFrame]
) -> pd.DataFrame:
    """Micro- and macro-F1 x 100 of every model (rows) under every threshold rule (columns).

    limits: model to its table from `threshold_table`.
    """
    truth, rows = test_truth(corpus, gold), {}
    for name, predictions in models.items():
        for rule in thresholds.RULES:
            scores = label_metrics.scores(truth, binarize(corpus, predictions, limits[name][rule].to_numpy()))
            rows[name, rule] = {f"{title}-F1": 100 * scores[metric] for metric, title in HEADLINE_METRICS.items()}
    return pd.DataFrame(rows).T.unstack(sort=False).rename_axis(columns=["", "threshold"])


def threshold_table(
    corpus: Corpus, gold: sparse.csr_array, predictions: Predictions, parameters: Parameters
) -> pd.DataFrame:
    """Thresholds as saved: `code`, `model` (the segment that predicts it, -1 for none), and one column per rule."""
    validation = _validation(corpus, gold, predictions, parameters)
    known = parameters.model_dump()
    columns = {rule: thresholds.choose(rule, validation, **known) for rule in thresholds.RULES}
    return pd.DataFrame({"code": corpus.codes["code"], "model": predictions.segments, **columns})


def _validation(
    corpus: Corpus, gold: sparse.csr_array, predictions: Predictions, parameters: Parameters
) -> thresholds.Validation:
    rows = corpus.rows("validation")
    return thresholds.Validation(
        _dense(gold[rows]), predictions.select(rows), predictions.segments, parameters.min_positives
    )


def test_truth(corpus: Corpus, gold: sparse.csr_array) -> NDArray[np.int8]:
    """Gold labels of the test notes, (test notes, codes) of 0 and 1."""
    return _dense(gold[corpus.rows("test")])


def test_patients(corpus: Corpus) -> NDArray[np.int64]:
    """Number of the patient of each test note, from 0: (test notes,)."""
    return pd.factorize(corpus.notes["group"].iloc[corpus.rows("test")])[0]


def warn_of_few(table: pd.DataFrame) -> str:
    """A warning if an interval of micro-F1 does not contain its estimate, as with very few test notes; else "".

    table: from `compare`.
    """
    inside = table["micro_f1"].astype(float).between(table["micro_f1_low"] - 1e-9, table["micro_f1_high"] + 1e-9)
    if inside.all():
        return ""
    return (
        f"The interval of {', '.join(table.index[~inside])} does not hold its estimate: the test has too few notes for "
        "an interval. Take more notes, or raise `test_share`."
    )


def by_group(measured: dict[str, measurement.Measured], groups: pd.Series) -> pd.DataFrame:
    """Metrics of `label_metrics.scores` within each group of codes, means over seeds: index (model, group).

    groups: (codes,), the name of each code's group.
    """
    parts = {}
    for name, found in measured.items():
        truth = found.truth.toarray()
        seeds = [label_metrics.by_group(truth, predicted.toarray(), groups) for predicted in found.predicted]
        parts[name] = sum(seeds) / len(seeds)
    return pd.concat(parts, names=["model", "group"], sort=False)


def write(
    path: Path,
    table: pd.DataFrame,
    by_bin: pd.DataFrame,
    by_segment: pd.DataFrame,
    corpus: Corpus,
    parameters: Parameters,
) -> None:
    """Write `metrics.json`: every metric by model, frequency bin and segment, and what it was measured on."""

    def nested(part: pd.DataFrame) -> dict[str, Any]:
        return {name: json.loads(part.loc[name].to_json(orient="index")) for name in part.index.unique("model")}

    storage.write_json(
        path,
        {
            "fingerprints": corpora.fingerprints(corpus),
            "test_labels": "filtered" if parameters.filter_labels == "all" else "as the source has them",
            "threshold": f"rule {parameters.threshold}, chosen on validation",
            "definitions": label_metrics.DEFINITIONS | score_metrics.DEFINITIONS,
            "interval": f"{resampling.INTERVAL}; {parameters.bootstrap_draws} draws",
            "models": json.loads(table.to_json(orient="index")),
            "by_frequency": nested(by_bin),
            "by_segment": nested(by_segment),
        },
    )


def _dense(values: sparse.csr_array) -> NDArray[np.int8]:
    return values.astype(np.int8).toarray()


def table(measured: dict[str, measurement.Measured], *, times: int, seed: int, reference: str) -> pd.DataFrame:
    """One row per experiment, by its id: F1 from 0 to 1, as in `with_gain`, and p.

    Further columns: `row` (its name), `comparable`, `reference` (whether its id is that), `seeds`, the other metrics,
    and per headline metric `_sd` (over seeds), `_p`, and `_p_holm`, corrected by Holm's method. Comparable rows alone
    have a p, see `definition_of_p`. times: permutations.
    """
    base, lines, p_values = measured[reference], {}, {metric: {} for metric in HEADLINE_METRICS}
    for key, found in progress.over(measured.items(), "permutation tests"):
        several = len(found.predicted) > 1
        lines[key] = {"row": found.name, "comparable": found.comparable, "reference": key == reference}
        lines[key] |= {"seeds": len(found.predicted)} | measurement.with_gain(found, base) | found.points
        for metric in HEADLINE_METRICS:
            lines[key][f"{metric}_sd"] = float(np.std(found.seeds[metric], ddof=1)) if several else np.nan
        if key != reference and found.comparable:
            first, second = ([part.toarray() for part in m.predicted] for m in (base, found))
            tested = resampling.permutation_test(
                base.truth.toarray(), first, second, times=times, seed=seed, patients=base.patients
            )
            for metric in HEADLINE_METRICS:
                p_values[metric][key] = tested[metric]
    result = pd.DataFrame(lines).T.infer_objects()
    for metric in HEADLINE_METRICS:
        result[f"{metric}_p"] = pd.Series(p_values[metric], dtype=float)
        result[f"{metric}_p_holm"] = pd.Series(resampling.holm(p_values[metric]), dtype=float)
    return result


def gains_by_frequency(
    measured: dict[str, measurement.Measured], counts: NDArray[np.int64], parameters: Parameters, *, reference: str
) -> pd.DataFrame:
    """micro-F1 of every experiment within each bin of code frequency, and its gain over the one with id `reference`.

    Gains have a paired 95% interval over test notes and seeds. counts: (codes,), unfiltered training notes. Only bins
    with test positives; columns: `id`, `row`, `reference`, `bin`, `codes`, `positives`, `micro_f1`, `gain`, `low`,
    `high`.
    """
    bins, lines = label_metrics.frequency_bin(counts), []
    for name in progress.over(bins.cat.remove_unused_categories().cat.categories, "bins of codes"):
        within = {
            key: measurement.within(found, np.flatnonzero(bins == name), parameters) for key, found in measured.items()
        }
        base = within[reference]
        for key, found in within.items() if base.points["positives"] else ():
            line = {"id": key, "row": measured[key].name, "reference": key == reference, "bin": name}
            line |= {"codes": found.points["codes_all"], "positives": found.points["positives"]}
            gain = measurement.summarize({"gain": measurement.difference(found, base)["micro_f1"]}).values()
            lines.append(line | dict(zip(("micro_f1", "gain", "low", "high"), (found.points["micro_f1"], *gain))))
    return pd.DataFrame(lines)


def definition_of_p(table: pd.DataFrame, *, times: int) -> str:
    """What p means in this `table`. times: permutations used for it."""
    n = int(table["micro_f1_p"].notna().sum())
    return (
        f"of no gain, two-sided: paired permutation test given the trained models, {times:,} draws, then as corrected "
        f"by Holm's method over the {n} rows that have one, micro and macro each by itself"
    )
