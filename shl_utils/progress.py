"""Progress that reaches whoever watches: a bar in the notebook, or lines in a file for a process that started us.

`shl run` and a launch of several processes name a file in $SHL_PROGRESS; the work appends to it, and `follow` draws
its bars from there. Without the variable the bar is drawn on the spot.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

VARIABLE = "SHL_PROGRESS"
EVERY = 0.3  # seconds between two lines of a file


class _FileBar:
    """The part of tqdm's interface that the package uses, as lines of JSON."""

    def __init__(self, path: Path, *, total: int, label: str) -> None:
        self.path, self.total, self.label, self.done, self.last = path, total, label, 0, 0.0
        self._write()

    def update(self, n: int = 1) -> None:
        self.done += n
        if time.monotonic() - self.last > EVERY or self.done >= self.total:
            self._write()

    def close(self) -> None:
        self._write(closed=True)

    def _write(self, *, closed: bool = False) -> None:
        self.last = time.monotonic()
        event = {"label": self.label, "done": self.done, "total": self.total, "closed": closed, "from": os.getpid()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")


@contextmanager
def bar(total: int, label: str) -> Iterator[tqdm | _FileBar]:
    """A progress bar of `total` steps; it offers `update(n)`."""
    path = os.environ.get(VARIABLE)
    shown = _FileBar(Path(path), total=total, label=label) if path else tqdm(total=total, desc=label, leave=False)
    try:
        yield shown
    finally:
        shown.close()


def over(items: Collection[Any], label: str) -> Iterator[Any]:
    """Each of `items`, with a bar."""
    with bar(len(items), label) as shown:
        for item in items:
            yield item
            shown.update()


@contextmanager
def watched(share: Callable[[], float], label: str) -> Iterator[None]:
    """A bar for a step that says itself how far it is: `share` in percent, below 0 as long as it does not know."""
    with bar(100, label) as shown, _beside(_watch, share, shown):
        yield


def _watch(share: Callable[[], float], shown: tqdm | _FileBar, stop: threading.Event) -> None:
    done = 0
    while not stop.wait(EVERY):
        now = int(share())
        if now > done:
            shown.update(now - done)
            done = now


@contextmanager
def follow(path: Path) -> Iterator[None]:
    """Draw the progress that other processes write to `path`, for as long as the block runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("", encoding="utf-8")
    try:
        with _beside(_draw, path):
            yield
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _beside(work: Callable[..., None], *given: Any) -> Iterator[None]:
    """`work` in a thread of its own for as long as the block runs; behind `given` it takes the event that ends it."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(*given, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _draw(path: Path, stop: threading.Event) -> None:
    shown: dict[tuple[int, str], tqdm] = {}  # several processes may be at work, on models of like name
    rest = ""
    with path.open(encoding="utf-8") as file:
        while not stop.wait(EVERY):
            *lines, rest = (rest + file.read()).split("\n")  # the last line may be half written
            for line in lines:
                event = json.loads(line)
                which = event["from"], event["label"]
                if which not in shown:
                    shown[which] = tqdm(total=event["total"], desc=event["label"], leave=False)
                shown[which].update(event["done"] - shown[which].n)
                if event["closed"]:
                    shown.pop(which).close()
    for bar_ in shown.values():
        bar_.close()
