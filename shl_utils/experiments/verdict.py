"""The paper's claims against what a run measured: one row per claim, with a verdict read off the interval."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pandas as pd

from shl_utils.parameters import STAGES, check
from shl_utils.reporting import tables
from shl_utils.runs import stages, stamps

FILES = ("claims.parquet", "ablation.parquet", "provenance.json")


def judge_run(folder: Path) -> pd.DataFrame:
    """The claims measured in the run in `folder`, indexed by claim, with a column `verdict`.

    FileNotFoundError where the run has no ablation, or claims of an earlier version.
    """
    for name in FILES:
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name} is missing: run 05_ablate of that run first")
    lines = pd.read_parquet(folder / "claims.parquet").set_index("claim")
    if "papers" not in lines:
        raise FileNotFoundError(f"{folder} has claims of an earlier version: run 05_ablate of that run again")
    return lines.assign(verdict=[_verdict(*ends) for ends in lines[["gain", "low", "high"]].to_numpy()])


def _verdict(gain: float, low: float, high: float) -> str:
    if gain != gain:
        return "not tested"
    return "yes" if low > 0 else "no" if high < 0 else "not settled"


def run_folders(names: list[str]) -> dict[str, Path]:
    """Name to folder of these runs; ValueError if two folders have the same last name, by which tables list them."""
    folders = {folder: folder.name for folder in map(stages.folder_of, names)}
    for name, n in Counter(folders.values()).items():
        if n > 1:
            raise ValueError(f"`compare_with`: {n} runs are called {name}: rename the folder of one")
    return {name: folder for folder, name in folders.items()}


def judge_runs(folders: dict[str, Path]) -> pd.DataFrame:
    """`judge_run` of every run in one table, claim by claim. The column `run` holds the run's name and its own beta."""
    found = {name: judge_run(folder) for name, folder in folders.items()}
    lines = pd.concat([part.assign(run=f"{name} ({_beta(folders[name])})") for name, part in found.items()])
    return lines.loc[lines.index.unique()]


def measured_on(folders: dict[str, Path]) -> dict[str, str]:
    """The fingerprints of every run's data, as one more definition: where they differ, so do more than the models."""
    prints = {name: stamps.read(folder, STAGES[0]).get("fingerprints", {}) for name, folder in folders.items()}
    return {"measured on": "; ".join(f"{name}: {tables.named(found)}" for name, found in prints.items())}


def _beta(folder: Path) -> str:
    path = folder / "provenance.json"
    return check(json.loads(path.read_text(encoding="utf-8"))["parameters"], origin=str(path)).beta


def failed(folders: dict[str, Path]) -> pd.DataFrame:
    """Experiments of these runs with failed training runs, see `diagnostics`: `run`, `row`, `failed` (how many)."""
    tables = [pd.read_parquet(folder / "ablation.parquet").assign(run=name) for name, folder in folders.items()]
    lines = pd.concat(tables, ignore_index=True)
    return lines.loc[lines["failed"] > 0, ["run", "row", "failed"]].reset_index(drop=True)
