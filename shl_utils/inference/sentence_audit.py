"""Whether the most influential sentence of a code names it: `coding` against the words of the codes' descriptions."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import resampling
from shl_utils.inference import coding
from shl_utils.runs import progress

WORD = re.compile(r"[^\W\d_]{4,}")
ENOUGH = 0.6  # share of a description's words that a sentence must have to name the code
MOST = 100  # codes that are tested


def named(coder: coding.Coder, corpus: Corpus, rows: Sequence[int]) -> pd.DataFrame:
    """One row per predicted code that some sentence of its note names, for these rows of the corpus.

    Columns: `note`, `code`, `drawn` (whether the most influential sentence names the code) and `chance` (share of the
    note's sentences that name it). Notes of one sentence are excluded.
    """
    lines = []
    for row in progress.over(rows, "leave sentences out"):
        text = corpus.notes["text"].iloc[row]
        coded = coding.code(coder, text)
        spans = coding.sentences_of(text[: coded.read])
        for _, line in coded.codes[coded.codes["predicted"]].iterrows():
            names = [_names(text[start:end], line["description"]) for start, end in spans]
            if len(spans) > 1 and any(names):
                first = line["sentences"][0][:2] if line["sentences"] else None
                drawn = first is not None and names[spans.index(first)]
                about = {"note": corpus.notes["note"].iloc[row], "code": line["code"]}
                lines.append(about | {"drawn": drawn, "chance": float(np.mean(names))})
    return pd.DataFrame(lines, columns=["note", "code", "drawn", "chance"])


def shares(found: pd.DataFrame, *, draws: int, seed: int) -> pd.DataFrame:
    """How often a line of `named` is `drawn`, how often `chance` would draw it, and the difference: each as a share
    with the 95% interval of a Bayesian bootstrap over notes, in columns `mean`, `low` and `high`; NaN for no line.
    """
    parts = found[["drawn", "chance"]].astype(float)
    parts["difference"] = parts["drawn"] - parts["chance"]
    table = pd.DataFrame({"mean": parts.mean(), "low": np.nan, "high": np.nan})
    if len(found):
        notes = pd.factorize(found["note"])[0]
        weights = resampling.resamples(len(found), 1, times=draws, seed=seed, patients=notes).notes
        drawn = weights @ parts.to_numpy() / weights.sum(axis=1, keepdims=True)
        table[["low", "high"]] = [resampling.interval(column) for column in drawn.T]
    return table


def denied(coder: coding.Coder) -> pd.DataFrame:
    """Whether models detect negation: one row per code that they predict for the note "There is X.", X its description.

    Columns: `code`, `description`, its probability there (`affirmed`) and for "There is no X." (`negated`),
    `threshold`. At most MOST codes are tested, those of the segments of frequent codes first.
    """
    codes = coder.codes.sort_values("segment", ascending=False, kind="stable")[:MOST]
    texts = [f"There is {no}{x.lower()}." for no in ("", "no ") for x in codes["description"]]
    found = coding.probabilities(coder, texts, sorted(set(codes["segment"]) - {-1}))
    own = found[np.arange(len(texts)), np.tile(codes.index.to_numpy(), 2)].reshape(2, -1)
    table = codes[["code", "description"]].assign(affirmed=own[0], negated=own[1], threshold=codes["threshold"])
    return table[table["affirmed"] >= table["threshold"]].reset_index(drop=True)


def said_twice(coder: coding.Coder, asserted: pd.DataFrame) -> pd.DataFrame:
    """Probability of a code for a note that says it in two sentences, without either, and without both.

    The code is the most probable one of `asserted`, a table of `denied`; an empty table gives an empty one.
    """
    if asserted.empty:
        return pd.DataFrame({"probability": []})
    line = asserted.loc[asserted["affirmed"].idxmax()]
    said, lead = line["description"].lower(), "A note was written."
    first, second = f"There is {said}.", f"{said.capitalize()} is seen."
    texts = [f"{lead} {first} {second}", f"{lead} {second}", f"{lead} {first}", lead]
    own = (coder.codes["code"] == line["code"]).to_numpy()
    found = coding.probabilities(coder, texts, [int(coder.codes.loc[own, "segment"].iloc[0])])[:, own].ravel()
    return pd.DataFrame({"note": texts, f"probability of {said}": found}).set_index("note")


def _names(sentence: str, description: str) -> bool:
    words = set(WORD.findall(description.lower()))
    return bool(words) and len(words & set(WORD.findall(sentence.lower()))) >= ENOUGH * len(words)
