"""What a run keeps on the disk, and what of it may go: it is made again when it is needed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

# by the first part of a path in a run's folder that is called so
KINDS = {
    "trunk": "tokens, similarities, states of the frozen trunk (may go)",
    "bench": "what benches made (all but their tables may go)",
    "segments": "adapters and heads",
    "predictions.parquet": "predictions",
    "notebooks": "executed notebooks",
}
REST = "notes, labels and tables"
# relics of a stop, and what speeds up the next training; an interrupted epoch's weights are among them
DISPOSABLE = ("trunk", "bench/*/", "**/*.part", "**/*.epoch", "**/*.lock", "launch.*")


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def usage(folder: Path) -> pd.Series:
    """MB by what it is."""
    total = dict.fromkeys([*KINDS.values(), REST], 0.0)
    for path in folder.rglob("*"):
        if path.is_file():
            kind = next((KINDS[part] for part in path.relative_to(folder).parts if part in KINDS), REST)
            total[kind] += size(path) / 1e6
    return pd.Series(total, name="MB").rename_axis("what")


def clean(folder: Path) -> int:
    """Remove what may go; how many bytes that were. Not while the run is at work."""
    freed = 0
    for pattern in DISPOSABLE:
        for path in list(folder.glob(pattern)):
            freed += size(path)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return freed
