"""A run: one folder that all notebooks of one parameter file share, and the stamps that say what made what.

A stage reads what earlier stages wrote, and leaves a stamp with its parameters, the stamp it built upon and the digests
of its files. So a stage can tell that something before it is missing, older, or made with other parameters.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shl_utils import __version__, locks, places, provenance
from shl_utils.parameters import OPEN, PLACEMENT, STAGES, Parameters, check, from_namespace, owned_by

Stamp = dict[str, Any]
TRAINS_LATER = STAGES[: STAGES.index("03_train") + 1]
NOTEBOOKS = provenance.PROJECT / "notebooks"
MARKS = frozenset({"stages", "batch", "corpus.parquet"})  # one of these is in every run's folder


def root() -> Path:
    """Folder of all runs: $SHL_RUNS, or `runs/` of the project, whatever the working directory."""
    given = os.environ.get("SHL_RUNS")
    return places.expanded(given).absolute() if given else provenance.PROJECT / "runs"


def folder_of(run: str) -> Path:
    """The run's folder; ValueError where `run` is no name, or names a folder that cannot be one run's."""
    return places.of_run(run, root())


def create(folder: Path) -> None:
    """Make a run's folder, closed to other users: it holds the notes. ValueError if it holds something else."""
    places.check_own(folder, MARKS)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True, mode=0o700)
    (folder / "stages").mkdir(exist_ok=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a run against other commands that would change it; ValueError if one is at it."""
    create(folder)
    with locks.claimed(folder / "lock") as free:
        if not free:
            raise ValueError(f"{folder} is in use by another `shl`: wait for it, or give `run` another name")
        yield


@dataclass
class Run:
    """One stage at work in a run's folder. `parameters` are the full set: defaults, earlier stages', this one's."""

    folder: Path
    stage: str
    parameters: Parameters
    upstream: str
    started: float = field(default_factory=time.monotonic)

    def path(self, name: str) -> Path:
        return self.folder / name

    def finish(self, *outputs: str, read: Sequence[Path] = (), **facts: Any) -> Stamp:
        """Stamp the stage as done.

        outputs: its files. read: files outside the run that it depends on. facts: whatever it wants to be on record.
        """
        own = _own(self.stage, self.parameters)
        files = {name: digest(self.path(name)) for name in outputs}
        stamp = {
            "stage": self.stage,
            "id": _short({"parameters": own, "upstream": self.upstream, "files": files}),
            "upstream": self.upstream,
            "parameters": own,
            "placement": self.parameters.model_dump(include=set(owned_by(self.stage)) & set(PLACEMENT)),
            "files": files,
            "read": {str(path): digest(path) for path in read},
            "version": __version__,
            "notebook": notebook_digest(self.stage),
            "seconds_of_last_attempt": round(time.monotonic() - self.started, 1),
            "peak_memory_mb": provenance.peak_memory_mb(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "versions": provenance.versions(),
            "git": provenance.revision(),
            "hardware": provenance.hardware(),
            **_computing(self.parameters),
            **facts,
        }
        write_json(_stamp_path(self.folder, self.stage), stamp)
        _write_provenance(self.folder)
        return stamp


def open_run(stage: str, namespace: dict[str, Any]) -> Run:
    """Begin `stage` with a notebook's variables; every misuse stops here, before time is spent.

    Raises ValueError for an unknown or impossible parameter and for an earlier stage made with other parameters, and
    FileNotFoundError for an earlier stage that has not run; each says which notebook to run.
    """
    return begin(stage, from_namespace(namespace))


def begin(stage: str, values: dict[str, Any]) -> Run:
    """`open_run` on plain values."""
    values = dict(values)
    folder = folder_of(values.get("run", Parameters.model_fields["run"].default))
    earlier = STAGES[: STAGES.index(stage)]
    merged: dict[str, Any] = {}
    upstream = ""
    for name in earlier:
        stamp = _valid_stamp(folder, name, upstream)
        _same(stamp["parameters"], values, folder, name)
        merged |= stamp["parameters"] | stamp.get("placement", {})
        upstream = stamp["id"]
    parameters = check(merged | values, origin=stage)
    if stage in TRAINS_LATER:
        from shl_utils import precision  # torch takes a second to import

        precision.check(parameters)
    create(folder)
    if stage == STAGES[0] and parameters.source not in OPEN:
        folder.chmod(0o700)  # it may have been there, open to others
    _stamp_path(folder, stage).unlink(missing_ok=True)  # until it finishes again, the stage is not done
    return Run(folder, stage, parameters, upstream)


def is_done(stage: str, parameters: Parameters) -> bool:
    """Whether the stage's stamp and all before it stand, with unaltered files, these parameters, this version of the
    package and this code in the notebooks."""
    folder, upstream = folder_of(parameters.run), ""
    try:
        for name in STAGES[: STAGES.index(stage) + 1]:
            stamp = _valid_stamp(folder, name, upstream)
            if stamp["parameters"] != _own(name, parameters) or made_by(stamp) != (__version__, notebook_digest(name)):
                return False
            files = {folder / file: made for file, made in stamp["files"].items()}
            files |= {Path(file): made for file, made in stamp.get("read", {}).items()}
            if not _unaltered(files):
                return False
            upstream = stamp["id"]
    except (FileNotFoundError, ValueError):
        return False
    return True


def states(folder: Path) -> dict[str, str]:
    """Of every stage: "done", "not run", or what it is not good for any more: "altered" (its files are not as it left
    them) or "outdated" (made before a stage that it builds upon, of other files, or by another version of the code)."""
    found, upstream = {}, ""
    for name in STAGES:
        stamp = read_stamp(folder, name)
        files = {folder / file: made for file, made in stamp.get("files", {}).items()}
        read = {Path(file): made for file, made in stamp.get("read", {}).items()}
        if not stamp:
            found[name] = "not run"
        elif not _unaltered(files):
            found[name] = "altered"
        elif (
            stamp["upstream"] != upstream
            or not _unaltered(read)
            or made_by(stamp) != (__version__, notebook_digest(name))
        ):
            found[name] = "outdated"
        else:
            found[name] = "done"
        upstream = stamp["id"] if found[name] == "done" else None
    return found


def _unaltered(files: dict[Path, str]) -> bool:
    """Whether the files are there, with these digests."""
    return all(path.exists() and digest(path) == made for path, made in files.items())


def made_by(stamp: Stamp) -> tuple[str, str | None]:
    """The version of the package and the code in the notebook that left the stamp."""
    return stamp["version"], stamp.get("notebook")


def read_stamp(folder: Path, stage: str) -> Stamp:
    """What the stage left; empty where it has not finished."""
    path = _stamp_path(folder, stage)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def finished(folder: Path, stage: str, *files: str) -> tuple[Parameters, Stamp]:
    """Parameters and facts of all stages up to `stage`, later ones over earlier, in a run whose `files` are as they
    were left; FileNotFoundError or ValueError name what is missing or altered."""
    merged: dict[str, Any] = {}
    facts: Stamp = {"id": "", "files": {}}
    for name in STAGES[: STAGES.index(stage) + 1]:
        stamp = _valid_stamp(folder, name, facts["id"])
        merged |= stamp["parameters"] | stamp.get("placement", {})
        facts |= stamp | {"files": facts["files"] | stamp["files"]}
    for file in files:
        if digest(folder / file) != facts["files"][file]:
            raise ValueError(f"{folder / file} is not as the run left it: run `shl run` on its parameter file again")
    return check(merged | {"run": str(folder)}), facts


def _computing(parameters: Parameters) -> dict[str, Any]:
    """On what, how exactly and in how many processes the stage's models are trained or predict."""
    from shl_utils import precision

    asked = parameters.precision
    return {
        "device": precision.device(),
        "precision": precision.resolve("auto") if asked == "auto" else asked,
        "processes": precision.processes_here(parameters) * parameters.nodes,
    }


def _own(stage: str, parameters: Parameters) -> dict[str, Any]:
    """The stage's parameters that its results depend on."""
    return parameters.model_dump(include=set(owned_by(stage)) - set(PLACEMENT))


def digest(path: Path) -> str:
    """sha256 of a file, or of all files below a folder with their names."""
    if path.is_dir():
        parts = {str(p.relative_to(path)): digest(p) for p in sorted(path.rglob("*")) if p.is_file()}
        return _short(parts)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def notebook_digest(stage: str) -> str:
    """Of the code in the stage's notebook but its parameters: outputs and prose may change."""
    cells = json.loads((NOTEBOOKS / f"{stage}.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [c for c in cells if c["cell_type"] == "code" and "parameters" not in c["metadata"].get("tags", [])]
    return _short(["".join(cell["source"]) for cell in code])


def write_json(path: Path, value: Any) -> None:
    """Write through a neighbour, so that a kill leaves the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def _short(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _stamp_path(folder: Path, stage: str) -> Path:
    return folder / "stages" / f"{stage}.json"


def _valid_stamp(folder: Path, stage: str, upstream: str) -> Stamp:
    stamp = read_stamp(folder, stage)
    if not stamp:
        raise FileNotFoundError(f"{folder} has no finished {stage}: run {stage} first")
    for name in stamp["files"]:
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name} is missing: run {stage} first")
    if stamp["upstream"] != upstream:
        raise ValueError(f"{stage} in {folder} was made from an earlier state of the run: run {stage} again")
    return stamp


def _same(made: dict[str, Any], asked: dict[str, Any], folder: Path, stage: str) -> None:
    other = [f"{n}={made[n]!r} (asked: {asked[n]!r})" for n in made if n in asked and asked[n] != made[n]]
    if other:
        raise ValueError(
            f"{folder} holds a run of other parameters: {stage} was made with {', '.join(other)}; "
            f"run {stage} again, or give `run` another name"
        )


def _write_provenance(folder: Path) -> None:
    """One file for the reader, gathered from the stamps: who ran what, on what, and what it cost."""
    stamps = [json.loads(p.read_text(encoding="utf-8")) for p in sorted((folder / "stages").glob("*.json"))]
    parameters: dict[str, Any] = {}
    for stamp in stamps:
        parameters |= stamp["parameters"] | stamp.get("placement", {})
    write_json(
        folder / "provenance.json",
        {
            "parameters": parameters,
            "seed": parameters.get("seed"),
            "stages": {s["stage"]: {k: v for k, v in s.items() if k not in ("stage", "parameters")} for s in stamps},
        },
    )
