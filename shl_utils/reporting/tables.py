"""Readable tables and text: what was trained, and points of F1 (x 100) with their intervals."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from shl_utils.data import corpus as corpora
from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import label_metrics, results, score_metrics
from shl_utils.evaluation.results import BASE
from shl_utils.training.segment_record import SegmentRecord

FIGURES = {"micro_f1": "micro", "macro_f1_present": "macro"}
DEFINITIONS = {
    "micro": f"F1 x 100 {label_metrics.DEFINITIONS['micro_f1']}",
    "macro": f"the same, {label_metrics.DEFINITIONS['macro_f1_present']}",
    "[low, high]": results.INTERVAL,
}
TRAINED = ["positives", "negatives_per_pass", "passes_per_epoch", "best_epoch", "trainable_parameters", "seconds"]
# arguments of the losses (see `losses`) that are derived from the training notes
DERIVED = {
    "weights": "weight of a negative",
    "positive": "weight of a positive",
    "code": "weight of a code",
    "rarity": "1 / notes of a code",
    "bias": "shift of a logit",
    "offset": "offset of R-BCE",
}


def segments(records: Sequence[SegmentRecord]) -> pd.DataFrame:
    """Per segment: training notes, best epoch, cost, validation AP, and the AP of the codes' frequencies alone.

    The other columns are what its loss derived from the training notes (DERIVED), as minimum / median / maximum.
    """
    shown = [_trained(record) for record in records]
    texts = [{DERIVED[name]: _spread(values) for name, values in record.derived.items()} for record in records]
    table = pd.DataFrame([row | text for row, text in zip(shown, texts)], index=[r.segment for r in records])
    return spaced(table.fillna("")).rename_axis("segment")


def spaced(table: pd.DataFrame) -> pd.DataFrame:
    """The table with column and row names that can wrap, for narrow pages."""
    heads = {name: str(name).replace("_", " ") for name in table.columns}
    return table.rename(columns=heads, index=lambda name: re.sub(r",(?! )", ", ", str(name)))


def models(table: pd.DataFrame) -> pd.DataFrame:
    """Micro- and macro-F1 with intervals, precision, recall and gains of every model. table: from `results.compare`."""
    columns = {
        "micro-F1": table.apply(interval, axis=1, figure="micro_f1"),
        "macro-F1 (codes in test)": table.apply(interval, axis=1, figure="macro_f1_present"),
        "macro-F1 (all codes)": (100 * table["macro_f1_all"].astype(float)).map("{:.1f}".format),
        "precision": (100 * table["micro_precision"].astype(float)).map("{:.1f}".format),
        "recall": (100 * table["micro_recall"].astype(float)).map("{:.1f}".format),
        "micro gain": table.apply(change, axis=1, figure="micro_f1_gain"),
        "macro gain": table.apply(change, axis=1, figure="macro_f1_present_gain"),
    }
    return pd.DataFrame(columns)


def all_figures(table: pd.DataFrame) -> pd.DataFrame:
    """Every metric (rows) of every model (columns), with its definition last. table: from `results.compare`."""
    definitions = label_metrics.DEFINITIONS | score_metrics.DEFINITIONS
    values = table[list(definitions)].T.astype(float).round(3)
    return values.assign(definition=pd.Series(definitions)).rename_axis("figure")


def ablation(table: pd.DataFrame, *, reference: str = BASE) -> pd.DataFrame:
    """Per experiment: F1 with its deviation over seeds, gain with p, mAP, core seconds and failed training runs.

    Those that are not comparable are in parentheses. table: from `results.table`, with the same `reference`.
    """
    columns = {}
    for figure, title in FIGURES.items():
        value, gain = (
            table.apply(interval, axis=1, figure=figure),
            table.apply(change, axis=1, figure=f"{figure}_gain"),
        )
        columns[f"{title}-F1"] = value + _text(100 * table[f"{figure}_sd"], " ±{:.1f}")
        gain = gain.where(gain.index != reference, "")
        columns[f"{title} gain"] = gain + _text(table[f"{figure}_p"], " p {:.3f}")
    columns["mAP"] = (100 * table["map"].astype(float)).map("{:.1f}".format)
    columns["core seconds"] = _text(table["core_seconds"], "{:.0f}")
    if table["failed"].any():
        columns["failed trainings"] = table["failed"]
    names = [name if row["comparable"] else f"({name})" for name, row in table.iterrows()]
    return pd.DataFrame(columns).set_axis(names)


def definitions(table: pd.DataFrame, *, times: int, reference: str = BASE) -> dict[str, str]:
    """Definitions of what `ablation` shows, by name; `times` and `reference` as given to `results.table`."""
    failed = {"failed trainings": "of the row's segments, and of what they start from or are stacked with"}
    return (
        DEFINITIONS
        | {
            "±": "deviation between seeds of training",
            "gain": f"over {reference}, paired: both on the same draws",
            "p": results.definition_of_p(table, times=times),
            "mAP": score_metrics.DEFINITIONS["map"],
            "core seconds": "seconds of training times cores, with all models that a row needs",
            "(row)": "not comparable: not measured on all pairs of the labels that the source has",
        }
        | (failed if table["failed"].any() else {})
    )


def fingerprints(corpus: Corpus) -> dict[str, str]:
    """Fingerprints of the corpus, as one more definition."""
    return {"measured on": named(corpora.fingerprints(corpus))}


def named(prints: dict[str, str]) -> str:
    """Fingerprints in one line of text."""
    return ", ".join(f"{name} {value}" for name, value in prints.items())


def effects(table: pd.DataFrame) -> pd.DataFrame:
    """Changes in micro- and macro-F1 with intervals, and over how many `pairs`. table: such as `effects.on_average`."""
    if table.empty:
        return pd.DataFrame({"micro": [], "macro": []}).rename_axis(table.index.name)
    pairs = {"pairs": table["pairs"].astype(int)} if "pairs" in table else {}
    shown = {title: table.apply(change, axis=1, figure=figure) for figure, title in FIGURES.items()}
    return pd.DataFrame(pairs | shown).rename_axis(table.index.name)


def by_frequency(lines: pd.DataFrame) -> pd.DataFrame:
    """micro-F1 of every experiment (rows) in each bin of code frequency (columns), and its gain over BASE.

    lines: from `results.gains_by_frequency`.
    """
    heads = [f"{b} ({n:.0f} codes, {k:.0f} labels)" for b, n, k in lines[["bin", "codes", "positives"]].to_numpy()]
    gains = (100 * lines[["micro_f1", "gain", "low", "high"]]).to_numpy()
    words = ["{:.1f}, {:+.1f} [{:+.1f}, {:+.1f}]".format(*values) for values in gains]
    shown = lines.assign(head=heads, text=words)
    shown["text"] = shown["text"].where(shown["row"] != BASE, (100 * lines["micro_f1"]).map("{:.1f}".format))
    wide = shown.pivot(index="row", columns="head", values="text")
    return wide.reindex(index=shown["row"].unique(), columns=shown["head"].unique()).rename_axis(columns=None)


def sensitivity(curves: pd.DataFrame) -> pd.DataFrame:
    """F1 and gain over the base at every level of each factor. curves: from `measure.together`."""
    columns: dict[str, pd.Series] = {"level": curves["level"]}
    for figure, title in FIGURES.items():
        columns[f"{title}-F1"] = curves.apply(interval, axis=1, figure=figure)
        columns[f"{title} gain"] = curves.apply(change, axis=1, figure=f"{figure}_gain")
    return pd.DataFrame(columns).set_axis(curves["factor"])


def verdict(lines: pd.DataFrame) -> pd.DataFrame:
    """One row per claim and run that tested it: gain and verdict in micro- and macro-F1; untested claims appear once.

    lines: from `verdict.judge_runs`.
    """
    keys, claims = ["claim", "run", "measured"], list(lines.index.unique())
    tested = lines[lines["verdict"] != "not tested"]
    never = lines[~lines.index.isin(tested.index)].assign(run="none").reset_index().drop_duplicates([*keys, "figure"])
    shown = pd.concat([tested.reset_index(), never]).sort_values(
        "claim", key=lambda c: c.map(claims.index), kind="stable"
    )
    gains = (100 * shown[["gain", "low", "high"]]).to_numpy()
    words = ["{}, {:+.1f} [{:+.1f}, {:+.1f}]".format(said, *gain) for said, gain in zip(shown["verdict"], gains)]
    shown = shown.assign(text=shown["verdict"].where(shown["gain"].isna(), words), figure=shown["figure"].map(FIGURES))
    wide = shown.pivot(index=keys, columns="figure", values="text")
    return wide.reindex(index=shown.set_index(keys).index.unique(), columns=[*FIGURES.values()]).rename_axis(
        columns=None
    )


def tuning(table: pd.DataFrame) -> pd.DataFrame:
    """Validation score of every experiment under every setting, the chosen one starred, and core seconds of all.

    table: from `tuning.choose`.
    """
    mark = table["chosen"].map({True: " *", False: ""})
    shown = table.assign(figure=(100 * table["figure"]).map("{:.1f}".format) + mark)
    wide = shown.pivot(index="row", columns="setting", values="figure").fillna("").reindex(shown["row"].unique())
    cost = table.groupby("row")["core_seconds"].sum()
    heading = "mean of micro average precision and mAP on validation, x 100"
    return wide.assign(**{"core seconds": cost.map("{:.0f}".format)}).rename_axis(heading)


def write_markdown(path: Path, *tables: pd.DataFrame, definitions: dict[str, str]) -> None:
    """Write tables as Markdown text, for a terminal or a report, followed by the definitions of their columns."""
    texts = [markdown(table) for table in tables]
    path.write_text("\n\n".join([*texts, listed(definitions)]) + "\n", encoding="utf-8")


def listed(definitions: dict[str, str]) -> str:
    """Definitions as a Markdown list, one line each."""
    return "\n".join(f"- {name}: {text}" for name, text in definitions.items())


def markdown(table: pd.DataFrame) -> str:
    """A Markdown table with the index as its first column."""
    table = table.rename_axis(table.index.name or "row").reset_index()
    lines = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _text(values: pd.Series, form: str) -> pd.Series:
    """Numbers formatted with `form`, and "" where there is none."""
    return values.astype(float).map(form.format, na_action="ignore").astype(object).fillna("")


def _trained(record: SegmentRecord) -> dict[str, Any]:
    best = record.best_epoch
    reached = {
        "validation_ap": None if best is None else record.history[best]["validation_ap"],
        "frequency_ap": record.frequency_ap,
    }
    texts = {name: "" if ap is None else f"{ap:.3f}" for name, ap in reached.items()}
    return {name: getattr(record, name) for name in TRAINED} | texts | {"codes": len(record.codes)}


def _spread(values: dict[str, float] | float) -> str:
    """Numbers as "0.5 / 1 / 10"."""
    return " / ".join(f"{value:g}" for value in (values.values() if isinstance(values, dict) else [values]))


def interval(row: Mapping[str, float] | pd.Series, figure: str) -> str:
    """A metric x 100 with its interval, as "82.9 [80.8, 84.7]"."""
    return "{:.1f} [{:.1f}, {:.1f}]".format(*_points(row, figure))


def change(row: pd.Series, figure: str) -> str:
    """A signed difference x 100 with its interval, as "+1.2 [-0.3, +2.8]"."""
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*_points(row, figure))


def _points(row: pd.Series, figure: str) -> list[float]:
    return [100 * row[f"{figure}{end}"] for end in ("", "_low", "_high")]
