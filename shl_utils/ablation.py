"""The ablation: rows that differ in named choices and in nothing else, measured alike."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from shl_utils import evaluation, filtering, metrics, predictions, provenance, significance, variants
from shl_utils.corpus import Corpus
from shl_utils.parameters import PLACEMENT, Parameters, check, nearest, owned_by, read_yaml
from shl_utils.predictions import Predictions
from shl_utils.variants import Variant

GRIDS = provenance.PROJECT / "params" / "grids"
BASE = "unified bce, no filter"
SCORING = ("union", "own notes")
REPEAT = "training_seed"  # levels of this one are averaged, not compared
FIGURES = ("micro_f1", "macro_f1_present")
# what may vary: how labels are filtered and cut into segments, and how a segment is trained
VARIED = ("scoring", "encoder", "max_tokens", "filter_by", "filter_threshold", "filter_labels")
VARIED += tuple(owned_by("02_segment"))
VARIED += tuple(n for n in owned_by("03_train") if n not in ("epochs", "precision", *PLACEMENT))


@dataclass(frozen=True)
class Row:
    """One row of the table.

    choices: level of every factor but the seed. scoring: "union" (all segments on all notes) or "own notes" (a segment
    only on notes that hold one of its codes, by gold: a reading of the paper, not a way to code a note).
    parameters: of the labels that it is measured on. trained: what it predicts with, one a seed.
    """

    choices: dict[str, Any]
    scoring: str
    parameters: Parameters
    trained: tuple[Variant, ...]

    @property
    def name(self) -> str:
        named = ("loss", "segmentation", "filter_labels", "scoring")
        rest = [f"{factor} {level}" for factor, level in self.choices.items() if factor not in named]
        scoring = [] if self.scoring == "union" else [self.scoring]
        return ", ".join([Variant("", self.parameters).name, *scoring, *rest])

    @property
    def comparable(self) -> bool:
        """Whether it is measured on all pairs of the labels that the source has."""
        return self.scoring == "union" and self.parameters.filter_labels != "all"


def grid_path(grid: str) -> Path:
    return Path(grid).expanduser() if Path(grid).suffix else GRIDS / f"{grid}.yaml"


def load(grid: str) -> list[dict[str, list]]:
    """Blocks of a grid file, each {factor: levels}: a name below params/grids, or a path."""
    path = grid_path(grid)
    blocks = read_yaml(path)
    blocks = blocks if isinstance(blocks, list) else [blocks]
    for block in blocks:
        if not isinstance(block, dict) or not block or not all(isinstance(v, list) and v for v in block.values()):
            raise ValueError(f"{path}: expected blocks of `factor: [level, ...]`")
        for factor in block:
            if factor not in VARIED:
                raise ValueError(f"{path}: unknown factor {factor!r}{nearest(str(factor), VARIED)}")
        for level in block.get("scoring", []):
            if level not in SCORING:
                raise ValueError(f"{path}: scoring: use one of {', '.join(SCORING)}, got {level!r}")
    return blocks


def rows(grid: str, parameters: Parameters) -> list[Row]:
    """Every combination within each block over the run's parameters; the same combination stands once, and BASE
    always.

    Models are trained under filter_labels "train" where the row says "all": the rows differ in what they are measured
    on, so they share them. Models that an earlier stage trained alike keep that folder.
    """
    found: dict[str, Row] = {}
    for block in load(grid):
        factors = [factor for factor in block if factor != REPEAT]
        for levels in itertools.product(*(block[factor] for factor in factors)):
            choices = dict(zip(factors, levels))
            changed = {k: v for k, v in choices.items() if k != "scoring"} | {"epochs": parameters.ablation_epochs}
            full = check(parameters.model_dump() | changed, origin=f"grid {grid}")
            seeds = block.get(REPEAT, [parameters.training_seed])
            trained = tuple(_trained(choices, full, seed, parameters) for seed in seeds)
            row = Row(choices, choices.get("scoring", "union"), full, trained)
            found.setdefault(row.name, row)
    base = {"loss": "bce", "segmentation": "none", "filter_labels": "none"}
    if BASE not in found:
        changed = base | {"start": "fresh", "epochs": parameters.ablation_epochs}
        full = parameters.model_copy(update=changed)
        found = {BASE: Row(base, "union", full, (_trained(base, full, full.training_seed, parameters),))} | found
    return list(found.values())


def _trained(choices: dict[str, Any], full: Parameters, seed: int, run: Parameters) -> Variant:
    labels = {"all": "train"}.get(full.filter_labels, full.filter_labels)
    asked = full.model_copy(update={REPEAT: seed, "filter_labels": labels})
    for known in (variants.main(run), variants.reference(run)):
        if known.parameters == asked:
            return known
    parts = {k: v for k, v in choices.items() if k != "scoring"} | {"filter_labels": labels, REPEAT: seed}
    name = ",".join(f"{factor}={level}" for factor, level in parts.items())
    return Variant(f"ablation/{name.replace('/', '_')}", asked)


def models(wanted: list[Row]) -> list[Variant]:
    """What has to be trained for these rows, each once, without what earlier stages trained."""
    unique = {variant.folder: variant for row in wanted for variant in row.trained}
    return [variant for folder, variant in unique.items() if folder.startswith("ablation/")]


@dataclass(frozen=True)
class Measured:
    """A row's figures, each a mean over seeds.

    points: figure to value. samples: figure to (draws,), for intervals. seeds: figure to (seeds,).
    truth, predicted: (test notes, codes), the latter one a seed.
    """

    points: dict[str, float]
    samples: dict[str, NDArray[np.float64]]
    seeds: dict[str, NDArray[np.float64]]
    truth: NDArray[np.int8]
    predicted: list[NDArray[np.int8]]


def measure(folder: Path, corpus: Corpus, row: Row, linear: Predictions | None = None) -> Measured:
    """Predict the row's test codes under its own thresholds, labels and scoring; `linear` stands in for its models."""
    gold = filtering.read_labels(folder / "filter.parquet", corpus, row.parameters)
    truth = evaluation.test_truth(corpus, gold)
    predicted = []
    for found in [linear] if linear else (predictions.of_variant(folder, v, corpus) for v in row.trained):
        if row.scoring == "own notes":
            mask = own_notes(corpus, gold, row.parameters)[found.rows]
            found = replace(found, probabilities=found.probabilities * mask)
        predicted.append(evaluation.decide(corpus, found, evaluation.cut(corpus, gold, found, row.parameters)))
    return _measured(truth, predicted, row.parameters)


def _measured(truth: NDArray, predicted: list[NDArray], parameters: Parameters) -> Measured:
    draws = metrics.resamples(*truth.shape, times=parameters.bootstrap, seed=parameters.seed)
    points = [metrics.scores(truth, part) for part in predicted]
    samples = [metrics.bootstrap(truth, part, draws) for part in predicted]
    # the same weights of seeds for every row, so that differences between rows are paired in them too
    share = np.random.default_rng(parameters.seed).dirichlet(np.ones(len(predicted)), size=parameters.bootstrap)
    return Measured(
        points={figure: float(np.mean([p[figure] for p in points])) for figure in points[0]},
        samples={figure: (share * np.stack([s[figure] for s in samples], axis=1)).sum(axis=1) for figure in FIGURES},
        seeds={figure: np.array([p[figure] for p in points]) for figure in FIGURES},
        truth=truth,
        predicted=predicted,
    )


def own_notes(corpus: Corpus, gold: sparse.csr_array, parameters: Parameters) -> NDArray[np.bool_]:
    """(notes, codes): whether the note holds a code of the code's segment, by gold; segments as eta cuts them."""
    table = variants.segment_table(corpus, gold, segmentation="eta", eta=parameters.eta)
    segments = variants.segment_of_code(table, corpus)
    codes = np.flatnonzero(segments >= 0)
    member = sparse.csr_array(
        (np.ones(len(codes)), (codes, segments[codes])), shape=(len(segments), segments.max() + 1)
    )
    holds = (gold @ member).toarray() > 0
    return holds[:, segments] & (segments >= 0)


def table(measured: dict[str, Measured], wanted: list[Row], *, times: int, seed: int) -> pd.DataFrame:
    """One row a line, in points of F1 x 100: value, interval, spread over seeds, gain over BASE and its corrected p.

    The interval covers test notes and seeds. p: paired permutation test, Holm's correction over the comparable rows.
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
            tested = significance.permutation_test(base.truth, base.predicted, found.predicted, times=times, seed=seed)
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


def seconds(folder: Path, wanted: list[Row]) -> pd.Series:
    """Training time of each row's models, the mean over seeds, whenever that was."""
    times = {row.name: [variants.training_seconds(folder, v) for v in row.trained] for row in wanted}
    return pd.Series({name: float(np.mean(values)) for name, values in times.items()})


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table as a person reads it: points of F1, and the gain over BASE with its corrected p."""
    columns = {}
    for figure, title in zip(FIGURES, ("micro", "macro")):
        columns |= {
            f"{title}-F1": table.apply(_value, axis=1, figure=figure),
            f"{title} gain": table.apply(_gain, axis=1, figure=figure),
        }
    columns["seconds"] = table["training_seconds"].map("{:.0f}".format, na_action="ignore").fillna("")
    names = [name if row["comparable"] else f"({name})" for name, row in table.iterrows()]
    return pd.DataFrame(columns).set_axis(names)


def _value(row: pd.Series, figure: str) -> str:
    value, low, high = (100 * row[f"{figure}{end}"] for end in ("", "_low", "_high"))
    spread = f" ±{100 * row[f'{figure}_sd']:.1f}" if np.isfinite(row[f"{figure}_sd"]) else ""
    return f"{value:.1f} [{low:.1f}, {high:.1f}]{spread}"


def _gain(row: pd.Series, figure: str) -> str:
    if row.name == BASE:
        return ""
    value, low, high = (100 * row[f"{figure}_gain{end}"] for end in ("", "_low", "_high"))
    p = row[f"{figure}_p"]
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]" + (f" p {p:.3f}" if np.isfinite(p) else "")


def write_markdown(path: Path, *tables: pd.DataFrame) -> None:
    """Readable tables as text, for a terminal or a report."""
    texts = [_markdown(table.rename_axis(table.index.name or "row").reset_index()) for table in tables]
    path.write_text("\n\n".join(texts) + "\n", encoding="utf-8")


def _markdown(table: pd.DataFrame) -> str:
    lines = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def together(curves: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """All curves of `one_factor` in one table, the levels as text."""
    parts = [curve.assign(factor=factor, level=curve["level"].astype(str)) for factor, curve in curves.items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"factor": [], "level": []})
