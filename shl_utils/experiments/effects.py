"""What each factor of an ablation is worth: alone, on average over the others, and as its share of the whole gain."""

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
Difference = dict[str, NDArray[np.float64]]  # figure to (1 + draws,): that of the points, then those of the samples
KINDS = {"average", "single", "shares", "over_linear"}  # of changes, in the file of a run
# where the paper may have gone: its loss and segments, a filter on all labels, oracle routing of notes
CLAIM = {"segmentation": "eta", "filter_labels": "all", "scoring": "oracle_routing"}


def on_average(measured: dict[str, Measured], rows: list[Row]) -> pd.DataFrame:
    """Points of F1 from one level of a factor to another, over all pairs of rows that differ in no other.

    Pairs of comparable rows alone count where a change has any; else all do, and its name is in parentheses.
    Paired 95% intervals over test notes, codes (macro) and seeds; `pairs` says how many differences are averaged.
    """
    lines = {}
    for name, found in _changes(rows):
        counted = fair(found)
        differences = [difference(measured[a.name], measured[b.name]) for a, b in counted]
        name = name if all(_comparable(pair) for pair in counted) else f"({name})"
        lines[name] = {"pairs": len(differences)} | summary(differences)
    return pd.DataFrame(lines).T.rename_axis("change")


def one_by_one(measured: dict[str, Measured], rows: list[Row]) -> pd.DataFrame:
    """The same for each pair of comparable rows by itself."""
    found = [pair for _, pairs in _changes(rows) for pair in pairs if _comparable(pair)]
    lines = {f"{a.name} -> {b.name}": summary([difference(measured[a.name], measured[b.name])]) for a, b in found}
    return pd.DataFrame(lines).T.rename_axis("change")


def over(measured: dict[str, Measured], rows: list[Row], reference: str) -> pd.DataFrame:
    """Points of F1 of every comparable row over what `measured` holds as `reference`, such as a linear model."""
    names = [row.name for row in rows if row.comparable and row.name != reference]
    lines = {name: summary([difference(measured[reference], measured[name])]) for name in names}
    return pd.DataFrame(lines).T.rename_axis(f"over {reference}")


def shares(measured: dict[str, Measured], rows: list[Row], *, loss: str) -> pd.DataFrame:
    """How the gain from BASE to the most generous reading of the paper is made up: points a factor, adding up to it.

    A factor's share is its gain averaged over all orders in which the factors could be changed one after another
    (Shapley 1953). Empty where the grid lacks one of the rows in between.
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
    """Those of KINDS in one table for a file: `kind` (the name), `change` and the figures."""
    if set(tables) != KINDS:
        raise ValueError(f"give all of {', '.join(sorted(KINDS))}, not {', '.join(sorted(tables))}")
    parts = [t.rename_axis("change").reset_index().assign(kind=kind) for kind, t in tables.items() if len(t)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"kind": [], "change": []})


def pairs(rows: list[Row], factor: str, before: Any, after: Any) -> list[tuple[Row, Row]]:
    """Rows at one level of a factor, each with those at the other that differ in nothing else that the grid varies.

    What a block of the grid does not vary, the run's parameters say. A setting that means nothing in one of two rows,
    such as a cap on harmonic weights under another loss, may differ.
    """
    levels = _levels(rows)
    first, second = ([row for row in rows if levels.get(row.name, {}).get(factor) == x] for x in (before, after))

    def alike(a: Row, b: Row) -> bool:
        mine, other = levels[a.name], levels[b.name]
        return all(mine[f] == other[f] for f in mine.keys() & other.keys() - {factor})

    return [(a, b) for a, b in itertools.product(first, second) if alike(a, b)]


def fair(found: list[tuple[Row, Row]]) -> list[tuple[Row, Row]]:
    """The pairs of comparable rows, or all where there are none."""
    return [pair for pair in found if _comparable(pair)] or found


def _comparable(pair: tuple[Row, Row]) -> bool:
    return pair[0].comparable and pair[1].comparable


def _levels(rows: list[Row]) -> dict[str, Choices]:
    """Name to levels, of the rows of the grid; a row that was added to it shows no change."""
    rows = [row for row in rows if not row.added]
    factors = dict.fromkeys(factor for row in rows for factor in row.choices)
    return {row.name: row.levels(factors) for row in rows}


def _changes(rows: list[Row]) -> Iterator[tuple[str, list[tuple[Row, Row]]]]:
    """Every change from one level of a factor to another, in the grid's order, with its pairs of rows.

    What comes along with the change because it means nothing in the other row is named, unless it is the run's.
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
    """A level, and what comes along with it."""
    own, theirs = levels[row.name], levels[other.name]
    extra = [f"{f} {grid.short(x)}" for f, x in own.items() if f not in theirs and x != getattr(row.run, f)]
    return " with ".join([grid.short(own[factor]), *([", ".join(extra)] if extra else [])])


def _frozen(choices: Choices) -> tuple:
    return tuple(sorted(choices.items(), key=str))


def difference(a: Measured, b: Measured) -> Difference:
    """From `a` to `b`."""
    return {f: np.concatenate([[b.points[f] - a.points[f]], b.samples[f] - a.samples[f]]) for f in HEADLINE_METRICS}


def summary(differences: list[Difference]) -> dict[str, float]:
    """Their mean: each of FIGURES, and its 95% interval by `_low` and `_high` behind the name."""
    line = {}
    for figure in HEADLINE_METRICS:
        values = np.mean([d[figure] for d in differences], axis=0)
        low, high = resampling.interval(values[1:])
        line |= {figure: values[0], f"{figure}_low": low, f"{figure}_high": high}
    return line
