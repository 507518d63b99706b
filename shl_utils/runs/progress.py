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


def bar(total: int, label: str) -> std.tqdm:
    """A progress bar of `total` steps, shown while it is used as a context manager; it has `update(n)`."""
    about = {"total": total, "desc": label, "leave": False, "miniters": 0, "smoothing": 0}
    in_notebook = "IPython" in sys.modules and sys.modules["IPython"].get_ipython()
    if in_notebook and not ASIDE:
        if auto.notebook_tqdm is std.tqdm:  # IPython in a terminal, or no widgets
            return auto.tqdm(**about)
        from shl_utils.runs.cell_bar import CellBar

        return CellBar(**about)
    file = ASIDE or sys.stderr
    if file.isatty():
        return std.tqdm(**about, file=file)
    line = "{desc}: {percentage:.0f}%, {elapsed} gone, {remaining} to go"
    often = {"mininterval": LINE_EVERY, "delay": LINE_EVERY, "position": 0}
    return std.tqdm(**about, **often, file=_Lines(file), bar_format=line)


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
