"""Comparison of finished runs on the same test notes: `shl compare`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from shl_utils.data import corpus as corpora
from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import linear_baseline, predictions, results, score_metrics
from shl_utils.evaluation.results import Measured
from shl_utils.parameters import PLACEMENT, STAGES, Parameters, owned_by
from shl_utils.reporting import html_page, tables
from shl_utils.runs import stages, stamps, storage
from shl_utils.training import similarities, variants

STAGE = "04_evaluate"
IRRELEVANT_FOR_IDENTITY = {
    "run",
    "training_seed",
    *PLACEMENT,
    *(n for s in STAGES[STAGES.index(STAGE) + 1 :] for n in owned_by(s)),
}


@dataclass(frozen=True)
class Compared:
    """table: `results.table` over the model `reference`, one row per model; gains are valid only if `paired`. settings:
    parameters in which the runs differ, one column per run. definitions: of the columns of `shown`."""

    table: pd.DataFrame
    reference: str
    settings: pd.DataFrame
    definitions: dict[str, str]
    paired: bool

    @property
    def shown(self) -> pd.DataFrame:
        """The table for readers; without gains where the runs' data differ."""
        shown = tables.ablation(self.table, reference=self.reference)
        return shown if self.paired else shown[[name for name in shown if not name.endswith("gain")]]


@dataclass(frozen=True)
class _Run:
    name: str
    parameters: Parameters
    corpus: Corpus
    prints: dict[str, str]
    folder: Path
    core_seconds: dict[str, float]


def compare_runs(folders: Sequence[Path], *, different: bool = False) -> Compared:
    """Compare the models that `04_evaluate` of these runs measured; gains are over the first run's main model.

    Runs that differ in `training_seed` alone are seeds of one row. Of runs with equal parameters and seed, and of
    models with equal predictions, the first stands for all. All are measured with the bootstrap draws of the first run.
    ValueError where notes, splits, codes or labels differ. With `different` they are measured each by itself, without
    gains. FileNotFoundError or ValueError name a file that is missing or altered.
    """
    loaded = [_load(folder) for folder in folders]
    names = [run.name for run in loaded]
    if len(set(names)) < len(names):
        raise ValueError(f"two of the runs {', '.join(names)} have the same name: rename the folder of one")
    paired = _same_data(loaded, different=different)
    found = _measured(loaded, paired=paired)
    how = {"times": loaded[0].parameters.bootstrap_draws, "seed": loaded[0].parameters.seed}
    first = next(iter(found))
    if paired:
        table = results.table({name: one for name, (one, _) in found.items()}, reference=first, **how)
    else:
        table = pd.concat(results.table({n: one}, reference=n, **how) for n, (one, _) in found.items())
    table["core_seconds"] = [seconds for _, seconds in found.values()]
    table["failed"] = 0
    told = tables.definitions(table, times=how["times"], reference=first) | {"measured on": _prints(loaded)}
    unsaid = {"(row)"} if paired else {"(row)", "gain", "p"}
    return Compared(table, first, _settings(loaded), {k: v for k, v in told.items() if k not in unsaid}, paired)


def write(compared: Compared, target: Path) -> list[Path]:
    """Write `target`.md, `target`.html and `target`.json, and return their paths."""
    files = [target.with_name(target.name + end) for end in (".md", ".html", ".json")]
    target.parent.mkdir(parents=True, exist_ok=True)
    tables.write_markdown(files[0], compared.shown, compared.settings, definitions=compared.definitions)
    parts = [
        html_page.table(compared.shown),
        html_page.heading("What differs"),
        html_page.table(compared.settings),
        html_page.listed(compared.definitions),
    ]
    files[1].write_text(html_page.page("Runs side by side", parts), encoding="utf-8")
    storage.write_json(
        files[2], {"paired": compared.paired, "models": json.loads(compared.table.to_json(orient="index"))}
    )
    return files


def _load(folder: Path) -> _Run:
    parameters, _ = stages.finished(folder, STAGE)
    corpus = corpora.read(folder)
    seconds = stamps.read(folder, "03_train")["core_seconds"]
    return _Run(folder.name, parameters, corpus, corpora.fingerprints(corpus), folder, seconds)


def _same_data(loaded: list[_Run], *, different: bool) -> bool:
    """Whether all have the data of the first, with unfiltered test labels; ValueError if not, unless `different`."""
    first = loaded[0]
    faults = []
    for run in loaded[1:]:
        other = [name for name in first.prints if run.prints[name] != first.prints[name]]
        faults += [f"{run.name} has other {', '.join(other)} than {first.name}"] if other else []
    faults += [f"{run.name} filters its test labels" for run in loaded if run.parameters.filter_labels == "all"]
    if faults and not different:
        raise ValueError(f"{'; '.join(faults)}: no difference can be told; --different sets them side by side")
    return not faults


def _measured(loaded: list[_Run], *, paired: bool) -> dict[str, tuple[Measured, float]]:
    """Metrics and core-seconds of every model, by its name with those of its runs. A model that predicts exactly what
    another does, such as the linear model of runs on the same data, appears once."""
    groups: dict[str, dict[int, _Run]] = {}
    for run in loaded:
        alike = json.dumps([run.parameters.model_dump(exclude=IRRELEVANT_FOR_IDENTITY), run.prints], sort_keys=True)
        groups.setdefault(alike, {}).setdefault(run.parameters.training_seed, run)
    found: dict[str, tuple[Measured, float]] = {}
    for group in (list(seeds.values()) for seeds in groups.values()):
        order = (loaded[0] if paired else group[0]).corpus
        parts: dict[str, list[tuple[Any, float]]] = {}
        for run in group:
            for name, one in _of_run(run, order.notes["note"].iloc[order.rows("test")]).items():
                parts.setdefault(name, []).append(one)
        for name, several in parts.items():
            several = several[:1] if name == linear_baseline.LINEAR else several
            named = f"{name} ({', '.join(run.name for run in group[: len(several)])})"
            one = _together([part for part, _ in several], loaded[0].parameters if paired else group[0].parameters)
            if not paired or not any(_equal(one, other) for other, _ in found.values()):
                found[named] = one, float(sum(seconds for _, seconds in several))
    return found


def _of_run(run: _Run, order: pd.Series) -> dict[str, tuple[Any, float]]:
    """Per model: truth and predicted codes of the test notes, mean average precision, and core-seconds.

    order: ids of the test notes; another run may hold them in another order.
    """
    gold = similarities.read_labels(run.folder / "filter.parquet", run.corpus, run.parameters)
    truth, rows = results.test_truth(run.corpus, gold), run.corpus.rows("test")
    places = pd.Index(run.corpus.notes["note"].iloc[rows]).get_indexer(order)
    models = {v.name: predictions.read_variant(run.folder, v, run.corpus) for v in variants.compared(run.parameters)}
    models[linear_baseline.LINEAR] = predictions.read(run.folder / "tfidf" / "predictions.parquet", run.corpus)
    result = {}
    for name, found in models.items():
        decided = results.binarize(
            run.corpus, found, results.choose_thresholds(run.corpus, gold, found, run.parameters)
        )
        precision = score_metrics.mean_average_precision(truth, found.select(rows))
        result[name] = (truth[places], decided[places], precision), run.core_seconds.get(name, np.nan)
    return result


def _together(parts: list[tuple], parameters: Parameters) -> Measured:
    """One row from the seeds in `parts`."""
    one = results.measured_on(parts[0][0], [predicted for _, predicted, _ in parts], parameters)
    return replace(one, points=one.points | {"map": float(np.mean([value for *_, value in parts]))})


def _equal(one: Measured, other: Measured) -> bool:
    pairs = zip(one.predicted, other.predicted)
    return len(one.predicted) == len(other.predicted) and all((a != b).nnz == 0 for a, b in pairs)


def _settings(loaded: list[_Run]) -> pd.DataFrame:
    """The parameters that differ between the runs, one column per run."""
    all_of = pd.DataFrame({run.name: {k: str(v) for k, v in run.parameters.model_dump().items()} for run in loaded})
    differ = all_of.nunique(axis=1) > 1
    return all_of[differ].drop(index=["run"], errors="ignore").rename_axis("parameter")


def _prints(loaded: list[_Run]) -> str:
    prints = {run.name: tables.named(run.prints) for run in loaded}
    same = len(set(prints.values())) == 1
    return prints[loaded[0].name] if same else "; ".join(f"{name}: {told}" for name, told in prints.items())
