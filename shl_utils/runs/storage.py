"""Files of a run: written atomically, identified by digests of their content, and locks between processes."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

SETTLED = 2.0  # seconds after a change from which a file's modification time identifies its content


def digest(path: Path) -> str:
    """sha256 of a file, or a short hash of a folder's file names and digests. Large files are read once per process."""
    if path.is_dir():
        files = [p for p in sorted(path.rglob("*")) if p.is_file() and not p.name.startswith(".")]  # .DS_Store
        return short({p.relative_to(path).as_posix(): digest(p) for p in files})
    state = path.stat()
    if state.st_size < 1 << 20 or not 0 <= state.st_mtime < time.time() - SETTLED:
        return _digest(path)
    return _digest_in(path, (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))


@lru_cache(maxsize=4096)
def _digest_in(path: Path, state: tuple[int, ...]) -> str:
    return _digest(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to, which replaces `path` (a file or folder) when the block ends.

    After a kill, `path` is the old one or the new one, never a partial one; a folder may be missing. After an error it
    is the old one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, old = path.with_name(path.name + ".part"), path.with_name(path.name + ".old.part")
    remove(partial)
    try:
        yield partial
        if partial.is_dir() and path.exists():  # a folder cannot replace another folder
            remove(old)
            path.replace(old)
        partial.replace(path)
        remove(old)
    except BaseException:
        remove(partial)
        raise


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON-serializable value, atomically and indented."""
    with atomic(path) as partial:
        partial.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def short(value: Any) -> str:
    """Hash of a JSON-serializable value: 16 hexadecimal digits of its sha256."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Try to hold the lock at `path` for the block; gives False if this or another process has it.

    The system releases it when the process that holds it ends, in whatever way. The file is created if missing. OSError
    if the file system has no locks: a lock that is only a file would outlive a kill, so there is no fallback.
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
