"""The rows of an ablation: they differ in named choices and in nothing else, and share what they can."""

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

FOLDER = "ablation"  # of the models of all rows, each in one named by an id; its SETTINGS say what it is
SETTINGS = "settings.json"
DEFAULTS = Parameters()


@dataclass(frozen=True)
class Row:
    """One row of the table.

    places: where it stands in the grid, by number, and the levels there {factor: level} without the seed. scoring:
    "union" (all segments on all notes), "oracle_routing" (a segment only on notes that hold one of its codes, by
    gold: a reading of the paper, not a way to code a note) or "stacked" (the union, calibrated together with one BCE
    model of all codes: ours, see `stacking`).
    settings: full parameters, several where one is still to be chosen (`tuning`). options: for each setting the models,
    one a seed. run: the parameters that the grid varies. added: evaluation.BASE, where the grid does not have it.
    """

    places: dict[int, dict[str, Any]]
    scoring: str
    settings: tuple[Parameters, ...]
    options: tuple[tuple[Variant, ...], ...]
    run: Parameters
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
        """What each of `trained` is stacked with, if it is: the one BCE model of like pooling and initialization, of a
        seed of its own, so that seeds stay independent. Such a model, stacked, is a pair of two as well: it shows what
        a pair is worth without segments."""
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
        """What is measured, and the levels that differ from the run's and change something: the rest it shares."""
        always = ("loss", "segmentation", "filter_labels", "scoring", "initialization")
        rest = [f"{f} {grid.short(x)}" for f, x in self._unlike_the_run().items() if f not in always]
        scoring = [] if self.scoring == "union" else [grid.short(self.scoring)]
        return ", ".join([Variant("", self.parameters).name, *scoring, *rest])

    @property
    def choices(self) -> dict[str, Any]:
        """Level of every factor that the grid varies in this row and that changes something in it."""
        return self.levels(factor for place in self.places.values() for factor in place)

    def levels(self, factors: Iterable[str]) -> dict[str, Any]:
        """Of the factors that this or another row of the grid varies, without those that change nothing here."""
        moot = set.intersection(*(_moot(setting, self.scoring) for setting in self.settings))
        known = self.parameters.model_dump() | {"scoring": self.scoring}
        return {factor: known[factor] for factor in dict.fromkeys(factors) if factor not in moot}

    @property
    def departures(self) -> set[str]:
        """The factors in which it is unlike the run, of those that change something here."""
        return set(self._unlike_the_run())

    def _unlike_the_run(self) -> dict[str, Any]:
        known = self.run.model_dump() | {"scoring": "union"}
        return {factor: level for factor, level in self.choices.items() if level != known[factor]}

    @property
    def ours(self) -> bool:
        """Whether something in it is of our own making and not the paper's."""
        asked = self.parameters
        own = asked.initialization != "prior" or asked.pooling != "mean" or self.scoring == "stacked"
        return own or self.levels(["max_negative_weight"]).get("max_negative_weight", 0) > 0

    @property
    def comparable(self) -> bool:
        """Whether it is measured on all pairs of the labels that the source has."""
        return self.scoring != "oracle_routing" and self.parameters.filter_labels != "all"


def rows(name: str, parameters: Parameters) -> list[Row]:
    """The rows of the grid called `name` over the run's parameters, each once, and evaluation.BASE always.

    Combinations that differ only in what changes nothing are one row. Models are trained under filter_labels "train"
    where the row says "all": the rows differ in what they are measured on, so they share them. Models that an earlier
    stage trained alike keep that folder.
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
    """ValueError where the seeds of a row cannot be paired with those of evaluation.BASE: before they are trained."""
    base = len(found[results.BASE].options[0])
    for row in found.values():
        n = len(row.options[0])
        if row.comparable and n != base and 1 not in (n, base):
            raise ValueError(
                f"{path}: {row.name} has {n} seeds and {results.BASE} {base}: give all the same {grid.SEED}"
            )


def _row(number: int, combination: grid.Combination, run: Parameters) -> Row:
    scoring = combination.choices.get("scoring", "union")
    # each once: a setting that changes nothing here is no setting to choose from
    asked = [_without(_moot(full, scoring), full, like=run) for full in combination.settings]
    settings = tuple(full for i, full in enumerate(asked) if full not in asked[:i])
    options = tuple(_by_seed(tuple(_trained(full, seed, run) for seed in combination.seeds)) for full in settings)
    return Row({number: combination.choices}, scoring, settings, options, run)


def _merged(known: Row, row: Row) -> Row:
    """One row of two that come to the same but for their seeds and their places in the grid."""
    if known.settings != row.settings:
        raise ValueError(f"{row.name}: two blocks of the grid hold this row with other settings; leave one out")
    pairs = zip(known.options, row.options)
    options = tuple(_by_seed((*a, *b)) for a, b in pairs)
    return replace(known, options=options, places=known.places | row.places)


def _by_seed(models: tuple[Variant, ...]) -> tuple[Variant, ...]:
    """Each once, in the order of the seeds, in which all rows are paired."""
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
    # by what it differs in from the run, so that two rows that come to the same share it
    own, moot = run.model_dump(), variants.inactive_parameters(asked)
    settings = {k: v for k, v in asked.model_dump().items() if k not in moot and v != own[k]}
    return Variant(f"{FOLDER}/{_id(settings)}", asked, plain, settings)


def _id(settings: dict[str, Any]) -> str:
    """A name that every file system takes, whatever the settings hold: paths, blanks, any script."""
    return storage.short(settings)[:10]


def _without_moot(parameters: Parameters) -> Parameters:
    """The same with parameters that change nothing in its training at their defaults."""
    return _without(variants.inactive_parameters(parameters), parameters, like=DEFAULTS)


def _without(names: set[str], parameters: Parameters, *, like: Parameters) -> Parameters:
    return parameters.model_copy(update={name: getattr(like, name) for name in names})


def _moot(parameters: Parameters, scoring: str) -> set[str]:
    """Names of the parameters that change nothing in such a row. Under oracle routing, eta cuts the segments of one
    model too: it says which notes count."""
    return variants.inactive_parameters(parameters) - ({"eta"} if scoring == "oracle_routing" else set())


def models(wanted: list[Row]) -> list[Variant]:
    """What has to be trained and predicted with for these rows, each once, without what earlier stages did."""
    asked = [variant for row in wanted for variant in (*row.trained, *row.partners)]
    unique = {variant.folder: variant for variant in variants.with_origins(asked)}
    return [variant for folder, variant in unique.items() if folder not in (variants.MAIN, variants.REFERENCE)]


def complete(folder: Path, corpus: Corpus, wanted: list[Variant]) -> None:
    """Train these models and predict with them, as far as the run's folder does not hold them yet; beside each stands
    in SETTINGS what it differs in from the run."""
    _check_encoders(wanted)
    for variant in (variant for variant in wanted if variant.settings):
        storage.write_json(folder / variant.folder / SETTINGS, variant.settings)
    variants.write_segments(folder, corpus, wanted)
    launch.train(folder, wanted)
    predictions.keep(folder, wanted, corpus)


def _check_encoders(wanted: list[Variant]) -> None:
    """ValueError for what no encoder could do, before any is trained; the run's own was asked in `01_filter`."""
    asked = {"encoder", "max_tokens", "lora_layers", "lora_targets"}
    told = [variant.parameters for variant in wanted if asked & set(variant.settings)]
    for parameters in {str(p.model_dump(include=asked)): p for p in told}.values():
        tokenizer, base = encoder.load(parameters.encoder, download=parameters.download)
        encoder.check(tokenizer, base, parameters.max_tokens)
        adapter_check.check_adapter(base, parameters)


def core_seconds(folder: Path, wanted: list[Row]) -> pd.Series:
    """What training took, see `variants.core_seconds`, of each row's models and those that they are joined with; the
    mean over seeds."""
    times = {}
    for row in wanted:
        joined = zip(row.trained, row.partners) if row.partners else ((model,) for model in row.trained)
        times[row.name] = float(np.mean([variants.core_seconds(folder, *models) for models in joined]))
    return pd.Series(times)
