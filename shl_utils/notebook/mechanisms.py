"""Plots that explain a mechanism with the numbers of a run: imbalance, segmentation, weights, and who finds what."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from torch import Tensor

from shl_utils.declarations import LOSSES
from shl_utils.method import harmonic_weights, losses
from shl_utils.method.segmentation import segment
from shl_utils.reporting.plots import BOUND, CHANCE, HATCHES, colours


def three_codes(counts: NDArray[np.int64], n_notes: int) -> dict[str, float]:
    """The most frequent code, the median one and the rarest, each with its share of the notes. counts: (codes,)."""
    ordered = np.sort(counts)[::-1] / n_notes
    return {"the first code": ordered[0], "the middle one": ordered[len(ordered) // 2], "the last": ordered[-1]}


def pr_and_roc(prevalences: dict[str, float], axes: NDArray, *, separation: float) -> NDArray:
    """ROC and precision-recall curves of the same scorer on codes of different prevalence.

    Scores are normal, `separation` standard deviations higher for notes with the code, so every code has the same ROC.
    prevalences: code to its share of the notes, the most frequent first. axes: two.
    """
    wrong = np.concatenate([np.geomspace(1e-15, 0.01, 200), np.linspace(0.01, 1, 200)])
    found = ndtr(separation + ndtri(wrong))
    axes[0].plot([0, 1], [0, 1], ":", color=CHANCE)
    axes[0].plot(wrong, found, color="#333333")
    for (name, share), colour in zip(prevalences.items(), colours(len(prevalences))[::-1]):
        precision = share * found / (share * found + (1 - share) * wrong)
        axes[1].plot(found, precision, color=colour, linestyle="-", label=f"{name}: {share:.1%} of the notes")
    axes[0].set(xlabel="false alarms among notes without the code", ylabel="found, of notes with it")
    axes[1].set(xlabel="recall: found, of notes with the code", ylabel="precision: right, of predicted")
    axes[0].set(title="ROC: the same, whatever the code", xlim=(-0.02, 1))
    axes[1].set(title="Precision and recall: not so", xlim=(0, 1), ylim=(0, 1.02))
    axes[1].legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
    return axes


def precision_at_half(prevalence: float, separation: float) -> float:
    """Precision of the scorer of `pr_and_roc` where half of the notes with the code are found."""
    found, wrong = prevalence / 2, (1 - prevalence) * ndtr(-separation)
    return float(found / (found + wrong))


def gradient(counts: NDArray[np.int64], n_notes: int, bins: pd.Series, ax: Axes) -> Axes:
    """Share of BCE's gradient at an untrained logit (p = 1/2) that pushes up and down, by frequency of the code.

    There every note pulls alike, with the code or without. counts: (codes,), notes of each. bins: (codes,).
    """
    down = 100 - 100 * pd.Series(counts).groupby(bins.array, observed=True).mean() / n_notes
    ax.bar(down.index.astype(str), down, color=CHANCE, label="no: notes without the code")
    ax.bar(down.index.astype(str), 100 - down, bottom=down, color="C0", label="yes: notes with it")
    for place, value in enumerate(down):
        ax.annotate(f"{100 - value:.1f}% yes", (place, 102), ha="center")
    ax.set(xlabel="training notes of a code", ylabel="gradient of BCE (%)", ylim=(0, 125), yticks=range(0, 101, 20))
    ax.set(title="For a rare code nearly all of BCE's gradient says 'no'")
    ax.legend(loc="upper right", ncols=2, fontsize=10)
    return ax


def walk(counts: NDArray[np.int64], *, eta: float) -> pd.DataFrame:
    """The segmentation code by code, from the rarest: columns `count`, `segment`, `spread` and `before`.

    spread: deviation of the counts in the code's segment up to this code, over eta times the smallest count there.
    before: for the first code of a segment, the value that it would have brought the previous segment to.
    """
    ordered = np.sort(np.asarray(counts))
    segments = segment(ordered, eta=eta)
    table = pd.DataFrame({"count": ordered, "segment": segments, "spread": 0.0, "before": np.nan})
    starts = np.searchsorted(segments, segments)  # position of the first code in each code's segment
    for i, own in enumerate(starts):
        table.loc[i, "spread"] = ordered[own : i + 1].std() / (eta * ordered[own])
        if i == own > 0:
            previous = starts[i - 1]
            table.loc[i, "before"] = ordered[previous : i + 1].std() / (eta * ordered[previous])
    return table


def steps(table: pd.DataFrame, ax: Axes) -> Axes:
    """Plot of `walk`: how far each code brings its segment towards the bound; hollow: past it, so a new one began."""
    n, places, limit = table["segment"].max() + 1, np.arange(len(table)), 2.5
    for name, own in table.groupby("segment"):
        ax.axvspan(own.index[0] - 0.5, own.index[-1] + 0.5, color=colours(n)[name], alpha=0.15)
    ax.bar(places, table["before"].clip(upper=limit), color="none", edgecolor="#333333", linestyle="--")
    ax.bar(places, table["spread"].clip(lower=0.02), color=colours(n)[table["segment"]])
    for place, value in table["before"][table["before"] > limit].items():
        ax.annotate(f"{value:.0f}", (place, limit), xytext=(0, -14), textcoords="offset points", ha="center")
    ax.axhline(1, color=BOUND, linestyle="--")
    ax.set(xticks=places, xticklabels=table["count"], xlabel="training notes of the code, from the rarest on")
    ax.set(ylabel="deviation / (eta x smallest)", ylim=(0, limit))
    ax.set(title=f"A code that would bring it above 1 opens the next segment: {n} in all")
    return ax


def negative(gamma: float, weight: float, axes: NDArray) -> NDArray:
    """Loss and gradient of one negative against its predicted probability, for the four losses of the paper's family.

    weight: 1/beta of the note. axes: two.
    """
    probability = torch.linspace(0.002, 0.998, 200)
    for name in ("bce", "focal", "sh", "sh_focal"):
        own = weight if LOSSES[name].harmonic else 1.0
        given = {"gamma": gamma} if "gamma" in LOSSES[name].takes else {}
        value, slope = _loss_and_gradient(losses.LOSSES[name], torch.logit(probability), own, given)
        axes[0].plot(probability, value, label=f"{name}, weight {own:.3g}")
        axes[1].plot(probability, slope)
    axes[0].set(xlabel="probability given to a code that is not there", ylabel="loss", ylim=(0, 6))
    axes[1].set(xlabel="the same", ylabel="gradient at the logit", ylim=(0, 1.3 * max(1.0, weight)))
    axes[0].set(title="What a negative costs")
    axes[1].set(title="How hard it pushes down")
    axes[0].legend(loc="upper left")
    return axes


def _loss_and_gradient(loss, logits: Tensor, weight: float, given: dict[str, float]) -> tuple[NDArray, NDArray]:
    """Loss and gradient at each logit, each treated as a note without the code."""

    def total(z: Tensor) -> Tensor:
        return loss(z.reshape(-1, 1), torch.zeros(z.numel(), 1), torch.full((z.numel(),), weight), **given)

    moved = logits.clone().requires_grad_()
    total(moved).backward()  # the loss averages over notes, so each has its share of the gradient
    return torch.func.vmap(total)(logits).numpy(), len(logits) * moved.grad.numpy()


def weights(origins: NDArray[np.bool_], beta: str, ax: Axes) -> Axes:
    """Plot of the weights of each segment's negatives: from the least to the largest, and their sum over that of the
    positives. origins: (notes, segments + 1), from `harmonic_weights.note_origins`."""
    n = origins.shape[1] - 1
    for s, colour in zip(range(n), colours(n)):
        negatives = ~origins[:, s]
        given = harmonic_weights.weights(origins, s, beta=beta)[negatives]
        if len(given) == 0:
            continue
        ax.plot([given.min(), given.max()], [s, s], color=colour, linestyle="-", linewidth=4)
        ax.plot(np.median(given), s, "o", color=colour, markersize=9)
        total = given.sum() / (~negatives).sum()
        ax.annotate(f"{total:.2f}", (1.01, s), xycoords=("axes fraction", "data"), va="center")
    # fixed and wider than any of the numbers, so that a layout made for one beta has room for them all
    ax.annotate("together,\nin positives", (1.01, -0.03), xycoords="axes fraction", va="top", fontsize=12)
    ax.axvline(1, color=BOUND, linestyle="--")
    ax.set(xscale="log", xlabel="weight of a negative note (log); dashed: of a positive", ylabel="segment in training")
    ax.set(title=f"beta {beta}: the lightest negative, the median (dot), the heaviest", yticks=range(n))
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
    ax.set(title="Where one model finds what the other misses", xlabel="of the true pairs in the test (%)")
    ax.set(xlim=(0, 100))
    ax.legend(fontsize=10, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    return ax
