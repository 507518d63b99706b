"""What a stage reuses: finished stages of the run that it is based on, and files of its own earlier attempts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from shl_utils.parameters import STAGES
from shl_utils.runs import locations, stamps, storage

MODELS = ("segments", "reference/segments")  # of `03_train`
# files with keys of their own, which any stage of any run may reuse: states of the frozen layers, and models
KEYED = ("trunk/*", *(f"{place}/*/*" for place in (*MODELS, "ablation/*/segments")))
# files that a stage reuses from an earlier attempt, finished or not
KEPT = {
    "01_filter": ("trunk",),
    "03_train": (*MODELS, "trunk"),
    "04_evaluate": ("predictions.parquet", "reference/predictions.parquet"),
    "05_ablate": ("ablation",),
}


def conflicts(stamp: stamps.Stamp, values: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a stamp to which `values` gives other values."""
    return {name: made for name, made in stamp["parameters"].items() if values.get(name, made) != made}


def base_of(based_on: str, folder: Path) -> Path | None:
    """Folder of the run that the one in `folder` is based on, or None; ValueError if there is no such run."""
    if not based_on:
        return None
    base = locations.folder_of(based_on)
    if base == folder or not any(stamps.read(base, stage) for stage in STAGES):
        raise ValueError(
            f"based_on is {based_on!r}: name another run, one that has finished stages, or put its file before this one"
        )
    return base


def take_over(base: Path, folder: Path, stage: str, values: dict[str, Any]) -> str:
    """Copy a done stage of the run in `base`, if its parameters and its earlier stages match; else return why not.

    Returns "" after a copy. States of the frozen layers, and models of stages not taken over, are linked.
    """
    stamp, state = stamps.read(base, stage), stamps.states(base, until=stage)[stage]
    if not state.done:
        return f"it is {state}"
    if stamp["upstream"] != stamps.id_before(folder, stage):
        return "a stage before it is another here"
    if differ := conflicts(stamp, values):
        return f"it was made with {stamps.assignments(differ)}"
    locations.create(folder)
    if stamps.read(base, STAGES[0]).get("private", True):
        folder.chmod(0o700)
    for name in (*stamp["files"], f"notebooks/{stage}.ipynb"):
        if (base / name).exists():
            storage.remove(folder / name)  # of an attempt that was interrupted here nothing stays
            _copy(base / name, folder / name, link=False)
    for path in (path.relative_to(base) for pattern in KEYED for path in base.glob(pattern)):
        if ".part" not in str(path):
            _copy(base / path, folder / path, link=True)
    storage.write_json(stamps.path_of(folder, stage), stamp)
    if not stamps.states(folder, until=stage)[stage].done:  # another command has changed it meanwhile
        stamps.path_of(folder, stage).unlink()
        return "it changed while it was copied"
    stamps.write_provenance(folder)
    return ""


def _copy(source: Path, target: Path, *, link: bool) -> None:
    """Copy a file or folder. link: hard-link missing files, for files that are replaced and never written to."""
    if source.is_dir():
        for path in source.iterdir():
            _copy(path, target / path.name, link=link)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if link and not target.exists():
            os.link(source, target)
    except OSError:  # another file system, or one without links
        link = False
    if not link:
        with storage.atomic(target) as partial:  # what is there at the next attempt is whole
            shutil.copy(source, partial)


def forget(folder: Path, stage: str) -> None:
    """Remove the files and the stamp of a stage, and what it would reuse, so that it is made anew."""
    others = {file for name in STAGES if name != stage for file in stamps.read(folder, name).get("files", {})}
    found = {*stamps.read(folder, stage).get("files", {}), *KEPT.get(stage, ())}
    for name in found:
        if not any(f"{file}/".startswith(f"{name}/") for file in others):
            storage.remove(folder / name)
    stamps.path_of(folder, stage).unlink(missing_ok=True)
