"""What figures say in words and sentences, and how they differ where colours do not."""

import os

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from jupyter_core.utils import run_sync

from shl_utils import kernels
from shl_utils.evaluation import results
from shl_utils.notebook import style
from shl_utils.reporting import findings, html_page, plots
from shl_utils.runs import environment_variables


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


def test_a_sentence_counts_rows_by_their_intervals():
    comparable = {"a": (0.02, 0.01, 0.03, True), "b": (-0.1, -0.2, -0.05, True), "c": (0.1, -0.1, 0.2, True)}
    table = gained(**comparable, d=(1, 1, 1, False))
    text = findings.summarize_gains(table)
    assert text.startswith("Of 3 comparable rows ")
    assert text.count("1 gain, 1 lose, 1 are inconclusive") == 2
    assert findings.summarize_gains(table[:0]).startswith("The grid has no other row")
    assert findings.summarize_row(table, "b") == "b: -10.0 [-20.0, -5.0] micro-F1, -10.0 [-20.0, -5.0] macro-F1."


def test_a_sentence_counts_claims_by_their_verdicts():
    claims = ["Segments beat one model", "In segments, its weights alone beat BCE", "(Scoring lifts F1)"]
    said = ["yes", "no", "not tested", "not tested", "yes", "yes"]
    lines = pd.DataFrame({"metric": ["micro_f1", "macro_f1_present"] * 3, "verdict": said, "run": "a (R1)"})
    lines.index = [claim for claim in claims for _ in range(2)]
    lines["papers"] = [True] * 4 + [False] * 2
    text = findings.summarize_verdicts(lines)
    assert text.startswith(
        "Of 2 claims of the paper, 1 were tested: micro-F1 says yes to 1, no to 0, inconclusive to 0; "
    )
    assert text.endswith("macro-F1 says yes to 0, no to 1, inconclusive to 0."), (
        "what is not the paper's does not count"
    )
    again = findings.summarize_verdicts(pd.concat([lines, lines.assign(run="b (R3)")]))
    assert again.startswith("Of 2 claims of the paper in 2 runs, each counted, 1 were tested: micro-F1 says yes to 2, ")


def test_one_segment_of_all_codes_has_no_weights_to_show():
    nothing = pd.DataFrame([[float("nan")] * 2], columns=[0, "no code"])
    assert "no note is a negative" in style.alt(plots.source_weights(nothing, plt.subplots()[1]).figure)


def test_a_figure_says_in_words_what_it_shows():
    figure, axes = plt.subplots(1, 2)
    axes[0].bar(["few", "many"], [1, 2], label="share")
    axes[0].set(xlabel="notes", ylabel="%")
    axes[0].set_title("Are most\nrare?", loc="left")
    axes[0].legend()
    axes[1].set_visible(False)
    figure.suptitle("All")
    assert style.alt(figure) == "All. Are most rare? Across: notes. Up: %. Names: few; many; share."


def test_bars_side_by_side_differ_without_colour():
    ax = plots.grouped(pd.DataFrame({"a": [1, 2], "b": [3, 4], "c": [5, 6]}), plt.subplots()[1])
    hatches = [{bar.get_hatch() for bar in bars} for bars in ax.containers]
    assert len({tuple(found) for found in hatches}) == 3
    assert [patch.get_hatch() for patch in ax.get_legend().get_patches()] == [found.pop() for found in hatches]


def test_a_page_brings_what_sorts_its_tables():
    text = html_page.page("title", [html_page.table(pd.DataFrame({"a": [1]}))])
    assert html_page.sorting() in text
    assert 'class="dataframe"' in text


def test_a_style_that_the_user_has_set_changes_no_figure(monkeypatch, tmp_path):
    style.setup_notebook()
    ours, backend = dict(plt.rcParams), plt.get_backend()
    with plt.rc_context({"text.usetex": True, "axes.grid": True, "figure.dpi": 500.0, "font.size": 30.0}):
        style.setup_notebook()
        assert {name: value for name, value in plt.rcParams.items() if ours[name] != value} == {}
        assert plt.get_backend() == backend


def test_what_we_refuse_is_shown_in_a_line_and_other_errors_as_they_come():
    code = "from shl_utils import parameters; from shl_utils.notebook import style; style.setup_notebook()\n"
    for cell, lines in (("parameters.check({'etta': 1})", 1), ("int('x')", None), ("open('/nowhere')", None)):
        said = ask(code + cell)
        assert said["status"] == "error"
        assert len(said["traceback"]) == (lines or len(said["traceback"]))
        assert ("did you mean 'eta'" in said["traceback"][0]) == (lines == 1)


def ask(code):
    """What a kernel answers."""
    with kernels.started(environment_variables.closed(os.environ)) as manager:
        client = manager.client()
        client.start_channels()
        reply = run_sync(client.execute_interactive)(code, output_hook=lambda message: None, timeout=600)
        client.stop_channels()
    return reply["content"]
