"""Hyperparameters chosen on validation, from one list for all experiments of a block, so that no loss is tuned more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import predictions, score_metrics
from shl_utils.experiments import grid
from shl_utils.experiments.ablation import Row
from shl_utils.parameters import Parameters
from shl_utils.training import variants
from shl_utils.training.variants import Variant


def trials(rows: list[Row]) -> list[Row]:
    """One experiment per setting to be tried, with the first seed only, and unstacked: the partner has no influence."""
    several = [row for row in rows if len(row.options) > 1]
    return [
        replace(row, scoring="union", settings=(setting,), options=(models[:1],))
        for row in several
        for setting, models in zip(row.settings, row.options)
    ]


def choose(folder: Path, corpus: Corpus, rows: list[Row]) -> tuple[list[Row], pd.DataFrame]:
    """Every experiment with its best setting only, and a table of the settings tried; ties go to the first.

    The trials must have been trained and predicted. The table has one row per setting: `row`, `setting`, `figure`,
    `core_seconds` of training and `chosen`. `figure` is the mean of micro average precision and mAP on validation, of
    the first seed. Experiments that share their models appear once.
    """
    seen: dict[str, float] = {}
    chosen, lines = [], []
    for row in rows:
        first = [models[0] for models in row.options]
        if len(first) > 1:
            seen |= {v.folder: _figure(folder, corpus, v) for v in first if v.folder not in seen}
        best = max(range(len(first)), key=lambda i: seen.get(first[i].folder, 0.0))  # the first of equals
        chosen.append(replace(row, settings=(row.settings[best],), options=(row.options[best],)))
        for i, variant in enumerate(first if len(first) > 1 else []):
            line = {"row": row.name, "setting": _difference(row.settings, i), "figure": seen[variant.folder]}
            line |= {"core_seconds": variants.core_seconds(folder, variant), "chosen": i == best}
            lines.append(line | {"models": variant.folder})
    columns = ["row", "setting", "figure", "core_seconds", "chosen", "models"]
    table = pd.DataFrame(lines, columns=columns).drop_duplicates(["models", "setting"], ignore_index=True)
    return chosen, table.drop(columns="models")


def _figure(folder: Path, corpus: Corpus, variant: Variant) -> float:
    """Validation score on the labels that the variant's filter leaves there; test labels are not used."""
    validation = corpus.rows("validation")
    truth = variants.training_labels(corpus, variant, folder)[validation].toarray()
    return score_metrics.validation_score(truth, predictions.read_variant(folder, variant, corpus).select(validation))


def _difference(settings: tuple[Parameters, ...], i: int) -> str:
    """The parameters in which the settings differ, with the values of the i-th setting."""
    dumps = [setting.model_dump() for setting in settings]
    names = [name for name in dumps[0] if any(dump[name] != dumps[0][name] for dump in dumps)]
    return ", ".join(f"{name} {grid.short(dumps[i][name])}" for name in names)
