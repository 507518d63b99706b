"""Readable tables of results: points of F1 (x 100) with their intervals, gains and verdicts."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from shl_utils.evaluation import label_metrics, measurement, results, score_metrics, verdicts
from shl_utils.evaluation.resampling import HEADLINE_METRICS
from shl_utils.reporting.formats import change, changes, intervals, marked, marked_change, spaced, text

DEFINITIONS = {
    "micro": f"F1 x 100 {label_metrics.DEFINITIONS['micro_f1']}",
    "macro": f"the same, {label_metrics.DEFINITIONS['macro_f1_present']}",
    "[low, high]": measurement.INTERVAL,
}
TITLES = {"macro_f1_present": "macro-F1 (codes in test)", "macro_f1_all": "macro-F1 (all codes)", "map": "mAP"}


def models(table: pd.DataFrame) -> pd.DataFrame:
    """Micro- and macro-F1 with intervals, precision, recall, gains and threshold of every model.

    Where codes have thresholds of their own it is their median. table: from `results.compare`.
    """
    columns = {
        "micro-F1": intervals(table, "micro_f1"),
        TITLES["macro_f1_present"]: intervals(table, "macro_f1_present"),
        TITLES["macro_f1_all"]: text(100 * table["macro_f1_all"], "{:.1f}"),
        "precision": text(100 * table["micro_precision"], "{:.1f}"),
        "recall": text(100 * table["micro_recall"], "{:.1f}"),
    }
    itself = table["micro_f1_gain_low"] == table["micro_f1_gain_high"]  # the reference's gain over itself
    gains = {
        f"{title} gain": changes(table, f"{metric}_gain").mask(itself, "") for metric, title in HEADLINE_METRICS.items()
    }
    return pd.DataFrame(columns | gains | {"threshold": text(table["threshold"], "{:.2f}")})


def described(facts: Mapping[str, float]) -> pd.DataFrame:
    """What `corpus_facts.describe` found, a line each."""
    return pd.DataFrame({"": {name: f"{x:,.0f}" if float(x).is_integer() else f"{x:.2f}" for name, x in facts.items()}})


def all_metrics(table: pd.DataFrame) -> pd.DataFrame:
    """Every metric (rows) of every model (columns), with its definition last. table: from `results.compare`."""
    definitions = label_metrics.DEFINITIONS | score_metrics.DEFINITIONS
    values = metrics(table[list(definitions)]).T
    return values.assign(definition=list(definitions.values())).rename_axis("metric")


def metrics(table: pd.DataFrame) -> pd.DataFrame:
    """Metrics (columns) as printed: counts as whole numbers, ratios as they are, all else x 100."""
    plain = dict.fromkeys(label_metrics.COUNTS, "{:.0f}") | dict.fromkeys(score_metrics.RATIOS, "{:.2f}")
    shown = {
        name: text(column, plain[name]) if name in plain else text(100 * column, "{:.1f}")
        for name, column in table.items()
    }
    titles = {name: TITLES.get(name, name.replace("_f1", "-F1")) for name in shown}
    return spaced(pd.DataFrame(shown, index=table.index).rename(columns=titles))


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


def definitions(table: pd.DataFrame, *, times: int) -> dict[str, str]:
    """Definitions of what `ablation` shows of this table, by name; `times` as given to `results.table`."""
    disagree = any(any(_disagree(table, metric)) for metric in HEADLINE_METRICS)
    rare = {  # definition of what only some tables hold, and whether this one does
        "±": ("deviation between seeds of training", (table["seeds"] > 1).any()),
        "(row)": (
            "not comparable: not measured on all pairs of the labels that the source has",
            not table["comparable"].all(),
        ),
        "failed trainings": ("of the row's segments", table["failed"].any()),
        verdicts.MARK: (verdicts.MARKED, disagree),
    }
    return (
        DEFINITIONS
        | {
            "gain": f"over {table.loc[table['reference'], 'row'].iloc[0]}, paired: both on the same draws",
            "p": results.definition_of_p(table, times=times),
            "mAP": score_metrics.DEFINITIONS["map"],
            "core seconds": "seconds of training times cores, with all models that a row needs; mean over seeds",
        }
        | {name: said for name, (said, held) in rare.items() if held}
    )


def verdict_definitions(lines: pd.DataFrame) -> dict[str, str]:
    """Definitions of what `verdict` shows of these lines, by name."""
    return DEFINITIONS | ({verdicts.MARK: verdicts.MARKED} if (lines["mark"] == verdicts.MARK).any() else {})


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
    texts = [line["verdict"] + (f", {marked_change(line)}" if line["gain"] == line["gain"] else "") for line in known]
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
