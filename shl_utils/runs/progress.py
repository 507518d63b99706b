"""Progress bars in a notebook or a terminal, or occasional lines in a file."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from tqdm import auto, std

ASIDE: TextIO | None = None  # stream for the bars of a notebook under `shl run`: in its outputs they would stay
EVERY = 0.3  # seconds between two polls of a step that reports its own progress
LINE_EVERY = 10  # seconds between two lines in a file


class _Lines:
    """A file that is no terminal: one line for each state of a bar. If its reader has gone, work continues."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, text: str) -> None:
        if text.strip():
            with suppress(OSError):
                self.file.write(text.strip() + "\n")

    def flush(self) -> None:
        with suppress(OSError):
            self.file.flush()


@contextmanager
def bar(total: int, label: str) -> Iterator[std.tqdm]:
    """A progress bar of `total` steps, shown while the block runs; it has `update(n)`."""
    about = {"total": total, "desc": label, "leave": False, "miniters": 0, "smoothing": 0}
    in_notebook = "IPython" in sys.modules and sys.modules["IPython"].get_ipython()
    if in_notebook and not ASIDE:
        widgets = auto.notebook_tqdm is not std.tqdm  # not IPython in a terminal
        with _in_cell(about) if widgets else auto.tqdm(**about) as shown:
            yield shown
        return
    file = ASIDE or sys.stderr
    if not file.isatty():
        line = "{desc}: {percentage:.0f}%, {elapsed} gone, {remaining} to go"
        about |= {"mininterval": LINE_EVERY, "delay": LINE_EVERY, "position": 0, "bar_format": line}
        file = _Lines(file)
    with std.tqdm(**about, file=file) as shown:
        yield shown


@contextmanager
def _in_cell(about: dict[str, Any]) -> Iterator[std.tqdm]:
    """A bar whose place is emptied at the end: a saved notebook would look for a widget that is gone."""
    from IPython.display import HTML, display  # slow to import where no notebook runs

    with auto.tqdm(**about, display=False) as shown:
        place = display(shown.container, display_id=True)
        try:
            yield shown
        finally:
            place.update(HTML(""))


def over(items: Collection[Any], label: str) -> Iterator[Any]:
    """Yield each of `items`, with a progress bar."""
    with bar(len(items), label) as shown:
        for item in items:
            yield item
            shown.update()


@contextmanager
def watched(share: Callable[[], float], label: str) -> Iterator[None]:
    """Show a bar for a step that reports its own progress: `share` in percent, below 0 while it is unknown."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(EVERY):
            shown.update(max(int(share()) - shown.n, 0))

    with bar(100, label) as shown:
        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
