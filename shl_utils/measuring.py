"""The figures of an ablation's rows: all measured alike, on the same draws of notes, codes and seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from shl_utils import evaluation, filtering, grid, metrics, predictions, progress, ranking, scoring, significance
from shl_utils.ablation import BASE, Row
from shl_utils.corpus import Corpus
from shl_utils.parameters import Parameters
from shl_utils.predictions import Predictions

FIGURES = ("micro_f1", "macro_f1_present")
INTERVAL = f"{metrics.INTERVAL}, and over seeds of training where there are several (few make it a little narrow)"


@dataclass(frozen=True)
class Measured:
    """A row's figures, each a mean over seeds.

    points: figure to value. samples: figure to (draws,), for intervals. seeds: figure to (seeds,).
    truth, predicted: (test notes, codes), the latter one a seed; sparse, since all rows are held at once.
    """

    points: dict[str, float]
    samples: dict[str, NDArray[np.float64]]
    seeds: dict[str, NDArray[np.float64]]
    truth: sparse.csr_array
    predicted: list[sparse.csr_array]


def measure(folder: Path, corpus: Corpus, row: Row, linear: Predictions | None = None) -> Measured:
    """Predict the row's test codes under its own thresholds, labels and scoring; `linear` stands in for its models."""
    gold = filtering.read_labels(folder / "filter.parquet", corpus, row.parameters)
    truth = evaluation.test_truth(corpus, gold)
    predicted, maps = [], []
    for i, found in enumerate([linear] if linear else [predictions.of_variant(folder, v, corpus) for v in row.trained]):
        if row.scoring == "oracle_routing":
            found = scoring.on_own_notes(corpus, gold, found, row.parameters)
        elif row.scoring == "stacked":
            partner = predictions.of_variant(folder, row.partners[i], corpus)
            found = scoring.joined(corpus, gold, found, partner)
        predicted.append(evaluation.decide(corpus, found, evaluation.cut(corpus, gold, found, row.parameters)))
        maps.append(ranking.mean_average_precision(truth, found.of(corpus.rows("test"))))
    result = measured_on(truth, predicted, row.parameters)
    return replace(result, points=result.points | {"map": float(np.mean(maps))})


def measured_on(truth: NDArray, predicted: list[NDArray], parameters: Parameters) -> Measured:
    """The figures of predicted codes, one array a seed, on the draws that `parameters` ask for."""
    draws = metrics.resamples(*truth.shape, times=parameters.bootstrap_draws, seed=parameters.seed)
    points = [metrics.scores(truth, part) for part in predicted]
    samples = [metrics.bootstrap(truth, part, draws) for part in predicted]
    share = seed_weights(len(predicted), times=parameters.bootstrap_draws, seed=parameters.seed)
    return Measured(
        points={figure: float(np.mean([p[figure] for p in points])) for figure in points[0]},
        samples={figure: (share * np.stack([s[figure] for s in samples], axis=1)).sum(axis=1) for figure in FIGURES},
        seeds={figure: np.array([p[figure] for p in points]) for figure in FIGURES},
        truth=sparse.csr_array(truth),
        predicted=[sparse.csr_array(part) for part in predicted],
    )


def seed_weights(n: int, *, times: int, seed: int) -> NDArray[np.float64]:
    """(times, n): how much each of `n` seeds counts in a draw, the same for every row, so that rows are paired in them.

    Bayesian bootstrap, spread by (n + 1) / (n - 1), without which a mean of n values would vary too little. The 95%
    interval over three seeds alone covers 79%, over seeds and as much other noise 93%: a test says so.
    """
    share = np.random.default_rng(seed).dirichlet(np.ones(n), size=times)
    return 1 / n + (share - 1 / n) * (((n + 1) / (n - 1)) ** 0.5 if n > 1 else 0)


def table(
    measured: dict[str, Measured], wanted: list[Row], *, times: int, seed: int, reference: str = BASE
) -> pd.DataFrame:
    """One row a line: F1 from 0 to 1 with INTERVAL, spread over seeds, gain over the reference and its corrected p.

    p: see `definition_of_p`.
    """
    comparable = {row.name: row.comparable for row in wanted}
    base, lines, p_values = measured[reference], {}, {figure: {} for figure in FIGURES}
    for name, found in progress.over(measured.items(), "permutation tests"):
        line: dict[str, Any] = {"comparable": comparable.get(name, True), "seeds": len(found.predicted)}
        for figure in FIGURES:
            low, high = metrics.interval(found.samples[figure])
            gain = found.samples[figure] - base.samples[figure]
            gain_low, gain_high = metrics.interval(gain)
            line |= {figure: found.points[figure], f"{figure}_low": low, f"{figure}_high": high}
            line |= {f"{figure}_sd": float(np.std(found.seeds[figure], ddof=1)) if len(found.predicted) > 1 else np.nan}
            line |= {f"{figure}_gain": found.points[figure] - base.points[figure]}
            line |= {f"{figure}_gain_low": gain_low, f"{figure}_gain_high": gain_high}
        lines[name] = line | {k: v for k, v in found.points.items() if k not in FIGURES}
        if name != reference and lines[name]["comparable"]:
            first, second = ([part.toarray() for part in m.predicted] for m in (base, found))
            tested = significance.permutation_test(base.truth.toarray(), first, second, times=times, seed=seed)
            for figure in FIGURES:
                p_values[figure][name] = tested[figure]
    result = pd.DataFrame(lines).T.infer_objects()
    for figure in FIGURES:
        result[f"{figure}_p"] = pd.Series(significance.holm(p_values[figure]), dtype=float)
    return result


def by_frequency(measured: dict[str, Measured], counts: NDArray[np.int64], parameters: Parameters) -> pd.DataFrame:
    """Where the differences lie: micro-F1 of every row within each bin of code frequency, and its gain over BASE with
    a paired 95% interval over test notes and seeds. counts: (codes,), unfiltered training notes.

    A line a row and bin that has positives in the test: `row`, `bin`, `codes`, `positives`, `micro_f1`, `gain`, `low`,
    `high`.
    """
    bins, lines = metrics.frequency_bin(counts), []
    for name in progress.over(bins.cat.remove_unused_categories().cat.categories, "bins of codes"):
        within = {row: _within(found, np.flatnonzero(bins == name), parameters) for row, found in measured.items()}
        base = within[BASE]
        for row, found in within.items() if base.points["positives"] else ():
            low, high = metrics.interval(found.samples["micro_f1"] - base.samples["micro_f1"])
            facts = {"codes": found.points["codes_all"], "positives": found.points["positives"]}
            gain = found.points["micro_f1"] - base.points["micro_f1"]
            lines.append({"row": row, "bin": name, **facts, "micro_f1": found.points["micro_f1"]})
            lines[-1] |= {"gain": gain, "low": low, "high": high}
    return pd.DataFrame(lines)


def _within(found: Measured, codes: NDArray[np.int64], parameters: Parameters) -> Measured:
    predicted = [part[:, codes].toarray() for part in found.predicted]
    return measured_on(found.truth[:, codes].toarray(), predicted, parameters)


def definition_of_p(table: pd.DataFrame, *, times: int) -> str:
    """What p is in this `table`, and how small it can be at all; `times` as it was made with."""
    asked = int(table[f"{FIGURES[0]}_p"].notna().sum())
    return (
        f"of no gain, two-sided: paired permutation test given the trained models, {times:,} draws; Holm's correction "
        f"over the {asked} comparable rows, micro and macro each by itself, so none is below {asked}/{times + 1:,} = "
        f"{min(asked / (times + 1), 1):.3f}"
    )


def one_factor(table: pd.DataFrame, wanted: list[Row]) -> dict[str, pd.DataFrame]:
    """The last factor of every place in the grid to its rows of the table by `level`; what stands before it is held.

    A place without a factor is on no curve, nor is one whose last factor changes nothing in its row.
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
    """All curves of `one_factor` in one table, the levels as text."""
    parts = [curve.assign(factor=factor, level=curve["level"].map(grid.short)) for factor, curve in curves.items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"factor": [], "level": []})
