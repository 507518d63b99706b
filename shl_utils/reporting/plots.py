"""One function per plot: a table in, axes out.

Rare codes are dark and frequent ones bright in every plot. Series side by side differ in more than their colour. C0,
C1, ... are the colours of the style file.
"""

from __future__ import annotations

import itertools
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from shl_utils.evaluation import measurement, results
from shl_utils.reporting import formats

HATCHES = ("", "///", "...", "xx")  # of neighbouring bars
MARKS = "osD^vP*X"  # of points
BOUND, CHANCE = "C1", "C5"  # a bound or threshold, and chance level
PANELS = dict(zip(results.HEADLINE_METRICS, ("Micro-F1", "Macro-F1, codes in test")))


def colours(n: int) -> NDArray:
    """`n` colours, from dark (rare) to bright (frequent)."""
    return plt.get_cmap("cividis")(np.linspace(0.05, 0.85, max(n, 1)))


def grouped(table: pd.DataFrame, ax: Axes) -> Axes:
    """Grouped bars: one group per row of the table, one colour and hatch per column."""
    table.plot.bar(ax=ax, rot=0, width=0.8, color=[f"C{i}" for i in range(table.shape[1])], edgecolor="white")
    for bars, hatch in zip(ax.containers, itertools.cycle(HATCHES)):
        for bar in bars:
            bar.set_hatch(hatch)
    ax.legend()  # again, now with the hatches
    return ax


def long_tail(counts: NDArray[np.int64], ax: Axes) -> Axes:
    """Number of notes per code, most frequent code first, on a logarithmic scale."""
    ordered = np.sort(counts)[::-1]
    rare = int((ordered < 10).sum())
    ax.bar(np.arange(len(ordered)), ordered, width=1.0, color=colours(len(ordered))[::-1])
    ax.set(yscale="log", xlabel="codes, most frequent first", ylabel="training notes with the code (log)")
    ax.set_title(f"{rare} of {len(ordered)} codes have fewer than 10 notes; the first has {ordered[0]}")
    return ax


def share_of_assignments(counts: NDArray[np.int64], bins: pd.Series, ax: Axes) -> Axes:
    """Share of the codes, and of all assignments, in each frequency bin. counts, bins: (codes,)."""
    table = pd.DataFrame({"bin": bins.array, "codes": 1, "assignments": counts})
    shares = table.groupby("bin", observed=True).sum(numeric_only=True)
    shares = 100 * shares / shares.sum()
    grouped(shares, ax)
    ax.set(xlabel="training notes of a code", ylabel="share (%)")
    codes, assignments = shares.iloc[-1]
    ax.set_title(f"{shares.index[-1]} training notes: {codes:.0f}% of the codes, {assignments:.0f}% of the assignments")
    return ax


def illusion(scores: pd.DataFrame, ax: Axes) -> Axes:
    """Accuracy beside F1 for classifiers that learned nothing. scores: a row per classifier, a column per metric."""
    grouped((100 * scores).T, ax)
    for bars in ax.containers:
        ax.bar_label(bars, fmt="%.1f", fontsize=10)
    ax.set(ylabel="%", ylim=(0, 112))
    ax.set_title("Accuracy is high for a model that never finds a code")
    ax.legend(loc="upper right")
    return ax


def similarity(own: NDArray, random: NDArray, threshold: float, ax: Axes) -> Axes:
    """Histogram of the similarity of notes with their own codes and with random codes, with the filter's threshold."""
    bins = np.linspace(min(own.min(), random.min()), max(own.max(), random.max()), 50)
    ax.hist(random, bins, density=True, alpha=0.6, color=CHANCE, label="random code")
    ax.hist(own, bins, density=True, histtype="step", linewidth=2.2, color="C0", label="own code")
    ax.axvline(threshold, color=BOUND, linestyle="--")
    ax.annotate(f"threshold {threshold:.2f}", (threshold, 0.97), xycoords=("data", "axes fraction"), ha="right",
                rotation=90, va="top", color=BOUND)  # fmt: skip
    ax.set(xlabel="cosine of note and description", ylabel="density")
    kept, by_chance = ((part >= threshold).mean() for part in (own, random))
    ax.set_title(f"Kept: {kept:.0%} of notes' own codes, {by_chance:.0%} of random ones")
    ax.legend(loc="upper right")
    return ax


def segments(table: pd.DataFrame, ax: Axes) -> Axes:
    """The long tail, with every code in the colour of its segment. table: `train_count`, `segment`."""
    ordered = table.sort_values("train_count", ascending=False, ignore_index=True)
    n = ordered["segment"].max() + 1
    for k, part in ordered.groupby("segment"):
        edges = np.arange(part.index[0], part.index[-1] + 2) - 0.5
        ax.stairs(part["train_count"], edges, baseline=0.8, fill=True, color=colours(n)[k])
        middle, top = part.index.to_numpy().mean(), part["train_count"].max()
        ax.annotate(f"{k}", (middle, top), xytext=(0, 4), textcoords="offset points", ha="center")
    ax.set(yscale="log", xlabel="codes, most frequent first", ylabel="training notes (log)")
    ax.set_ylim(0.8, 2 * table["train_count"].max())
    ax.set_title(f"{n} segments; 0 holds the rarest codes")
    return ax


def source_weights(weights: pd.DataFrame, ax: Axes) -> Axes:
    """1/beta of a negative note by its origin segment (columns), for each segment in training (rows)."""
    import seaborn as sns  # takes a second to import, needed for this plot only

    ax.grid(False)
    if weights.isna().all(axis=None):
        ax.set_axis_off()
        ax.set_title("One segment of all codes: no note is a negative")
        return ax
    sns.heatmap(
        weights, annot=True, fmt=".2f", cmap="cividis", norm=LogNorm(), ax=ax, cbar_kws={"label": "1 / beta (log)"}
    )
    ax.set(xlabel="segment that the negative note comes from", ylabel="segment in training")
    ax.set_title("What one negative note weighs, by its source")
    return ax


def learning_curves(histories: dict[int, list[dict]], axes: NDArray) -> NDArray:
    """Training loss, over that of the first epoch, and validation average precision of every segment, by epoch.

    Losses themselves do not compare: they are sums over other codes. histories: segment to its epochs.
    """
    for (k, history), colour, mark in zip(histories.items(), colours(len(histories)), itertools.cycle(MARKS)):
        epochs = [h["epoch"] + 1 for h in history]
        loss, ap = ([np.nan if h[name] is None else h[name] for h in history] for name in ("loss", "validation_ap"))
        axes[0].plot(epochs, np.array(loss) / loss[0], "-", marker=mark, color=colour, label=f"segment {k}")
        axes[1].plot(epochs, ap, "-", marker=mark, color=colour)
    for ax in axes:
        ax.xaxis.get_major_locator().set_params(integer=True)
    axes[0].set(xlabel="epoch", ylabel="loss, as a share of epoch 1's")
    axes[1].set(xlabel="epoch", ylabel="average precision, validation", ylim=(0, 1))
    axes[0].set_title("Training loss: does it fall?")
    axes[1].set_title("The best epoch is kept")
    axes[0].legend(fontsize=10)
    return axes


def reliability(curves: dict[str, pd.DataFrame], ax: Axes) -> Axes:
    """Share of positives against probability. curves: model to its table from `score_metrics.calibration`."""
    ax.plot([0, 1], [0, 1], ":", color=CHANCE)
    for (name, curve), mark in zip(curves.items(), MARKS):  # line styles already differ, by the style file
        ax.plot(curve["probability"], curve["share"], marker=mark, markersize=6, label=name)
    ax.set(xlabel="probability given", ylabel="share that hold the code", xlim=(0, 1), ylim=(0, 1))
    ax.set_title("Below the line probabilities are too high, above it too low")
    ax.legend(fontsize=10)
    return ax


def f1_by_group(table: pd.DataFrame, xlabel: str, ax: Axes) -> Axes:
    """Micro-F1 within each group of codes, one bar per model. table: from `results.by_group`."""
    names, groups = (list(dict.fromkeys(table.index.get_level_values(level))) for level in ("model", "group"))
    wide = table["micro_f1"].astype(float).unstack("model").loc[groups, names]
    grouped(100 * wide, ax)
    present = table.groupby("group", observed=True, sort=False)["codes_present"].first().reindex(wide.index)
    ax.set_xticklabels([f"{group}\n{int(n)} codes" for group, n in present.items()])
    ax.set(xlabel=f"{xlabel}; below: how many codes are in the test", ylabel="micro-F1 (%)")
    ax.set_title("Who finds the rare codes?")
    ax.legend(fontsize=10)
    return ax


def gains(table: pd.DataFrame, axes: NDArray) -> NDArray:
    """Points of micro- and macro-F1 that every row gains over the single BCE model, with paired 95% intervals.

    Hollow points: not comparable. table: `results.table` without its reference.
    """
    places = np.arange(len(table))[::-1]
    comparable = table["comparable"].astype(bool).to_numpy()
    for ax, (metric, title) in zip(axes, PANELS.items()):
        gain, spread = _points(table, *(f"{metric}_gain{end}" for end in measurement.ENDS))
        for chosen, face in ((comparable, "C0"), (~comparable, "white")):
            bars = {"xerr": spread[:, chosen], "fmt": "o", "color": "C0", "mfc": face, "capsize": 3}
            ax.errorbar(gain[chosen], places[chosen], **bars)
        ax.axvline(0, color="#333333", linewidth=1)
        ax.set(yticks=places, xlabel="points over one BCE model")
        ax.set_title(title)
    axes[0].set_yticklabels(map(_wrapped, table["row"]))
    axes[1].set_yticklabels([])
    return axes


def _wrapped(name: str) -> str:
    """A row's name in two lines or three: in one it would leave no room for the points."""
    return textwrap.fill(name, 34)


def _points(table: pd.DataFrame, *columns: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values x 100, (rows,), and how far their intervals reach to both sides, (2, rows). columns: value, low, high."""
    value, low, high = (100 * table[name].to_numpy(dtype=float) for name in columns)
    return value, np.maximum([value - low, high - value], 0)


def verdict(lines: pd.DataFrame, axes: NDArray) -> NDArray:
    """Gain for every claim with its 95% interval: a panel for micro- and for macro-F1, a colour and mark per run."""
    claims, runs = list(dict.fromkeys(lines.index)), list(dict.fromkeys(lines["run"]))
    comparable = lines.groupby(level=0)["comparable"].first()
    for ax, (metric, title) in zip(axes, PANELS.items()):
        for i, (run, mark) in enumerate(zip(runs, itertools.cycle(MARKS))):
            part = lines[(lines["run"] == run) & (lines["metric"] == metric)].reindex(claims)
            places = np.arange(len(claims))[::-1] - 0.6 * ((i + 0.5) / len(runs) - 0.5)
            gain, spread = _points(part, "gain", "low", "high")
            ax.errorbar(gain, places, xerr=spread, fmt=mark, color=f"C{i}", capsize=3, label=run)
        ax.axvline(0, color="#333333", linewidth=1)
        ax.set(yticks=np.arange(len(claims))[::-1], xlabel="points of F1")
        ax.set_title(title)
    axes[0].set_yticklabels(map(_wrapped, formats.marked(claims, comparable[claims])))
    axes[1].set_yticklabels([])
    if len(runs) > 1:
        axes[1].legend(fontsize=10)
    return axes


def balance(shares: pd.DataFrame, axes: NDArray) -> NDArray:
    """Shares of loss and gradient by origin of the notes, one bar per loss. shares: from `loss_balance.shares`."""
    for ax, (column, title) in zip(axes, (("loss", "Share of the loss"), ("gradient", "Share of the gradient"))):
        wide = shares[column].unstack("under", sort=False).T[::-1]
        left = np.zeros(len(wide))
        for (origin, part), colour, hatch in zip(wide.items(), colours(wide.shape[1]), itertools.cycle(HATCHES)):
            ax.barh(wide.index, 100 * part, left=left, color=colour, hatch=hatch, edgecolor="white", label=origin)
            left += 100 * part.fillna(0).to_numpy()
        ax.set(xlabel="%")
        ax.set_title(title)
    axes[1].set_yticklabels([])
    axes[1].legend(fontsize=10, loc="center left", bbox_to_anchor=(1, 0.5))
    return axes


def times(ratios: pd.Series, ax: Axes) -> Axes:
    """Cost of the segments as multiples of the cost of one model of all codes. ratios: from `cost.against_one`."""
    bars = ax.barh(ratios.index[::-1], ratios[::-1], color="C0")
    ax.bar_label(bars, fmt="%.1f", padding=3)
    ax.axvline(1, color=BOUND, linestyle="--")
    ax.set(xlabel="times one model of all codes (dashed)")
    ax.margins(x=0.1)
    cost = "1 model costs" if ratios["models"] == 1 else f"{ratios['models']:.0f} models cost"
    ax.set_title(f"{cost} {ratios['FLOPs']:.1f} times the FLOPs of the one plain model")
    return ax


def stages(table: pd.DataFrame, axes: NDArray) -> NDArray:
    """Seconds and peak memory of every stage, one panel each. table: from `cost.stages`."""
    scaled = table.assign(peak_memory_mb=table["peak_memory_mb"] / 1000)
    for ax, name, unit in zip(axes, table.columns, ("seconds", "peak memory (GB)")):
        bars = ax.barh(table.index[::-1], scaled[name][::-1], color="C0")
        ax.bar_label(bars, fmt="%.0f" if name == "seconds" else "%.1f", fontsize=10, padding=3)
        ax.set(xlabel=unit)
        ax.margins(x=0.12)
    axes[1].set_yticklabels([])
    axes[0].set_title(f"Last attempts: {table['seconds'].sum():.0f} s, most in {table['seconds'].idxmax()}")
    return axes


def segment_counts(table: pd.DataFrame, axes: NDArray) -> NDArray:
    """Time and space against the number of segments of the same codes. table: from `cost.by_segment_count`."""
    panels = (
        ("", {"seconds": (1, "seconds"), "notes_seen": (1e-3, "thousand notes seen")}),
        ("MB (log)", {"peak_memory_mb": (1, "peak memory"), "bytes": (1e-6, "on disk, to keep")}),
    )
    for ax, (unit, columns) in zip(axes, panels):
        for (column, (factor, label)), style in zip(columns.items(), ("C0-o", "C1-s")):
            ax.plot(table.index, factor * table[column], style, label=label)
        ax.set(xscale="log", xlabel="segments (log)", ylabel=unit, xticks=table.index)
        ax.set_xticklabels(table.index)
        ax.minorticks_off()
        ax.legend(fontsize=10)
    axes[1].set_yscale("log")
    axes[0].set_ylim(bottom=0)
    first, last = table.index[[0, -1]]
    ratios = table.loc[last] / table.loc[first]
    axes[0].set_title(f"{last} segments: {ratios['seconds']:.1f} x the seconds of {first}")
    axes[1].set_title(f"{ratios['peak_memory_mb']:.1f} x the memory")
    return axes


def growth(by_tokens: pd.DataFrame, by_codes: pd.DataFrame, axes: NDArray) -> NDArray:
    """FLOPs per note against its tokens and against the number of codes, log scales. Tables: from `cost.growth`."""
    for ax, table in zip(axes, (by_tokens, by_codes)):
        for name, colour, marker in (("frozen", "C0", "o"), ("trained", "C1", "s")):
            if table[name].any():
                label = "frozen layers, once" if name == "frozen" else "trained layers and head, each time"
                ax.plot(table.index, table[name] / 1e9, f"-{marker}", color=colour, label=label)
        ax.set(xscale="log", yscale="log", xlabel=f"{table.index.name} (log)", xticks=table.index)
        ax.set_xticklabels(table.index)
        ax.minorticks_off()
    axes[0].set(ylabel="10⁹ FLOPs per note (log)")
    axes[0].set_title("More tokens cost more everywhere")
    axes[1].set_title("More codes cost only the head")
    axes[0].legend(fontsize=10)
    return axes
