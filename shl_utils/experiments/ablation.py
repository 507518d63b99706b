"""The experiments of an ablation: they differ in named factors and in nothing else, and share models where they can."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from shl_utils.data.corpus import Corpus
from shl_utils.encoder import encoder
from shl_utils.evaluation import predictions, results
from shl_utils.experiments import grid
from shl_utils.parameters import Parameters
from shl_utils.runs import storage
from shl_utils.training import adapter_check, launch, variants
from shl_utils.training.variants import Variant

FOLDER = "ablation"  # holds the models of all experiments, each in a folder named by an id; its SETTINGS say what it is
SETTINGS = "settings.json"
DEFAULTS = Parameters()


@dataclass(frozen=True)
class Row:
    """One experiment, a row of the results table.

    places: number of a combination in the grid to its levels {factor: level}, without the seed. scoring: "union" (every
    segment predicts for every note), "oracle_routing" or "stacked". Under oracle routing a segment predicts only for
    notes that hold one of its codes by gold. It is a reading of the paper, not a way to code a note. A stacked ensemble
    is the union, calibrated together with one BCE model of all codes: our extension, see `stacking`.
    settings: full parameters, several where `tuning` has yet to choose one. options: per setting, one model per seed.
    run: the parameters that the grid varies. added: whether this is results.BASE, added because the grid lacks it.
    """

    places: dict[int, dict[str, Any]]
    scoring: str
    settings: tuple[Parameters, ...]
    options: tuple[tuple[Variant, ...], ...]
    run: Parameters
    added: bool = False

    @property
    def parameters(self) -> Parameters:
        """Parameters of the first setting; those of the labels it is measured on are the same in all settings."""
        return self.settings[0]

    @property
    def trained(self) -> tuple[Variant, ...]:
        """The models that it predicts with, one per seed; ValueError while several settings are left to choose from."""
        if len(self.options) > 1:
            raise ValueError(f"{self.name}: one of {len(self.options)} settings is to be chosen first")
        return self.options[0]

    @property
    def partners(self) -> tuple[Variant, ...]:
        """The models that `trained` is stacked with, one per seed; empty unless the scoring is "stacked".

        Each is the single BCE model with the same pooling and initialization, of a seed of its own, so that seeds stay
        independent. If `trained` is such a single model too, the two show what an ensemble is worth without segments.
        """
        if self.scoring != "stacked":
            return ()
        return tuple(
            _trained(
                variants.unified_bce_counterpart(v.parameters),
                v.parameters.training_seed + grid.PARTNER_SEED_OFFSET,
                self.run,
            )
            for v in self.trained
        )

    @property
    def name(self) -> str:
        """The name of what is measured, and the levels that differ from the run's and have an effect."""
        always = ("loss", "segmentation", "filter_labels", "scoring", "initialization")
        rest = [f"{f} {grid.short(x)}" for f, x in self._unlike_the_run().items() if f not in always]
        scoring = [] if self.scoring == "union" else [grid.short(self.scoring)]
        return ", ".join([Variant("", self.parameters).name, *scoring, *rest])

    @property
    def choices(self) -> dict[str, Any]:
        """Level of every factor that the grid varies in this experiment and that has an effect in it."""
        return self.levels(factor for place in self.places.values() for factor in place)

    def levels(self, factors: Iterable[str]) -> dict[str, Any]:
        """Levels of these factors, each varied somewhere in the grid, without those that have no effect here."""
        moot = set.intersection(*(_moot(setting, self.scoring) for setting in self.settings))
        known = self.parameters.model_dump() | {"scoring": self.scoring}
        return {factor: known[factor] for factor in dict.fromkeys(factors) if factor not in moot}

    @property
    def departures(self) -> set[str]:
        """The factors that have an effect here and whose levels differ from the run's."""
        return set(self._unlike_the_run())

    def _unlike_the_run(self) -> dict[str, Any]:
        known = self.run.model_dump() | {"scoring": "union"}
        return {factor: level for factor, level in self.choices.items() if level != known[factor]}

    @property
    def ours(self) -> bool:
        """Whether it contains an extension: something of ours that is not the paper's."""
        asked = self.parameters
        own = asked.initialization != "prior" or asked.pooling != "mean" or self.scoring == "stacked"
        return own or self.levels(["max_negative_weight"]).get("max_negative_weight", 0) > 0

    @property
    def comparable(self) -> bool:
        """Whether it is measured on all pairs of the labels that the source has."""
        return self.scoring != "oracle_routing" and self.parameters.filter_labels != "all"


def rows(name: str, parameters: Parameters) -> list[Row]:
    """The experiments of the grid called `name`, each once; results.BASE is added where the grid lacks it.

    Combinations that differ only in factors without effect are one experiment. Models of an experiment with
    filter_labels "all" are trained under "train", and shared: such experiments differ only in the labels they are
    measured on. Models that an earlier stage trained with the same parameters keep that stage's folder.
    ValueError for seeds that cannot be paired with those of results.BASE.
    """
    found: dict[str, Row] = {}
    every_seed: dict[int, None] = {}
    for number, combination in enumerate(grid.combinations(name, parameters)):
        row = _row(number, combination, parameters)
        found[row.name] = _merged(found[row.name], row) if row.name in found else row
        every_seed |= dict.fromkeys(combination.seeds)
    if results.BASE not in found:
        changed = variants.PLAIN | {"initialization": "prior", "epochs": parameters.ablation_epochs}
        settings = (parameters.model_copy(update=changed),)
        base = _row(-1, grid.Combination(dict(variants.PLAIN), settings, tuple(every_seed)), parameters)
        found = {results.BASE: replace(base, added=True)} | found
    _check_seeds(found, grid.path_of(name))
    return list(found.values())


def _check_seeds(found: dict[str, Row], path: Path) -> None:
    """ValueError, before any training, where the seeds of an experiment cannot be paired with those of results.BASE."""
    base = len(found[results.BASE].options[0])
    for row in found.values():
        n = len(row.options[0])
        if row.comparable and n != base and 1 not in (n, base):
            raise ValueError(
                f"{path}: {row.name} has {n} seeds and {results.BASE} {base}: give all the same {grid.SEED}"
            )


def _row(number: int, combination: grid.Combination, run: Parameters) -> Row:
    scoring = combination.choices.get("scoring", "union")
    # each once: a setting without effect here is no setting to choose from
    asked = [_without(_moot(full, scoring), full, like=run) for full in combination.settings]
    settings = tuple(full for i, full in enumerate(asked) if full not in asked[:i])
    options = tuple(_by_seed(tuple(_trained(full, seed, run) for seed in combination.seeds)) for full in settings)
    return Row({number: combination.choices}, scoring, settings, options, run)


def _merged(known: Row, row: Row) -> Row:
    """Two experiments that differ only in their seeds and places in the grid, as one."""
    if known.settings != row.settings:
        raise ValueError(f"{row.name}: two blocks of the grid hold this row with other settings; leave one out")
    pairs = zip(known.options, row.options)
    options = tuple(_by_seed((*a, *b)) for a, b in pairs)
    return replace(known, options=options, places=known.places | row.places)


def _by_seed(models: tuple[Variant, ...]) -> tuple[Variant, ...]:
    """Each model once, in the order of the seeds, by which all experiments are paired."""
    unique = {v.folder: v for v in models}.values()
    return tuple(sorted(unique, key=lambda v: v.parameters.training_seed))


def _trained(full: Parameters, seed: int, run: Parameters) -> Variant:
    labels = {"all": "train"}.get(full.filter_labels, full.filter_labels)
    asked = _without_moot(full.model_copy(update={grid.SEED: seed, "filter_labels": labels}))
    like = _without_moot(variants.unified_bce_counterpart(asked))
    plain = None if like == asked else _trained(like, seed, run)
    for known in variants.with_origins([variants.main(run), variants.reference(run)]):
        if _without_moot(known.parameters) == asked:
            return replace(known, plain=plain)
    # the id comes from what differs from the run, so that experiments with equal settings share a model
    own, moot = run.model_dump(), variants.inactive_parameters(asked)
    settings = {k: v for k, v in asked.model_dump().items() if k not in moot and v != own[k]}
    return Variant(f"{FOLDER}/{_id(settings)}", asked, plain, settings)


def _id(settings: dict[str, Any]) -> str:
    """A folder name valid on every file system, whatever the settings hold: paths, blanks, any script."""
    return storage.short(settings)[:10]


def _without_moot(parameters: Parameters) -> Parameters:
    """The same parameters, with those that have no effect on training at their defaults."""
    return _without(variants.inactive_parameters(parameters), parameters, like=DEFAULTS)


def _without(names: set[str], parameters: Parameters, *, like: Parameters) -> Parameters:
    return parameters.model_copy(update={name: getattr(like, name) for name in names})


def _moot(parameters: Parameters, scoring: str) -> set[str]:
    """Names of the parameters without effect in such an experiment. Under oracle routing eta has an effect even on a
    single model: its segments say which notes count."""
    return variants.inactive_parameters(parameters) - ({"eta"} if scoring == "oracle_routing" else set())


def models(wanted: list[Row]) -> list[Variant]:
    """The models to train and predict with for these experiments, each once, without those of earlier stages."""
    asked = [variant for row in wanted for variant in (*row.trained, *row.partners)]
    unique = {variant.folder: variant for variant in variants.with_origins(asked)}
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
    asked = {"encoder", "max_tokens", "lora_layers", "lora_targets"}
    told = [variant.parameters for variant in wanted if asked & set(variant.settings)]
    for parameters in {str(p.model_dump(include=asked)): p for p in told}.values():
        tokenizer, base = encoder.load(parameters.encoder, download=parameters.download)
        encoder.check(tokenizer, base, parameters.max_tokens)
        adapter_check.check_adapter(base, parameters)


def core_seconds(folder: Path, wanted: list[Row]) -> pd.Series:
    """Core-seconds of training (see `variants.core_seconds`) by experiment, with its partners; mean over seeds."""
    times = {}
    for row in wanted:
        joined = zip(row.trained, row.partners) if row.partners else ((model,) for model in row.trained)
        times[row.name] = float(np.mean([variants.core_seconds(folder, *models) for models in joined]))
    return pd.Series(times)
