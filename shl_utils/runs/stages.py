"""A run is one folder that all notebooks of one parameter file share; each notebook is a stage of it.

A stage reads the files of earlier stages, and leaves a stamp (see `stamps`). So it detects earlier results that are
missing, outdated, or of other parameters or code.
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
from shl_utils.declarations import LOSSES, SOURCES
from shl_utils.parameters import PATHS, PLACEMENT, STAGES, Parameters, check, owned_by
from shl_utils.runs import dependencies, locations, provenance, stamps, storage
from shl_utils.runs.parameter_file import from_namespace, resolved

TRAINS_LATER = stamps.up_to("03_train")
MARKS = frozenset({"stages", "batch", "corpus.parquet"})  # every run's folder holds one of these
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
    with storage.try_lock(folder / "lock") as free:
        if not free:
            raise ValueError(f"{folder} is in use by another `shl`: wait for it, or give `run` another name")
        yield


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
        """The file `name` of the run."""
        return self.folder / name

    def finish(
        self, *outputs: str, read: Sequence[Path] = (), computed: Iterable[dict[str, Any]] = (), **facts: Any
    ) -> stamps.Stamp:
        """Stamp the stage as done; return the stamp.

        outputs: its files. read: files outside the run that it depends on. computed: device, precision and processes of
        its computations, as these recorded them (`mixed_precision.Computing`). facts: anything else to record.
        """
        own = stamps.own_parameters(self.stage, self.parameters)
        files = {name: storage.digest(self.path(name)) for name in outputs}
        beyond = {outside(path): storage.digest(path) for path in read}
        counts = {name: value for name, value in own.items() if name not in PATHS}  # for a path, the content counts
        if changed := dependencies.changed(self.code, _trace(self.stage)):
            names = stamps.shortened(changed)
            print(f"{names} changed after this stage began: it is stamped with what they were, and outdated")
        stamp = {
            "stage": self.stage,
            "attempt": uuid4().hex,
            "id": storage.short([counts, self.upstream, files, sorted(beyond.values())]),
            "upstream": self.upstream,
            "parameters": own,
            "placement": self.parameters.model_dump(include=set(owned_by(self.stage)) & set(PLACEMENT)),
            "files": files,
            "read": beyond,
            "version": __version__,
            "code": self.code,
            "computed": list({json.dumps(one, sort_keys=True): one for one in computed}.values()),
            "seconds_of_last_attempt": round(time.monotonic() - self.started, 1),
            "peak_memory_mb": provenance.peak_memory_mb(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "versions": provenance.versions(),
            "git": provenance.revision(),
            "hardware": provenance.hardware(),
            "environment": provenance.environment(),
            **facts,
        }
        storage.write_json(stamps.path_of(self.folder, self.stage), stamp)
        stamps.write_provenance(self.folder)
        return stamp


def outside(path: Path) -> str:
    """Name of a file outside the run, relative to the project if inside it, since the project may be moved."""
    inside = provenance.PROJECT in path.parents
    return path.relative_to(provenance.PROJECT).as_posix() if inside else str(path)


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
        for name, state in stamps.states(run.folder, until=stage).items():
            if name != stage and not state.done:
                print(f"{name}: {state}")
    return run


def begin(stage: str, values: dict[str, Any]) -> Run:
    """The core of `open_run`, on a dictionary of parameters; earlier results stay until `Run.finish` replaces them."""
    values = resolved(values, Path.cwd())
    folder = folder_of(values.get("run", Parameters.model_fields["run"].default))
    base = base_of(values.get("based_on", ""), folder)
    merged: dict[str, Any] = {}
    for name in stamps.up_to(stage)[:-1]:
        if base and not stamps.read(folder, name) and (why := take_over(base, folder, name, values)):
            raise ValueError(f"{name} of {base.name} cannot be taken over, {why}: run {name} first")
        stamp = stamps.read_valid(folder, name)
        if differ := _conflicts(stamp, values):
            made = ", ".join(f"{n}={value!r} (asked: {values[n]!r})" for n, value in differ.items())
            raise ValueError(
                f"{folder} holds a run of other parameters: {name} was made with {made}; "
                f"put that back, run {name} again, or give `run` another name"
            )
        merged |= stamps.parameters_of(stamp)
    parameters = check(merged | values, origin=stage)
    if stage in TRAINS_LATER:
        check_machine(parameters)
    create(folder)
    if stage == STAGES[0] and SOURCES[parameters.source].private:
        folder.chmod(0o700)  # it may have existed, open to others
    return Run(folder, stage, parameters, upstream=stamps.id_before(folder, stage), code=_trace(stage))


def check_machine(asked: Parameters) -> None:
    """`mixed_precision.check`, left out where that asks nothing of the machine: torch takes seconds to import."""
    if asked.precision == "fp16" or asked.processes or LOSSES[asked.loss].whole_batch:
        from shl_utils.runs import mixed_precision

        mixed_precision.check(asked)


def _trace(stage: str) -> dependencies.Code:
    """The code of a stage: of its notebook, or of the copy of it that this kernel runs, as `shl lab` makes them."""
    notebook, opened = stamps.notebook(stage), Path(os.environ.get("JPY_SESSION_NAME", ""))
    if opened.name != notebook.name or not opened.is_file():
        return dependencies.trace_notebook(notebook)
    return dependencies.trace_notebook(opened, original=notebook)


def _conflicts(stamp: stamps.Stamp, values: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a stamp to which `values` gives other values."""
    return {name: made for name, made in stamp["parameters"].items() if values.get(name, made) != made}


def _refuse_edited(code: dependencies.Code) -> None:
    """Raise ValueError if a module was edited after this process started, which may hold the old version."""
    begun, now = psutil.Process().create_time() + storage.SETTLED, time.time()
    modules = [file for file in code if file.endswith(".py")]
    edited = [file for file in modules if begun < (provenance.PROJECT / file).stat().st_mtime <= now]
    if edited:
        names = stamps.shortened(edited)
        raise ValueError(f"{names} changed after this kernel started: restart it, to run what stands there")


_warned: set[tuple[Path, str, str]] = set()


def _before_change(run: Run) -> None:
    """Raise ValueError, at the first call, if changed parameters would outdate finished stages after this one."""
    stamp = stamps.read(run.folder, run.stage)
    own = stamps.own_parameters(run.stage, run.parameters)
    differ = [name for name in own if stamp and own[name] != stamp["parameters"].get(name)]
    if not differ:
        return
    stand = [name for name, state in stamps.states(run.folder).items() if state.done and name >= run.stage]
    if len(stand) < 2:
        return
    before, now = (
        stamps.assignments({name: values.get(name) for name in differ}) for values in (stamp["parameters"], own)
    )
    warning = f"{run.folder.name} is finished with {before}: {now} will outdate {', '.join(stand)}."
    if not run.parameters.interactive:
        print(warning)
        return
    if (key := (run.folder, run.stage, now)) in _warned:
        return
    _warned.add(key)
    based_on = "" if run.stage == STAGES[0] else f', based_on = "{run.folder.name}"'
    raise ValueError(
        f'{warning}\nTo try it in a run of its own: run = "mine"{based_on}.\n'
        f"To change {run.folder.name} itself: run this cell again (papermill: -p interactive False)."
    )


def box(error: Exception) -> None:
    """Make IPython show only the error's message: of a traceback, only the last line would say what to do."""
    lines = [f"\x1b[31m▌\x1b[0m {line}" for line in str(error).splitlines()]
    error._render_traceback_ = lambda: lines


def finished(folder: Path, stage: str) -> tuple[Parameters, stamps.Stamp]:
    """Parameters and facts of all stages up to `stage`; later ones override earlier ones.

    FileNotFoundError or ValueError names a missing or altered file of these stages.
    """
    merged: dict[str, Any] = {}
    facts: stamps.Stamp = {"files": {}}
    for name in stamps.up_to(stage):
        stamp = stamps.read_valid(folder, name)
        merged |= stamps.parameters_of(stamp)
        facts |= stamp | {"files": facts["files"] | stamp["files"]}
    return check(merged | {"run": str(folder)}, origin=f"{folder} is a run of another version; run it again"), facts


def is_done(stage: str, parameters: Parameters) -> bool:
    """Whether the stage and all before it are done, with unaltered files, these parameters and this code."""
    return stamps.states(folder_of(parameters.run), parameters, until=stage)[stage].done


def base_of(based_on: str, folder: Path) -> Path | None:
    """Folder of the run that the one in `folder` is based on, or None; ValueError if there is no such run."""
    if not based_on:
        return None
    base = folder_of(based_on)
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
    if differ := _conflicts(stamp, values):
        return f"it was made with {stamps.assignments(differ)}"
    create(folder)
    if stamps.read(base, STAGES[0]).get("private", True):
        folder.chmod(0o700)
    for name in (*stamp["files"], f"notebooks/{stage}.ipynb"):
        if (base / name).exists():
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
