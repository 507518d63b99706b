"""Files of a run: written whole or not at all, and told apart by their content."""

from __future__ import annotations

import hashlib
import json
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

SETTLED = 2.0  # seconds after a change from which a file's time tells one state of it from the next


def digest(path: Path) -> str:
    """sha256 of a file, or of all files below a folder with their names. A large file is read once per process."""
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


def write_json(path: Path, value: Any) -> None:
    """Write through a neighbour, so that a kill leaves the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def short(value: Any) -> str:
    """By which values that JSON can hold are told apart."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
