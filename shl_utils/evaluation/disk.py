"""Disk usage of a run, and removal of the files that are rebuilt on demand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from shl_utils.runs import storage

# kind of a file, by the first part of its path in the run's folder with this name
KINDS = {
    "trunk": "tokens, similarities, states of the frozen layers (may go)",
    "bench": "what benches made (all but their tables may go)",
    "segments": "adapters and heads",
    "predictions.parquet": "predictions",
    "notebooks": "executed notebooks",
}
REST = "notes, labels and tables"
# leftovers of interrupted runs, checkpoints of unfinished segments included, and caches that speed up the next training
DISPOSABLE = ("trunk", "bench/*/", "**/*.part", "**/*.epoch", "**/*.lock", "launch.*")


def size(path: Path) -> int:
    """Size in bytes of a file, or of all files below a folder."""
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def usage(folder: Path) -> pd.Series:
    """Disk usage of a run's folder in MB, by kind of file."""
    total = dict.fromkeys([*KINDS.values(), REST], 0.0)
    for path in folder.rglob("*"):
        if path.is_file():
            kind = next((KINDS[part] for part in path.relative_to(folder).parts if part in KINDS), REST)
            total[kind] += size(path) / 1e6
    return pd.Series(total, name="MB").rename_axis("what")


def clean(folder: Path) -> int:
    """Remove the files that are rebuilt on demand; return the bytes freed. Not to be called while the run is active."""
    freed = 0
    for pattern in DISPOSABLE:
        for path in list(folder.glob(pattern)):
            freed += size(path)
            storage.remove(path)
    return freed
