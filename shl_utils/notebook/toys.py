"""The mechanisms on toy examples small enough to count by hand, and plots of them: a few numbers in, axes out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import label_metrics
from shl_utils.method import harmonic_weights, losses, thresholds
from shl_utils.method.segmentation import segment
from shl_utils.parameters import Parameters
from shl_utils.reporting.plots import BOUND, CHANCE, HATCHES, colours
from shl_utils.training import similarities

TOY = {"cough": 14, "fever": 6, "fracture": 3, "sepsis": 2, "situs inversus": 1}  # notes with each of five codes
TOY_NOTES = 20
TOY_SEGMENTS = np.array([2, 2, 1, 0, 0])  # of these codes, 0 the rarest; chosen by hand
TOY_TEXT = "Fever and cough for three days. The film shows no fracture."
TOY_SAID = ["says so", "says so", "denies it", "does not speak of it", "does not speak of it"]  # of these codes


def toy_labels() -> pd.DataFrame:
    """(20 notes, 5 codes) of 0 and 1, with the counts of TOY; every note has a code."""
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
    ax.set(xticks=range(len(labels)), xticklabels=labels.index, xlabel="note", yticks=range(labels.shape[1]))
    ax.set_yticklabels([f"{code} ({n})" for code, n in counts.items()])
    ax.set_title(f"{counts.sum()} of {labels.size} cells are filled, most of them by one code")
    return ax


def toy_similarity(parameters: Parameters) -> pd.DataFrame:
    """Per toy code, what the filter makes of TOY_TEXT: its name's `similarity` to it; what the note `says` of it."""
    codes = list(TOY)
    note = {"note": "1", "group": "1", "split": "train", "text": TOY_TEXT, "codes": codes}
    corpus = Corpus(pd.DataFrame([note]), pd.DataFrame({"code": codes, "description": codes}))
    found, _ = similarities.similarities(corpus, parameters)
    return pd.DataFrame({"similarity": found["similarity"].to_numpy(), "says": TOY_SAID}, index=codes)


def resemblance(table: pd.DataFrame, threshold: float, ax: Axes) -> Axes:
    """Bar plot of `toy_similarity`, the most similar code on top, with the filter's threshold."""
    ordered = table.sort_values("similarity")
    looks = dict(zip(("says so", "denies it", "does not speak of it"), zip(("C0", "C1", CHANCE), HATCHES)))
    for says, (colour, hatch) in looks.items():
        part = ordered["similarity"].where(ordered["says"] == says)
        ax.barh(ordered.index, part, color=colour, hatch=hatch, edgecolor="white", label=f"the note {says}")
    ax.axvline(threshold, color=BOUND, linestyle="--")
    ax.set(xlabel=f"cosine of note and description; dashed: {threshold:g}")
    ax.set_title(f"The most similar is {ordered.index[-1]}: the note {ordered['says'].iloc[-1]}")
    ax.legend(fontsize=10, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def toy_probabilities(labels: pd.DataFrame) -> pd.DataFrame:
    """(20 notes, 5 codes): what models of three segments might predict, each accurate, on scales of their own."""
    noise = np.random.default_rng(0).normal(scale=0.7, size=labels.shape)
    level = np.array([-4.0, -2.5, -1.0])[TOY_SEGMENTS]
    return (level + 3 * labels + noise).map(lambda z: 1 / (1 + np.exp(-z)))


def lines(labels: pd.DataFrame, probabilities: pd.DataFrame, ax: Axes) -> Axes:
    """Probabilities of every code's notes, with one threshold for all and one per segment, both chosen on them."""
    found, validation = {}, thresholds.Validation(labels.to_numpy(), probabilities.to_numpy(), TOY_SEGMENTS, 1)
    for rule in ("global", "segment"):
        limits = thresholds.choose(rule, validation)
        found[rule] = limits, label_metrics.scores(labels.to_numpy(), (probabilities >= limits).to_numpy())
    for place, (code, shade) in enumerate(zip(labels, colours(3)[TOY_SEGMENTS])):
        has, at = labels[code].astype(bool), probabilities[code]
        ax.plot(at[~has], np.full((~has).sum(), place), "o", mfc="none", mec="#999999", linestyle="none")
        ax.plot(at[has], np.full(has.sum(), place), "o", color=shade, linestyle="none")
        ax.plot([found["segment"][0][place]] * 2, [place - 0.4, place + 0.4], color=BOUND, linestyle="-")
    ax.axvline(found["global"][0][0], color=BOUND, linestyle="--")
    ax.set(xlabel="probability (log); filled: the note has the code\ndashed: one line for all; solid: one a segment")
    ax.set(yticks=range(labels.shape[1]), yticklabels=labels.columns, xscale="log")
    macro = " to ".join(f"{scores['macro_f1_present']:.2f}" for _, scores in found.values())
    ax.set_title(f"A line for each segment lifts macro-F1 from {macro}")
    return ax


def explain_accuracy(scores: pd.DataFrame) -> str:
    """Why accuracy does not favour a model that predicts no code here, if so; "" otherwise.

    scores: from `label_metrics.trivial_baselines`.
    """
    if scores.loc["no code, ever", "accuracy"] > scores.loc["no code, ever", "micro-F1"]:
        return ""
    return (
        "Here the illusion fails: every validation note has every code. Nothing can be chosen by such notes; take more "
        "codes (`top_codes`, `min_notes`, `separator`)."
    )


def three_codes(counts: NDArray[np.int64], n_notes: int) -> dict[str, float]:
    """The most frequent code, the middle one and the rarest, each with its share of the notes. counts: (codes,)."""
    ordered = np.sort(counts)[::-1] / n_notes
    return {"the first code": ordered[0], "the middle one": ordered[len(ordered) // 2], "the last": ordered[-1]}


def pr_and_roc(prevalences: dict[str, float], axes: NDArray, *, separation: float) -> NDArray:
    """ROC and precision-recall curves of the same scorer on codes of different prevalence.

    Scores are normal, `separation` standard deviations higher for notes with the code, so ROC is the same for every
    code.
    prevalences: code to its share of the notes, the most frequent first.
    """
    wrong = np.concatenate([np.geomspace(1e-6, 0.01, 100), np.linspace(0.01, 1, 200)])
    found = stats.norm.sf(stats.norm.isf(wrong) - separation)
    area = stats.norm.cdf(separation / 2**0.5)
    axes[0].plot([0, 1], [0, 1], ":", color=CHANCE)
    axes[0].plot(wrong, found, color="#333333")
    for (name, share), colour in zip(prevalences.items(), colours(len(prevalences))[::-1]):
        precision = share * found / (share * found + (1 - share) * wrong)
        axes[1].plot(found, precision, color=colour, linestyle="-", label=f"{name}: {share:.1%} of the notes")
    axes[0].set(xlabel="false alarms among notes without the code", ylabel="found, of notes with it")
    axes[1].set(xlabel="recall: found, of notes with the code", ylabel="precision: right, of those named")
    axes[1].set_ylim(0, 1.02)
    axes[0].set_title(f"ROC: area {area:.2f}, whatever the code")
    axes[1].set_title("Precision and recall: not so")
    axes[1].legend(fontsize=10)
    return axes


def walk(counts: NDArray[np.int64], *, eta: float) -> pd.DataFrame:
    """The segmentation code by code, from the rarest: `count`, `segment`, `spread` and `before`.

    spread: deviation of the counts in the code's segment up to this code, over eta times the smallest count there.
    before: for the first code of a segment, the value that it would have brought the previous segment to.
    """
    ordered = np.sort(np.asarray(counts))
    segments = segment(ordered, eta=eta)
    table = pd.DataFrame({"count": ordered, "segment": segments, "spread": 0.0, "before": np.nan})
    for i in range(len(ordered)):
        own = ordered[: i + 1][segments[: i + 1] == segments[i]]
        table.loc[i, "spread"] = own.std() / (eta * own[0])
        if i and segments[i] != segments[i - 1]:
            last = np.append(ordered[:i][segments[:i] == segments[i - 1]], ordered[i])
            table.loc[i, "before"] = last.std() / (eta * last[0])
    return table


def steps(table: pd.DataFrame, ax: Axes) -> Axes:
    """Plot of `walk`: how far each code brings its segment towards the bound; hollow: past it, so a new one began."""
    shades = colours(table["segment"].max() + 1)
    places, limit = np.arange(len(table)), 2.5
    ax.bar(places, table["before"].clip(upper=limit), color="none", edgecolor="#333333", linestyle="--")
    ax.bar(places, table["spread"].clip(lower=0.02), color=shades[table["segment"]])
    for place, value in table["before"][table["before"] > limit].items():
        ax.annotate(f"{value:.0f}", (place, limit), xytext=(0, -14), textcoords="offset points", ha="center")
    ax.axhline(1, color=BOUND, linestyle="--")
    ax.set(xticks=places, xticklabels=table["count"], xlabel="training notes of the code, from the rarest on")
    ax.set(ylabel="deviation / (eta x smallest)", ylim=(0, limit))
    ax.set_title(f"A code that would bring it above 1 opens the next segment: {table['segment'].max() + 1} in all")
    return ax


def negative(gamma: float, weight: float, axes: NDArray) -> NDArray:
    """Loss and gradient of one negative against its predicted probability, for the four losses of the paper's family.

    weight: 1/beta of the note.
    """
    probability = torch.linspace(0.002, 0.998, 200)
    for name in ("bce", "focal", "sh", "sh_focal"):
        own = weight if name.startswith("sh") else 1.0
        given = {"gamma": gamma} if "focal" in name else {}
        value, slope = _of_negatives(getattr(losses, name), torch.logit(probability), own, given)
        axes[0].plot(probability, value, label=f"{name}, weight {own:.3g}")
        axes[1].plot(probability, slope)
    axes[0].set(xlabel="probability given to a code that is not there", ylabel="loss", ylim=(0, 6))
    axes[1].set(xlabel="the same", ylabel="gradient at the logit", ylim=(0, 1.3 * max(1.0, weight)))
    axes[0].set_title("What a negative costs")
    axes[1].set_title("How hard it pushes down")
    axes[0].legend(fontsize=10)
    return axes


def _of_negatives(loss, logits: Tensor, weight: float, given: dict[str, float]) -> tuple[NDArray, NDArray]:
    """Loss and gradient at each logit, each treated as a note without the code."""

    def total(z: Tensor) -> Tensor:
        return loss(z.reshape(-1, 1), torch.zeros(z.numel(), 1), torch.full((z.numel(),), weight), **given)

    moved = logits.clone().requires_grad_()
    total(moved).backward()  # the loss averages over notes, so each has its share of the gradient
    return torch.func.vmap(total)(logits).numpy(), len(logits) * moved.grad.numpy()


def weights(sources: NDArray[np.bool_], beta: str, ax: Axes) -> Axes:
    """Weights of the negatives of each segment in training: from the least to the largest, and their sum over that of
    the positives. sources: from `harmonic_weights.note_sources`."""
    n = sources.shape[1] - 1
    for s, colour in zip(range(n), colours(n)):
        negatives = ~sources[:, s]
        given = harmonic_weights.weights(sources, s, beta=beta)[negatives]
        if len(given) == 0:
            continue
        ax.plot([given.min(), given.max()], [s, s], color=colour, linestyle="-", linewidth=4)
        ax.plot(np.median(given), s, "o", color=colour, markersize=9)
        total = given.sum() / (~negatives).sum()
        ax.annotate(f"together {total:.2g} x the positives", (1.01, s), xycoords=("axes fraction", "data"), va="center")
    ax.axvline(1, color=BOUND, linestyle="--")
    ax.set(xscale="log", xlabel="weight of a negative note (log); dashed: of a positive", ylabel="segment in training")
    ax.set(yticks=range(n))
    ax.set_title(f"beta {beta}: from the lightest negative to the heaviest; dot: the median")
    return ax


def gradient(counts: NDArray[np.int64], n_notes: int, bins: pd.Series, ax: Axes) -> Axes:
    """Share of BCE's gradient at an untrained logit (p = 1/2) that pushes up and down, by frequency of the code."""
    table = pd.DataFrame({"bin": bins.array, "up": counts, "down": n_notes - counts})
    sums = table.groupby("bin", observed=True).sum(numeric_only=True)
    down = 100 * sums["down"] / sums.sum(axis=1)
    ax.bar(down.index.astype(str), down, color=CHANCE, label="no: notes without the code")
    ax.bar(down.index.astype(str), 100 - down, bottom=down, color="C0", label="yes: notes with it")
    for place, value in enumerate(down):
        ax.annotate(f"{100 - value:.1f}% yes", (place, 102), ha="center")
    ax.set(xlabel="training notes of a code", ylabel="gradient of BCE (%)", ylim=(0, 125))
    ax.set_title("For a rare code nearly all of BCE's gradient says 'no'")
    ax.legend(loc="upper right", ncols=2, fontsize=10)
    return ax


def who_finds(truth: NDArray, first: NDArray, second: NDArray, bins: pd.Series) -> pd.DataFrame:
    """Shares of the true (note, code) pairs per bin that both models find, one alone, or neither.

    truth, first, second: (notes, codes) of 0 and 1. bins: (codes,). Index: bin; `pairs`: the number of pairs.
    """
    kinds = {"both": first & second, "the first alone": first & ~second, "the second alone": second & ~first}
    sums = {name: (truth.astype(bool) & kind.astype(bool)).sum(axis=0) for name, kind in kinds.items()}
    table = pd.DataFrame(sums | {"pairs": truth.sum(axis=0), "bin": bins.array})
    table = table.groupby("bin", observed=True).sum(numeric_only=True)
    table = table[table["pairs"] > 0]
    shares = table[list(kinds)].div(table["pairs"], axis=0)
    return shares.assign(neither=1 - shares.sum(axis=1), pairs=table["pairs"].astype(int))


def found_by(shares: pd.DataFrame, first: str, second: str, ax: Axes) -> Axes:
    """Plot of `who_finds`, one bar per bin. first, second: names of the two models."""
    left = np.zeros(len(shares))
    names = [f"{name} ({int(n)} pairs)" for name, n in shares["pairs"].items()]
    looks = {"both": ("#333333", "both"), "the first alone": ("C0", f"{first} alone")}
    looks |= {"the second alone": ("C1", f"{second} alone"), "neither": ("#dddddd", "neither")}
    for (kind, (colour, label)), hatch in zip(looks.items(), ("", *HATCHES[1:3], "")):
        ax.barh(names, 100 * shares[kind], left=left, color=colour, hatch=hatch, edgecolor="white", label=label)
        left = left + 100 * shares[kind].to_numpy()
    ax.set(xlabel="of the true pairs in the test (%)", xlim=(0, 100))
    ax.set_title("Where one model finds what the other misses")
    ax.legend(fontsize=10, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    return ax
