"""The command `shl`: run the notebooks in order, train, measure, clean, code a note, fetch the open notes."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from shl_utils import grid, parameter_file, parameters, progress, runs
from shl_utils.parameters import STAGES, Parameters


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: done; 1: a stage failed; 2: wrong arguments or parameters, nothing was run; 130: interrupted."""
    parser = argparse.ArgumentParser(prog="shl", description=__doc__.split(":", 1)[1].strip().capitalize())
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the notebooks of a parameter file, only what has changed")
    run.add_argument("--until", choices=STAGES, default=STAGES[-1], help="stop behind this stage")
    run.add_argument("--force", action="store_true", help="redo every stage")
    run.set_defaults(do=lambda given: _run(given.file, until=given.until, force=given.force))
    model = commands.add_parser("model", help="train one model of an ablation, as workflow/Snakefile does")
    model.set_defaults(do=lambda given: _model(given.file, given.model))
    join = commands.add_parser("join", help="on a further machine: take part in the training of a run")
    join.add_argument("--node", type=int, required=True, help="number of this machine, from 1")
    join.set_defaults(do=lambda given: _join(given.file, given.node))
    bench = commands.add_parser("bench", help="measure what training costs, beside transformers.Trainer")
    bench.add_argument("--rate", type=float, default=1.0, help="share of the learning rates where all layers train")
    bench.add_argument("--only", type=int, nargs="+", default=(), metavar="N", help="only some of the ways, from 0")
    bench.add_argument("--sizes", type=int, nargs="+", metavar="NOTES", help="instead: by number of generated notes")
    bench.set_defaults(do=lambda given: _bench(given.file, given.rate, given.only, given.sizes))
    clean = commands.add_parser("clean", help="remove from a run what is made again when it is needed")
    clean.set_defaults(do=lambda given: _clean(given.file))
    for command in (run, model, join, bench, clean):
        command.add_argument("file", type=Path, help="parameter file, such as params/demo.yaml")
    model.add_argument("model", help="its folder in the run, such as ablation/loss=bce")
    predict = commands.add_parser("predict", help="codes for one note, or for those of a table, by a finished run")
    predict.add_argument("run", help="its name under runs/, or its folder")
    predict.add_argument("note", help="text file; .csv, .jsonl or .parquet with columns id and text; - for the input")
    predict.add_argument("--json", action="store_true", help="one line a note, without a word of it")
    predict.add_argument("--quick", action="store_true", help="do not try what each sentence does")
    predict.add_argument("--text", action="store_true", help="show sentences of a private source too, not their places")
    predict.set_defaults(do=_predict)
    export = commands.add_parser("export", help="a run's models in a new folder, for transformers and peft alone")
    export.add_argument("run", help="its name under runs/, or its folder")
    export.add_argument("target", type=Path, help="the new folder")
    export.set_defaults(do=_export)
    fetch = commands.add_parser("fetch", help="bring open notes into the cache")
    fetch.add_argument("source", choices=["openi"])
    fetch.set_defaults(do=lambda given: _fetch())
    given = parser.parse_args(arguments)
    try:
        return given.do(given)
    except (ValueError, OSError) as error:
        print(f"shl: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nshl: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def read(file: Path) -> tuple[dict, Parameters]:
    """A parameter file's differences, and the full set."""
    values = parameter_file.load(file)
    return values, parameters.check(values, origin=str(file))


def _run(file: Path, *, until: str, force: bool) -> int:
    from shl_utils import precision  # torch takes a second to import

    values, full = read(file)
    for name in filter(None, (full.grid, full.sensitivity)):  # a mistake in it would show after an hour
        for combination in grid.combinations(name, full):
            precision.check(combination.settings[0])
    folder = runs.folder_of(full.run)
    started = time.monotonic()
    for stage in STAGES[: STAGES.index(until) + 1]:
        if not force and runs.is_done(stage, full):
            print(f"{stage}: done before, kept")
            continue
        begun = time.monotonic()
        print(f"{stage}: running", flush=True)
        error = execute(stage, values, folder)
        if error:
            print(f"{stage}: failed\n{error}\nnotebook so far: {folder / 'notebooks' / stage}.ipynb", file=sys.stderr)
            return 1
        if not runs.is_done(stage, full):
            print(f"{stage}: ended without its stamp; see {folder / 'notebooks' / stage}.ipynb", file=sys.stderr)
            return 1
        print(f"{stage}: done in {time.monotonic() - begun:.0f} s", flush=True)
    if until == STAGES[-1]:
        print("\n" + (folder / "ablation.md").read_text(encoding="utf-8"))
    print(f"{time.monotonic() - started:.0f} s. Results, figures and provenance: {folder}")
    print(f"Executed notebooks: {folder / 'notebooks'}")
    return 0


def execute(stage: str, values: dict, folder: Path) -> str:
    """Run one notebook into the run's folder; the error as text, empty if there was none."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    target = folder / "notebooks" / f"{stage}.ipynb"
    # our own check is stricter than papermill's warning about parameters of other stages
    logging.getLogger("papermill").setLevel(logging.ERROR)
    events = folder / "progress.jsonl"
    os.environ[progress.VARIABLE] = str(events)
    try:
        runs.create(folder)
        target.parent.mkdir(exist_ok=True)
        with progress.follow(events):
            papermill.execute_notebook(
                runs.NOTEBOOKS / f"{stage}.ipynb",
                target,
                parameters=values,
                kernel_name="python3",
                progress_bar=False,
                extra_arguments=["--log-level=40"],  # the kernel's warning that it talks to us unencrypted
                shutdown_kernel="immediate",  # all is on disk; a graceful end takes a second to unload torch
            )
    except PapermillExecutionError as error:
        return f"{error.ename}: {error.evalue}"
    except DeadKernelError:
        return "the notebook's process was ended from outside, as it is when the machine runs out of memory"
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        os.environ.pop(progress.VARIABLE, None)
    return ""


def _fetch() -> int:
    from shl_utils.sources import openi

    print(f"openi: verified, {openi.fetch()}")
    return 0


def _model(file: Path, model: str) -> int:
    from shl_utils import batch

    return _trained(lambda: batch.of(file, read(file)[1]).train(model))


def _predict(given: argparse.Namespace) -> int:
    notes = _notes(given.note)
    from shl_utils import cleaning, one_note, told

    folder = runs.folder_of(given.run)
    coder = one_note.load(folder)
    for name, text in notes.items():
        text = cleaning.clean(text, coder.parameters.clean_text)
        try:
            coded = one_note.code(coder, text, sentences=not given.quick)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if given.json:
            print(json.dumps({"note": name, "run": str(folder)} | told.as_dict(coded, text), ensure_ascii=False))
        else:
            print(f"{name}: {told.text_of(coded, text, show=given.text or not coder.private)}\n")
    return 0


def _export(given: argparse.Namespace) -> int:
    from shl_utils.export import export

    print(f"Written to {export(runs.folder_of(given.run), given.target)}")
    return 0


def _notes(given: str) -> dict[str, str]:
    """Name to text: of standard input, of one file, or of a table's rows."""
    if given == "-":
        return {"standard input": sys.stdin.read()}
    path = Path(given)
    if path.suffix.lower() in (".csv", ".jsonl", ".parquet"):
        from shl_utils.sources import table

        return table.texts(path)
    try:
        return {given: path.read_text(encoding="utf-8")}
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not utf-8: save it so, or give - and pipe it in") from None


def _join(file: Path, node: int) -> int:
    from shl_utils import launch

    _, full = read(file)
    return _trained(lambda: launch.join(runs.folder_of(full.run), full, node=node))


def _trained(train: Callable[[], None]) -> int:
    try:
        train()
    except RuntimeError as error:
        print(f"shl: {error}", file=sys.stderr)
        return 1
    return 0


def _bench(file: Path, rate: float, only: Sequence[int], sizes: Sequence[int] | None) -> int:
    _, full = read(file)
    folder = runs.folder_of(full.run)
    if sizes:
        from shl_utils.sizes import bench

        print(f"Written to {bench(folder, full, sizes)}")
        return 0
    code = _run(file, until="02_segment", force=False)
    if code:
        return code
    from shl_utils.bench import training

    print(f"Written to {training(folder, full, rate=rate, only=only)}")
    return 0


def _clean(file: Path) -> int:
    from shl_utils import disk

    folder = runs.folder_of(read(file)[1].run)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not there: nothing was run yet")
    print(f"{disk.clean(folder) / 1e6:.1f} MB removed from {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
