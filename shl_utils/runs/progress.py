"""Progress bars: in a notebook and in a terminal, and a line now and then in a file."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from tqdm import auto, std

ASIDE: TextIO | None = None  # where a notebook's process under `shl run` shows its bars: in its outputs they would stay
EVERY = 0.3  # seconds between two looks at a step that says itself how far it is
LINE_EVERY = 10  # seconds between two lines of a file


class _Lines:
    """A file that is no terminal: a line for each state of a bar. That nobody reads it any more stops no work."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, text: str) -> None:
        if text.strip():
            with suppress(OSError):
                self.file.write(text.strip() + "\n")

    def flush(self) -> None:
        with suppress(OSError):
            self.file.flush()


def _shown(total: int, label: str) -> std.tqdm:
    about = {"total": total, "desc": label, "leave": False, "miniters": 0, "smoothing": 0}
    in_notebook = "IPython" in sys.modules and sys.modules["IPython"].get_ipython()
    if in_notebook and not ASIDE:
        return auto.tqdm(**about)
    file = ASIDE or sys.stderr
    if file.isatty():
        return std.tqdm(**about, file=file)
    said = "{desc}: {percentage:.0f}%, {elapsed} gone, {remaining} to go"
    often = {"mininterval": LINE_EVERY, "delay": LINE_EVERY, "position": 0}
    return std.tqdm(**about, **often, file=_Lines(file), bar_format=said)


@contextmanager
def bar(total: int, label: str) -> Iterator[std.tqdm]:
    """A progress bar of `total` steps; it offers `update(n)`."""
    with _shown(total, label) as shown:
        yield shown


def over(items: Collection[Any], label: str) -> Iterator[Any]:
    """Each of `items`, with a bar."""
    with bar(len(items), label) as shown:
        for item in items:
            yield item
            shown.update()


@contextmanager
def watched(share: Callable[[], float], label: str) -> Iterator[None]:
    """A bar for a step that says itself how far it is: `share` in percent, below 0 as long as it does not know."""
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
