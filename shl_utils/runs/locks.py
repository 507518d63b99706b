"""A lock between processes, which the system releases when the process that holds it ends, in whatever way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Try to hold the lock at `path` for the block; gives False if this or another process has it.

    The file is created if missing. OSError if the file system has no locks: a lock that is only a file would outlive a
    kill, so there is no fallback.
    """
    lock = FileLock(path, timeout=0, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
