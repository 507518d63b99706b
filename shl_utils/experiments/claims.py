"""The paper's claims, each as a comparison of experiments of an ablation."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from shl_utils.declarations import LOSSES
from shl_utils.evaluation.linear_baseline import LINEAR
from shl_utils.evaluation.results import BASE, HEADLINE_METRICS, Measured
from shl_utils.experiments import effects, grid
from shl_utils.experiments.ablation import Row
from shl_utils.parameters import Parameters

METHOD = {"loss", "segmentation", "filter_labels", "scoring", "beta"}  # what the method's rows may differ in
ENDS = ("", "_low", "_high")
UNTESTED = "no such rows"
Found = tuple[str, list[effects.Difference]]


def measure(measured: dict[str, Measured], rows: list[Row], run: Parameters) -> pd.DataFrame:
    """One row per claim and metric, with the measured gain and its 95% interval.

    Columns: `claim`, `papers` (False for claims about our extensions or easier protocols), `measured` (by which
    experiments), `figure` (the metric), and `gain`, `low` and `high`. These are NaN where the grid has no such
    experiments.
    measured: metrics of all `rows`, and of LINEAR. run: its loss, if harmonic, is taken as the paper's, and so is its
    beta where a claim names none. The paper's claims are judged only on experiments without extensions.
    """
    lines = []
    for claim, papers, (name, differences) in _claims(measured, rows, run):
        found = effects.summary(differences) if differences else {}
        lines += [
            [claim, papers, name, f, *(found.get(f"{f}{end}", math.nan) for end in ENDS)] for f in HEADLINE_METRICS
        ]
    return pd.DataFrame(lines, columns=["claim", "papers", "measured", "figure", "gain", "low", "high"])


def _claims(measured: dict[str, Measured], rows: list[Row], run: Parameters) -> Iterator[tuple[str, bool, Found]]:
    theirs, ours = [row for row in rows if not row.ours], [row for row in rows if row.ours]
    own = [row for row in theirs if row.levels(["beta"]).get("beta", run.beta) == run.beta]
    segmented, ours_segmented = ([row for row in side if row.parameters.segmentation == "eta"] for side in (own, ours))

    def over(reference: str, **parts: str) -> Found:
        row = _method(theirs, run, **parts)
        if row is None or reference not in measured:
            return UNTESTED, []
        return row.name, [effects.difference(measured[reference], measured[row.name])]

    def change(among: list[Row], factor: str, before: str, after: str) -> Found:
        pairs = effects.fair(effects.pairs(among, factor, before, after))
        name = f"{grid.short(after)} for {grid.short(before)} ({factor}), {len(pairs)} pair{'s' * (len(pairs) > 1)}"
        differences = [effects.difference(measured[a.name], measured[b.name]) for a, b in pairs]
        return (name, differences) if pairs else (UNTESTED, [])

    for beta in sorted({"R1", "R3", run.beta}):  # the default, the most favourable on openi, and the run's own
        for rival, reference in (("one BCE model", BASE), ("a linear model", LINEAR)):
            whole, bare = (over(reference, beta=beta, filter_labels=labels) for labels in ("train", "none"))
            yield f"With beta {beta}, the whole method beats {rival}", True, whole
            yield f"With beta {beta}, without its filter, it beats {rival}", True, bare
    both = {"beta": run.beta, "filter_labels": "all", "scoring": "oracle_routing"}
    yield "Segments beat one model", True, change(own, "segmentation", "none", "eta")
    yield "In segments, the harmonic loss beats BCE", True, change(segmented, "loss", "bce", _harmonic(run))
    yield "In segments, its weights alone beat BCE", True, change(segmented, "loss", "bce", "sh")
    yield "The filter on training labels helps", True, change(own, "filter_labels", "none", "train")
    yield "(Filtering the test labels too lifts F1)", False, change(own, "filter_labels", "train", "all")
    yield "(Oracle routing of notes to segments lifts F1)", False, change(own, "scoring", "union", "oracle_routing")
    yield "(With both, the method beats one BCE model)", False, over(BASE, **both)
    yield "In variants of ours, segments beat one model", False, change(ours, "segmentation", "none", "eta")
    yield "In segments of ours, harmonic weights beat BCE", False, change(ours_segmented, "loss", "bce", "sh")


def _method(rows: list[Row], run: Parameters, **parts: str) -> Row | None:
    """The experiment of the paper's loss and segments with these levels, and all else as in the run."""
    wanted = {"loss": _harmonic(run), "segmentation": "eta", "scoring": "union"} | parts
    return next((row for row in rows if row.levels(wanted) == wanted and row.departures <= METHOD), None)


def _harmonic(run: Parameters) -> str:
    """The run's loss if it is one of the paper's, else "", which no experiment has."""
    return run.loss if LOSSES[run.loss].harmonic else ""
