"""Plots of the mechanisms show what the method computes."""

import numpy as np
import pandas as pd
import pytest

from shl_utils.method.segmentation import segment
from shl_utils.notebook import mechanisms
from shl_utils.reporting import plots


@pytest.mark.parametrize("eta", [0.1, 0.5, 2.0])
def test_the_walk_cuts_where_the_segmentation_does(eta):
    counts = np.array([700, 1, 30, 1, 2, 10, 3, 8])
    table = mechanisms.walk(counts, eta=eta)
    assert table["segment"].tolist() == segment(np.sort(counts), eta=eta).tolist()
    assert (table["spread"] <= 1).all()
    assert (table["before"].dropna() > 1).all()
    assert table["before"].notna().sum() == table["segment"].max()


def test_roc_is_the_same_for_every_prevalence_and_precision_is_not():
    axes = mechanisms.pr_and_roc({"often": 0.5, "rarely": 0.005}, plots.plt.subplots(1, 2)[1], separation=2.0)
    often, rarely = (line.get_ydata() for line in axes[1].get_lines())
    assert (often > rarely).all()
    found = axes[1].get_lines()[1].get_xdata()
    at_half = np.interp(0.5, found, rarely)
    assert mechanisms.precision_at_half(0.005, 2.0) == pytest.approx(at_half, rel=0.01)


def test_a_negative_s_loss_and_gradient_are_those_of_the_formulas():
    axes = mechanisms.negative(2.0, 5.0, plots.plt.subplots(1, 2)[1])
    p = axes[0].get_lines()[0].get_xdata()
    value = {line.get_label().split(",")[0]: line.get_ydata() for line in axes[0].get_lines()}
    slope = [line.get_ydata() for line in axes[1].get_lines()]
    np.testing.assert_allclose(value["bce"], -np.log(1 - p), rtol=1e-3)
    np.testing.assert_allclose(value["sh_focal"], -5 * p**2 * np.log(1 - p), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(slope[2], 5 * p, rtol=1e-3)


def test_who_finds_divides_the_true_pairs():
    truth = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 0]])
    first = np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0]])
    second = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]])
    bins = pd.Series(pd.Categorical(["many", "few", "few"]))
    shares = mechanisms.who_finds(truth, first, second, bins)
    kinds = ["both", "the first alone", "the second alone", "neither"]
    assert shares.loc["many", kinds].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    assert shares.loc["few", "pairs"] == 3
    assert shares.loc["few", "neither"] == pytest.approx(2 / 3)
    assert len(mechanisms.found_by(shares, "a", "b", plots.plt.subplots()[1]).patches) == 8


def test_the_sums_of_weights_stay_within_the_figure_when_beta_changes():
    """The layout is made for the first beta alone."""
    origins = np.zeros((400, 4), bool)
    for number, share in enumerate((0.02, 0.3, 0.9)):
        origins[: int(400 * share), number] = True
    origins[-3:, 0] = True
    origins[:, 3] = ~origins.any(axis=1)
    picture, ax = plots.plt.subplots(figsize=(8, 4), layout="constrained")
    for beta in ("R1", "R2", "R3"):
        ax.clear()
        mechanisms.weights(origins, beta, ax)
        picture.canvas.draw()
        picture.set_layout_engine("none")
        texts = [text.get_window_extent() for text in ax.texts]
        assert len(texts) == 4
        assert all(box.x1 <= picture.bbox.x1 and box.y1 <= picture.bbox.y1 for box in texts), beta
