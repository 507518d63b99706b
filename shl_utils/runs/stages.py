"""A run is one folder that all notebooks of one parameter file share; stamps record how each result was made.

A stage reads the files of earlier stages. It leaves a stamp with its parameters, the id of the stamp before it and the
digests of its files. So a stage detects earlier results that are missing, outdated, or of other parameters or code.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from shl_utils import __version__
from shl_utils.declarations import SOURCES
from shl_utils.parameters import PATHS, PLACEMENT, STAGES, Parameters, check, owned_by
from shl_utils.runs import dependencies, locations, locks, provenance, storage
from shl_utils.runs.parameter_file import from_namespace, resolved

Stamp = dict[str, Any]
TRAINS_LATER = STAGES[: STAGES.index("03_train") + 1]
NOTEBOOKS = provenance.PROJECT / "notebooks"
MARKS = frozenset({"stages", "batch", "corpus.parquet"})  # every run's folder holds one of these


def root() -> Path:
    """Folder of all runs: $SHL_RUNS, or else `runs/` of the project, whatever the working directory."""
    given = os.environ.get("SHL_RUNS")
    return locations.expanded(given).absolute() if given else provenance.PROJECT / "runs"


def folder_of(run: str) -> Path:
    """The run's folder; ValueError if `run` is no valid name, or a folder that cannot belong to one run."""
    return locations.run_folder(run, root())


def create(folder: Path) -> None:
    """Create a run's folder, closed to other users since it holds the notes; ValueError if it holds something else."""
    locations.check_own(folder, MARKS)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True, mode=0o700)
    (folder / "stages").mkdir(exist_ok=True)


@contextmanager
def exclusive_run(folder: Path) -> Iterator[None]:
    """Lock a run against other commands that would change it; ValueError if one is using it."""
    create(folder)
    with locks.try_lock(folder / "lock") as free:
        if not free:
            raise ValueError(f"{folder} is in use by another `shl`: wait for it, or give `run` another name")
        yield


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


@dataclass
class Run:
    """One stage in progress in a run's folder. parameters: the full set, from defaults, earlier stages and this one.
    upstream: id of the stamp before it. code: digests of the code that it depended on when it began."""

    folder: Path
    stage: str
    parameters: Parameters
    upstream: str
    code: dependencies.Code
    started: float = field(default_factory=time.monotonic)

    def path(self, name: str) -> Path:
        return self.folder / name

    def finish(
        self, *outputs: str, read: Sequence[Path] = (), computed: Iterable[dict[str, Any]] = (), **facts: Any
    ) -> Stamp:
        """Stamp the stage as done; return the stamp.

        outputs: its files. read: files outside the run that it depends on. computed: device, precision and processes of
        its computations, as these recorded them (`mixed_precision.Computing`). facts: anything else to record.
        """
        own = _own(self.stage, self.parameters)
        files = {name: storage.digest(self.path(name)) for name in outputs}
        outside = {_outside(path): storage.digest(path) for path in read}
        counts = {name: value for name, value in own.items() if name not in PATHS}  # for a path, the content counts
        if changed := dependencies.changed(self.code, dependencies.trace_notebook(notebook(self.stage))):
            print(f"{_some(changed)} changed after this stage began: it is stamped with what they were, and outdated")
        stamp = {
            "stage": self.stage,
            "attempt": uuid4().hex,
            "id": storage.short([counts, self.upstream, files, sorted(outside.values())]),
            "upstream": self.upstream,
            "parameters": own,
            "placement": self.parameters.model_dump(include=set(owned_by(self.stage)) & set(PLACEMENT)),
            "files": files,
            "read": outside,
            "version": __version__,
            "code": self.code,
            "computed": _distinct(computed),
            "seconds_of_last_attempt": round(time.monotonic() - self.started, 1),
            "peak_memory_mb": provenance.peak_memory_mb(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "versions": provenance.versions(),
            "git": provenance.revision(),
            "hardware": provenance.hardware(),
            "environment": provenance.environment(),
            **facts,
        }
        storage.write_json(stamp_path(self.folder, self.stage), stamp)
        _write_provenance(self.folder)
        return stamp


def open_run(stage: str, namespace: dict[str, Any]) -> Run:
    """Begin `stage` with a notebook's variables; mistakes stop here, before time is spent, with a short message.

    ValueError for an unknown or impossible parameter, or an earlier stage made with other parameters. ValueError also
    before finished stages become outdated; called again, it proceeds. FileNotFoundError for an earlier stage that has
    not run. Each message says what to do.
    """
    try:
        run = begin(stage, from_namespace(namespace))
        _refuse_edited(run.code)
        _before_change(run)
    except (ValueError, OSError) as error:
        box(error)
        raise
    if run.parameters.interactive:  # `shl run` has checked already
        for name, state in states(run.folder, until=stage).items():
            if name != stage and not state.done:
                print(f"{name}: {state}")
    return run


def _refuse_edited(code: dependencies.Code) -> None:
    """Raise ValueError if a module was edited after this process started, which may hold the old version."""
    begun, now = psutil.Process().create_time() + storage.SETTLED, time.time()
    modules = [file for file in code if file.endswith(".py")]
    edited = [file for file in modules if begun < (provenance.PROJECT / file).stat().st_mtime <= now]
    if edited:
        raise ValueError(f"{_some(edited)} changed after this kernel started: restart it, to run what stands there")


def begin(stage: str, values: dict[str, Any]) -> Run:
    """The core of `open_run`, on a dictionary of parameters; earlier results stay until `Run.finish` replaces them."""
    values = resolved(values, Path.cwd())
    defaults = Parameters.model_fields
    folder = folder_of(values.get("run", defaults["run"].default))
    base = base_of(values.get("based_on", ""), folder)
    merged: dict[str, Any] = {}
    upstream = ""
    for name in STAGES[: STAGES.index(stage)]:
        if base and not read_stamp(folder, name) and (why := take_over(base, folder, name, values)):
            raise ValueError(f"{name} of {base.name} cannot be taken over, {why}: run {name} first")
        stamp = _valid_stamp(folder, name, upstream)
        _same(stamp["parameters"], values, folder, name)
        merged |= stamp["parameters"] | stamp.get("placement", {})
        upstream = stamp["id"]
    parameters = check(merged | values, origin=stage)
    if stage in TRAINS_LATER:
        from shl_utils.runs import mixed_precision  # torch takes a second to import

        mixed_precision.check(parameters)
    create(folder)
    if stage == STAGES[0] and SOURCES[parameters.source].private:
        folder.chmod(0o700)  # it may have existed, open to others
    return Run(folder, stage, parameters, upstream, dependencies.trace_notebook(notebook(stage)))


def base_of(based_on: str, folder: Path) -> Path | None:
    """Folder of the run that the one in `folder` is based on, or None; ValueError if there is no such run."""
    if not based_on:
        return None
    base = folder_of(based_on)
    if base == folder or not any(read_stamp(base, stage) for stage in STAGES):
        raise ValueError(
            f"based_on is {based_on!r}: name another run, one that has finished stages, or put its file before this one"
        )
    return base


_warned: set[tuple[Path, str, str]] = set()


def _before_change(run: Run) -> None:
    """Raise ValueError, at the first call, if changed parameters would outdate finished stages after this one."""
    stamp = read_stamp(run.folder, run.stage)
    own = _own(run.stage, run.parameters)
    differ = [name for name in own if stamp and own[name] != stamp["parameters"].get(name)]
    if not differ:
        return
    stand = [name for name, state in states(run.folder).items() if state.done and name >= run.stage]
    if len(stand) < 2:
        return
    before, now = ({n: values.get(n) for n in differ} for values in (stamp["parameters"], own))
    told = f"{run.folder.name} is finished with {_named(before)}: {_named(now)} will outdate {', '.join(stand)}."
    if not run.parameters.interactive:
        print(told)
        return
    key = (run.folder, run.stage, _named(now))
    if key in _warned:
        return
    _warned.add(key)
    based_on = "" if run.stage == STAGES[0] else f', based_on = "{run.folder.name}"'
    raise ValueError(
        f'{told}\nTo try it in a run of its own: run = "mine"{based_on}.\n'
        f"To change {run.folder.name} itself: run this cell again (papermill: -p interactive False)."
    )


def _named(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in values.items())


def box(error: Exception) -> None:
    """Make IPython show only the error's message: of a traceback, only the last line would say what to do."""
    lines = [f"\x1b[31m▌\x1b[0m {line}" for line in str(error).splitlines()]
    error._render_traceback_ = lambda: lines


MODELS = ("segments", "reference/segments", "origin/segments")  # of `03_train`
# files with keys of their own, which any stage of any run may reuse: states of the frozen layers, and models
KEYED = ("trunk/*", *(f"{place}/*/*" for place in (*MODELS, "ablation/*/segments")))


def take_over(base: Path, folder: Path, stage: str, values: dict[str, Any]) -> str:
    """Copy a done stage of the run in `base`, if its parameters and its earlier stages match; else return why not.

    Returns "" after a copy. Models and states of the frozen layers, which `base` replaces only if it must, are linked.
    """
    stamp, state = read_stamp(base, stage), states(base, until=stage)[stage]
    if not state.done:
        return f"it is {state}"
    before = read_stamp(folder, STAGES[STAGES.index(stage) - 1]).get("id") if stage != STAGES[0] else ""
    if stamp["upstream"] != before:
        return "a stage before it is another here"
    own = stamp["parameters"]
    if differ := {name: own[name] for name in own if name in values and own[name] != values[name]}:
        return f"it was made with {_named(differ)}"
    create(folder)
    if read_stamp(base, STAGES[0]).get("private", True):
        folder.chmod(0o700)
    for name in (*stamp["files"], f"notebooks/{stage}.ipynb"):
        if (base / name).exists():
            _copy(base / name, folder / name, link=False)
    for path in (path.relative_to(base) for pattern in KEYED for path in base.glob(pattern)):
        if ".part" not in str(path):
            _copy(base / path, folder / path, link=True)
    storage.write_json(stamp_path(folder, stage), stamp)
    if not states(folder, until=stage)[stage].done:  # another command has changed it meanwhile
        stamp_path(folder, stage).unlink()
        return "it changed while it was copied"
    _write_provenance(folder)
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
        target.unlink(missing_ok=True)
        shutil.copy(source, target)


# files that a stage reuses from an earlier attempt, finished or not
KEPT = {
    "01_filter": ("trunk",),
    "03_train": (*MODELS, "trunk"),
    "04_evaluate": ("predictions.parquet", "reference/predictions.parquet"),
    "05_ablate": ("ablation", "origin/predictions.parquet"),
}


def forget(folder: Path, stage: str) -> None:
    """Remove the files and the stamp of a stage, and what it would reuse, so that it is made anew."""
    others = {file for name in STAGES if name != stage for file in read_stamp(folder, name).get("files", {})}
    found = {*read_stamp(folder, stage).get("files", {}), *KEPT.get(stage, ())}
    for path in (folder / name for name in found if not any(f"{file}/".startswith(f"{name}/") for file in others)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    stamp_path(folder, stage).unlink(missing_ok=True)


def is_done(stage: str, parameters: Parameters) -> bool:
    """Whether the stage and all before it are done, with unaltered files, these parameters and this code."""
    return states(folder_of(parameters.run), parameters, until=stage)[stage].done


def states(folder: Path, parameters: Parameters | None = None, *, until: str = STAGES[-1]) -> dict[str, State]:
    """State of every stage up to `until`; with `parameters`, a stage made with other ones is outdated too."""
    found: dict[str, State] = {}
    upstream: str | None = ""
    for name in STAGES[: STAGES.index(until) + 1]:
        stamp = read_stamp(folder, name)
        found[name] = _state(folder, name, stamp, upstream, parameters)
        upstream = stamp["id"] if found[name].done else None
    return found


def _state(folder: Path, name: str, stamp: Stamp, upstream: str | None, parameters: Parameters | None) -> State:
    if not stamp:
        return State("not run")
    if altered := _changed({folder / file: made for file, made in stamp["files"].items()}):
        return State("altered", f"{_some(str(path.relative_to(folder)) for path in altered)} not as it was left")
    own = _own(name, parameters) if parameters else stamp["parameters"]
    if differ := {n: value for n, value in own.items() if stamp["parameters"].get(n) != value}:
        return State("outdated", f"made with {_named({n: stamp['parameters'].get(n) for n in differ})}")
    if read := _changed({provenance.PROJECT / file: made for file, made in stamp.get("read", {}).items()}):
        return State("outdated", f"{_some(map(str, read))} changed")
    if "code" not in stamp:
        return State("outdated", f"made by shl {stamp['version']}")
    if code := dependencies.changed(stamp["code"], dependencies.trace_notebook(notebook(name))):
        return State("outdated", f"{_some(code)} changed")
    if stamp["upstream"] != upstream:
        return State("outdated", "a stage before it is not as it was")
    return State("done")


def _outside(path: Path) -> str:
    """Name of a file outside the run, relative to the project if inside it, since the project may be moved."""
    inside = provenance.PROJECT in path.parents
    return path.relative_to(provenance.PROJECT).as_posix() if inside else str(path)


def _changed(files: dict[Path, str]) -> list[Path]:
    """Those of `files` (path to digest) that are missing, or have another digest."""
    return [path for path, made in files.items() if not path.exists() or storage.digest(path) != made]


def _some(names: Iterable[str], *, most: int = 3) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def read_stamp(folder: Path, stage: str) -> Stamp:
    """The stamp of a stage; empty if it has not finished."""
    path = stamp_path(folder, stage)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def finished(folder: Path, stage: str) -> tuple[Parameters, Stamp]:
    """Parameters and facts of all stages up to `stage`; later ones override earlier ones.

    FileNotFoundError or ValueError names a missing or altered file of these stages.
    """
    merged: dict[str, Any] = {}
    facts: Stamp = {"id": "", "files": {}}
    for name in STAGES[: STAGES.index(stage) + 1]:
        stamp = _valid_stamp(folder, name, facts["id"])
        merged |= stamp["parameters"] | stamp.get("placement", {})
        facts |= stamp | {"files": facts["files"] | stamp["files"]}
    return check(merged | {"run": str(folder)}), facts


def _own(stage: str, parameters: Parameters) -> dict[str, Any]:
    """The parameters that `stage` owns and its results depend on."""
    return parameters.model_dump(include=set(owned_by(stage)) - set(PLACEMENT))


def _distinct(computed: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({json.dumps(one, sort_keys=True): one for one in computed}.values())


def notebook(stage: str) -> Path:
    return NOTEBOOKS / f"{stage}.ipynb"


def stamp_path(folder: Path, stage: str) -> Path:
    return folder / "stages" / f"{stage}.json"


def _valid_stamp(folder: Path, stage: str, upstream: str) -> Stamp:
    stamp = read_stamp(folder, stage)
    if not stamp:
        raise FileNotFoundError(f"{folder} has no finished {stage}: run {stage} first")
    for name, made in stamp["files"].items():
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name} is missing: run {stage} first")
        if storage.digest(folder / name) != made:
            raise ValueError(f"{folder / name} is not as {stage} left it: run {stage} again")
    if stamp["upstream"] != upstream:
        raise ValueError(f"{stage} in {folder} was made from an earlier state of the run: run {stage} again")
    return stamp


def _same(made: dict[str, Any], asked: dict[str, Any], folder: Path, stage: str) -> None:
    other = [f"{n}={made[n]!r} (asked: {asked[n]!r})" for n in made if n in asked and asked[n] != made[n]]
    if other:
        raise ValueError(
            f"{folder} holds a run of other parameters: {stage} was made with {', '.join(other)}; "
            f"put that back, run {stage} again, or give `run` another name"
        )


def _write_provenance(folder: Path) -> None:
    """Write provenance.json, gathered from the stamps: which stages ran, on what, and at what cost."""
    stamps = [json.loads(p.read_text(encoding="utf-8")) for p in sorted((folder / "stages").glob("*.json"))]
    parameters: dict[str, Any] = {}
    for stamp in stamps:
        parameters |= stamp["parameters"] | stamp.get("placement", {})
    left_out = ("stage", "parameters", "code")
    storage.write_json(
        folder / "provenance.json",
        {
            "parameters": parameters,
            "seed": parameters.get("seed"),
            "stages": {
                s["stage"]: {k: v for k, v in s.items() if k not in left_out}
                | {"code": dependencies.digest(s.get("code", {}))}
                for s in stamps
            },
        },
    )


SHOWS = "shl"  # key in the metadata of an executed notebook: id and code of the stage whose results it shows


def is_shown(folder: Path, stage: str) -> bool:
    """Whether the executed notebook shows the stage's current result; True if there is no notebook.

    The stage may have been run by hand since, with other results or other code.
    """
    path, stamp = folder / "notebooks" / f"{stage}.ipynb", read_stamp(folder, stage)
    if not path.exists():
        return True
    return bool(stamp) and json.loads(path.read_text(encoding="utf-8"))["metadata"].get(SHOWS) == shown(stamp)


def shown(stamp: Stamp) -> dict[str, str]:
    return {"id": stamp.get("id", ""), "code": dependencies.digest(stamp.get("code", {}))}
