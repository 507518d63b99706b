"""A toy corpus small enough to count by hand, and plots of what filter and thresholds do to it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import label_metrics
from shl_utils.method import thresholds
from shl_utils.parameters import Parameters
from shl_utils.reporting.plots import BOUND, CHANCE, HATCHES, colours
from shl_utils.training import similarities

TOY = {"cough": 14, "fever": 6, "fracture": 3, "sepsis": 2, "situs inversus": 1}  # notes with each of five codes
TOY_NOTES = 20
TOY_SEGMENTS = np.array([2, 1, 1, 0, 0])  # of these codes with eta = 0.5, 0 the rarest
TOY_TEXT = "Fever and cough for three days. The film shows no fracture."
# what TOY_TEXT says of each code
SAYS = {"says so": ["cough", "fever"], "denies it": ["fracture"], "does not mention it": ["sepsis", "situs inversus"]}


def toy_labels() -> pd.DataFrame:
    """(20 notes, 5 codes) of int64 0 and 1, with the counts of TOY; every note has a code."""
    labels = pd.DataFrame(0, index=range(1, TOY_NOTES + 1), columns=list(TOY)).rename_axis("note")
    start = 0
    for code, n in TOY.items():
        labels.iloc[np.arange(start, start + n) % TOY_NOTES, labels.columns.get_loc(code)] = 1
        start += n
    return labels


def matrix(labels: pd.DataFrame, ax: Axes) -> Axes:
    """Plot of notes against codes, with a dark cell where the note has the code. labels: (notes, codes)."""
    ax.imshow(labels.T, cmap=ListedColormap(["#eeeeee", "C0"]), aspect="auto", vmin=0, vmax=1)
    ax.grid(False)
    ax.set_xticks(np.arange(-0.5, len(labels)), minor=True)
    ax.set_yticks(np.arange(-0.5, labels.shape[1]), minor=True)
    ax.grid(which="minor", color="white", linewidth=2)
    ax.tick_params(which="minor", length=0)
    counts = labels.sum()
    ax.set(xticks=range(len(labels)), xticklabels=labels.index, xlabel="note")
    ax.set(yticks=range(len(counts)), yticklabels=[f"{code} ({n})" for code, n in counts.items()])
    ax.set(title=f"{counts.sum()} of {labels.size} cells are filled, most of them by one code")
    return ax


def toy_similarity(parameters: Parameters) -> pd.DataFrame:
    """Per toy code, the `similarity` of its name to TOY_TEXT, by the filter's encoder."""
    codes = list(TOY)
    note = {"note": "1", "group": "1", "split": "train", "text": TOY_TEXT, "codes": codes}
    corpus = Corpus(pd.DataFrame([note]), pd.DataFrame({"code": codes, "description": codes}))
    found, _ = similarities.similarities(corpus, parameters)
    return pd.DataFrame({"similarity": found["similarity"].to_numpy()}, index=codes)


def resemblance(table: pd.DataFrame, threshold: float, ax: Axes) -> Axes:
    """Bar plot of `toy_similarity`, the most similar code on top; with what the note says, and the threshold."""
    ordered = table["similarity"].sort_values()
    for (says, codes), colour, hatch in zip(SAYS.items(), ("C0", "C1", CHANCE), HATCHES):
        part = ordered.where(ordered.index.isin(codes))
        ax.barh(ordered.index, part, color=colour, hatch=hatch, edgecolor="white", label=f"the note {says}")
    ax.axvline(threshold, color=BOUND, linestyle="--")
    says = next(says for says, codes in SAYS.items() if ordered.index[-1] in codes)
    ax.set(xlabel=f"cosine of note and description; dashed: {threshold:g}")
    ax.set_xlim(right=2 * threshold)  # room for the legend
    ax.set(title=f"The most similar is {ordered.index[-1]}: the note {says}")
    ax.legend(loc="lower right")
    return ax


def toy_probabilities(labels: pd.DataFrame) -> pd.DataFrame:
    """(20 notes, 5 codes): what models of three segments might predict, each accurate, on scales of their own."""
    noise = np.random.default_rng(0).normal(scale=0.7, size=labels.shape)
    level = np.array([-5.0, -3.0, -1.0])[TOY_SEGMENTS]
    return (level + 3 * labels + noise).map(lambda z: 1 / (1 + np.exp(-z)))


def lines(labels: pd.DataFrame, probabilities: pd.DataFrame, ax: Axes) -> Axes:
    """Plot of every code's probabilities, with one threshold for all and one per segment, both chosen on them."""
    validation = thresholds.Validation(labels.to_numpy(), probabilities.to_numpy(), TOY_SEGMENTS, 1)
    limits = {rule: thresholds.choose(rule, validation) for rule in ("global", "segment")}
    predicted = {rule: (validation.probabilities >= chosen).astype(int) for rule, chosen in limits.items()}
    macro = [label_metrics.scores(validation.truth, codes)["macro_f1_present"] for codes in predicted.values()]
    for place, (code, shade) in enumerate(zip(labels, colours(3)[TOY_SEGMENTS])):
        has, at = labels[code].astype(bool), probabilities[code]
        ax.plot(at[~has], np.full((~has).sum(), place), "o", mfc="none", mec="#999999", linestyle="none")
        ax.plot(at[has], np.full(has.sum(), place), "o", color=shade, linestyle="none")
        ax.plot([limits["segment"][place]] * 2, [place - 0.4, place + 0.4], color=BOUND, linestyle="-")
    ax.axvline(limits["global"][0], color=BOUND, linestyle="--")
    ax.set(xlabel="probability (log); filled: the note has the code\ndashed: one for all; solid: one per segment")
    ax.set(yticks=range(len(labels.columns)), yticklabels=labels.columns, xscale="log")
    ax.set(title=f"A threshold for each segment lifts macro-F1 from {macro[0]:.2f} to {macro[1]:.2f}")
    return ax
