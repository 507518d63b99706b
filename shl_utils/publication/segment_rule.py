"""When segments help (docs/results/segments.md): what was known before training of each corpus of `params/corpora/`,
what segments were worth there, and whether the one tells the other."""

from __future__ import annotations

from typing import Any

import pandas as pd

from shl_utils.evaluation.linear_baseline import LINEAR
from shl_utils.evaluation.resampling import HEADLINE_METRICS
from shl_utils.evaluation.verdicts import GAINS, LOSES, verdict
from shl_utils.publication import results_file
from shl_utils.reporting import tables
from shl_utils.runs import provenance

FOLDER = "params/corpora/"
MADE_ON = ("openi", "openi_depth2", "openi_top20", "codiesp", "synthetic")  # the rule; it is tested on the others
SHARE = "share of shared notes"
METRIC = "micro_f1"  # whose verdicts make and test the rule
FEWEST = 2  # tests, below which the rule counts as untested


def table() -> pd.DataFrame:
    """Facts of every corpus, and gains over one BCE model: of BCE in segments, and of a linear model. Fewest shared
    notes first."""
    runs = _runs()
    found = pd.DataFrame({name: _line(run) for name, run in runs.items()}).T.rename_axis("corpus")
    found.insert(0, "rule", ["made" if name in MADE_ON else "tested" for name in found.index])
    return found


def rule() -> str:
    """What the runs say of the rule, in one paragraph."""
    runs = _runs()
    judged = pd.DataFrame(
        {
            "share": [run["described"][SHARE] for run in runs.values()],
            "verdict": [_verdict(run) for run in runs.values()],
        },
        index=list(runs),
    )
    return said(judged)


def said(judged: pd.DataFrame) -> str:
    """The cut made on MADE_ON and its test on the others. judged: by corpus, `share` of shared notes and `verdict`."""
    made = judged.index.isin(MADE_ON)
    gain, loss = (judged.loc[made & (judged["verdict"] == word), "share"] for word in (GAINS, LOSES))
    if gain.empty or loss.empty:
        return f"There is no rule: of {made.sum()} corpora segments gain on {len(gain)} and lose on {len(loss)}."
    most, least = gain.max(), loss.min()
    if most >= least:
        return f"There is no rule: segments gain at up to {most:.0%} of shared notes, and lose from {least:.0%}."
    cut = (most + least) / 2
    tests = judged[~made & judged["verdict"].isin((GAINS, LOSES))]
    right = int(((tests["share"] < cut) == (tests["verdict"] == GAINS)).sum())
    holds = "it holds" if right == len(tests) else "it does not hold"
    return (
        f"The cut is at {cut:.0%} of shared notes. Of {(~made).sum()} other corpora {len(tests)} gain or lose, {right} "
        f"of them as the cut says: {holds if len(tests) >= FEWEST else 'it is not tested'}."
    )


def _runs() -> dict[str, dict[str, Any]]:
    """The published runs by corpus, fewest shared notes first."""
    runs = sorted(
        (run for _, run in results_file.published() if run["file"].startswith(FOLDER)),
        key=lambda run: run["described"][SHARE],
    )
    if missing := {path.stem for path in (provenance.PROJECT / FOLDER).glob("*.yaml")} - set(map(_corpus, runs)):
        raise ValueError(f"the rule is of all corpora, and {', '.join(sorted(missing))} have no results")
    return {_corpus(run): run for run in runs}


def _corpus(run: dict[str, Any]) -> str:
    return run["file"].removeprefix(FOLDER).removesuffix(".yaml")


def _compared(run: dict[str, Any]) -> pd.DataFrame:
    """The rows of BCE in segments and of the linear model; ValueError if there are others beside the reference."""
    rows = pd.DataFrame(run["tables"]["ablation"]).set_index("id")
    rows = rows[~rows["reference"].astype(bool)]
    others = rows.drop(index=LINEAR)
    if len(others) != 1:
        raise ValueError(f"{run['file']} has {len(others)} rows beside one model: use the grid one_or_segments")
    return rows.loc[[*others.index, LINEAR]]


def _verdict(run: dict[str, Any]) -> str:
    row = _compared(run).iloc[0]
    return verdict(row[f"{METRIC}_gain_low"], row[f"{METRIC}_gain_high"], METRIC)


def _line(run: dict[str, Any]) -> dict[str, str]:
    facts, gains = run["described"], tables.gains(_compared(run))
    line = {
        "notes": f"{facts['training notes']:,}",
        "codes": f"{facts['codes']:,}",
        "codes per note": f"{facts['codes per note']:.1f}",
        "segments": f"{facts['segments']}",
        "notes per segment": f"{facts['training notes per segment, median']:,.0f}",
        "shared notes": f"{facts[SHARE]:.0%}",
    }
    line |= {f"{name} gain": gains[f"{name} gain"].iloc[0] for name in HEADLINE_METRICS.values()}
    return line | {"linear model, micro gain": gains["micro gain"].iloc[1]}
