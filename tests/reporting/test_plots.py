"""Plots: what they show, and how it differs where colours do not."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from shl_utils.evaluation import results
from shl_utils.notebook import style
from shl_utils.reporting import plots


def gained(**rows):
    """A table of gains: name to (gain, low, high, comparable), the same in micro and macro."""
    lines = {name: {"row": name, "comparable": comparable} for name, (*_, comparable) in rows.items()}
    for name, (*ends, _) in rows.items():
        for metric in results.HEADLINE_METRICS:
            lines[name] |= {f"{metric}_gain{end}": x for end, x in zip(("", "_low", "_high"), ends)}
    return pd.DataFrame(lines).T.infer_objects()


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_figure_of_gains_shows_them_and_which_are_not_comparable():
    table = gained(better=(0.02, 0.01, 0.03, True), odd=(0.1, 0.05, 0.2, False))
    axes = plots.gains(table, plt.subplots(1, 2)[1])
    points = [line for line in axes[0].lines if line.get_marker() == "o"]
    assert {line.get_markerfacecolor(): line.get_xdata().tolist() for line in points} == {"C0": [2.0], "white": [10.0]}
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["better", "odd"]


def test_one_segment_of_all_codes_has_no_weights_to_show():
    nothing = pd.DataFrame([[float("nan")] * 2], columns=[0, "no code"])
    assert "no note is a negative" in style.alt(plots.source_weights(nothing, plt.subplots()[1]).figure)


def test_bars_side_by_side_differ_without_colour():
    ax = plots.grouped(pd.DataFrame({"a": [1, 2], "b": [3, 4], "c": [5, 6]}), plt.subplots()[1])
    hatches = [{bar.get_hatch() for bar in bars} for bars in ax.containers]
    assert len({tuple(found) for found in hatches}) == 3
    assert [patch.get_hatch() for patch in ax.get_legend().get_patches()] == [found.pop() for found in hatches]


def test_shares_of_the_loss_are_stacked_to_a_hundred():
    index = pd.MultiIndex.from_product([["bce", "sh"], ["positives", "segment 1"]], names=["under", "origin"])
    shares = pd.DataFrame({"loss": [0.25, 0.75, 0.5, 0.5], "gradient": [0.5, 0.5, 0.9, 0.1]}, index=index)
    _, axes = plt.subplots(1, 2)
    plots.balance(shares, axes)
    assert [bar.get_width() for bar in axes[0].containers[0]] == pytest.approx([50, 25]), "bce on top"
    assert [bar.get_x() + bar.get_width() for bar in axes[0].containers[1]] == pytest.approx([100, 100])
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["positives", "segment 1"]


def test_losses_are_shown_over_that_of_the_first_epoch():
    history = [{"epoch": i, "loss": loss, "validation_ap": 0.5} for i, loss in enumerate((4.0, 1.0, None))]
    axes = plots.learning_curves({0: history}, plots.plt.subplots(1, 2)[1])
    assert axes[0].get_lines()[0].get_ydata().tolist()[:2] == [1, 0.25]
    diverged = [{"epoch": 0, "loss": None, "validation_ap": None}]
    plots.learning_curves({0: diverged}, axes)
