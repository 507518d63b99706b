"""One at a time: a lock that the system lets go of when its process ends, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Whether nobody else has it, here or in another process. OSError where the file system has no locks.

    The file is made where there is none. A lock that is only a file would outlive a kill, so there is no falling back.
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
