"""Readable tables and text: what was trained, and points of F1 (x 100) with their intervals."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from shl_utils.declarations import DERIVED
from shl_utils.evaluation import label_metrics, results, score_metrics, verdicts
from shl_utils.evaluation.resampling import HEADLINE_METRICS
from shl_utils.training.segment_record import SegmentRecord

DEFINITIONS = {
    "micro": f"F1 x 100 {label_metrics.DEFINITIONS['micro_f1']}",
    "macro": f"the same, {label_metrics.DEFINITIONS['macro_f1_present']}",
    "[low, high]": results.INTERVAL,
}
TRAINED = ["positives", "negatives_per_pass", "passes_per_epoch", "best_epoch", "trainable_parameters", "seconds"]
STEPS = {"gradient_norm": "{:.2g}", "clipped": "{:.0%}"}  # means over epochs
# what losses derive from the training notes: the harmonic weights, and their own arguments
LABELS = {"weights": "weight of a negative"} | {name: taken.label for name, taken in DERIVED.items()}


def segments(records: Sequence[SegmentRecord]) -> pd.DataFrame:
    """Per segment: training notes, best epoch, cost, validation AP, and the AP of the codes' frequencies alone; norm of
    the gradient before clipping and share of steps that were clipped, means over epochs; and how many negatives a drawn
    one stands for, by which its weight is multiplied.

    The other columns are what its loss derived from the training notes (LABELS), as minimum / median / maximum.
    """
    shown = [_trained(record) for record in records]
    texts = [{LABELS[name]: _spread(values) for name, values in record.derived.items()} for record in records]
    table = pd.DataFrame([row | text for row, text in zip(shown, texts)], index=[r.segment for r in records])
    return spaced(table.fillna("")).rename_axis("segment")


def rounded(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    """The table with so many decimals, and none where a column holds whole numbers."""
    return table.round(digits).convert_dtypes()


def spaced(table: pd.DataFrame) -> pd.DataFrame:
    """The table with column and row names that can wrap, for narrow pages."""
    heads = {name: str(name).replace("_", " ") for name in table.columns}
    return table.rename(columns=heads, index=lambda name: re.sub(r",(?! )", ", ", str(name)))


def models(table: pd.DataFrame) -> pd.DataFrame:
    """Micro- and macro-F1 with intervals, precision, recall and gains of every model. table: from `results.compare`."""
    columns = {
        "micro-F1": intervals(table, "micro_f1"),
        "macro-F1 (codes in test)": intervals(table, "macro_f1_present"),
        "macro-F1 (all codes)": text(100 * table["macro_f1_all"], "{:.1f}"),
        "precision": text(100 * table["micro_precision"], "{:.1f}"),
        "recall": text(100 * table["micro_recall"], "{:.1f}"),
    }
    itself = table["micro_f1_gain_low"] == table["micro_f1_gain_high"]  # the reference's gain over itself
    gains = {
        f"{title} gain": changes(table, f"{metric}_gain").mask(itself, "") for metric, title in HEADLINE_METRICS.items()
    }
    return pd.DataFrame(columns | gains)


def described(facts: Mapping[str, float]) -> pd.DataFrame:
    """What `corpus_facts.describe` found, a line each."""
    return pd.DataFrame({"": {name: f"{x:,}" if isinstance(x, int) else f"{x:.2f}" for name, x in facts.items()}})


def all_metrics(table: pd.DataFrame) -> pd.DataFrame:
    """Every metric (rows) of every model (columns), with its definition last. table: from `results.compare`."""
    definitions = label_metrics.DEFINITIONS | score_metrics.DEFINITIONS
    values = metrics(table[list(definitions)]).T
    return values.assign(definition=list(definitions.values())).rename_axis("metric")


def metrics(table: pd.DataFrame) -> pd.DataFrame:
    """Metrics (columns) as printed: counts as whole numbers, ratios as they are, all else x 100."""
    plain = dict.fromkeys(label_metrics.COUNTS, "{:.0f}") | dict.fromkeys(score_metrics.RATIOS, "{:.2f}")
    shown = {
        name.replace("_f1", "-F1"): text(column, plain[name]) if name in plain else text(100 * column, "{:.1f}")
        for name, column in table.items()
    }
    return spaced(pd.DataFrame(shown, index=table.index))


def ablation(table: pd.DataFrame) -> pd.DataFrame:
    """Per experiment: F1 with its deviation over seeds, gain with p, mAP, core seconds and failed training runs.

    Those that are not comparable are in parentheses. table: from `results.table`, with `core_seconds` and `failed`.
    """
    columns = {}
    for metric, title in HEADLINE_METRICS.items():
        gain = changes(table, f"{metric}_gain").where(~table["reference"], "")
        marks = [f" {verdicts.MARK}" * disagree for disagree in _disagree(table, metric)]
        columns[f"{title}-F1"] = intervals(table, metric) + text(100 * table[f"{metric}_sd"], " ±{:.1f}")
        columns[f"{title} gain"] = gain + marks
        columns[f"{title} p"] = _p(table, metric)
    columns["mAP"] = text(100 * table["map"], "{:.1f}")
    columns["core seconds"] = text(table["core_seconds"], "{:.0f}")
    if table["failed"].any():
        columns["failed trainings"] = table["failed"]
    return pd.DataFrame(columns).set_axis(marked(table["row"], table["comparable"]))


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """Per comparable experiment: F1, the gain with its verdict, and p, raw and by Holm's method where that is known.

    table: from `results.table` or `splits.pool`, with `failed`.
    """
    table = table[table["comparable"].astype(bool)]
    columns = {}
    for metric, title in HEADLINE_METRICS.items():
        ends = zip(table[f"{metric}_gain_low"], table[f"{metric}_gain_high"], _disagree(table, metric))
        said = [
            f" {verdicts.verdict(low, high, metric)}{f' {verdicts.MARK}' * disagree}" for low, high, disagree in ends
        ]
        found = changes(table, f"{metric}_gain") + said + _tight(table, f"{metric}_gain")
        columns[f"{title}-F1"] = text(100 * table[metric], "{:.1f}")
        columns[f"{title} gain"] = found.where(~table["reference"].astype(bool), "")
        columns[f"{title} p"] = _p(table, metric)
    if table["failed"].any():
        columns["failed trainings"] = table["failed"]
    return pd.DataFrame(columns).set_axis(table["row"])


def precision_and_recall(table: pd.DataFrame) -> pd.DataFrame:
    """Precision and recall x 100, and false positives in the test, of every comparable experiment; means over seeds.

    table: from `results.table`.
    """
    table = table[table["comparable"].astype(bool)]
    columns = {name: text(100 * table[f"micro_{name}"], "{:.1f}") for name in ("precision", "recall")}
    columns |= {name.replace("_", " "): text(table[name], "{:,.0f}") for name in ("false_positives", "positives")}
    return pd.DataFrame(columns).set_axis(table["row"])


def gradients(table: pd.DataFrame) -> pd.DataFrame:
    """Norm of the gradient before clipping, and share of the steps that were clipped, by experiment."""
    columns = {name.replace("_", " "): text(table[name], form) for name, form in STEPS.items()}
    return pd.DataFrame(columns).set_axis(table["row"])[table["gradient_norm"].notna().to_numpy()]


def _p(table: pd.DataFrame, metric: str) -> pd.Series:
    """p, raw and by Holm's method where that is known."""
    names = [name for name in (f"{metric}_p", f"{metric}_p_holm") if name in table]
    lines = table[names].astype(float).to_numpy().tolist()
    return pd.Series([" / ".join(map(_printed, line)) if line[0] == line[0] else "" for line in lines], table.index)


def _printed(p: float) -> str:
    return f"{p:.4f}" if p >= 0.0001 else "<0.0001"


def _tight(table: pd.DataFrame, metric: str) -> list[str]:
    """The mark of intervals over splits that are tight, see `splits`."""
    return [f" {verdicts.TIGHT}" * bool(tight) for tight in table.get(f"{metric}_tight", [False] * len(table))]


def _disagree(table: pd.DataFrame, metric: str) -> list[bool]:
    ends = table[[f"{metric}_gain_low", f"{metric}_gain_high", f"{metric}_p"]].to_numpy(dtype=float)
    return [verdicts.disagree(*line) for line in ends]


def marked(names: Iterable[str], comparable: Iterable[bool]) -> list[str]:
    """Names as printed: in parentheses where they are not comparable."""
    return [name if plain else f"({name})" for name, plain in zip(names, comparable)]


def definitions(table: pd.DataFrame, *, times: int) -> dict[str, str]:
    """Definitions of what `ablation` shows of this table, by name; `times` as given to `results.table`."""
    failed = {"failed trainings": "of the row's segments"}
    disagree = {verdicts.MARK: verdicts.MARKED}
    return (
        DEFINITIONS
        | {
            "±": "deviation between seeds of training",
            "gain": f"over {table.loc[table['reference'], 'row'].iloc[0]}, paired: both on the same draws",
            "p": results.definition_of_p(table, times=times),
            "mAP": score_metrics.DEFINITIONS["map"],
            "core seconds": "seconds of training times cores, with all models that a row needs",
            "(row)": "not comparable: not measured on all pairs of the labels that the source has",
        }
        | (failed if table["failed"].any() else {})
        | (disagree if any(any(_disagree(table, metric)) for metric in HEADLINE_METRICS) else {})
    )


def named(prints: dict[str, str]) -> str:
    """Fingerprints in one line of text."""
    return ", ".join(f"{name} {value}" for name, value in prints.items())


def identify_data(prints: dict[str, dict[str, str]]) -> dict[str, str]:
    """Fingerprints of the data of runs, by name, as one more definition: those of all, or of each where they differ."""
    texts = {run: named(found) for run, found in prints.items()}
    same = len(set(texts.values())) == 1
    text = next(iter(texts.values())) if same else "; ".join(f"{run}: {text}" for run, text in texts.items())
    return {"measured on": text}


def effects(table: pd.DataFrame) -> pd.DataFrame:
    """Changes in micro- and macro-F1 with intervals, and over how many `pairs`. table: such as `effects.on_average`.

    Changes that are not comparable are in parentheses.
    """
    if table.empty:
        return pd.DataFrame({"micro": [], "macro": []}).rename_axis(table.index.name)
    pairs = {"pairs": table["pairs"]} if "pairs" in table else {}
    shown = {title: changes(table, metric) + _tight(table, metric) for metric, title in HEADLINE_METRICS.items()}
    names = marked(table.index, table["comparable"]) if "comparable" in table else table.index
    return pd.DataFrame(pairs | shown).set_axis(names).rename_axis(table.index.name)


def by_frequency(lines: pd.DataFrame) -> pd.DataFrame:
    """micro-F1 of every experiment (rows) in each bin of code frequency (columns), and its gain over the reference.

    lines: from `results.gains_by_frequency`.
    """
    heads = [f"{b} ({n:.0f} codes, {k:.0f} labels)" for b, n, k in lines[["bin", "codes", "positives"]].to_numpy()]
    gains = (", " + lines.apply(change, axis=1)).where(~lines["reference"], "")
    texts = text(100 * lines["micro_f1"], "{:.1f}") + gains
    wide = _wide(lines.assign(head=heads, text=texts), "head")
    return wide.reindex(columns=dict.fromkeys(heads)).rename_axis(columns=None)


def verdict(lines: pd.DataFrame) -> pd.DataFrame:
    """One row per claim and run that tested it: gain and verdict in micro- and macro-F1; untested claims appear once.

    Claims that are not comparable are in parentheses. lines: from `claims.judge_runs`.
    """
    keys = ["claim", "run", "measured"]
    lines = lines.set_axis(marked(lines.index, lines["comparable"])).rename_axis("claim")
    tested = lines[lines["verdict"] != verdicts.UNTESTED]
    never = lines[~lines.index.isin(tested.index)].assign(run="none").reset_index().drop_duplicates([*keys, "metric"])
    shown = pd.concat([tested, never.set_index("claim")]).loc[lines.index.unique()].reset_index()
    known = (dict(line) for _, line in shown.iterrows())
    texts = [line["verdict"] + (f", {change(line)}" if line["gain"] == line["gain"] else "") for line in known]
    shown = shown.assign(text=texts, metric=shown["metric"].map(HEADLINE_METRICS))
    wide = shown.pivot(index=keys, columns="metric", values="text")
    wide = wide.reindex(index=shown.set_index(keys).index.unique(), columns=[*HEADLINE_METRICS.values()])
    return wide.rename_axis(columns=None)


def tuning(table: pd.DataFrame) -> pd.DataFrame:
    """Validation score of every experiment under every setting, the chosen one starred, and core seconds of all.

    table: from `tuning.choose`.
    """
    texts = text(100 * table["validation_score"], "{:.1f}") + table["chosen"].map({True: " *", False: ""})
    wide = _wide(table.assign(text=texts), "setting").fillna("")
    wide["core seconds"] = text(table.groupby("id", sort=False)["core_seconds"].sum(), "{:.0f}").to_numpy()
    return wide.rename_axis("mean of micro average precision and mAP on validation, x 100")


def _wide(lines: pd.DataFrame, columns: str) -> pd.DataFrame:
    """One row per experiment in the order of `lines`, by its name; cells hold their `text`."""
    wide = lines.pivot(index="id", columns=columns, values="text")
    return wide.reindex(lines["id"].unique()).set_axis(lines.drop_duplicates("id")["row"])


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
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def text(values: pd.Series, form: str) -> pd.Series:
    """Numbers formatted with `form`, and "" where there is none."""
    return values.astype(float).map(form.format, na_action="ignore").astype(object).fillna("")


def _trained(record: SegmentRecord) -> dict[str, Any]:
    best = record.best_epoch
    reached = {
        "validation_ap": None if best is None else record.history[best]["validation_ap"],
        "frequency_ap": record.frequency_ap,
    }
    texts = {name: "" if ap is None else f"{ap:.3f}" for name, ap in reached.items()} | steps(record.history)
    texts["a negative stands for"] = f"{record.stands_for:.3g}" if record.negatives else ""
    texts["best_epoch"] = "" if best is None else str(best + 1)  # counted from 1, as curves are drawn
    return {name: getattr(record, name) for name in TRAINED} | texts | {"codes": len(record.codes)}


def steps(history: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Norm of the gradient and share of clipped steps, as means over the epochs that did not diverge."""
    done = [epoch for epoch in history if epoch["loss"] is not None]
    return {name: form.format(statistics.fmean(e[name] for e in done)) if done else "" for name, form in STEPS.items()}


def _spread(values: dict[str, float] | float) -> str:
    """Numbers as "0.5 / 1 / 10"."""
    return " / ".join(f"{value:g}" for value in (values.values() if isinstance(values, dict) else [values]))


def interval(row: Mapping[str, float] | pd.Series, metric: str) -> str:
    """A metric x 100 with its interval, as "82.9 [80.8, 84.7]"."""
    return "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * row[f"{metric}{end}"] for end in results.ENDS))


def intervals(table: pd.DataFrame, metric: str) -> pd.Series:
    """`interval` of every row."""
    return table.apply(interval, axis=1, metric=metric)


def changes(table: pd.DataFrame, metric: str) -> pd.Series:
    """Signed differences x 100 with their intervals, as "+1.2 [-0.3, +2.8]"."""
    return table.apply(change, axis=1, columns=[f"{metric}{end}" for end in results.ENDS])


def change(row: pd.Series, columns: Sequence[str] = ("gain", "low", "high")) -> str:
    """A signed difference x 100 with its interval, from these columns of a row."""
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * row[column] for column in columns))
