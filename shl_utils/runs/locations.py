"""Where things are: paths that a user writes, and the folder of each run."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shl_utils.runs import storage
from shl_utils.runs.environment_variables import PROJECT

MARKS = frozenset({"stages", "batch", "corpus.parquet"})  # every run's folder holds one of these
# patterns that no part of a path may match
ON_WINDOWS = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ]$|^ |^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)
ANYWHERE = re.compile(r"[\x00-\x1f]")


def expanded(path: str) -> Path:
    """`path` with `~` replaced by the user's home folder; ValueError if there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"{path}: there is no home folder of that user: write it in full") from None


def root() -> Path:
    """Folder of all runs: $SHL_RUNS, or else `runs/` of the project, whatever the working directory."""
    given = os.environ.get("SHL_RUNS")
    return expanded(given).absolute() if given else PROJECT / "runs"


def folder_of(run: str) -> Path:
    """Folder of a run: below `root()` by name, or an absolute path.

    ValueError if it is no valid name, or a folder that cannot belong to one run.
    """
    path = expanded(run)
    if not path.is_absolute():
        _check_name(run)
        return root() / path
    try:
        home = [Path.home()]
    except RuntimeError:
        home = []
    for taken in (root(), PROJECT, *home):
        if path.resolve() in (taken.resolve(), *taken.resolve().parents):
            raise ValueError(f"`run` is {run}, which holds more than one run: name a new folder in it")
    return path


def _check_name(run: str) -> None:
    for part in run.removesuffix("/").split("/"):
        if part in ("", ".", ".."):
            raise ValueError(
                f"`run` is {run!r}, which leaves the folder of runs: use a name such as demo, or a full path"
            )
        if (ON_WINDOWS if sys.platform == "win32" else ANYWHERE).search(part):
            raise ValueError(
                f"`run` is {run!r}, but no folder here can be called {part!r}: use letters, digits, - and _"
            )


def create(folder: Path) -> None:
    """Create a run's folder, closed to other users since it holds the notes; ValueError if it holds something else."""
    held = {path.name for path in folder.iterdir() if not path.name.startswith(".")} if folder.is_dir() else set()
    if held and not held & MARKS:
        raise ValueError(f"{folder} holds something else than a run, such as {min(held)}: give `run` another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True, mode=0o700)
    (folder / "stages").mkdir(exist_ok=True)


@contextmanager
def exclusive_run(folder: Path) -> Iterator[None]:
    """Lock a run against other commands that would change it; ValueError if one is using it."""
    create(folder)
    with storage.try_lock(folder / "lock") as free:
        if not free:
            raise ValueError(f"{folder} is in use by another `shl`: wait for it, or give `run` another name")
        yield


def outside(path: Path) -> str:
    """Name of a file outside the run, relative to the project if inside it, since the project may be moved."""
    inside = PROJECT in path.parents
    return path.relative_to(PROJECT).as_posix() if inside else str(path)
