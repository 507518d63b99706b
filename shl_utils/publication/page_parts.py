"""Tables and sentences that a page shows of a published file, by the names that `pages.PARTS` gives them.

found: the contents of the file. Of several splits, F1, gains, changes and claims are pooled; all else is the first's.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import pandas as pd

from shl_utils.evaluation.resampling import HEADLINE_METRICS
from shl_utils.evaluation.verdicts import UNTESTED
from shl_utils.experiments import claims, effects, literature, splits
from shl_utils.publication import results_file
from shl_utils.publication.results_file import Found
from shl_utils.reporting import cost_tables, findings, formats, tables, training_tables


def notice(found: Found) -> str:
    """What a page says of results that are `results_file.outdated`, else ""."""
    reasons = "; ".join(results_file.outdated(found))
    return f"**Old**: made with other parameters than today's ({reasons})." if reasons else ""


def conditions(found: Found) -> pd.DataFrame:
    """With what and where the results were made."""
    runs = list(found["runs"].values())
    first, p = runs[0], runs[0]["parameters"]
    seeds = ", ".join(str(run["parameters"]["seed"]) for run in runs)
    notes = " / ".join(f"{first['notes'][split]:,}" for split in ("train", "validation", "test"))
    last = [run["stages"][results_file.STAGE] for run in runs]
    revisions = dict.fromkeys(map(cost_tables.revision, last))
    machines = dict.fromkeys(f"{run['hardware']['cores']} cores, {run['hardware']['model']}" for run in runs)
    seconds = sum(map(results_file.seconds, runs))
    precisions = dict.fromkeys(line["precision"] for run in runs for line in run["computed"])
    lines = {
        "command": "shl run " + " ".join(run["file"] for run in runs),
        "notes": f"{p['source']}: {notes} for training, validation, test",
        "splits": f"{len(runs)}, seed {seeds}",
        "encoder": f"{p['encoder']}, at most {p['max_tokens']} tokens",
        "machine": f"{' and '.join(machines)}; {', '.join(precisions)}",
        "seconds": f"about {seconds:,.0f} of `00` to `05`, without the start of their kernels",
        "finished": f"{max(run['finished'] for run in runs)[:10]}, revision {', '.join(revisions)}",
    }
    return pd.DataFrame({"": lines}).rename_axis("made with")


def seconds(found: Found) -> pd.DataFrame:
    """Seconds of the first run's notebooks in their last attempt, without the start of their kernels, and together."""
    took = _first(found)["seconds"]
    return pd.DataFrame({"seconds": took | {"all": sum(took.values())}}).round().astype(int).rename_axis("notebook")


def ablation(found: Found) -> pd.DataFrame:
    """The ablation's table, as `results.table` makes it; of several splits as `splits.pool` does."""
    parts = [pd.DataFrame(run["tables"]["ablation"]).set_index("id") for run in found["runs"].values()]
    return parts[0] if len(parts) == 1 else splits.pool(parts, test_to_train=_test_to_train(found))


def gains(found: Found) -> pd.DataFrame:
    """F1 of the comparable rows, and what they gain over one BCE model, with verdicts and p."""
    return tables.gains(ablation(found))


def published(found: Found) -> pd.DataFrame:
    """F1 x 100 of the first split's comparable rows, then of what others published on the same notes; ValueError if
    nothing is."""
    source = _first(found)["parameters"]["source"]
    if source not in literature.KNOWN:
        raise ValueError(f"nothing is published of {source}")
    known, rows = literature.KNOWN[source], _rows(found)
    ours = rows.loc[rows["comparable"].astype(bool), ["row", "micro_f1", "macro_f1_all"]]
    lines = {row: (100 * micro, 100 * macro) for row, micro, macro in ours.itertuples(index=False)}
    lines |= {f"published: {name}": scores[0] for name, scores in known.rows.items()}
    texts = {name: [f"{score:.1f}" for score in pair] for name, pair in lines.items()}
    columns = ["micro-F1", "macro-F1, all codes"]
    return pd.DataFrame.from_dict(texts, orient="index", columns=columns).rename_axis(f"published: {known.citation}")


def verdicts(found: Found) -> pd.DataFrame:
    """The paper's claims that were tested, and the verdicts on them."""
    lines = _claims(found)
    return tables.verdict(lines[lines["verdict"] != UNTESTED]).reset_index().set_index("claim")


def primary(found: Found) -> str:
    """The primary comparison in one sentence."""
    return findings.summarize_primary(_claims(found))


def by_split(found: Found) -> pd.DataFrame:
    """The primary comparison on each split alone: F1 of both rows with their deviation over seeds, and the gain.

    What differs between the lines is the split; intervals hold the luck of its test notes, its codes and the seeds.
    """
    lines = {}
    for run in found["runs"].values():
        rows = pd.DataFrame(run["tables"]["ablation"]).set_index("row")
        measured = next((line["measured"] for line in run["claims"] if line["primary"]), None)
        if measured not in rows.index:
            raise ValueError(f"{run['file']} has no row of the primary comparison")
        table = tables.ablation(rows.loc[[rows.index[rows["reference"]].item(), measured]].reset_index())
        one, other = table.iloc[0], table.iloc[1]
        lines[f"split {run['parameters']['seed']}"] = {
            f"{title}: {name}": line[f"{title}{part}"]
            for title in HEADLINE_METRICS.values()
            for name, line, part in (("one BCE model", one, "-F1"), ("method", other, "-F1"), ("gain", other, " gain"))
        }
    return pd.DataFrame(lines).T.rename_axis("split")


def changes(found: Found) -> pd.DataFrame:
    """Effects on average, and interactions."""
    return _changes(found, {"average", "interactions"})


def pairs(found: Found) -> pd.DataFrame:
    """The effects of single pairs of rows, of which `changes` are means."""
    return _changes(found, {"single"}).drop(columns="pairs")


def _changes(found: Found, kinds: Set[str]) -> pd.DataFrame:
    columns = ["kind", "change", "comparable", "pairs", *effects.COLUMNS]
    parts = [pd.DataFrame(run["tables"]["effects"]).reindex(columns=columns) for run in found["runs"].values()]
    shown = [part[part["kind"].isin(kinds)].set_index("change") for part in parts]
    pooled = shown[0] if len(shown) == 1 else splits.pool_changes(shown, test_to_train=_test_to_train(found))
    comparable = pooled["comparable"].map({False: False}).fillna(True).astype(bool)
    return tables.effects(pooled.assign(comparable=comparable, pairs=pooled["pairs"].fillna(1).astype(int)))


def by_frequency(found: Found) -> pd.DataFrame:
    """Micro-F1 and gains by training notes of the code, of the first split."""
    return tables.by_frequency(pd.DataFrame(_first(found)["tables"]["frequency"]))


def precision_and_recall(found: Found) -> pd.DataFrame:
    """Precision, recall and false positives of every comparable row, of the first split."""
    return tables.precision_and_recall(_rows(found))


def gradients(found: Found) -> pd.DataFrame:
    """Norm of the gradient and share of clipped steps by row, of the first split."""
    return training_tables.gradients(_rows(found))


def weights(found: Found) -> pd.DataFrame:
    """What a negative weighs in each segment of the run's own model, on the first split: its harmonic weight times the
    number of negatives that a drawn one stands for."""
    lines = {}
    for one in _first(found)["trained"]:
        largest = one["derived"].get("weights", {"maximum": 1.0})["maximum"]
        weighed = {"one stands for": one["stands_for"], "largest harmonic weight": largest}
        weighed["largest weight"] = largest * one["stands_for"]
        lines[one["segment"]] = {
            "codes": one["codes"],
            "positives": f"{one['positives']:,}",
            "negatives drawn": f"{one['negatives_per_pass']:,} of {one['negatives']:,}",
            **{name: f"{value:.3g}" if one["negatives"] else "" for name, value in weighed.items()},
            **training_tables.steps(one["history"]),
        }
    return formats.spaced(pd.DataFrame(lines).T).rename_axis("segment")


def tuning(found: Found) -> pd.DataFrame | str:
    """What each row was tried with, and what validation chose, on the first split."""
    lines = _first(found)["tables"]["tuning"]
    return tables.tuning(pd.DataFrame(lines)) if lines else "No row was tuned."


def _first(found: Found) -> dict[str, Any]:
    """The run on the first split."""
    return next(iter(found["runs"].values()))


def _rows(found: Found) -> pd.DataFrame:
    """The ablation's table of the first split."""
    return pd.DataFrame(_first(found)["tables"]["ablation"]).set_index("id")


def _claims(found: Found) -> pd.DataFrame:
    ends = dict.fromkeys(("gain", "low", "high"), float)  # a column without a number comes back as None
    parts = [pd.DataFrame(run["claims"]).set_index("claim").astype(ends) for run in found["runs"].values()]
    if len(parts) == 1:
        return claims.judged(parts[0], _rows(found)).assign(run=next(iter(found["runs"])))
    return splits.pool_claims(parts, test_to_train=_test_to_train(found))


def _test_to_train(found: Found) -> float:
    notes = _first(found)["notes"]
    return notes["test"] / notes["train"]
