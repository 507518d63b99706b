"""Appearance of a notebook: one style for its plots, alternative texts for them, and tables that can be sorted."""

from __future__ import annotations

import html
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from IPython import get_ipython
from IPython.core.pylabtools import print_figure
from IPython.display import HTML, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shl_utils.reporting import html_page
from shl_utils.runs import stages

FILE = Path(__file__).with_name("shl.mplstyle")


def setup_notebook() -> None:
    """Set up a notebook: the project's plot style, and alternative texts for plots. Tables of pandas sort by a click
    and show long texts in full. Errors raised by this package appear in a few lines."""
    pd.set_option("display.max_colwidth", None)
    plt.switch_backend(plt.get_backend())  # a backend that starts later would replace our printer by its own
    plt.style.use(["default", FILE])  # not over a matplotlibrc of the user's
    if shell := get_ipython():
        shell.display_formatter.formatters["image/png"].for_type(Figure, _described)
        shell.set_custom_exc((ValueError, OSError, NameError), _refused)
        display(HTML(html_page.sorting()))


def _refused(shell: Any, kind: type, error: Exception, trace: TracebackType, tb_offset: int | None = None) -> None:
    """Show an error without its traceback if its message says what to do: if this package raised it, or if a cell names
    what it does not know."""
    *_, (last, _) = traceback.walk_tb(trace)
    unknown = isinstance(error, NameError)
    if unknown and last.f_globals.get("__name__") == "__main__":
        error.args = (
            f'{error}. A word needs quotes: "yes". If a cell above was left out: Run > Run All Above Selected Cell.',
        )
        stages.box(error)
    elif not unknown and Path(last.f_code.co_filename).parent.is_relative_to(Path(__file__).parents[1]):
        stages.box(error)
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def verbatim(text: str) -> HTML:
    """A text as it is, its lines broken where they must; unlike what is printed, slides show it."""
    return HTML(
        f'<pre style="white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere">{html.escape(text)}</pre>'
    )


def alt(figure: Figure) -> str:
    """Alternative text of a plot: titles, axis labels, and the names in it."""
    panels = [_panel(ax) for ax in figure.axes if ax.get_visible()]
    return " ".join(text for text in [_sentence(figure.get_suptitle()), *panels] if text)


def _described(figure: Figure) -> tuple[str, dict[str, Any]]:
    """PNG in base64, and metadata with the alternative text for `site`; JupyterLab shows no such text."""
    return print_figure(figure, fmt="png", base64=True), {"alt": alt(figure)}


def _panel(ax: Axes) -> str:
    if ax.get_label() == "<colorbar>":
        return _sentence(ax.get_ylabel(), "Colour: ")
    legend = ax.get_legend()
    names = _names(ax) + ([text.get_text() for text in legend.get_texts()] if legend else [])
    parts = {"Across: ": ax.get_xlabel(), "Up: ": ax.get_ylabel(), "Names: ": "; ".join(names)}
    told = [_sentence(ax.get_title(loc="left") or ax.get_title()), *(_sentence(parts[head], head) for head in parts)]
    return " ".join(text for text in told if text)


def _sentence(text: str, head: str = "") -> str:
    text = " ".join(text.split())
    return text and f"{head}{text}{'' if text[-1] in '.?!' else '.'}"


def _names(ax: Axes) -> list[str]:
    """Names of bars or rows: the tick labels that are not numbers."""
    texts = [label.get_text() for axis in (ax.xaxis, ax.yaxis) for label in axis.get_ticklabels()]
    return [text for text in texts if not text.startswith("$") and any(map(str.isalpha, text))]  # $: a power of ten
