"""The toys count as the notebooks say, and their pictures show it."""

import itertools

import numpy as np
import pytest

from shl_utils.evaluation import label_metrics
from shl_utils.method import harmonic_weights
from shl_utils.method.segmentation import segment
from shl_utils.notebook import pictures, style, toys, widgets
from shl_utils.parameters import check
from shl_utils.reporting import plots


def test_the_toy_is_as_the_notebooks_count_it():
    labels = toys.toy_labels()
    assert labels.sum().to_dict() == toys.TOY
    assert (labels.sum(axis=1) > 0).all()
    named = labels * 0
    named["cough"] = 1
    assert (labels == named).to_numpy().mean() == pytest.approx(0.82)
    found = label_metrics.scores(labels.to_numpy(), named.to_numpy())
    assert found["micro_f1"] == pytest.approx(28 / 46)
    assert found["macro_f1_present"] == pytest.approx(28 / 34 / 5)


def test_the_toy_s_segments_are_those_of_eta():
    assert segment(toys.toy_labels().sum().to_numpy(), eta=0.5).tolist() == toys.TOY_SEGMENTS.tolist()


def test_the_toy_s_weights_are_those_of_the_text():
    origins = harmonic_weights.note_origins(toys.toy_labels().to_numpy(), toys.TOY_SEGMENTS)
    inverse = harmonic_weights.inverse_betas(origins)
    assert inverse[0, 1:3].tolist() == pytest.approx([3 / 9, 3 / 11])
    assert inverse[2, 1] == pytest.approx(14 / 6), "of the six notes without a cough each has a fracture or a fever"
    assert np.isnan(inverse[2, 0]), "and none has a code of segment 0 alone"
    both = origins[:, 1] & origins[:, 2] & ~origins[:, 0]
    assert harmonic_weights.weights(origins, 0, beta="R1")[both] == pytest.approx((3 / 9 + 3 / 11) / 2)


def test_the_toy_s_filter_keeps_what_is_denied_before_what_is_there():
    table = toys.toy_similarity(check({}))
    assert table["similarity"].between(-1, 1).all()
    assert table.loc["fracture", "similarity"] > table.loc["cough", "similarity"], "the notebook says so"
    ax = toys.resemblance(table, 0.55, plots.plt.subplots()[1])
    assert style.alt(ax.figure).startswith("The most similar is fracture: the note denies it.")
    assert sum(bar.get_width() > 0 for bar in ax.patches) == 5


def test_the_toy_s_segments_are_able_each_on_its_own_scale():
    labels = toys.toy_labels()
    found = toys.toy_probabilities(labels)
    assert ((found > 0) & (found < 1)).all(axis=None)
    ax = toys.lines(labels, found, plots.plt.subplots()[1])
    assert style.alt(ax.figure).startswith("A threshold for each segment lifts macro-F1 from 0.55 to 1.00.")


def test_a_figure_follows_its_sliders_and_has_frames_without(monkeypatch):
    drawn, shown = [], []
    monkeypatch.setattr("IPython.display.display", lambda data, metadata, raw: shown.append((data, metadata)))

    def draw(ax, height, kind):
        drawn.append((height, kind))
        ax.bar([0], [height])
        ax.set_title(f"{kind} {height}")

    assert widgets.show(draw, interactive=False, height=(1.0, 0.0, 2.0), kind=["a", "b"]) is None
    ((data, metadata),) = shown
    assert metadata["image/png"]["alt"] == "a 1.0."
    height, kind = data[pictures.FRAMES]["controls"]
    assert height == {"name": "height", "values": ["0", "0.5", "1", "1.5", "2"], "start": 2}
    assert kind == {"name": "kind", "values": ["a", "b"], "start": 0}
    assert drawn[0] == (1.0, "a")
    assert drawn[1:] == list(itertools.product([0.0, 0.5, 1.0, 1.5, 2.0], ["a", "b"]))
    alts = [frame["alt"] for frame in data[pictures.FRAMES]["frames"]]
    assert alts == [f"{kind} {height}." for height, kind in drawn[1:]]
    box = widgets.show(draw, interactive=True, height=(1.0, 0.0, 2.0), kind=["a", "b"])
    height, kind, image, words = box.children
    before = bytes(image.value)
    assert before.startswith(b"\x89PNG")
    height.value = 1.5
    assert drawn[-1] == (1.5, "a")
    assert bytes(image.value) != before
    assert "a 1.5." in words.value, "for those who cannot see it"
    kind.value = "b"
    assert drawn[-1] == (1.5, "b")


@pytest.mark.parametrize(
    ("control", "values"),
    [
        ((0.5, 0.05, 3.0), [0.05, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 3.0]),
        ((3, 0, 5), [0, 1, 2, 3, 4, 5]),
        ((5, 1, 32), [1, 2, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32]),
        ((0.0, 0.0, 0.8, 0.55), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.7, 0.8]),
        (["R1", "R2"], ["R1", "R2"]),
    ],
)
def test_frames_are_at_the_initial_value_and_at_round_ones(control, values):
    assert pictures.stops(control, 8) == values


def test_a_frame_is_the_same_each_time_and_loads_nothing():
    picture = pictures.Picture(lambda ax, n: ax.plot([0, n]), (3, 2), 1)
    picture.render({"n": 1})  # lays it out
    first = picture.vector({"n": 1})
    picture.vector({"n": 2})
    assert picture.vector({"n": 1}) == first
    assert "<dc:date>" not in first
    assert "<image" not in first


@pytest.mark.parametrize(
    ("given", "step", "ends", "reached"),
    [
        ((0.5, 0.1, 3.0), 0.05, (0.1, 3.0), (0.5, 1.0, 2.0)),
        ((0.5, 0.05, 3.0), 0.05, (0.05, 3.0), (0.5, 1.0, 2.0)),
        ((3.0, 0.1, 10.0), 0.1, (0.1, 10.0), (1.0, 3.0)),
        ((0.137, -0.1, 0.8), 0.01, (-0.093, 0.797), (0.137,)),
        ((4.0, 0.05, 3.0), 0.05, (0.05, 4.0), (4.0,)),
    ],
)
def test_a_slider_has_round_steps_and_reaches_its_start(given, step, ends, reached):
    slider = widgets.show(lambda ax, eta: ax.plot([0], [eta]), interactive=True, eta=given).children[0]
    assert slider.step == pytest.approx(step)
    assert (slider.min, slider.max) == pytest.approx(ends)
    for value in reached:
        assert (value - slider.min) / slider.step == pytest.approx(round((value - slider.min) / slider.step), abs=1e-6)
    plots.plt.close("all")
