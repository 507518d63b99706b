"""Readable tables of what `shl bench` measured. Each takes the contents of one of its files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from shl_utils.evaluation import cost, measurement
from shl_utils.evaluation.resampling import HEADLINE_METRICS
from shl_utils.evaluation.verdicts import verdict
from shl_utils.reporting.formats import change, text


def training(found: Mapping[str, Any]) -> pd.DataFrame:
    """One row per way of training, means over seeds at the learning rates chosen.

    "x one" and "x segments" are the seconds as multiples of those of Trainer's one model and Trainer's segments, of the
    same seeds, with the smallest and the largest. FLOPs are of matrix products in training, forward and backward, with
    padding.
    """
    by_trainer = [way for way in found["ways"].values() if way["runner"] == "Trainer"]
    theirs = {way["changes"].get("segmentation") == "none": way for way in by_trainer}
    lines = {}
    for way in found["ways"].values():
        own = cost.at_chosen_rates(way)
        line = {"rates x": f"{way['factor']:g}", "seconds": f"{own['seconds'].mean():.0f}"}
        for one, title in ((True, "x one"), (False, "x segments")):
            line[title] = _ratio(own["seconds"], cost.at_chosen_rates(theirs[one])["seconds"]) if one in theirs else ""
        line |= {
            "to predict": f"{own['predict_seconds'].mean():.0f}",
            "GB": f"{own['peak_memory_mb'].mean() / 1000:.1f}",
            "models": f"{own['models'].iloc[0]:.0f}",
            "thousand notes": f"{own['notes_seen'].iloc[0] / 1000:.0f}",
            "thousand weights": f"{way['trainable_parameters'] / 1000:.0f}",
            "MB kept": f"{own['bytes'].mean() / 1e6:.1f}",
            "10^12 FLOPs": f"{way['flops'] / 1e12:.0f}",
            "of peak": f"{way['flops'] / own['seconds'].mean() / found['matrix_rate']:.0%}",
            "validation": _over_seeds(own["validation_ranking"]),
            "micro-F1": _over_seeds(own["micro_f1"]),
            "macro-F1": _over_seeds(own["macro_f1_present"]),
        }
        for metric, title in HEADLINE_METRICS.items():
            gain = pd.Series(way["gain"])[[f"{metric}{end}" for end in measurement.ENDS]] if "gain" in way else None
            line[f"{title} gain"] = "" if gain is None else change(gain, gain.index)
            line[f"{title} verdict"] = "" if gain is None else verdict(*gain.iloc[1:], metric)
        lines[way["name"]] = line
    return pd.DataFrame(lines).T.rename_axis("way")


def segments(found: Mapping[str, Any]) -> pd.DataFrame:
    """One row per number of segments of the same codes."""
    table = cost.by_segment_count(found)
    columns = {
        "eta": text(table["eta"], "{:g}"),
        "seconds": text(table["seconds"], "{:.0f}"),
        "thousand notes seen": text(table["notes_seen"] / 1000, "{:.1f}"),
        "GB": text(table["peak_memory_mb"] / 1000, "{:.1f}"),
        "MB kept": text(table["bytes"] / 1e6, "{:.1f}"),
        "validation": text(100 * table["validation_ranking"], "{:.1f}"),
        "micro-F1": text(100 * table["micro_f1"], "{:.1f}"),
        "macro-F1": text(100 * table["macro_f1_present"], "{:.1f}"),
    }
    return pd.DataFrame(columns)


def _ratio(seconds: pd.Series, base: pd.Series) -> str:
    ratios = (seconds / base).dropna()
    spread = f" ({ratios.min():.2f} to {ratios.max():.2f})" if len(ratios) > 1 else ""
    return f"{ratios.mean():.2f}{spread}" if len(ratios) else ""


def _over_seeds(values: pd.Series) -> str:
    """Mean x 100, with the standard deviation over seeds where there are several."""
    return f"{100 * values.mean():.1f}" + (f" ±{100 * values.std():.1f}" if len(values) > 1 else "")


def conditions(found: Mapping[str, Any]) -> pd.DataFrame:
    """Where and with what `shl bench` measured."""
    machine, versions, p = found["machine"], found["versions"], found["parameters"]
    lines = {
        "machine": f"{machine['cores']} cores, {machine['model']}{''.join(f', {gpu}' for gpu in machine['gpus'])}",
        "precision": f"{found['precision']}, PyTorch {versions['torch']} with {found['instructions']}",
        "notes": f"{p['source']}, at most {p['max_tokens']} tokens",
        "encoder": p["encoder"],
        "training": f"{p['epochs']} epochs in batches of {p['batch_size']}",
        "revision": ", ".join(dict.fromkeys(map(revision, [found] if "revision" in found else _trainings(found)))),
    }
    return pd.DataFrame({"": lines}).rename_axis("measured with")


def revision(made: Mapping[str, Any]) -> str:
    """Seven digits of the revision that something was made with, and whether the working tree had changes."""
    return f"{made.get('revision', '')[:7]}{' with changes' if made.get('dirty') else ''}"


def _trainings(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [training for way in found["ways"].values() for training in way["trainings"]]


def steps(found: Mapping[str, Any]) -> pd.DataFrame:
    """Frozen layers, and training steps by batch size, in each precision. found: what `shl bench` wrote."""
    table = pd.DataFrame(found["steps"]).set_index("what")
    return pd.DataFrame(
        {
            "precision": table["precision"],
            "notes per second": text(table["notes_per_second"], "{:.0f}"),
            "10^9 FLOPs per note": text(table["flops_per_note"] / 1e9, "{:.2f}"),
            "of peak": text(table["share"], "{:.0%}"),
        }
    )


def sizes(found: Mapping[str, Any]) -> pd.DataFrame:
    """Seconds and peak memory of every step, one column per number of notes; the first row is the size of the CSV."""
    columns = {}
    for n, line in found["notes"].items():
        steps = [name.removesuffix(" seconds") for name in line if name.endswith(" seconds")]
        texts = {
            step: f"{line[f'{step} seconds']:.0f} s, {line[f'{step} peak_memory_mb'] / 1000:.1f} GB" for step in steps
        }
        columns[f"{int(n):,} notes"] = {"CSV": f"{line['csv_mb'] / 1000:.2f} GB"} | texts
    return pd.DataFrame(columns).rename_axis("step")
