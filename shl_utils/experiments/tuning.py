"""Hyperparameters chosen on validation, from one list for all experiments of a block, so that no loss is tuned more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import predictions, score_metrics
from shl_utils.experiments import grid
from shl_utils.experiments.ablation import Experiment
from shl_utils.parameters import Parameters
from shl_utils.training import similarities, variants
from shl_utils.training.variants import Variant


def trials(experiments: list[Experiment]) -> list[Experiment]:
    """One experiment per setting to be tried, with the first seed only."""
    return [
        replace(one, settings=(setting,), options=(models[:1],))
        for one in experiments
        if len(one.options) > 1
        for setting, models in zip(one.settings, one.options)
    ]


def choose(folder: Path, corpus: Corpus, experiments: list[Experiment]) -> tuple[list[Experiment], pd.DataFrame]:
    """Every experiment with its best setting only, and a table of the settings tried; ties go to the first.

    The trials must have been trained and predicted. The table has one row per setting: `id`, `row` (name of the
    experiment), `setting`, `validation_score`, `core_seconds` of training and `chosen`. The score is the mean of micro
    average precision and mAP on validation, of the first seed. Experiments that share their models appear once.
    """
    scores: dict[str, float] = {}
    chosen, lines = [], []
    for one in experiments:
        first = [models[0] for models in one.options]
        tried = first if len(first) > 1 else []
        scores |= {v.folder: _score(folder, corpus, v) for v in tried if v.folder not in scores}
        best = max(range(len(first)), key=lambda i: scores.get(first[i].folder, 0.0))  # the first of equals
        chosen.append(replace(one, settings=(one.settings[best],), options=(one.options[best],)))
        for i, model in enumerate(tried):
            line = {"id": one.id, "row": one.name, "setting": _difference(one.settings, i)}
            line |= {"validation_score": scores[model.folder]}
            line |= {"core_seconds": variants.core_seconds(folder, model), "chosen": i == best}
            lines.append(line | {"models": model.folder})
    columns = ["id", "row", "setting", "validation_score", "core_seconds", "chosen", "models"]
    table = pd.DataFrame(lines, columns=columns).drop_duplicates(["models", "setting"], ignore_index=True)
    return chosen, table.drop(columns="models")


def _score(folder: Path, corpus: Corpus, variant: Variant) -> float:
    """Validation score on the labels that the variant's filter leaves there; test labels are not used."""
    validation = corpus.rows("validation")
    truth = similarities.read_labels(folder, corpus, variant.parameters)[validation].toarray()
    return score_metrics.validation_score(truth, predictions.read_variant(folder, variant, corpus).select(validation))


def _difference(settings: tuple[Parameters, ...], i: int) -> str:
    """The parameters in which the settings differ, with the values of the i-th setting."""
    dumps = [setting.model_dump() for setting in settings]
    names = [name for name in dumps[0] if any(dump[name] != dumps[0][name] for dump in dumps)]
    return ", ".join(f"{name} {grid.short(dumps[i][name])}" for name in names)
