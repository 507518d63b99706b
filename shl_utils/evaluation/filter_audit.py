"""What the label filter removes: per split, per code frequency, per threshold, and against the truth where known."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shl_utils.data.corpus import Corpus
from shl_utils.data.splitting import SPLITS
from shl_utils.method import label_filter
from shl_utils.parameters import Parameters

COSINES = (0.45, 0.5, 0.55, 0.6)
QUANTILES = (0.05, 0.1, 0.2, 0.3)


def report(table: pd.DataFrame, split: NDArray[np.str_]) -> pd.DataFrame:
    """Per split: assignments, removed ones, codes per note before and after, and codes that lost their last note."""
    rows = {}
    for name in SPLITS:
        part = table[split[table["note"]] == name]
        n = max(int((split == name).sum()), 1)
        rows[name] = {
            "assignments": len(part),
            "removed": int((~part["kept"]).sum()),
            "codes per note before": len(part) / n,
            "codes per note after": part["kept"].sum() / n,
            "codes that lost their last note": part["code"].nunique() - part.loc[part["kept"], "code"].nunique(),
        }
    return pd.DataFrame(rows).T


def warn_of_chance(own: NDArray[np.floating], random: NDArray[np.floating], parameters: Parameters) -> str:
    """A warning if descriptions do not separate a note's own codes from random ones; "" if they do.

    own, random: cosine similarities of notes with their own codes, and with codes drawn at random.
    """
    if own.mean() > random.mean():
        return ""
    what = "Here own codes resemble their notes no more than random ones: the descriptions do not help the filter"
    if parameters.filter_labels == "none":
        return f"{what}, which is off."
    return f"{what}, and it removes labels by chance. Set `filter_labels: none`, or give descriptions in words."


def example(table: pd.DataFrame, corpus: Corpus) -> tuple[int, pd.DataFrame]:
    """A training note to show: its row number, and its codes with `description`, `similarity` and `kept`.

    Of the notes that keep one code and lose another, it is the shortest that loses the code which most of them lose; or
    the first training note if there are none.
    """
    train = table[(corpus.split == "train")[table["note"]]]
    lost = train[(train.groupby("note")["kept"].transform("nunique") > 1) & ~train["kept"]]
    rows = train["note"].to_numpy()[:1]
    if len(lost):
        rows = lost.loc[lost["code"] == lost["code"].mode()[0], "note"].to_numpy()
    row = int(rows[np.argmin(corpus.notes["text"].iloc[rows].str.len())])
    codes = table[table["note"] == row]
    descriptions = corpus.codes["description"].to_numpy()[codes["code"]]
    return row, codes.assign(description=descriptions)[["description", "similarity", "kept"]].reset_index(drop=True)


def against_truth(table: pd.DataFrame, evidence: NDArray[np.str_]) -> dict[str, float]:
    """Precision and recall with which the filter finds assignments without evidence, on synthetic notes, and counts.

    table: rows of splits that were filtered. evidence: (rows,) "present", "missing" or "beyond" the truncation. A
    removal is right where it is not "present"; `gold lost` counts the others.
    """
    removed, noise = ~table["kept"].to_numpy(), evidence != "present"
    right = (removed & noise).sum()
    return {
        "precision": float(right / max(removed.sum(), 1)),
        "recall": float(right / max(noise.sum(), 1)),
        "removed": int(removed.sum()),
        "without evidence": int(noise.sum()),
        "gold lost": int((removed & ~noise).sum()),
    }


def evidence_of(table: pd.DataFrame, corpus: Corpus, truth: pd.DataFrame) -> NDArray[np.str_]:
    """Evidence for each assignment, (rows of table,), looked up in `truth` (`note`, `code`, `evidence`)."""
    notes, codes = corpus.notes["note"].to_numpy()[table["note"]], corpus.codes["code"].to_numpy()[table["code"]]
    names = pd.DataFrame({"note": notes, "code": codes})
    return names.merge(truth, on=["note", "code"], how="left", validate="1:1")["evidence"].to_numpy(dtype=str)


def by_frequency(table: pd.DataFrame, bins: pd.Series, evidence: NDArray[np.str_] | None = None) -> pd.DataFrame:
    """One row per frequency bin: `assignments` and `removed` (a share).

    With evidence, also `precision` and `recall` from `against_truth`, and `gold lost` as a share of the present ones.
    table: rows of the splits that were filtered. bins: (codes,), from `label_metrics.frequency_bin`. evidence: (rows,).
    """
    lines = {}
    for name, part in table.reset_index(drop=True).groupby(bins.array[table["code"].to_numpy()], observed=True):
        lines[name] = {"assignments": len(part), "removed": 1 - part["kept"].mean()}
        if evidence is not None:
            own = evidence[part.index]
            truth = against_truth(part, own)
            lines[name] |= {"precision": truth["precision"], "recall": truth["recall"]}
            lines[name] |= {"gold lost": truth["gold lost"] / max((own == "present").sum(), 1)}
    return pd.DataFrame(lines).T.rename_axis("training notes")


def sweep(
    similarity: pd.DataFrame, corpus: Corpus, parameters: Parameters, evidence: NDArray[np.str_] | None = None
) -> pd.DataFrame:
    """What other thresholds would do to the training labels: the paper's cosine, its neighbours, and quantiles.

    One row per threshold: `cosine`, `removed` (a share), `codes per note`, `codes lost`; with evidence also `precision`
    and `recall`. similarity: table from `similarities.similarities`, all splits. evidence: (rows of similarity,).
    """
    train = corpus.split[similarity["note"]] == "train"
    rows, known = similarity[train], None if evidence is None else evidence[train]
    lines = {}
    for kind, value in (*(("cosine", value) for value in COSINES), *(("quantile", value) for value in QUANTILES)):
        changed = parameters.model_copy(update={"filter_by": kind, "filter_threshold": value})
        limit = label_filter.cosine_threshold(similarity, corpus.split, changed)
        kept = rows.assign(kept=(rows["similarity"] >= limit).to_numpy())
        line = {"cosine": limit, "removed": 1 - kept["kept"].mean()}
        line["codes per note"] = kept["kept"].sum() / len(corpus.rows("train"))
        line["codes lost"] = rows["code"].nunique() - kept.loc[kept["kept"], "code"].nunique()
        if known is not None:
            line |= {k: v for k, v in against_truth(kept, known).items() if k in ("precision", "recall")}
        lines[f"{kind} {value}"] = line
    return pd.DataFrame(lines).T.rename_axis("threshold")
