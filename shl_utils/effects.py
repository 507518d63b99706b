"""What each factor of an ablation is worth: alone, on average over the others, and as its share of the whole gain."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from shl_utils import metrics
from shl_utils.ablation import BASE, Row
from shl_utils.measuring import FIGURES, Measured
from shl_utils.parameters import Parameters

Choices = dict[str, Any]
KINDS = {"average", "paper", "ours", "single", "shares", "over_linear"}  # of changes, in the file of a run
# where the paper may have gone: its loss and segments, a filter on all labels, each segment scored on its own notes
CLAIM = {"segmentation": "eta", "filter_labels": "all", "scoring": "own notes"}


def on_average(measured: dict[str, Measured], rows: list[Row]) -> pd.DataFrame:
    """Points of F1 from one level of a factor to another, over all pairs of rows that differ in no other.

    Pairs of comparable rows alone count where a change has any; else all do, and its name is in parentheses.
    Paired 95% intervals over test notes, codes (macro) and seeds; `pairs` says how many differences are averaged.
    """
    lines = {}
    for name, pairs in _changes(rows):
        fair = [pair for pair in pairs if pair[0].comparable and pair[1].comparable]
        differences = [_difference(measured[a.name], measured[b.name]) for a, b in fair or pairs]
        lines[name if fair else f"({name})"] = {"pairs": len(differences)} | _summary(differences)
    return pd.DataFrame(lines).T.rename_axis("change")


def one_by_one(measured: dict[str, Measured], rows: list[Row]) -> pd.DataFrame:
    """The same for each pair of comparable rows by itself."""
    pairs = [pair for _, pairs in _changes(rows) for pair in pairs if pair[0].comparable and pair[1].comparable]
    lines = {f"{a.name} -> {b.name}": _summary([_difference(measured[a.name], measured[b.name])]) for a, b in pairs}
    return pd.DataFrame(lines).T.rename_axis("change")


def over(measured: dict[str, Measured], rows: list[Row], reference: str) -> pd.DataFrame:
    """Points of F1 of every comparable row over what `measured` holds as `reference`, such as a linear model."""
    fair = [row.name for row in rows if row.comparable and row.name != reference]
    lines = {name: _summary([_difference(measured[reference], measured[name])]) for name in fair}
    return pd.DataFrame(lines).T.rename_axis(f"over {reference}")


def shares(measured: dict[str, Measured], rows: list[Row], *, loss: str) -> pd.DataFrame:
    """How the gain from BASE to the most generous reading of the paper is made up: points a factor, adding up to it.

    A factor's share is its gain averaged over all orders in which the factors could be changed one after another
    (Shapley 1953). Empty where the grid lacks one of the rows in between.
    """
    base = next((row for row in rows if row.name == BASE), None)
    claim = CLAIM | {"loss": loss}
    if base is None or not set(claim) <= set(base.choices):
        return pd.DataFrame()
    by_choices = {_frozen(row.choices): row.name for row in rows}
    names = {}
    for changed in itertools.chain.from_iterable(itertools.combinations(claim, n) for n in range(len(claim) + 1)):
        choices = base.choices | {factor: claim[factor] for factor in changed}
        names[frozenset(changed)] = by_choices.get(_frozen(choices))
    if None in names.values():
        return pd.DataFrame()
    lines = {}
    for factor in claim:
        steps = []
        for before, name in names.items():
            if factor not in before:
                weight = math.factorial(len(before)) * math.factorial(len(claim) - len(before) - 1)
                step = _difference(measured[name], measured[names[before | {factor}]])
                steps.append({k: v * (weight / math.factorial(len(claim))) for k, v in step.items()})
        lines[f"{factor}: {claim[factor]}"] = _summary([{k: sum(s[k] for s in steps) for k in steps[0]}])
    whole = _difference(measured[BASE], measured[names[frozenset(claim)]])
    return pd.DataFrame(lines | {"all together": _summary([whole])}).T.rename_axis("share of the gain")


def by_maker(measured: dict[str, Measured], rows: list[Row]) -> dict[str, pd.DataFrame]:
    """`on_average` of the rows that are the "paper"'s alone, and of those with something of "ours"."""
    sides = {"paper": [row for row in rows if not row.ours], "ours": [row for row in rows if row.ours]}
    return {name: on_average(measured, side) for name, side in sides.items()}


def together(**tables: pd.DataFrame) -> pd.DataFrame:
    """Those of KINDS in one table for a file: `kind` (the name), `change` and the figures."""
    if set(tables) != KINDS:
        raise ValueError(f"give all of {', '.join(sorted(KINDS))}, not {', '.join(sorted(tables))}")
    parts = [t.rename_axis("change").reset_index().assign(kind=kind) for kind, t in tables.items() if len(t)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"kind": [], "change": []})


def _changes(rows: list[Row]) -> Iterator[tuple[str, list[tuple[Row, Row]]]]:
    """Every change from one level of a factor to another, in the grid's order, with the rows that differ in no other.

    What a block of the grid does not vary, the run's parameters say. A setting that means nothing in one of two rows,
    such as a cap on harmonic weights under another loss, comes along with the change, and is named unless it is the
    default.
    """
    rows = [row for row in rows if not row.added]
    factors = dict.fromkeys(factor for row in rows for factor in row.choices)
    levels = {row.name: row.levels(factors) for row in rows}
    for factor in factors:
        able = [row for row in rows if factor in levels[row.name]]
        known = dict.fromkeys(levels[row.name][factor] for row in able)
        for before, after in itertools.combinations(known, 2):
            first, second = ([row for row in able if levels[row.name][factor] == x] for x in (before, after))
            found: dict[str, list[tuple[Row, Row]]] = {}
            for a, b in itertools.product(first, second):
                mine, other = levels[a.name], levels[b.name]
                if all(mine[f] == other[f] for f in mine.keys() & other.keys() - {factor}):
                    name = f"{_named(factor, other, mine)} for {_named(factor, mine, other)} ({factor})"
                    found.setdefault(name, []).append((a, b))
            yield from found.items()


def _named(factor: str, own: Choices, other: Choices) -> str:
    """A level, and what comes along with it."""
    extra = [f"{f} {x}" for f, x in own.items() if f not in other and x != Parameters.model_fields[f].default]
    return " with ".join([str(own[factor]), *([", ".join(extra)] if extra else [])])


def _frozen(choices: Choices) -> tuple:
    return tuple(sorted(choices.items(), key=str))


def _difference(a: Measured, b: Measured) -> dict[str, np.ndarray]:
    """figure to (1 + draws,): the difference of the points first, then of the samples."""
    return {f: np.concatenate([[b.points[f] - a.points[f]], b.samples[f] - a.samples[f]]) for f in FIGURES}


def _summary(differences: list[dict[str, np.ndarray]]) -> dict[str, float]:
    line = {}
    for figure in FIGURES:
        values = np.mean([d[figure] for d in differences], axis=0)
        low, high = metrics.interval(values[1:])
        line |= {figure: values[0], f"{figure}_low": low, f"{figure}_high": high}
    return line
