"""Runs the notebooks of parameter files in order through papermill: only what has changed, one file after the other."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from shl_utils import parameters
from shl_utils.experiments import grid
from shl_utils.parameters import STAGES, Parameters
from shl_utils.runs import environment_variables, locations, parameter_file, reuse, stages, stamps, status, storage

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from shl_utils.kernels.reserve import Reserve

Read = tuple[dict, Parameters]  # parameters that a file sets, and the full set


def read(file: Path) -> Read:
    """The parameters that a file sets, and the full set; ValueError or OSError with the file's name for a mistake."""
    values = parameter_file.load(file)
    full = parameters.check(values, origin=str(file))
    try:
        locations.folder_of(full.run)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    return values, full


def read_all(files: Sequence[Path]) -> list[Read]:
    """`read` every file, and check all that can be checked before anything runs; one ValueError lists all mistakes."""
    found, errors = [], []
    for file in files:
        try:
            found.append(read(file))
            full = found[-1][1]
            before = {other.run for _, other in found[:-1]}  # which will exist by then
            if full.based_on not in before:
                reuse.base_of(full.based_on, locations.folder_of(full.run))
            for name in full.compare_with:
                if name not in before and not stamps.read(locations.folder_of(name), "05_ablate"):
                    raise ValueError(f"{file}: compare_with: {name} has no finished 05_ablate: run its file first")
            stages.check_machine(full)
            for combination in grid.combinations(full.grid, full):  # else a mistake would show after an hour
                stages.check_machine(combination.settings[0])
        except (ValueError, OSError) as error:
            errors.append(str(error))
    folders = Counter(locations.folder_of(full.run) for _, full in found)
    errors += [
        f"{n} of these files write to {folder}: give each a `run` of its own" for folder, n in folders.items() if n > 1
    ]
    if errors:
        raise ValueError("\n".join(errors))
    return found


def run(runs: Sequence[Read], *, until: str, force: bool, as_json: Path | None = None) -> bool:
    """Run all, one after the other, up to the stage `until`; return whether all are done.

    A run that fails does not stop the next one. force: run every stage again. as_json: file for the status of each run,
    also written if this is interrupted. ValueError if another process uses one of these runs.
    """
    from shl_utils.kernels.reserve import Reserve

    folders = [locations.folder_of(full.run) for _, full in runs]
    with ExitStack() as stack:
        for folder in folders:
            stack.enter_context(locations.exclusive_run(folder))
        ready = stack.enter_context(Reserve(environment_variables.closed(os.environ)))
        try:
            done = [_one(values, full, ready, until=until, force=force) for values, full in runs]
        finally:
            summaries = [status.summarize(folder, until=until) for folder in folders]
            if as_json:
                storage.write_json(as_json, summaries)
    if len(summaries) > 1:
        print("\n" + status.table(summaries))
    return all(done)


def _one(values: dict, full: Parameters, ready: Reserve, *, until: str, force: bool) -> bool:
    """Run the notebooks of one parameter file up to `until`; return whether all are done, and print what failed."""
    folder = locations.folder_of(full.run)
    started = time.monotonic()
    for stage in stamps.up_to(until):
        if _has_results(stage, full, force=force):
            continue
        if not _run_stage(stage, values, full, ready, more=stage != until):
            return False
    if until == STAGES[-1]:
        print("\n" + (folder / "ablation.md").read_text(encoding="utf-8"))
    print(f"{time.monotonic() - started:.0f} s. Results, figures and provenance: {folder}")
    print(f"Executed notebooks: {folder / 'notebooks'}")
    return True


def _has_results(stage: str, full: Parameters, *, force: bool) -> bool:
    """Whether the stage need not run: it is done and its notebook written, or taken over; prints which, or why not."""
    folder = locations.folder_of(full.run)
    state = stamps.states(folder, full, until=stage)[stage]
    if force:
        reuse.forget(folder, stage)
    elif state.done and stamps.is_shown(folder, stage):
        print(f"{stage}: done before, kept")
        return True
    elif full.based_on and state.word == "not run":
        why = reuse.take_over(locations.folder_of(full.based_on), folder, stage, full.model_dump())
        if not why:
            print(f"{stage}: taken over from {full.based_on}")
            return True
        print(f"{stage}: not taken over from {full.based_on}, {why}")
    print(f"{stage}: running" + (f" ({state})" if state.why else ""), flush=True)
    return False


def _run_stage(stage: str, values: dict, full: Parameters, ready: Reserve, *, more: bool) -> bool:
    """Run one notebook; return whether the stage is done, and print why not, or what its reader should know: numbers of
    items left out, and the warning. ready, more: see `_execute`."""
    folder = locations.folder_of(full.run)
    started, before = time.monotonic(), stamps.read(folder, stage)
    error = _execute(stage, values, folder, ready, more=more)
    state, stamp = stamps.states(folder, full, until=stage)[stage], stamps.read(folder, stage)
    if not error and stamp == before:
        error = "it ended without its stamp"
    if not error and not state.done:
        error = f"it is {state}, as soon as it has ended: run the same command again"
    if error:
        status.note_failure(folder, stage, error)
        print(f"{stage}: failed\n{error}\nnotebook so far: {folder / 'notebooks' / stage}.ipynb", file=sys.stderr)
        return False
    (folder / status.FAILED).unlink(missing_ok=True)
    print(f"{stage}: done in {time.monotonic() - started:.0f} s", flush=True)
    notices = [f"{n} {reason}" for reason, n in stamp.get("left_out", {}).items() if n]
    for notice in filter(None, [*notices, stamp.get("warning")]):
        print(f"  {notice}", flush=True)
    return True


def execute_primer() -> NotebookNode:
    """The primer, executed without widgets, for pages and slides; RuntimeError if its kernel does not start."""
    import papermill

    from shl_utils.kernels import manager

    with manager.started(environment_variables.closed(os.environ)) as kernel:
        asked = {"parameters": {"interactive": False}, "kernel_name": "python3", "progress_bar": False}
        wait = manager.patience()
        return papermill.execute_notebook(stamps.notebook("primer"), None, **asked, km=kernel, start_timeout=wait)


def _execute(stage: str, values: dict, folder: Path, ready: Reserve, *, more: bool) -> str:
    """Run one notebook, and write it into the run's folder; return the error as text, or "" if there was none.

    ready: gives the kernel. more: whether another notebook follows, for which one is made ready meanwhile.
    """
    ready.fill()  # first of all: it takes seconds. It is done already after the first notebook on Linux
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from shl_utils.kernels import manager

    target = folder / "notebooks" / f"{stage}.ipynb"
    # our own check is stricter than papermill's warning about parameters of other stages
    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        target.parent.mkdir(exist_ok=True)
        with manager.started(environment_variables.closed(os.environ), ready) as kernel:
            if more:
                ready.fill()
            executed = papermill.execute_notebook(
                stamps.notebook(stage),
                target,
                parameters={"interactive": False} | values,
                kernel_name="python3",  # from this name, papermill knows how to write parameters
                progress_bar=False,
                km=kernel,
                start_timeout=manager.patience(),
            )
        executed.metadata[stamps.SHOWN] = stamps.identity(stamps.read(folder, stage))
        nbformat.write(executed, target)
    except PapermillExecutionError as error:
        return f"{error.ename}: {error.evalue}"
    except RuntimeError as error:  # from nbclient, or from `manager` if the process does not start
        dead = isinstance(error, DeadKernelError)
        why = "it was ended from outside, as it is when the machine runs out of memory" if dead else error
        return f"the notebook's process: {why}"
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return ""
