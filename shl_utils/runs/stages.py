"""A run is one folder that all notebooks of one parameter file share; each notebook is a stage of it.

A stage reads the files of earlier stages, and leaves a stamp (see `stamps`). So it detects earlier results that are
missing, outdated, or of other parameters or code.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from shl_utils import __version__
from shl_utils.declarations import LOSSES, SOURCES
from shl_utils.parameters import PATHS, PLACEMENT, STAGES, Parameters, check, owned_by
from shl_utils.runs import dependencies, locations, provenance, reuse, stamps, storage
from shl_utils.runs.parameter_file import from_namespace, resolved

TRAINS_LATER = stamps.up_to("03_train")


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
        beyond = {locations.outside(path): storage.digest(path) for path in read}
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
            "finished": stamps.now(),
            "versions": provenance.versions(),
            "git": provenance.revision(),
            "hardware": provenance.hardware(),
            "environment": provenance.environment(),
            **facts,
        }
        storage.write_json(stamps.path_of(self.folder, self.stage), stamp)
        stamps.write_provenance(self.folder)
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
        for name, state in stamps.states(run.folder, until=stage).items():
            if name != stage and not state.done:
                print(f"{name}: {state}")
    return run


def begin(stage: str, values: dict[str, Any]) -> Run:
    """The core of `open_run`, on a dictionary of parameters; earlier results stay until `Run.finish` replaces them."""
    values = resolved(values, Path.cwd())
    folder = locations.folder_of(values.get("run", Parameters.model_fields["run"].default))
    base = reuse.base_of(values.get("based_on", ""), folder)
    merged: dict[str, Any] = {}
    for name in stamps.up_to(stage)[:-1]:
        if base and not stamps.read(folder, name) and (why := reuse.take_over(base, folder, name, values)):
            raise ValueError(f"{name} of {base.name} cannot be taken over, {why}: run {name} first")
        stamp = stamps.read_valid(folder, name)
        if differ := reuse.conflicts(stamp, values):
            made = ", ".join(f"{n}={value!r} (asked: {values[n]!r})" for n, value in differ.items())
            raise ValueError(
                f"{folder} holds a run of other parameters: {name} was made with {made}; "
                f"put that back, run {name} again, or give `run` another name"
            )
        merged |= stamps.parameters_of(stamp)
    parameters = check(merged | values, origin=stage)
    if stage in TRAINS_LATER:
        check_machine(parameters)
    locations.create(folder)
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
    return stamps.states(locations.folder_of(parameters.run), parameters, until=stage)[stage].done
