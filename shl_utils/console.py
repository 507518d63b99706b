"""Output of a command that survives a reader's limits: characters it cannot encode, or a pipe closed early."""

from __future__ import annotations

import codecs
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO

CLOSED = (errno.EPIPE, errno.EINVAL)  # a pipe whose reader has gone, on POSIX and on Windows


class _Stream:
    """A stream that raises no OSError: a run must not end because nobody reads its output. lost: the first error."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.lost = stream, None

    def write(self, text: str) -> int:
        known = self.stream.encoding or "utf-8"
        self._try(self.stream.write, text.encode(known, "as_json").decode(known))
        return len(text)

    def flush(self) -> None:
        self._try(self.stream.flush)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # click would write there, past us, if it took the encoding for a mistake
            raise AttributeError(name)
        return getattr(self.stream, name)

    def _try(self, do: Callable, *given: str) -> None:
        try:
            do(*given)
        except OSError as error:
            self.lost = self.lost or error
            with suppress(OSError):  # later output is discarded, at the end of the process too
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())


def _as_json(error: UnicodeError) -> tuple[str, int]:
    """Encode characters that the stream's encoding lacks as JSON escapes, so that JSON stays valid JSON."""
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error("as_json", _as_json)


@contextmanager
def heard() -> Iterator[Callable[[], str]]:
    """Keep errors of stdout and stderr from stopping the block; gives a function that returns what stopped the output.

    It returns the error as text, or "" if all was written or only the reader has gone.
    """
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
