"""What a command says, whatever its reader can take: letters it does not know, or a pipe that is closed early."""

from __future__ import annotations

import codecs
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO

CLOSED = (errno.EPIPE, errno.EINVAL)  # a pipe whose reader has gone, here and on Windows


class _Stream:
    """A stream on which nothing fails: a run is not over because nobody listens. lost: the first error."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.lost = stream, None

    def write(self, text: str) -> int:
        known = self.stream.encoding or "utf-8"
        self._try(self.stream.write, text.encode(known, "as_json").decode(known))
        return len(text)

    def flush(self) -> None:
        self._try(self.stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _try(self, do: Callable, *given: str) -> None:
        try:
            do(*given)
        except OSError as error:
            self.lost = self.lost or error
            with suppress(OSError):  # what is still to be written goes nowhere, at the end of the process too
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())


def _as_json(error: UnicodeError) -> tuple[str, int]:
    """Letters that the reader does not know, so that JSON stays JSON."""
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error("as_json", _as_json)


@contextmanager
def heard() -> Iterator[Callable[[], str]]:
    """Print what follows, come what may; it gives the way to ask what stopped the output, if not its reader."""
    out, err = (stream and _Stream(stream) for stream in (sys.stdout, sys.stderr))

    def lost() -> str:
        if out:
            out.flush()
        return str(out.lost) if out and out.lost and out.lost.errno not in CLOSED else ""

    with redirect_stdout(out), redirect_stderr(err):
        try:
            yield lost
        finally:
            for stream in filter(None, (out, err)):
                stream.flush()
