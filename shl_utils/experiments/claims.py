"""The paper's claims, each as a comparison of experiments of an ablation, and the verdict on it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from shl_utils.declarations import LOSSES
from shl_utils.evaluation import measurement
from shl_utils.evaluation.linear_baseline import LINEAR
from shl_utils.evaluation.measurement import Measured
from shl_utils.evaluation.resampling import HEADLINE_METRICS
from shl_utils.evaluation.verdicts import MARK, disagree, verdict
from shl_utils.experiments import effects
from shl_utils.experiments.ablation import DEFAULTS, REFERENCE, Experiment, change_name, level_name
from shl_utils.parameters import STAGES, Parameters
from shl_utils.runs import locations, stages, stamps

METHOD = {"loss", "segmentation", "filter_labels", "scoring", "beta"}  # what the method's experiments may differ in
NO_ROWS = "no such rows"  # in the grid
STAGE = "05_ablate"  # that measures the claims
ROUNDED = 1e-9  # published numbers have ten decimals
PAPER = {"comparable": True, "primary": False}
PRIMARY = PAPER | {"primary": True}  # as docs/study.md has it; all else is exploratory
EASIER = {"comparable": False, "primary": False}  # what an easier protocol would bring
Found = tuple[str, dict[str, float]]  # name of what measured a claim, and the change as `effects.mean_change` gives it


def measure(measured: dict[str, Measured], experiments: list[Experiment], run: Parameters) -> pd.DataFrame:
    """One row per claim and metric, with the measured gain and its 95% interval.

    Columns: `claim`, `comparable` (False for claims about easier protocols), `primary` (True for one claim), `measured`
    (names of the experiments), `metric`, and `gain`, `low` and `high`, which are NaN where the grid has none.
    measured: metrics of all `experiments`, and of LINEAR, by id. run: its loss, if harmonic, is taken as the paper's,
    and so is its beta where a claim names none. The paper's claims are judged only on experiments without extensions.
    """
    lines = [
        {"claim": claim}
        | kind
        | {"measured": name, "metric": metric}
        | dict(zip(("gain", "low", "high"), (found.get(metric + end, math.nan) for end in measurement.ENDS)))
        for claim, kind, (name, found) in _claims(measured, experiments, run)
        for metric in HEADLINE_METRICS
    ]
    return pd.DataFrame(lines)


def _claims(
    measured: dict[str, Measured], experiments: list[Experiment], run: Parameters
) -> Iterator[tuple[str, dict[str, bool], Found]]:
    papers = [one for one in experiments if not one.extension]
    same_beta = [one for one in papers if one.levels(["beta"]).get("beta", run.beta) == run.beta]
    segmented = [one for one in same_beta if one.parameters.segmentation == "eta"]

    def over(reference: str, **parts: str) -> Found:
        one = _method(papers, run, **parts)
        if one is None or reference not in measured:
            return NO_ROWS, {}
        return one.name, effects.mean_change(measured, [(reference, one.id)])

    def change(among: list[Experiment], factor: str, before: str, after: str) -> Found:
        pairs = effects.informative(effects.pairs(among, factor, before, after))
        if not pairs:
            return NO_ROWS, {}
        said = change_name(factor, level_name(factor, before), level_name(factor, after))
        name = f"{said}, {len(pairs)} pair{'s' * (len(pairs) > 1)}"
        return name, effects.mean_change(measured, [(a.id, b.id) for a, b in pairs])

    for beta in sorted({"R1", "R3", run.beta}):  # the default, the study's other one, and the run's own
        for rival, reference in (("one BCE model", REFERENCE), ("a linear model", LINEAR)):
            whole, unfiltered = (over(reference, beta=beta, filter_labels=labels) for labels in ("train", "none"))
            yield f"With beta {beta}, the whole method beats {rival}", PAPER, whole
            primary = (beta, run.loss, reference) == (DEFAULTS.beta, DEFAULTS.loss, REFERENCE)
            without = f"With beta {beta}, the method without its filter beats {rival}"
            yield without, PRIMARY if primary else PAPER, unfiltered
    both = {"beta": run.beta, "filter_labels": "all", "scoring": "oracle_routing"}
    yield "Segments beat one model", PAPER, change(same_beta, "segmentation", "none", "eta")
    yield "In segments, the harmonic loss beats BCE", PAPER, change(segmented, "loss", "bce", _harmonic(run))
    yield "In segments, its weights alone beat BCE", PAPER, change(segmented, "loss", "bce", "sh")
    yield "The filter on training labels helps", PAPER, change(same_beta, "filter_labels", "none", "train")
    yield "Filtering the test labels too lifts F1", EASIER, change(same_beta, "filter_labels", "train", "all")
    yield (
        "Oracle routing of notes to segments lifts F1",
        EASIER,
        change(same_beta, "scoring", "union", "oracle_routing"),
    )
    yield "With both, the method beats one BCE model", EASIER, over(REFERENCE, **both)


def _method(experiments: list[Experiment], run: Parameters, **parts: str) -> Experiment | None:
    """The experiment of the paper's loss and segments with these levels, and all else as in the run."""
    wanted = {"loss": _harmonic(run), "segmentation": "eta", "scoring": "union"} | parts
    return next((one for one in experiments if one.levels(wanted) == wanted and one.departures.keys() <= METHOD), None)


def _harmonic(run: Parameters) -> str:
    """The run's loss if it is one of the paper's, else "", which no experiment has."""
    return run.loss if LOSSES[run.loss].harmonic else ""


def judge_run(folder: Path) -> pd.DataFrame:
    """The claims measured in the run in `folder`, indexed by claim, as `judged` gives them."""
    lines = pd.read_parquet(folder / "claims.parquet").set_index("claim")
    return judged(lines, pd.read_parquet(folder / "ablation.parquet"))


def judged(lines: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Claims with their `verdict`, read off `low` and `high`, and a `mark` where the p of this very gain disagrees.

    table: of `results.table`, with gain and p of each row. A claim over another reference, or over pairs, has no p.
    """
    rows = table.set_index("row")

    def doubted(found: str, metric: str, gain: float, low: float, high: float) -> bool:
        own = found in rows.index and abs(rows.loc[found, f"{metric}_gain"] - gain) <= ROUNDED
        return own and disagree(low, high, rows.loc[found, f"{metric}_p"])

    known = lines[["measured", "metric", "gain", "low", "high"]].to_numpy()
    return lines.assign(verdict=said(lines), mark=[MARK if doubted(*line) else "" for line in known])


def said(lines: pd.DataFrame) -> list[str]:
    """The verdict on each line, read off `low` and `high`."""
    return [verdict(*line) for line in zip(lines["low"], lines["high"], lines["metric"])]


def run_folders(names: list[str]) -> dict[str, Path]:
    """Name to folder of these runs; ValueError if two folders have the same last name, by which tables list them."""
    folders = {folder: folder.name for folder in map(locations.folder_of, names)}
    for name, n in Counter(folders.values()).items():
        if n > 1:
            raise ValueError(f"`compare_with`: {n} runs are called {name}: rename the folder of one")
    return {name: folder for folder, name in folders.items()}


def judge_runs(folders: dict[str, Path]) -> pd.DataFrame:
    """`judge_run` of every run in one table, claim by claim. The column `run` holds the run's name and its own beta.

    FileNotFoundError or ValueError name a run that has not finished its ablation, or was altered since.
    """
    parts = []
    for name, folder in folders.items():
        parameters, _ = stages.finished(folder, STAGE)
        parts.append(judge_run(folder).assign(run=f"{name} ({parameters.beta})"))
    lines = pd.concat(parts)
    return lines.loc[lines.index.unique()]


def fingerprints(folders: dict[str, Path]) -> dict[str, dict[str, str]]:
    """Of every run's data, by the run's name: where they differ, more differs than the models."""
    return {name: stamps.read(folder, STAGES[0]).get("fingerprints", {}) for name, folder in folders.items()}


def failed(folders: dict[str, Path]) -> pd.DataFrame:
    """Experiments of these runs with failed training runs, see `diagnostics`: `run`, `row`, `failed` (how many)."""
    parts = [pd.read_parquet(folder / "ablation.parquet").assign(run=name) for name, folder in folders.items()]
    lines = pd.concat(parts, ignore_index=True)
    return lines.loc[lines["failed"] > 0, ["run", "row", "failed"]].reset_index(drop=True)
