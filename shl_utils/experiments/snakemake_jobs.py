"""Runs of many models with one job per model: what `workflow/Snakefile` asks for and `shl model` does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from shl_utils.data import corpus as corpora
from shl_utils.experiments import ablation, grid, tuning
from shl_utils.parameters import Parameters
from shl_utils.runs import locations, stages
from shl_utils.training.variants import Variant

ALONE = {"parallel_models": 1, "processes": 1, "nodes": 1}  # a job is one process; other jobs run in parallel


@dataclass(frozen=True)
class Batch:
    """A run as jobs. file: its parameter file. models: the models of its ablation, by folder, as far as they are known
    before tuning has chosen; `05_ablate` trains the rest."""

    file: Path
    folder: Path
    parameters: Parameters
    models: dict[str, Variant]

    def train(self, model: str) -> None:
        """Train one of `models` and predict with it, unless that is done. model: its folder, or the folder's last part.

        ValueError, listing the models, if none has that name; FileNotFoundError without a finished `03_train`.
        """
        variant = self.models.get(model) or self.models.get(f"{ablation.FOLDER}/{model}")
        if variant is None:
            known = "".join(f"\n  {Path(found.folder).name}  {_described(found)}" for found in self.models.values())
            raise ValueError(f"{self.file} has no model {model!r}: give one of these:{known or ' none'}")
        if not stages.is_done("03_train", self.parameters):
            raise FileNotFoundError(f"{self.folder} has no finished 03_train of these parameters: run 03_train first")
        alone = replace(variant, parameters=variant.parameters.model_copy(update=ALONE))
        ablation.complete(self.folder, corpora.read(self.folder), [alone])


def _described(model: Variant) -> str:
    """The parameters in which it differs from the run."""
    return ", ".join(f"{name} {grid.short(value)}" for name, value in model.settings.items()) or model.name


def read_batch(file: Path, parameters: Parameters) -> Batch:
    """The jobs of a parameter file, which sets `parameters`; ValueError or OSError for a grid that cannot be read."""
    rows = ablation.experiments(parameters.grid, parameters)
    settled = [row for row in rows if len(row.options) == 1]
    models = {model.folder: model for model in ablation.models(tuning.trials(rows) + settled)}
    return Batch(file, locations.folder_of(parameters.run), parameters, models)


def named(files: str | list[str]) -> list[Path]:
    """Parameter files from one name, names separated by blanks, or a list; FileNotFoundError if one is missing."""
    if isinstance(files, str):
        files = [files] if locations.expanded(files).is_file() else files.split()
    found = [locations.expanded(name) for name in files]
    for path in found:
        if not path.is_file():
            remedy = """names with a blank go into a list, --config 'files=["a b.yaml", "c.yaml"]'"""
            raise FileNotFoundError(f"{path} is not there: {remedy}")
    return found
