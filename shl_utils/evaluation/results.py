"""The results table: every model on the same test notes, thresholds from validation, with intervals."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from shl_utils.data import corpus as corpora
from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import label_metrics, resampling, score_metrics
from shl_utils.evaluation.predictions import Predictions
from shl_utils.method import thresholds
from shl_utils.parameters import Parameters
from shl_utils.runs import progress, storage

BASE = "unified bce, no filter"  # name of the experiment that gains are measured against
HEADLINE_METRICS = ("micro_f1", "macro_f1_present")
INTERVAL = f"{resampling.INTERVAL}, and over seeds of training where there are several (few make it a little narrow)"


def choose_thresholds(
    corpus: Corpus, gold: sparse.csr_array, predictions: Predictions, parameters: Parameters
) -> NDArray[np.float64]:
    """Thresholds (codes,), chosen on validation by the rule `threshold` of the run. gold: (notes, codes)."""
    return thresholds.choose(parameters.threshold, _validation(corpus, gold, predictions, parameters))


def binarize(corpus: Corpus, predictions: Predictions, limits: NDArray[np.float64]) -> NDArray[np.int8]:
    """Predicted codes of the test notes, (test notes, codes) of 0 and 1. limits: (codes,), thresholds."""
    return (predictions.select(corpus.rows("test")) >= limits).astype(np.int8)


def compare(
    corpus: Corpus, gold: sparse.csr_array, models: dict[str, Predictions], parameters: Parameters, *, reference: str
) -> tuple[pd.DataFrame, dict[str, NDArray[np.int8]]]:
    """One row per model: metrics, 95% intervals, and paired differences to `reference`; also its predicted codes.

    gold: (notes, codes). Predicted codes: (test notes, codes) of 0 and 1.
    """
    truth = test_truth(corpus, gold)
    draws = resampling.resamples(*truth.shape, times=parameters.bootstrap_draws, seed=parameters.seed)
    limits = {name: choose_thresholds(corpus, gold, predictions, parameters) for name, predictions in models.items()}
    decided = {name: binarize(corpus, predictions, limits[name]) for name, predictions in models.items()}
    points = {name: label_metrics.scores(truth, predicted) for name, predicted in decided.items()}
    shown = progress.over(decided.items(), "bootstrap")
    samples = {name: resampling.bootstrap(truth, predicted, draws) for name, predicted in shown}
    rows = {}
    for name, predictions in models.items():
        row: dict[str, Any] = {"threshold": float(np.median(limits[name]))} | points[name]
        row |= score_metrics.scores(truth, predictions.select(corpus.rows("test")))
        for figure, values in samples[name].items():
            row[f"{figure}_low"], row[f"{figure}_high"] = resampling.interval(values)
            low, high = resampling.interval(values - samples[reference][figure])
            row[f"{figure}_gain"] = row[figure] - points[reference][figure]
            row[f"{figure}_gain_low"], row[f"{figure}_gain_high"] = low, high
        rows[name] = row
    return pd.DataFrame(rows).T.infer_objects(), decided


def by_rule(
    corpus: Corpus, gold: sparse.csr_array, models: dict[str, Predictions], limits: dict[str, pd.DataFrame]
) -> pd.DataFrame:
    """Micro- and macro-F1 x 100 of every model (rows) under every threshold rule (columns).

    limits: model to its table from `threshold_table`.
    """
    truth, rows = test_truth(corpus, gold), {}
    for name, predictions in models.items():
        for rule in thresholds.RULES:
            figures = label_metrics.scores(truth, binarize(corpus, predictions, limits[name][rule].to_numpy()))
            rows[name, rule] = {"micro-F1": 100 * figures["micro_f1"], "macro-F1": 100 * figures["macro_f1_present"]}
    return pd.DataFrame(rows).T.unstack().rename_axis(columns=["", "threshold"])


def threshold_table(
    corpus: Corpus, gold: sparse.csr_array, predictions: Predictions, parameters: Parameters
) -> pd.DataFrame:
    """Thresholds as saved: `code`, `model` (the segment that predicts it, -1 for none), and one column per rule."""
    validation = _validation(corpus, gold, predictions, parameters)
    columns = {rule: thresholds.choose(rule, validation) for rule in thresholds.RULES}
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


def by_frequency(
    corpus: Corpus, gold: sparse.csr_array, predicted: dict[str, NDArray[np.int8]], groups: pd.Series
) -> pd.DataFrame:
    """Metrics of `label_metrics.scores` for every model within each group of codes: index (model, group)."""
    truth = test_truth(corpus, gold)
    parts = {name: label_metrics.by_group(truth, codes, groups) for name, codes in predicted.items()}
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
        return {
            name: json.loads(part.loc[name].to_json(orient="index"))
            for name in dict.fromkeys(part.index.get_level_values("model"))
        }

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


def train_counts(corpus: Corpus) -> NDArray[np.int64]:
    """Number of unfiltered training notes of each code, (codes,): the measure of rarity in every report."""
    return np.asarray(corpus.labels[corpus.rows("train")].sum(axis=0)).astype(np.int64)


def _dense(values: sparse.csr_array) -> NDArray[np.int8]:
    return values.astype(np.int8).toarray()


@dataclass(frozen=True)
class Measured:
    """The metrics of an experiment, each a mean over seeds.

    points: metric to value. samples: metric to (draws,), for intervals. seeds: metric to (seeds,).
    truth: (test notes, codes). predicted: one such array per seed. Both are sparse, since all experiments are held at
    once.
    comparable: whether it is measured on all pairs of the labels that the source has.
    """

    points: dict[str, float]
    samples: dict[str, NDArray[np.float64]]
    seeds: dict[str, NDArray[np.float64]]
    truth: sparse.csr_array
    predicted: list[sparse.csr_array]
    comparable: bool = True


def measured_on(truth: NDArray, predicted: list[NDArray], parameters: Parameters) -> Measured:
    """Metrics of predicted codes, one array (test notes, codes) per seed; `parameters` set the bootstrap draws."""
    draws = resampling.resamples(*truth.shape, times=parameters.bootstrap_draws, seed=parameters.seed)
    points = [label_metrics.scores(truth, part) for part in predicted]
    samples = [resampling.bootstrap(truth, part, draws) for part in predicted]
    share = resampling.seed_weights(len(predicted), times=parameters.bootstrap_draws, seed=parameters.seed)
    return Measured(
        points={figure: float(np.mean([p[figure] for p in points])) for figure in points[0]},
        samples={
            figure: (share * np.stack([s[figure] for s in samples], axis=1)).sum(axis=1) for figure in HEADLINE_METRICS
        },
        seeds={figure: np.array([p[figure] for p in points]) for figure in HEADLINE_METRICS},
        truth=sparse.csr_array(truth),
        predicted=[sparse.csr_array(part) for part in predicted],
    )


def table(measured: dict[str, Measured], *, times: int, seed: int, reference: str = BASE) -> pd.DataFrame:
    """One row per experiment: F1 from 0 to 1 with INTERVAL, gain over the reference, and Holm-corrected p.

    Per headline metric the columns end in `_low`, `_high`, `_sd` (over seeds), `_gain`, `_gain_low`, `_gain_high` and
    `_p`. p is for comparable rows only, see `definition_of_p`. times: permutations.
    """
    base, lines, p_values = measured[reference], {}, {figure: {} for figure in HEADLINE_METRICS}
    for name, found in progress.over(measured.items(), "permutation tests"):
        line: dict[str, Any] = {"comparable": found.comparable, "seeds": len(found.predicted)}
        for figure in HEADLINE_METRICS:
            low, high = resampling.interval(found.samples[figure])
            gain = found.samples[figure] - base.samples[figure]
            gain_low, gain_high = resampling.interval(gain)
            line |= {figure: found.points[figure], f"{figure}_low": low, f"{figure}_high": high}
            line |= {f"{figure}_sd": float(np.std(found.seeds[figure], ddof=1)) if len(found.predicted) > 1 else np.nan}
            line |= {f"{figure}_gain": found.points[figure] - base.points[figure]}
            line |= {f"{figure}_gain_low": gain_low, f"{figure}_gain_high": gain_high}
        lines[name] = line | {k: v for k, v in found.points.items() if k not in HEADLINE_METRICS}
        if name != reference and found.comparable:
            first, second = ([part.toarray() for part in m.predicted] for m in (base, found))
            tested = resampling.permutation_test(base.truth.toarray(), first, second, times=times, seed=seed)
            for figure in HEADLINE_METRICS:
                p_values[figure][name] = tested[figure]
    result = pd.DataFrame(lines).T.infer_objects()
    for figure in HEADLINE_METRICS:
        result[f"{figure}_p"] = pd.Series(resampling.holm(p_values[figure]), dtype=float)
    return result


def gains_by_frequency(
    measured: dict[str, Measured], counts: NDArray[np.int64], parameters: Parameters
) -> pd.DataFrame:
    """micro-F1 of every experiment within each bin of code frequency, and its gain over BASE.

    Gains have a paired 95% interval over test notes and seeds. counts: (codes,), unfiltered training notes.
    Only bins with test positives; columns: `row`, `bin`, `codes`, `positives`, `micro_f1`, `gain`, `low`, `high`.
    """
    bins, lines = label_metrics.frequency_bin(counts), []
    for name in progress.over(bins.cat.remove_unused_categories().cat.categories, "bins of codes"):
        within = {row: _within(found, np.flatnonzero(bins == name), parameters) for row, found in measured.items()}
        base = within[BASE]
        for row, found in within.items() if base.points["positives"] else ():
            low, high = resampling.interval(found.samples["micro_f1"] - base.samples["micro_f1"])
            facts = {"codes": found.points["codes_all"], "positives": found.points["positives"]}
            gain = found.points["micro_f1"] - base.points["micro_f1"]
            lines.append({"row": row, "bin": name, **facts, "micro_f1": found.points["micro_f1"]})
            lines[-1] |= {"gain": gain, "low": low, "high": high}
    return pd.DataFrame(lines)


def _within(found: Measured, codes: NDArray[np.int64], parameters: Parameters) -> Measured:
    predicted = [part[:, codes].toarray() for part in found.predicted]
    return measured_on(found.truth[:, codes].toarray(), predicted, parameters)


def definition_of_p(table: pd.DataFrame, *, times: int) -> str:
    """What p means in this `table`, and the smallest value it can have. times: permutations used for it."""
    asked = int(table[f"{HEADLINE_METRICS[0]}_p"].notna().sum())
    return (
        f"of no gain, two-sided: paired permutation test given the trained models, {times:,} draws; Holm's correction "
        f"over the {asked} comparable rows, micro and macro each by itself, so none is below {asked}/{times + 1:,} = "
        f"{min(asked / (times + 1), 1):.3f}"
    )
