"""What each factor of an ablation contributes: alone, averaged over the others, and as a share of the whole gain."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shl_utils.evaluation import resampling
from shl_utils.evaluation.results import HEADLINE_METRICS, Measured
from shl_utils.experiments import grid
from shl_utils.experiments.ablation import Row

Choices = dict[str, Any]
Difference = dict[str, NDArray[np.float64]]  # metric to (1 + draws,): difference of the estimates, then of every draw
KINDS = {"average", "single", "shares", "over_linear"}  # of changes, as saved in a run's file
# the most favourable reading of the paper: its loss and segments, a filter on all labels, oracle routing of notes
CLAIM = {"segmentation": "eta", "filter_labels": "all", "scoring": "oracle_routing"}


def on_average(measured: dict[str, Measured], rows: list[Row]) -> pd.DataFrame:
    """Mean change in F1 between two levels of a factor, over all pairs of experiments that differ in no other.

    One row per change: `pairs` (differences averaged), the metrics, and their paired 95% intervals over test notes,
    codes (macro) and seeds. Only pairs of comparable experiments count where a change has any. Otherwise all count, and
    the name of the change is in parentheses.
    """
    lines = {}
    for name, found in _changes(rows):
        counted = fair(found)
        differences = [difference(measured[a.name], measured[b.name]) for a, b in counted]
        name = name if all(_comparable(pair) for pair in counted) else f"({name})"
        lines[name] = {"pairs": len(differences)} | summary(differences)
    return pd.DataFrame(lines).T.rename_axis("change")


def one_by_one(measured: dict[str, Measured], rows: list[Row]) -> pd.DataFrame:
    """Change in F1 with its interval, as in `on_average`, for each pair of comparable experiments by itself."""
    found = [pair for _, pairs in _changes(rows) for pair in pairs if _comparable(pair)]
    lines = {f"{a.name} -> {b.name}": summary([difference(measured[a.name], measured[b.name])]) for a, b in found}
    return pd.DataFrame(lines).T.rename_axis("change")


def over(measured: dict[str, Measured], rows: list[Row], reference: str) -> pd.DataFrame:
    """Gain in F1 of every comparable experiment over `reference`, a name in `measured` such as the linear model."""
    names = [row.name for row in rows if row.comparable and row.name != reference]
    lines = {name: summary([difference(measured[reference], measured[name])]) for name in names}
    return pd.DataFrame(lines).T.rename_axis(f"over {reference}")


def shares(measured: dict[str, Measured], rows: list[Row], *, loss: str) -> pd.DataFrame:
    """Contribution of each factor to the gain of the most favourable reading of the paper over BASE.

    A factor's share is its gain averaged over all orders in which the factors could be changed one after another
    (Shapley 1953). The shares add up to the gain. Empty where the grid lacks one of the experiments in between.
    """
    claim = CLAIM | {"loss": loss}
    start = {"segmentation": "none", "filter_labels": "none", "scoring": "union", "loss": "bce"}
    able = {_frozen(row.levels(claim)): row.name for row in rows if row.departures <= set(claim)}
    names = {}
    for changed in itertools.chain.from_iterable(itertools.combinations(claim, n) for n in range(len(claim) + 1)):
        names[frozenset(changed)] = able.get(_frozen(start | {factor: claim[factor] for factor in changed}))
    if None in names.values():
        return pd.DataFrame()
    lines = {}
    for factor in claim:
        steps = []
        for before, name in names.items():
            if factor not in before:
                weight = math.factorial(len(before)) * math.factorial(len(claim) - len(before) - 1)
                step = difference(measured[name], measured[names[before | {factor}]])
                steps.append({k: v * (weight / math.factorial(len(claim))) for k, v in step.items()})
        lines[f"{factor}: {grid.short(claim[factor])}"] = summary([{k: sum(s[k] for s in steps) for k in steps[0]}])
    whole = difference(measured[names[frozenset()]], measured[names[frozenset(claim)]])
    return pd.DataFrame(lines | {"all together": summary([whole])}).T.rename_axis("share of the gain")


def together(**tables: pd.DataFrame) -> pd.DataFrame:
    """All tables of KINDS in one, to be saved: `kind`, `change` and the metrics; ValueError if one is missing."""
    if set(tables) != KINDS:
        raise ValueError(f"give all of {', '.join(sorted(KINDS))}, not {', '.join(sorted(tables))}")
    parts = [t.rename_axis("change").reset_index().assign(kind=kind) for kind, t in tables.items() if len(t)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"kind": [], "change": []})


def pairs(rows: list[Row], factor: str, before: Any, after: Any) -> list[tuple[Row, Row]]:
    """Pairs of experiments at two levels of a factor that differ in no other factor of the grid.

    Factors that a block of the grid does not vary have the run's levels. A factor without effect in one of the two
    experiments, such as a cap on harmonic weights under another loss, may differ.
    """
    levels = _levels(rows)
    first, second = ([row for row in rows if levels.get(row.name, {}).get(factor) == x] for x in (before, after))

    def alike(a: Row, b: Row) -> bool:
        mine, other = levels[a.name], levels[b.name]
        return all(mine[f] == other[f] for f in mine.keys() & other.keys() - {factor})

    return [(a, b) for a, b in itertools.product(first, second) if alike(a, b)]


def fair(found: list[tuple[Row, Row]]) -> list[tuple[Row, Row]]:
    """The pairs of comparable experiments, or all pairs where there are none."""
    return [pair for pair in found if _comparable(pair)] or found


def _comparable(pair: tuple[Row, Row]) -> bool:
    return pair[0].comparable and pair[1].comparable


def _levels(rows: list[Row]) -> dict[str, Choices]:
    """Name to levels of the grid's experiments; one that was added to the grid is excluded."""
    rows = [row for row in rows if not row.added]
    factors = dict.fromkeys(factor for row in rows for factor in row.choices)
    return {row.name: row.levels(factors) for row in rows}


def _changes(rows: list[Row]) -> Iterator[tuple[str, list[tuple[Row, Row]]]]:
    """Every change from one level of a factor to another, in the grid's order, with its pairs of experiments.

    A factor that has an effect at only one of the two levels is named as well, unless its level is the run's.
    """
    levels = _levels(rows)
    for factor in dict.fromkeys(factor for found in levels.values() for factor in found):
        known = dict.fromkeys(found[factor] for found in levels.values() if factor in found)
        for before, after in itertools.combinations(known, 2):
            named: dict[str, list[tuple[Row, Row]]] = {}
            for a, b in pairs(rows, factor, before, after):
                name = f"{_named(factor, b, levels, a)} for {_named(factor, a, levels, b)} ({factor})"
                named.setdefault(name, []).append((a, b))
            yield from named.items()


def _named(factor: str, row: Row, levels: dict[str, Choices], other: Row) -> str:
    """A level, and the factors that have an effect only with it."""
    own, theirs = levels[row.name], levels[other.name]
    extra = [f"{f} {grid.short(x)}" for f, x in own.items() if f not in theirs and x != getattr(row.run, f)]
    return " with ".join([grid.short(own[factor]), *([", ".join(extra)] if extra else [])])


def _frozen(choices: Choices) -> tuple:
    return tuple(sorted(choices.items(), key=str))


def difference(a: Measured, b: Measured) -> Difference:
    """Paired differences `b` minus `a` of the headline metrics: of the estimates, then of every bootstrap draw."""
    return {f: np.concatenate([[b.points[f] - a.points[f]], b.samples[f] - a.samples[f]]) for f in HEADLINE_METRICS}


def summary(differences: list[Difference]) -> dict[str, float]:
    """Mean of the differences: each headline metric, and its 95% interval with the suffixes `_low` and `_high`."""
    line = {}
    for figure in HEADLINE_METRICS:
        values = np.mean([d[figure] for d in differences], axis=0)
        low, high = resampling.interval(values[1:])
        line |= {figure: values[0], f"{figure}_low": low, f"{figure}_high": high}
    return line
