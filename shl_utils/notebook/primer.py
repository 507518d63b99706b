"""Pictures of what the notebooks take for granted: scores, embeddings, adapters, intervals, interactions, verdicts. All
numbers are made up."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from shl_utils.evaluation import resampling, verdicts
from shl_utils.reporting.plots import BOUND, CHANCE

# probabilities that a model gave to one code in twenty notes, and which of them have it
SCORES = np.array([0.95, 0.9, 0.8, 0.75, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15] + [0.05] * 6)
TRUE = np.isin(np.arange(20), [0, 1, 3, 5, 8])
WIDTH = 64  # of the layer in `low_rank`
DRAWS = 2000


def counts(threshold: float) -> dict[str, int]:
    """Notes of the example by what a threshold makes of them: TP, FP, FN, TN."""
    named = threshold <= SCORES
    pairs = {"TP": named & TRUE, "FP": named & ~TRUE, "FN": ~named & TRUE, "TN": ~named & ~TRUE}
    return {name: int(part.sum()) for name, part in pairs.items()}


def confusion(threshold: float, ax: Axes) -> Axes:
    """The twenty notes by probability, and what the threshold makes of them."""
    found = counts(threshold)
    tp, fp, fn = (found[name] for name in ("TP", "FP", "FN"))
    ax.bar(np.arange(20)[TRUE], SCORES[TRUE], color="C0", label="has the code")
    ax.bar(np.arange(20)[~TRUE], SCORES[~TRUE], color=CHANCE, hatch="//", edgecolor="white", label="does not have it")
    ax.axhline(threshold, color=BOUND, linestyle="--")
    precision = f"{tp}/{tp + fp}" if tp + fp else "undefined"
    ax.set(xlabel="note", ylabel="probability given to the code", ylim=(0, 1.05), xticks=[])
    ax.set(title=f"precision {precision}, recall {tp}/{tp + fn}, F1 {2 * tp / (2 * tp + fp + fn):.2f}")
    cells = [[f"TP {tp}", f"FN {fn}"], [f"FP {fp}", f"TN {found['TN']}"]]
    heads = {"rowLabels": ["has it", "has it not"], "colLabels": ["predicted", "not"]}
    ax.table(cells, **heads, bbox=(0.62, 0.45, 0.36, 0.3), cellLoc="center", zorder=3)  # above the threshold
    ax.legend()
    return ax


def average_precision() -> str:
    """Precision at each note that has the code, going down the ranking, and their mean, the average precision."""
    ranks = np.flatnonzero(TRUE) + 1
    shares = ", ".join(f"{i}/{rank}" for i, rank in enumerate(ranks, start=1))
    return f"{shares}; mean {(np.arange(1, len(ranks) + 1) / ranks).mean():.2f}"


def cosine(angle: float, ax: Axes) -> Axes:
    """Two embeddings of length 1 and the cosine between them. angle: in degrees."""
    for name, at, colour in (("note", 20.0, "C0"), ("description", 20.0 + angle, "C1")):
        end = np.cos(np.radians(at)), np.sin(np.radians(at))
        ax.annotate("", end, (0, 0), arrowprops={"arrowstyle": "->", "linewidth": 3, "color": colour})
        ax.annotate(name, end, xytext=(4, 4), textcoords="offset points")
    ax.set(xlim=(-1.2, 1.6), ylim=(-1.2, 1.3), aspect="equal", xticks=[0], yticks=[0])
    ax.set(title=f"cosine {np.cos(np.radians(angle)):.2f}: 1 alike, 0 unrelated, -1 opposite")
    return ax


def low_rank(rank: int, axes: NDArray) -> NDArray:
    """A frozen matrix, an update of low rank, and how many numbers of each are trained. axes: three."""
    rng = np.random.default_rng(0)
    frozen = rng.normal(size=(WIDTH, WIDTH))
    update = rng.normal(size=(WIDTH, rank)) @ rng.normal(size=(rank, WIDTH)) / rank**0.5
    titles = (f"W, frozen: {WIDTH**2:,} numbers", f"B A, rank {rank}: {2 * WIDTH * rank:,} trained", "W + B A is used")
    for ax, matrix, title in zip(axes, (frozen, update, frozen + update), titles):
        ax.imshow(matrix, vmin=-3, vmax=3)
        ax.grid(False)
        ax.set(title=title, xticks=[], yticks=[])
    return axes


def two_models(n: int) -> NDArray[np.float64]:
    """Scores of two models on the same `n` notes, (2, n) from 0 to 1: notes differ far more than the models do."""
    rng = np.random.default_rng(1)
    hard = rng.uniform(0.2, 0.9, 2000)[:n]
    better = rng.normal(0.03, 0.15, 2000)[:n]
    return np.clip([hard, hard + better], 0, 1)


def bootstrap(n: int, ax: Axes) -> Axes:
    """Intervals of two means over `n` notes, and of their difference, which is paired."""
    first, second = two_models(n)
    weights = resampling.resamples(n, 1, times=DRAWS, seed=0).notes
    means = [(weights * part).sum(axis=1) / weights.sum(axis=1) for part in (first, second)]
    lines = {"first model": means[0], "second model": means[1], "difference, paired": means[1] - means[0]}
    for place, (name, draws) in enumerate(lines.items()):
        low, high = resampling.interval(draws)
        ax.plot([low, high], [place, place], "-", color=f"C{place}", linewidth=4)
        ax.plot(draws.mean(), place, "o", color=f"C{place}", markersize=9)
        ax.annotate(f"{name}: {draws.mean():.2f} [{low:.2f}, {high:.2f}]", (0.03, place + 0.22))
    ax.axvline(0, color=BOUND, linestyle="--")
    ax.set(ylim=(2.6, -0.4), yticks=[], xlim=(-0.2, 1), xlabel="score")
    holds = low <= 0 <= high
    ax.set(title=f"{n} notes: the difference {'may be chance' if holds else 'is there'}")
    return ax


def many_tests(ax: Axes) -> Axes:
    """The chance that at least one of m tests finds a difference where there is none."""
    m = np.arange(1, 41)
    ax.plot(m, 100 * (1 - 0.95**m), label="each at 5%")
    ax.plot(m, 100 * (1 - (1 - 0.05 / m) ** m), label="each at 5% / m, as Holm's method begins")
    ax.set(xlabel="tests, all of differences that are zero", ylabel="at least one is found (%)", ylim=(0, 100))
    ax.set(title=f"Of twenty tests at least one finds something by chance, in {100 * (1 - 0.95**20):.0f}% of the cases")
    ax.legend()
    return ax


def interaction(ax: Axes) -> Axes:
    """F1 under two losses, with and without a filter: the filter costs more under one of them."""
    for place, (loss, scores) in enumerate({"BCE": (70, 67), "SH-focal": (69, 61)}.items()):
        ax.plot(
            [0, 1], scores, marker="o", label=f"{loss}: the filter costs {scores[0] - scores[1]}", color=f"C{place}"
        )
    ax.set(xticks=[0, 1], xticklabels=["no filter", "filter"], ylabel="F1", xlim=(-0.2, 1.2), ylim=(55, 75))
    ax.set(title="On average it costs 5.5; neither loss says so: the lines are not parallel")
    ax.legend(loc="lower left")
    return ax


def layer_passes(frozen: int, ax: Axes) -> Axes:
    """Passes through layers per training note: one model of six layers and seven segments, two epochs each."""
    layers, epochs, segments, seen = 6, 2, 7, 3.0  # seen: notes that segments see, over those of one model
    forward_and_backward = 2 * (layers - frozen)
    one, all_segments = (frozen + epochs * times * forward_and_backward for times in (1, seen))
    ax.barh(["one model", f"{segments} segments"], [frozen] * 2, color=CHANCE, hatch="//", label="frozen, once")
    trained = [one - frozen, all_segments - frozen]
    ax.barh(["one model", f"{segments} segments"], trained, left=frozen, color="C0", label="trained, each time")
    ax.set(xlabel="passes through a layer, per training note", xlim=(0, 110))
    ax.set(title=f"{frozen} of {layers} layers frozen: segments take {all_segments / one:.1f} times one model")
    ax.legend(loc="upper right")
    return ax


def four_verdicts(ax: Axes) -> Axes:
    """Four intervals of a gain in micro-F1, and what each is called."""
    ends = [(0.8, 3.2), (-4.0, -0.6), (-0.6, 0.7), (-1.8, 2.4)]
    for place, (low, high) in enumerate(ends):
        said = verdicts.verdict(low / 100, high / 100, "micro_f1")
        ax.plot([low, high], [place, place], "-", color=f"C{place}", linewidth=4)
        ax.annotate(f"{said}: [{low:+.1f}, {high:+.1f}]", (3.6, place), va="center")
    margin = 100 * verdicts.MARGINS["micro_f1"]
    ax.axvspan(-margin, margin, color=CHANCE, alpha=0.25)
    ax.axvline(0, color=BOUND, linestyle="--")
    ax.set(yticks=[], ylim=(3.6, -0.6), xlim=(-5, 8), xlabel="gain in points of micro-F1; grey: taken as none")
    ax.set(title="A verdict is read off an interval, not off its middle")
    return ax
