"""What each factor of an ablation contributes: alone, averaged over the others, and by interactions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from shl_utils.evaluation import measurement
from shl_utils.evaluation.measurement import Measured
from shl_utils.evaluation.resampling import HEADLINE_METRICS
from shl_utils.experiments.ablation import Experiment, change_name, level_name, named_level

Choices = dict[str, Any]
Pair = tuple[Experiment, Experiment]  # the experiment before a change, and after it
PLAIN_FORMS = ({"sh", "bce"}, {"sh_focal", "focal"})  # losses that differ in harmonic weights alone
KINDS = {"average", "single", "interactions", "over_linear"}  # of changes, as saved in a run's file
COLUMNS = [metric + end for metric in HEADLINE_METRICS for end in measurement.ENDS]


def on_average(measured: dict[str, Measured], experiments: list[Experiment]) -> pd.DataFrame:
    """Mean change in F1 between two levels of a factor, over all pairs of experiments that differ in no other.

    One row per change: `factor`, `comparable`, `pairs` (differences averaged), the metrics, and their paired 95%
    intervals over test notes, codes (macro) and seeds. Of the pairs those that are `informative` count; a change
    without comparable pairs is not comparable.
    """
    lines = []
    for factor, change, found in _changes(experiments):
        pairs = informative(found)
        line = {"change": change, "factor": factor, "comparable": all(map(_comparable, pairs)), "pairs": len(pairs)}
        lines.append(line | mean_change(measured, [(before.id, after.id) for before, after in pairs]))
    return pd.DataFrame(lines, columns=["change", "factor", "comparable", "pairs", *COLUMNS]).set_index("change")


def one_by_one(measured: dict[str, Measured], experiments: list[Experiment]) -> pd.DataFrame:
    """Change in F1 with its interval, as in `on_average`, for each comparable and informative pair by itself.

    Further columns: `factor`, and the ids of the two as `before` and `after`.
    """
    lines = [
        {"change": f"{a.name} -> {b.name}", "factor": factor, "before": a.id, "after": b.id}
        | mean_change(measured, [(a.id, b.id)])
        for factor, _, pairs in _changes(experiments)
        for a, b in informative(pairs)
        if _comparable((a, b))
    ]
    return pd.DataFrame(lines, columns=["change", "factor", "before", "after", *COLUMNS]).set_index("change")


def interactions(measured: dict[str, Measured], experiments: list[Experiment]) -> pd.DataFrame:
    """How a change depends on a change of another factor: its gain after the other one less its gain before it.

    One row per two changes, named "change × change": `pairs` (such differences averaged), the metrics and intervals as
    in `on_average`. Only comparable experiments count, and pairs that are not equal by construction.
    """
    changes = [
        (name, [(a.id, b.id) for a, b in found if _comparable((a, b)) and not _equal((a, b))])
        for _, name, found in _changes(experiments)
    ]

    def between(pair: tuple[str, str], other: tuple[str, str]) -> measurement.Values:
        before, after = (measurement.difference(measured[b], measured[a]) for a, b in (pair, other))
        return {metric: after[metric] - before[metric] for metric in HEADLINE_METRICS}

    lines = []
    for (name, first), (condition, second) in itertools.combinations(changes, 2):
        found = [
            between(before, after)
            for before, after in itertools.product(first, first)
            if (before[0], after[0]) in second and (before[1], after[1]) in second
        ]
        if found:
            lines.append({"change": f"{name} × {condition}", "pairs": len(found)} | _mean(found))
    return pd.DataFrame(lines, columns=["change", "pairs", *COLUMNS]).set_index("change")


def over(measured: dict[str, Measured], experiments: list[Experiment], reference: str) -> pd.DataFrame:
    """Gain in F1 of every comparable experiment over another, or over the linear model. reference: its id.

    Further columns: the ids of the two as `before` and `after`.
    """
    lines = [
        {"change": one.name, "before": reference, "after": one.id} | mean_change(measured, [(reference, one.id)])
        for one in experiments
        if one.comparable and one.id != reference
    ]
    table = pd.DataFrame(lines, columns=["change", "before", "after", *COLUMNS]).set_index("change")
    return table.rename_axis(f"over {measured[reference].name}")


def combine(**tables: pd.DataFrame) -> pd.DataFrame:
    """All tables of KINDS in one, to be saved: `kind`, `change` and their columns; ValueError if one is missing."""
    if set(tables) != KINDS:
        raise ValueError(f"give all of {', '.join(sorted(KINDS))}, not {', '.join(sorted(tables))}")
    parts = [t.rename_axis("change").reset_index().assign(kind=kind) for kind, t in tables.items() if len(t)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"kind": [], "change": []})


def pairs(experiments: list[Experiment], factor: str, before: Any, after: Any) -> list[Pair]:
    """Pairs of experiments at two levels of a factor that differ in no other factor of the grid.

    Factors that a block of the grid does not vary have the run's levels. A factor without effect in one of the two
    experiments, such as a cap on harmonic weights under another loss, may differ.
    """
    levels = _levels(experiments)
    first, second = ([one for one in experiments if levels.get(one.id, {}).get(factor) == x] for x in (before, after))

    def alike(a: Experiment, b: Experiment) -> bool:
        mine, other = levels[a.id], levels[b.id]
        return all(mine[f] == other[f] for f in mine.keys() & other.keys() - {factor})

    return [(a, b) for a, b in itertools.product(first, second) if alike(a, b)]


def informative(found: list[Pair]) -> list[Pair]:
    """The pairs of comparable experiments, or all pairs where there are none, without those that are equal by
    construction, which would draw a mean to zero; or all of them where there are no others."""
    found = list(filter(_comparable, found)) or found
    return [pair for pair in found if not _equal(pair)] or found


def _equal(pair: Pair) -> bool:
    """Whether both are one model of all codes without a filter, under a loss with and without harmonic weights. There
    every training note has a code of the one segment, so that no note is a negative."""
    whole = all(one.parameters.segmentation == one.parameters.filter_labels == "none" for one in pair)
    return whole and {one.parameters.loss for one in pair} in PLAIN_FORMS


def mean_change(measured: dict[str, Measured], pairs: list[tuple[str, str]]) -> dict[str, float]:
    """Mean difference of the headline metrics over pairs of ids, with 95% intervals as `_low` and `_high`."""
    differences = [measurement.difference(measured[after], measured[before]) for before, after in pairs]
    return _mean(differences)


def _mean(found: list[measurement.Values]) -> dict[str, float]:
    return measurement.summarize({m: np.mean([values[m] for values in found], axis=0) for m in HEADLINE_METRICS})


def _comparable(pair: Pair) -> bool:
    return pair[0].comparable and pair[1].comparable


def _levels(experiments: list[Experiment]) -> dict[str, Choices]:
    """Id to levels of the grid's experiments; one that was added to the grid is excluded."""
    given = [one for one in experiments if one.factors is not None]
    factors = dict.fromkeys(factor for one in given for factor in one.choices)
    return {one.id: one.levels(factors) for one in given}


def _changes(experiments: list[Experiment]) -> Iterator[tuple[str, str, list[Pair]]]:
    """Every change from one level of a factor to another, in the grid's order: factor, name, pairs of experiments.

    A factor that has an effect at only one of the two levels is named as well, unless its level is the run's.
    """
    levels = _levels(experiments)
    for factor in dict.fromkeys(factor for found in levels.values() for factor in found):
        known = dict.fromkeys(found[factor] for found in levels.values() if factor in found)
        for before, after in itertools.combinations(known, 2):
            named: dict[str, list[Pair]] = {}
            for a, b in pairs(experiments, factor, before, after):
                name = change_name(factor, _named(factor, a, levels, b), _named(factor, b, levels, a))
                named.setdefault(name, []).append((a, b))
            yield from ((factor, name, found) for name, found in named.items())


def _named(factor: str, one: Experiment, levels: dict[str, Choices], other: Experiment) -> str:
    """A level, and the factors that have an effect only with it."""
    mine, theirs = levels[one.id], levels[other.id]
    extra = [named_level(f, x) for f, x in mine.items() if f not in theirs and x != getattr(one.run, f)]
    return " with ".join([level_name(factor, mine[factor]), *([", ".join(extra)] if extra else [])])
