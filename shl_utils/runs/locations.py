"""Checks and expands paths of files and folders that a user writes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from shl_utils.runs.environment_variables import PROJECT

# patterns that no part of a path may match
ON_WINDOWS = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ]$|^ |^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)
ANYWHERE = re.compile(r"[\x00-\x1f]")


def expanded(path: str) -> Path:
    """`path` with `~` replaced by the user's home folder; ValueError if there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"{path}: there is no home folder of that user: write it in full") from None


def run_folder(run: str, root: Path) -> Path:
    """Folder of a run: below `root` by name, or an absolute path; ValueError if it is no name or holds other things."""
    path = expanded(run)
    if not path.is_absolute():
        _check_name(run)
        return root / path
    try:
        home = [Path.home()]
    except RuntimeError:
        home = []
    for taken in (root, PROJECT, *home):
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


def check_own(folder: Path, marks: frozenset[str]) -> None:
    """Raise ValueError if `folder` holds files but none of the names in `marks`, so that it is no run's folder."""
    held = {path.name for path in folder.iterdir() if not path.name.startswith(".")} if folder.is_dir() else set()
    if held and not held & marks:
        raise ValueError(f"{folder} holds something else than a run, such as {min(held)}: give `run` another folder")
