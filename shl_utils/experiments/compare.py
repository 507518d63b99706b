"""Comparison of finished runs on the same test notes: `shl compare`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shl_utils.data import corpus as corpora
from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import linear_baseline, measurement, predictions, results, score_metrics
from shl_utils.evaluation.measurement import Measured
from shl_utils.parameters import PLACEMENT, STAGES, Parameters, owned_by
from shl_utils.reporting import formats, tables
from shl_utils.runs import stages, stamps, storage
from shl_utils.training import diagnostics, similarities, variants

STAGE = "04_evaluate"
IRRELEVANT_FOR_IDENTITY = {
    "run",
    "training_seed",
    *PLACEMENT,
    *(n for s in STAGES[STAGES.index(STAGE) + 1 :] for n in owned_by(s)),
}


@dataclass(frozen=True)
class Compared:
    """table: `results.table`, one row per model; shown: the same for readers, definitions: of its columns. settings:
    parameters in which the runs differ, one column per run."""

    table: pd.DataFrame
    shown: pd.DataFrame
    settings: pd.DataFrame
    definitions: dict[str, str]


@dataclass(frozen=True)
class _Run:
    name: str
    parameters: Parameters
    corpus: Corpus
    fingerprints: dict[str, str]
    folder: Path
    core_seconds: dict[str, float]


@dataclass(frozen=True)
class _Model:
    """A model of a run on the test notes. truth, predicted: (test notes, codes). mean_ap: mean average precision.
    failed: trainings of its segments that failed."""

    name: str
    truth: NDArray[np.int8]
    predicted: NDArray[np.int8]
    mean_ap: float
    core_seconds: float
    failed: int


def compare_runs(folders: Sequence[Path]) -> Compared:
    """Compare the models that `04_evaluate` of these runs measured; gains are over the first run's main model.

    Runs that differ in `training_seed` alone are seeds of one row. Of runs with equal parameters and seed, and of
    models with equal predictions, the first stands for all. All are measured with the bootstrap draws of the first run.
    ValueError where notes, splits, codes or labels differ. FileNotFoundError or ValueError name a file that is missing
    or altered.
    """
    loaded = [_load(folder) for folder in folders]
    names = [run.name for run in loaded]
    if len(set(names)) < len(names):
        raise ValueError(f"two of the runs {', '.join(names)} have the same name: rename the folder of one")
    _refuse_other_data(loaded)
    measured, trained = _measure(loaded)
    times, seed = loaded[0].parameters.permutations, loaded[0].parameters.seed
    table = results.table(measured, reference=next(iter(measured)), times=times, seed=seed)
    table = table.join(trained)
    definitions = tables.definitions(table, times=times)
    definitions |= tables.identify_data({run.name: run.fingerprints for run in loaded})
    return Compared(table, tables.ablation(table), _settings(loaded), definitions)


def write(compared: Compared, target: Path) -> list[Path]:
    """Write `target`.md and `target`.json, and return their paths."""
    files = [target.with_name(target.name + end) for end in (".md", ".json")]
    target.parent.mkdir(parents=True, exist_ok=True)
    formats.write_markdown(files[0], compared.shown, compared.settings, definitions=compared.definitions)
    storage.write_json(files[1], {"models": json.loads(compared.table.set_index("row").to_json(orient="index"))})
    return files


def _load(folder: Path) -> _Run:
    parameters, _ = stages.finished(folder, STAGE)
    corpus = corpora.read(folder)
    seconds = stamps.read(folder, "03_train")["core_seconds"]
    return _Run(folder.name, parameters, corpus, corpora.fingerprints(corpus), folder, seconds)


def _refuse_other_data(loaded: list[_Run]) -> None:
    """ValueError unless all have the data of the first, with unfiltered test labels."""
    first = loaded[0]
    faults = []
    for run in loaded[1:]:
        other = [name for name, value in first.fingerprints.items() if run.fingerprints[name] != value]
        faults += [f"{run.name} has other {', '.join(other)} than {first.name}"] if other else []
    faults += [f"{run.name} filters its test labels" for run in loaded if run.parameters.filter_labels == "all"]
    if faults:
        raise ValueError(f"{'; '.join(faults)}: no difference can be told; name runs on the same data")


def _measure(loaded: list[_Run]) -> tuple[dict[str, Measured], pd.DataFrame]:
    """Metrics of every model, its `core_seconds` (mean over seeds) and `failed`, by an id: the first of its runs, and
    its folder there. Names hold those of the runs. A model that predicts exactly what another does, such as the linear
    model of runs on the same data, appears once."""
    first = loaded[0]
    order, patients = first.corpus.notes["note"].iloc[first.corpus.rows("test")], results.test_patients(first.corpus)
    groups: dict[str, dict[int, _Run]] = {}
    for run in loaded:
        same = json.dumps(run.parameters.model_dump(exclude=IRRELEVANT_FOR_IDENTITY), sort_keys=True)
        groups.setdefault(same, {}).setdefault(run.parameters.training_seed, run)
    measured, trained = {}, {}
    for group in (list(seeds.values()) for seeds in groups.values()):
        by_run = [_models(run, order) for run in group]
        for place in by_run[0]:
            seeds = [models[place] for models in (by_run[:1] if place == linear_baseline.FOLDER else by_run)]
            found = measurement.measure(
                seeds[0].truth,
                [model.predicted for model in seeds],
                first.parameters,
                patients=patients,
                mean_ap=[model.mean_ap for model in seeds],
            )
            if not any(_equal(found, other) for other in measured.values()):
                key = f"{group[0].name}/{place}"
                runs = ", ".join(run.name for run in group[: len(seeds)])
                measured[key] = replace(found, name=f"{seeds[0].name} ({runs})")
                trained[key] = {
                    "core_seconds": float(np.mean([model.core_seconds for model in seeds])),
                    "failed": sum(model.failed for model in seeds),
                }
    return measured, pd.DataFrame(trained).T.astype({"failed": int})


def _models(run: _Run, order: pd.Series) -> dict[str, _Model]:
    """The models of a run by their folders. order: ids of the test notes; another run may hold them in another one."""
    gold = similarities.read_labels(run.folder, run.corpus, run.parameters)
    truth, rows = results.test_truth(run.corpus, gold), run.corpus.rows("test")
    places = pd.Index(run.corpus.notes["note"].iloc[rows]).get_indexer(order)
    compared = variants.compared(run.parameters)
    names = {variant.folder: variant.name for variant in compared}
    failed = Counter(diagnostics.failed_segments(run.folder, compared)["model"])
    models = {}
    for folder, name in (names | {linear_baseline.FOLDER: linear_baseline.LINEAR}).items():
        found = predictions.read(run.folder / folder / "predictions.parquet", run.corpus)
        limits = results.choose_thresholds(run.corpus, gold, found, run.parameters)
        predicted = results.binarize(run.corpus, found, limits)
        mean_ap = score_metrics.mean_average_precision(truth, found.select(rows))
        seconds = run.core_seconds.get(folder, np.nan)
        models[folder] = _Model(name, truth[places], predicted[places], mean_ap, seconds, failed[folder])
    return models


def _equal(one: Measured, other: Measured) -> bool:
    pairs = zip(one.predicted, other.predicted)
    return len(one.predicted) == len(other.predicted) and all((a != b).nnz == 0 for a, b in pairs)


def _settings(loaded: list[_Run]) -> pd.DataFrame:
    """The parameters that differ between the runs, one column per run."""
    all_of = pd.DataFrame({run.name: {k: str(v) for k, v in run.parameters.model_dump().items()} for run in loaded})
    differ = all_of.nunique(axis=1) > 1
    return all_of[differ].drop(index=["run"], errors="ignore").rename_axis("parameter")
