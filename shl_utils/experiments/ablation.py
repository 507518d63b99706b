"""The experiments of an ablation: they differ in named factors and in nothing else, and share models where they can."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from shl_utils.data.corpus import Corpus
from shl_utils.encoder import encoder
from shl_utils.evaluation import cost, predictions
from shl_utils.experiments import grid
from shl_utils.parameters import Parameters
from shl_utils.runs import storage
from shl_utils.training import adapter_check, launch, variants
from shl_utils.training.variants import Variant

FOLDER = "ablation"  # holds the models of all experiments, each in a folder named by an id; its SETTINGS say what it is
SETTINGS = "settings.json"
DEFAULTS = Parameters()
NAMED = ("loss", "segmentation", "filter_labels", "scoring", "initialization")  # factors that stand in every name
LEVELS = variants.LEVELS | {
    "lora_layers": {-1: "all layers", 1: "top layer"},
    "lora_targets": {"attention": "query and value", "all": "all maps"},
    "pooling": {"mean": "mean pooling", "attention": "label attention"},
}


@dataclass(frozen=True)
class Experiment:
    """One configuration of the grid, a row of the results table.

    id: made of its levels, those of NAMED and those that differ from the run's; tuning does not change it.
    factors: those that the grid varies in it, without the seed; None if it was added to the grid.
    scoring: "union" (every segment predicts for every note) or "oracle_routing". There a segment predicts only for
    notes that hold one of its codes by gold. It is a reading of the paper, not a way to code a note.
    settings: full parameters, several where `tuning` has yet to choose one. options: per setting, one model per seed.
    run: the parameters that the grid varies.
    """

    id: str
    factors: tuple[str, ...] | None
    scoring: str
    settings: tuple[Parameters, ...]
    options: tuple[tuple[Variant, ...], ...]
    run: Parameters

    @property
    def parameters(self) -> Parameters:
        """Parameters of the first setting; those of the labels it is measured on are the same in all settings."""
        return self.settings[0]

    @property
    def models(self) -> tuple[Variant, ...]:
        """The models that it predicts with, one per seed; ValueError while several settings are left to choose from."""
        if len(self.options) > 1:
            raise ValueError(f"{self.name}: one of {len(self.options)} settings is to be chosen first")
        return self.options[0]

    @property
    def name(self) -> str:
        """The name of what is measured, and the levels that differ from the run's and have an effect."""
        rest = [named_level(f, x) for f, x in self.departures.items() if f not in NAMED]
        scoring = [] if self.scoring == "union" else [grid.short(self.scoring)]
        return ", ".join([Variant("", self.parameters).name, *scoring, *rest])

    @property
    def choices(self) -> dict[str, Any]:
        """Level of every factor that the grid varies in this experiment and that has an effect in it."""
        return self.levels(self.factors or ())

    def levels(self, factors: Iterable[str]) -> dict[str, Any]:
        """Levels of these factors, each varied somewhere in the grid, without those that have no effect here."""
        inactive = set.intersection(*(_inactive(setting, self.scoring) for setting in self.settings))
        known = self.parameters.model_dump() | {"scoring": self.scoring}
        return {factor: known[factor] for factor in dict.fromkeys(factors) if factor not in inactive}

    @property
    def departures(self) -> dict[str, Any]:
        """Factor to level, where the factor has an effect here and the level differs from the run's."""
        known = self.run.model_dump() | {"scoring": "union"}
        return {factor: level for factor, level in self.choices.items() if level != known[factor]}

    @property
    def extension(self) -> bool:
        """Whether it contains something of ours that is not the paper's."""
        papers = {"initialization": "prior", "pooling": "mean", "undersampling": "weight"}
        return not self.levels(papers).items() <= papers.items()

    @property
    def comparable(self) -> bool:
        """Whether it is measured on all pairs of the labels that the source has."""
        return self.scoring != "oracle_routing" and self.parameters.filter_labels != "all"


def experiments(name: str, parameters: Parameters) -> list[Experiment]:
    """The experiments of the grid called `name`, each once; that of REFERENCE is added where the grid lacks it.

    Combinations that differ only in factors without effect are one experiment. Models of an experiment with
    filter_labels "all" are trained under "train", and shared: such experiments differ only in the labels they are
    measured on. Models that an earlier stage trained with the same parameters keep that stage's folder.
    ValueError for seeds that cannot be paired with those of the reference.
    """
    found: dict[str, Experiment] = {}
    combinations = list(grid.combinations(name, parameters))
    for combination in combinations:
        new = _experiment(tuple(combination.choices), combination, parameters)
        found[new.id] = _merge(found[new.id], new) if new.id in found else new
    if REFERENCE not in found:
        changed = variants.PLAIN | {"initialization": "prior"}
        seeds = dict.fromkeys(seed for combination in combinations for seed in combination.seeds)
        plain = grid.Combination({}, (parameters.model_copy(update=changed),), tuple(seeds))
        found = {REFERENCE: _experiment(None, plain, parameters)} | found
    _check_seeds(found, grid.path_of(name))
    return list(found.values())


def _check_seeds(found: dict[str, Experiment], path: Path) -> None:
    """ValueError, before any training, where the seeds of an experiment cannot be paired with the reference's."""
    base = found[REFERENCE]
    known = len(base.options[0])
    for one in found.values():
        n = len(one.options[0])
        if one.comparable and n != known and 1 not in (n, known):
            raise ValueError(f"{path}: {one.name} has {n} seeds and {base.name} {known}: give all the same {grid.SEED}")


def _experiment(factors: tuple[str, ...] | None, combination: grid.Combination, run: Parameters) -> Experiment:
    scoring = combination.choices.get("scoring", "union")
    # each once: a setting without effect here is no setting to choose from
    every = [_without(_inactive(full, scoring), full, like=run) for full in combination.settings]
    settings = tuple(full for i, full in enumerate(every) if full not in every[:i])
    options = tuple(_by_seed(tuple(_model(full, seed, run) for seed in combination.seeds)) for full in settings)
    found = Experiment("", factors, scoring, settings, options, run)
    named = {factor: getattr(found.parameters, factor, scoring) for factor in NAMED}
    return replace(found, id=_id(named | found.departures))


def _merge(known: Experiment, new: Experiment) -> Experiment:
    """Two experiments that differ only in their seeds and the factors that their blocks vary, as one."""
    if known.settings != new.settings:
        raise ValueError(f"{new.name}: two blocks of the grid hold this row with other settings; leave one out")
    options = tuple(_by_seed((*a, *b)) for a, b in zip(known.options, new.options))
    factors = tuple(dict.fromkeys((*known.factors, *new.factors)))
    return replace(known, options=options, factors=factors)


def _by_seed(models: tuple[Variant, ...]) -> tuple[Variant, ...]:
    """Each model once, in the order of the seeds, by which all experiments are paired."""
    unique = {v.folder: v for v in models}.values()
    return tuple(sorted(unique, key=lambda v: v.parameters.training_seed))


def _model(full: Parameters, seed: int, run: Parameters) -> Variant:
    labels = {"all": "train"}.get(full.filter_labels, full.filter_labels)
    wanted = _active(full.model_copy(update={grid.SEED: seed, "filter_labels": labels}))
    for known in (variants.main(run), variants.reference(run)):
        if _active(known.parameters) == wanted:
            return known
    # the id comes from what differs from the run, so that experiments with equal settings share a model
    before, inactive = run.model_dump(), variants.inactive_parameters(wanted)
    settings = {k: v for k, v in wanted.model_dump().items() if k not in inactive and v != before[k]}
    return Variant(f"{FOLDER}/{_id(settings)}", wanted, settings)


def _id(settings: dict[str, Any]) -> str:
    """A name that is valid as a folder on every file system, whatever the settings hold: paths, blanks, any script."""
    return storage.short(settings)[:10]


# the id of what gains are measured against: the single BCE model of all codes, without filter and extension
REFERENCE = _id(variants.PLAIN | {"initialization": "prior", "scoring": "union"})


def _active(parameters: Parameters) -> Parameters:
    """The same parameters, with those that have no effect on training at their defaults."""
    return _without(variants.inactive_parameters(parameters), parameters, like=DEFAULTS)


def _without(names: set[str], parameters: Parameters, *, like: Parameters) -> Parameters:
    return parameters.model_copy(update={name: getattr(like, name) for name in names})


def _inactive(parameters: Parameters, scoring: str) -> set[str]:
    """Names of the parameters without effect in such an experiment. Under oracle routing eta has an effect even on a
    single model: its segments say which notes count."""
    return variants.inactive_parameters(parameters) - ({"eta"} if scoring == "oracle_routing" else set())


def level_name(factor: str, level: Any) -> str:
    """What a reader calls a level, where the factor is known."""
    return named_level(factor, level) if factor in LEVELS else grid.short(level)


def named_level(factor: str, level: Any) -> str:
    """What a reader calls a level, where nothing else says of which factor."""
    return LEVELS.get(factor, {}).get(level) or f"{factor} {grid.short(level)}"


def change_name(factor: str, before: str, after: str) -> str:
    """What a reader calls the change from one level, as named, to another."""
    return f"{after} for {before}" + ("" if factor in LEVELS else f" ({factor})")


def model_names(parameters: Parameters) -> dict[str, str]:
    """What a reader calls each model of a run's grid, by the name that `cost.models` gives it."""
    named = {}
    for one in experiments(parameters.grid, parameters):
        for model in itertools.chain(*one.options):
            named.setdefault(cost.named(model.folder), f"{one.name}, seed {model.parameters.training_seed}")
    return named


def models(wanted: list[Experiment]) -> list[Variant]:
    """The models to train and predict with for these experiments, each once, without those of earlier stages."""
    unique = {variant.folder: variant for one in wanted for variant in one.models}
    return [variant for folder, variant in unique.items() if folder not in (variants.MAIN, variants.REFERENCE)]


def complete(folder: Path, corpus: Corpus, wanted: list[Variant]) -> None:
    """Train these models and predict with them, unless the run's folder holds the results already.

    Beside each model, SETTINGS holds the parameters in which it differs from the run.
    """
    _check_encoders(wanted)
    for variant in (variant for variant in wanted if variant.settings):
        storage.write_json(folder / variant.folder / SETTINGS, variant.settings)
    variants.write_segments(folder, corpus, wanted)
    launch.train(folder, wanted)
    predictions.keep(folder, wanted, corpus)


def _check_encoders(wanted: list[Variant]) -> None:
    """ValueError for what no encoder can do, before any is trained; `01_filter` has checked the run's own."""
    checked = {"encoder", "max_tokens", "lora_layers", "lora_targets"}
    changed = [variant.parameters for variant in wanted if checked & set(variant.settings)]
    for parameters in {str(p.model_dump(include=checked)): p for p in changed}.values():
        tokenizer, base = encoder.load(parameters.encoder, download=parameters.download)
        encoder.check(tokenizer, base, parameters.max_tokens)
        adapter_check.check_adapter(base, parameters)


def core_seconds(folder: Path, wanted: list[Experiment]) -> pd.Series:
    """Core-seconds of training (see `variants.core_seconds`) by experiment id; mean over seeds."""
    return pd.Series(
        {one.id: np.mean([variants.core_seconds(folder, model) for model in one.models]) for one in wanted}, dtype=float
    )


def gradients(folder: Path, wanted: list[Experiment]) -> pd.DataFrame:
    """`gradient_norm` (before clipping) and `clipped` (share of the steps) by experiment id.

    They are means over epochs, segments and seeds.
    """
    lines = {}
    for one in wanted:
        records = [record for model in one.models for record in variants.read_records(folder, model)]
        epochs = pd.DataFrame([epoch for record in records for epoch in record.history])
        lines[one.id] = epochs.reindex(columns=["gradient_norm", "clipped"]).astype(float).mean()
    return pd.DataFrame(lines).T
