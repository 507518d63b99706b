"""Stamps: what a finished stage records of itself, and the state of a stage that follows from its stamp.

A stamp holds the parameters of its stage, the id of the stamp before it, and the digests of its files and its code.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shl_utils.parameters import PLACEMENT, STAGES, Parameters, owned_by
from shl_utils.runs import dependencies, provenance, storage

Stamp = dict[str, Any]
NOTEBOOKS = provenance.PROJECT / "notebooks"
SHOWN = "shl"  # key in the metadata of an executed notebook: identity of the stage whose results it shows


@dataclass(frozen=True)
class State:
    """State of a stage. word: "done", "not run", "altered" (its files are not as it left them) or "outdated". why: the
    reason for one of the last two, in words."""

    word: str
    why: str = ""

    @property
    def done(self) -> bool:
        return self.word == "done"

    def __str__(self) -> str:
        return f"{self.word} ({self.why})" if self.why else self.word


def up_to(stage: str) -> tuple[str, ...]:
    """The stages from the first to `stage`."""
    return STAGES[: STAGES.index(stage) + 1]


def path_of(folder: Path, stage: str) -> Path:
    """File of the stamp of `stage` in the run's `folder`."""
    return folder / "stages" / f"{stage}.json"


def notebook(stage: str) -> Path:
    """The notebook whose code is that of `stage`."""
    return NOTEBOOKS / f"{stage}.ipynb"


def now() -> str:
    """The time as text that sorts, whatever the zone of the machine."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime())


def read(folder: Path, stage: str) -> Stamp:
    """The stamp of a stage; empty if it has not finished."""
    path = path_of(folder, stage)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_provenance(folder: Path) -> None:
    """Write provenance.json, gathered from the stamps: which stages ran, on what, and at what cost."""
    parameters: dict[str, Any] = {}
    facts: dict[str, Stamp] = {}
    for stage in STAGES:
        if stamp := read(folder, stage):
            parameters |= parameters_of(stamp)
            facts[stage] = stamp | {"code": storage.short(stamp.get("code", {}))}
            del facts[stage]["stage"], facts[stage]["parameters"]
    about = {"parameters": parameters, "seed": parameters.get("seed"), "stages": facts}
    storage.write_json(folder / "provenance.json", about)


def read_valid(folder: Path, stage: str) -> Stamp:
    """The stamp of a finished stage that stands on the stage before it, with unaltered files.

    FileNotFoundError if it or one of its files is missing, ValueError if it does not; both say what to run.
    """
    stamp = read(folder, stage)
    if not stamp:
        raise FileNotFoundError(f"{folder} has no finished {stage}: run {stage} first")
    for name, made in stamp["files"].items():
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name} is missing: run {stage} first")
        if storage.digest(folder / name) != made:
            raise ValueError(f"{folder / name} is not as {stage} left it: run {stage} again")
    if stamp["upstream"] != id_before(folder, stage):
        raise ValueError(f"{stage} in {folder} was made from an earlier state of the run: run {stage} again")
    return stamp


def id_before(folder: Path, stage: str) -> str | None:
    """Id of the stamp before that of `stage`: "" for the first stage, None if there is no stamp."""
    at = STAGES.index(stage)
    return read(folder, STAGES[at - 1]).get("id") if at else ""


def parameters_of(stamp: Stamp) -> dict[str, Any]:
    """All parameters that a stage owns, as it ran with them."""
    return stamp["parameters"] | stamp.get("placement", {})


def own_parameters(stage: str, parameters: Parameters) -> dict[str, Any]:
    """The parameters that `stage` owns and its results depend on: those without placement."""
    return parameters.model_dump(include=set(owned_by(stage)) - set(PLACEMENT))


def states(folder: Path, parameters: Parameters | None = None, *, until: str = STAGES[-1]) -> dict[str, State]:
    """State of every stage up to `until`; with `parameters`, a stage made with other ones is outdated too."""
    found: dict[str, State] = {}
    for stage in up_to(until):
        before = id_before(folder, stage) if all(state.done for state in found.values()) else None
        found[stage] = _state(folder, stage, before, parameters)
    return found


def _state(folder: Path, stage: str, before: str | None, parameters: Parameters | None) -> State:
    """State of a stage; before: id of the stamp before it, None if that stage is not done."""
    stamp = read(folder, stage)
    if not stamp:
        return State("not run")
    if altered := _changed({folder / file: made for file, made in stamp["files"].items()}):
        return State("altered", f"{shortened(str(path.relative_to(folder)) for path in altered)} not as it was left")
    made = stamp["parameters"]
    now = own_parameters(stage, parameters) if parameters else made
    if differ := {name: made.get(name) for name, value in now.items() if made.get(name) != value}:
        return State("outdated", f"made with {assignments(differ)}")
    if inputs := _changed({provenance.PROJECT / file: made for file, made in stamp.get("read", {}).items()}):
        return State("outdated", f"{shortened(map(str, inputs))} changed")
    if code := dependencies.changed(stamp["code"], dependencies.trace_notebook(notebook(stage))):
        return State("outdated", f"{shortened(code)} changed")
    if stamp["upstream"] != before:
        return State("outdated", "a stage before it is not as it was")
    return State("done")


def _changed(files: dict[Path, str]) -> list[Path]:
    """Those of `files` (path to digest) that are missing, or have another digest."""
    return [path for path, made in files.items() if not path.exists() or storage.digest(path) != made]


def identity(stamp: Stamp) -> dict[str, str]:
    """`id` of a stamp and digest of its `code`: a notebook with both shows the stage's current result."""
    return {"id": stamp.get("id", ""), "code": storage.short(stamp.get("code", {}))}


def is_shown(folder: Path, stage: str) -> bool:
    """Whether the executed notebook shows the stage's current result; True if there is no notebook.

    The stage may have been run by hand since, with other results or other code, or the notebook's writing cut short.
    """
    path, stamp = folder / "notebooks" / f"{stage}.ipynb", read(folder, stage)
    if not path.exists():
        return True
    try:
        shown = json.loads(path.read_text(encoding="utf-8"))["metadata"].get(SHOWN)
    except ValueError:
        return False
    return bool(stamp) and shown == identity(stamp)


def assignments(parameters: dict[str, Any]) -> str:
    """Parameters as text, such as "eta = 0.5, depth = 2"."""
    return ", ".join(f"{name} = {value!r}" for name, value in parameters.items())


def shortened(names: Iterable[str]) -> str:
    """The first three names as text, and how many more there are."""
    names = list(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
