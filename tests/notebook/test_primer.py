"""The primer's examples count as its text says."""

import matplotlib.pyplot as plt
import papermill
import pytest
from conftest import PROJECT

from shl_utils.notebook import primer


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def title(ax):
    return ax.get_title(loc="left") or ax.get_title()  # by style


def test_a_threshold_divides_the_notes_in_four():
    assert primer.counts(0.5) == {"TP": 4, "FP": 3, "FN": 1, "TN": 12}
    assert primer.counts(1.0) == {"TP": 0, "FP": 0, "FN": 5, "TN": 15}
    ax = primer.confusion(0.5, plt.subplots()[1])
    assert title(ax) == "precision 4/7, recall 4/5, F1 0.67"
    assert title(primer.confusion(1.0, plt.subplots()[1])).startswith("precision undefined, recall 0/5")


def test_average_precision_is_the_mean_over_the_notes_that_have_the_code():
    mean = (1 + 1 + 3 / 4 + 4 / 6 + 5 / 9) / 5
    assert primer.average_precision() == f"1/1, 2/2, 3/4, 4/6, 5/9; mean {mean:.2f}"


def test_an_adapter_has_few_numbers():
    axes = primer.low_rank(4, plt.subplots(1, 3)[1])
    assert [title(ax) for ax in axes][:2] == ["W, frozen: 4,096 numbers", "B A, rank 4: 512 trained"]


def test_more_notes_settle_a_paired_difference():
    assert title(primer.bootstrap(10, plt.subplots()[1])) == "10 notes: the difference may be chance"
    assert title(primer.bootstrap(500, plt.subplots()[1])) == "500 notes: the difference is there"
    assert "in 64% of the cases" in title(primer.many_tests(plt.subplots()[1]))
    assert title(primer.cosine(90.0, plt.subplots()[1])).startswith("cosine 0.00")


def test_toys_of_the_later_notebooks_count_as_they_say():
    assert "costs 5.5" in title(primer.interaction(plt.subplots()[1])), "the mean of 3 and 8"
    # 5 + 2 * 2 = 9 for one model; 5 + 2 * 3 * 2 = 17 for the segments
    assert title(primer.layer_passes(5, plt.subplots()[1])).endswith("segments take 1.9 times one model")
    assert title(primer.layer_passes(0, plt.subplots()[1])).endswith("segments take 3.0 times one model")
    ax = primer.four_verdicts(plt.subplots()[1])
    assert [text.get_text().split(":")[0] for text in ax.texts] == ["gains", "loses", "equivalent", "inconclusive"]


def test_the_primer_runs(tmp_path):
    papermill.execute_notebook(PROJECT / "notebooks" / "primer.ipynb", tmp_path / "primer.ipynb", progress_bar=False)
