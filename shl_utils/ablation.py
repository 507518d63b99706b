"""The ablation: rows that differ in named choices and in nothing else, measured alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from shl_utils import (
    evaluation,
    filtering,
    grid,
    launch,
    metrics,
    predictions,
    ranking,
    scoring,
    significance,
    variants,
)
from shl_utils.corpus import Corpus
from shl_utils.parameters import Parameters
from shl_utils.predictions import Predictions
from shl_utils.variants import Variant

BASE = "unified bce, no filter"
FIGURES = ("micro_f1", "macro_f1_present")


@dataclass(frozen=True)
class Row:
    """One row of the table.

    choices: level of every factor but the seed. scoring: "union" (all segments on all notes), "own notes" (a segment
    only on notes that hold one of its codes, by gold: a reading of the paper, not a way to code a note) or "joint" (the
    union, calibrated together with one BCE model of all codes: ours, see `recalibration`).
    settings: full parameters, several where one is still to be chosen (`tuning`). options: for each setting the models,
    one a seed. added: BASE, where the grid does not have it.
    """

    choices: dict[str, Any]
    scoring: str
    settings: tuple[Parameters, ...]
    options: tuple[tuple[Variant, ...], ...]
    added: bool = False

    @property
    def parameters(self) -> Parameters:
        """Of the labels that it is measured on, the same for all settings."""
        return self.settings[0]

    @property
    def trained(self) -> tuple[Variant, ...]:
        """What it predicts with, one a seed."""
        if len(self.options) > 1:
            raise ValueError(f"{self.name}: one of {len(self.options)} settings is to be chosen first")
        return self.options[0]

    @property
    def partners(self) -> tuple[Variant, ...]:
        """What each of `trained` is joined with under the scoring "joint": the one BCE model of like pooling and start,
        with the next seed, so that such a model, joined, is a pair of two as well, and shows what a pair is worth
        without segments (with one seed it is only recalibrated)."""
        if self.scoring != "joint":
            return ()
        models = [variant.plain or variant for variant in self.trained]
        return (*models[1:], models[0])

    @property
    def name(self) -> str:
        named = ("loss", "segmentation", "filter_labels", "scoring", "start")
        rest = [f"{factor} {level}" for factor, level in self.choices.items() if factor not in named]
        scoring = [] if self.scoring == "union" else [self.scoring]
        return ", ".join([Variant("", self.parameters).name, *scoring, *rest])

    def level(self, factor: str) -> Any:
        """Of a factor that this or another row of the grid varies; None where it changes nothing here."""
        if factor == "scoring":
            return self.scoring
        return None if factor in _moot(self.parameters) else getattr(self.parameters, factor)

    @property
    def comparable(self) -> bool:
        """Whether it is measured on all pairs of the labels that the source has."""
        return self.scoring != "own notes" and self.parameters.filter_labels != "all"


def rows(name: str, parameters: Parameters) -> list[Row]:
    """The rows of the grid called `name` over the run's parameters, each once, and BASE always.

    Models are trained under filter_labels "train" where the row says "all": the rows differ in what they are measured
    on, so they share them. Models that an earlier stage trained alike keep that folder.
    """
    found: dict[str, Row] = {}
    every_seed: dict[int, None] = {}
    for combination in grid.combinations(name, parameters):
        row = _row(combination, parameters)
        found[row.name] = _merged(found.get(row.name, row), row)
        every_seed |= dict.fromkeys(combination.seeds)
    if BASE not in found:
        plain = {"loss": "bce", "segmentation": "none", "filter_labels": "none"}
        changed = plain | {"start": "fresh", "epochs": parameters.ablation_epochs}
        settings = (parameters.model_copy(update=changed),)
        base = _row(grid.Combination(plain, settings, tuple(every_seed)), parameters)
        found = {BASE: replace(base, added=True)} | found
    return list(found.values())


def _row(combination: grid.Combination, run: Parameters) -> Row:
    choices, settings = combination.choices, combination.settings
    options = tuple(tuple(_trained(full, seed, run) for seed in combination.seeds) for full in settings)
    return Row(choices, choices.get("scoring", "union"), settings, options)


def _merged(known: Row, row: Row) -> Row:
    """One row of two that differ in seeds at most."""
    if known.settings != row.settings:
        raise ValueError(f"{row.name}: two blocks of the grid hold this row with other settings; leave one out")
    pairs = zip(known.options, row.options)
    options = tuple(tuple({v.folder: v for v in (*a, *b)}.values()) for a, b in pairs)
    return replace(known, options=options)


def _trained(full: Parameters, seed: int, run: Parameters) -> Variant:
    labels = {"all": "train"}.get(full.filter_labels, full.filter_labels)
    asked = _without_moot(full.model_copy(update={grid.SEED: seed, "filter_labels": labels}))
    like = _without_moot(variants.plain_of(asked))
    plain = None if like == asked else _trained(like, seed, run)
    for known in variants.with_origins([variants.main(run), variants.reference(run)]):
        if _without_moot(known.parameters) == asked:
            return replace(known, plain=plain)
    # named by what it differs in, so that two rows that come to the same share it
    own = _without_moot(run).model_dump()
    parts = [f"{k}={v}" for k, v in asked.model_dump().items() if own[k] != v] or ["as the run"]
    return Variant(f"ablation/{','.join(parts).replace('/', '_')}", asked, plain)


def _without_moot(parameters: Parameters) -> Parameters:
    """The same with parameters that change nothing here at their defaults."""
    return parameters.model_copy(update={n: Parameters.model_fields[n].default for n in _moot(parameters)})


def _moot(parameters: Parameters) -> set[str]:
    """Names of the parameters that change nothing in such a row."""
    moot = variants.moot(parameters)
    moot |= {"eta"} if parameters.segmentation == "none" else set()
    return moot | ({"filter_by", "filter_threshold"} if parameters.filter_labels == "none" else set())


def models(wanted: list[Row]) -> list[Variant]:
    """What has to be trained for these rows, each once, without what earlier stages trained."""
    asked = [variant for row in wanted for variant in (*row.trained, *row.partners)]
    unique = {variant.folder: variant for variant in variants.with_origins(asked)}
    return [variant for folder, variant in unique.items() if folder.startswith("ablation/")]


def complete(folder: Path, corpus: Corpus, wanted: list[Variant]) -> None:
    """Train these models and predict with them, as far as the run's folder does not hold them yet."""
    variants.write_segments(folder, corpus, wanted)
    launch.train(folder, wanted)
    predictions.keep(folder, wanted, corpus)


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
        if row.scoring == "own notes":
            found = scoring.on_own_notes(corpus, gold, found, row.parameters)
        elif row.scoring == "joint":
            partner = predictions.of_variant(folder, row.partners[i], corpus)
            found = scoring.joined(corpus, gold, found, partner)
        predicted.append(evaluation.decide(corpus, found, evaluation.cut(corpus, gold, found, row.parameters)))
        maps.append(ranking.mean_average_precision(truth, found.of(corpus.rows("test"))))
    result = _measured(truth, predicted, row.parameters)
    return replace(result, points=result.points | {"map": float(np.mean(maps))})


def _measured(truth: NDArray, predicted: list[NDArray], parameters: Parameters) -> Measured:
    draws = metrics.resamples(*truth.shape, times=parameters.bootstrap, seed=parameters.seed)
    points = [metrics.scores(truth, part) for part in predicted]
    samples = [metrics.bootstrap(truth, part, draws) for part in predicted]
    # the same weights of seeds for every row, so that differences between rows are paired in them too
    n = len(predicted)
    share = np.random.default_rng(parameters.seed).dirichlet(np.ones(n), size=parameters.bootstrap)
    # so weighed, a mean of n values varies too little by (n - 1) / (n + 1)
    share = 1 / n + (share - 1 / n) * (((n + 1) / (n - 1)) ** 0.5 if n > 1 else 0)
    return Measured(
        points={figure: float(np.mean([p[figure] for p in points])) for figure in points[0]},
        samples={figure: (share * np.stack([s[figure] for s in samples], axis=1)).sum(axis=1) for figure in FIGURES},
        seeds={figure: np.array([p[figure] for p in points]) for figure in FIGURES},
        truth=sparse.csr_array(truth),
        predicted=[sparse.csr_array(part) for part in predicted],
    )


def table(measured: dict[str, Measured], wanted: list[Row], *, times: int, seed: int) -> pd.DataFrame:
    """One row a line: F1 from 0 to 1 with interval, spread over seeds, gain over BASE and its corrected p.

    The interval covers test notes, codes (macro) and seeds. p: paired permutation test, given these trained models,
    with Holm's correction over the comparable rows.
    """
    comparable = {row.name: row.comparable for row in wanted}
    base, lines, p_values = measured[BASE], {}, {figure: {} for figure in FIGURES}
    for name, found in measured.items():
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
        if name != BASE and lines[name]["comparable"]:
            first, second = ([part.toarray() for part in m.predicted] for m in (base, found))
            tested = significance.permutation_test(base.truth.toarray(), first, second, times=times, seed=seed)
            for figure in FIGURES:
                p_values[figure][name] = tested[figure]
    result = pd.DataFrame(lines).T.infer_objects()
    for figure in FIGURES:
        result[f"{figure}_p"] = pd.Series(significance.holm(p_values[figure]), dtype=float)
    return result


def one_factor(table: pd.DataFrame, wanted: list[Row]) -> dict[str, pd.DataFrame]:
    """factor to its rows of the table by `level`, for the rows that vary one factor alone."""
    single = [(next(iter(row.choices.items())), row.name) for row in wanted if len(row.choices) == 1]
    found: dict[str, list] = {}
    for (factor, level), name in single:
        found.setdefault(factor, []).append({"level": level} | table.loc[name].to_dict())
    return {factor: pd.DataFrame(lines) for factor, lines in found.items()}


def core_seconds(folder: Path, wanted: list[Row]) -> pd.Series:
    """What training each row's models took, see `variants.core_seconds`, the mean over seeds."""
    times = {row.name: [variants.core_seconds(folder, v) for v in row.trained] for row in wanted}
    return pd.Series({name: float(np.mean(values)) for name, values in times.items()})


def together(curves: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """All curves of `one_factor` in one table, the levels as text."""
    parts = [curve.assign(factor=factor, level=curve["level"].astype(str)) for factor, curve in curves.items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"factor": [], "level": []})
