"""Figures in words, their style, and errors as a notebook shows them."""

import os

import matplotlib.pyplot as plt
from jupyter_core.utils import run_sync

from shl_utils.kernels import manager
from shl_utils.notebook import style
from shl_utils.runs import environment_variables


def test_a_figure_says_in_words_what_it_shows():
    figure, axes = plt.subplots(1, 2)
    axes[0].bar(["few", "many"], [1, 2], label="share")
    axes[0].set(xlabel="notes", ylabel="%")
    axes[0].set_title("Are most\nrare?", loc="left")
    axes[0].legend()
    axes[1].set_visible(False)
    figure.suptitle("All")
    assert style.alt(figure) == "All. Are most rare? Across: notes. Up: %. Names: few; many; share."


def test_a_style_that_the_user_has_set_changes_no_figure(monkeypatch, tmp_path):
    style.setup_notebook()
    ours, backend = dict(plt.rcParams), plt.get_backend()
    with plt.rc_context({"text.usetex": True, "axes.grid": True, "figure.dpi": 500.0, "font.size": 30.0}):
        style.setup_notebook()
        assert {name: value for name, value in plt.rcParams.items() if ours[name] != value} == {}
        assert plt.get_backend() == backend


def test_what_a_reader_can_mend_is_shown_in_a_line_and_other_errors_as_they_come():
    code = "from shl_utils import parameters; from shl_utils.notebook import style; style.setup_notebook()\n"
    cells = [code + "parameters.check({'etta': 1})", "guess = yes", "int('x')", "open('/nowhere')"]
    misspelt, unquoted, *others = errors(cells)
    assert len(misspelt) == len(unquoted) == 1
    assert "did you mean 'eta'" in misspelt[0]
    assert 'A word needs quotes: "yes"' in unquoted[0]
    assert all(len(lines) > 1 for lines in others)


def errors(cells):
    """The lines by which a kernel tells the error of each cell."""
    with manager.started(environment_variables.closed(os.environ)) as kernel:
        client = kernel.client()
        client.start_channels()
        ask = run_sync(client.execute_interactive)
        replies = [ask(cell, output_hook=lambda message: None, timeout=600)["content"] for cell in cells]
        client.stop_channels()
    assert {reply["status"] for reply in replies} == {"error"}
    return [reply["traceback"] for reply in replies]
