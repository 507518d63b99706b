"""The command `shl`: run the notebooks in order, train, measure, clean up, code notes, fetch the open corpus."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from shl_utils import console, runner
from shl_utils.declarations import SOURCES
from shl_utils.parameters import STAGES, Parameters
from shl_utils.runs import environment_variables, locations, stages, status


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: done. 1: a stage or training failed, a run is unfinished, or text of notes was found. 2: wrong
    arguments, parameters or files. 130: interrupted."""
    environment_variables.close()
    with console.heard() as lost:
        code = _done(_parser().parse_args(arguments))
        if lost():
            print(f"shl: not all that it says could be written: {lost()}", file=sys.stderr)
        return code or bool(lost())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shl", description=__doc__.split(":", 1)[1].strip().capitalize())
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the notebooks of parameter files; unchanged stages are kept")
    run.add_argument("files", type=_path, nargs="+", metavar="file", help="parameter file, such as params/demo.yaml")
    run.add_argument("--until", choices=STAGES, default=STAGES[-1], help="stop after this stage")
    run.add_argument("--force", action="store_true", help="run every stage again")
    run.add_argument(
        "--json", type=_path, metavar="FILE", help="write the status of each run to FILE, as `status --json`"
    )
    run.set_defaults(do=_run)
    stood = commands.add_parser("status", help="status of runs, and their errors; exit code 0 if all are done")
    stood.add_argument("runs", nargs="*", metavar="run", help="names under runs/, or folders; default: all")
    stood.add_argument("--json", action="store_true", help="print JSON")
    stood.set_defaults(do=lambda given: _status(given.runs, as_json=given.json))
    compare = commands.add_parser("compare", help="compare finished runs on the same data, with paired intervals")
    compare.add_argument(
        "runs", nargs="+", metavar="run", help="name under runs/, or folder; gains are over the first run"
    )
    compare.add_argument(
        "--different", action="store_true", help="allow runs on different data: each on its own, without gains"
    )
    compare.add_argument("--out", type=_path, metavar="NAME", help="also write NAME.md, NAME.html and NAME.json")
    compare.set_defaults(do=_compare)
    for name, what in (("site", "web pages"), ("slides", "slides")):
        shown = commands.add_parser(name, help=f"write a run's notebooks as {what} into a new folder, for use offline")
        shown.add_argument("run", help="its name under runs/, or its folder")
        shown.add_argument("target", type=_path, help="the new folder")
        shown.set_defaults(do=_shown)
    scan = commands.add_parser("scan", help="search files for text of notes; exit code 1 if any has")
    scan.add_argument("paths", type=_path, nargs="+", metavar="path", help="file or folder to search")
    scan.add_argument(
        "--runs", nargs="+", metavar="run", help="runs whose notes to search for; default: all under runs/"
    )
    scan.set_defaults(do=lambda given: _scan(given.paths, given.runs))
    model = commands.add_parser("model", help="train one model of an ablation, as workflow/Snakefile does")
    model.set_defaults(do=lambda given: _model(given.file, given.model))
    join = commands.add_parser("join", help="on another machine: join the training of a run")
    join.add_argument("--node", type=int, required=True, help="rank of this machine, from 1")
    join.set_defaults(do=lambda given: _join(given.file, given.node))
    bench = commands.add_parser("bench", help="measure the cost of training, against transformers.Trainer")
    bench.add_argument(
        "--rate", type=float, default=1.0, help="factor on the learning rates where all layers are trained"
    )
    bench.add_argument(
        "--only", type=int, nargs="+", default=(), metavar="N", help="only these setups, by number from 0"
    )
    bench.add_argument(
        "--sizes", type=int, nargs="+", metavar="NOTES", help="instead: cost by number of generated notes"
    )
    bench.set_defaults(do=lambda given: _bench(given.file, given.rate, given.only, given.sizes))
    clean = commands.add_parser("clean", help="delete the files of a run that are rebuilt on demand")
    clean.set_defaults(do=lambda given: _clean(given.file))
    for command in (model, join, bench, clean):
        command.add_argument("file", type=_path, help="parameter file, such as params/demo.yaml")
    model.add_argument("model", help="its id, the name of its folder under ablation/; an unknown one lists all")
    predict = commands.add_parser("predict", help="code one note, or the notes of a table, with a finished run")
    predict.add_argument("run", help="its name under runs/, or its folder")
    predict.add_argument("note", help="text file; .csv, .jsonl or .parquet with columns id and text; - for stdin")
    predict.add_argument(
        "--encoding", default="", help="text encoding of the note, if not utf-8: latin-1, cp1252, utf-16, ..."
    )
    predict.add_argument("--json", action="store_true", help="one line of JSON per note, without any text of it")
    predict.add_argument("--quick", action="store_true", help="skip the search for the sentences that decide a code")
    predict.add_argument(
        "--text", action="store_true", help="show the sentences of a private source too, not only their positions"
    )
    predict.set_defaults(do=_predict)
    export = commands.add_parser(
        "export", help="write a run's models into a new folder, for use with transformers and peft alone"
    )
    export.add_argument("run", help="its name under runs/, or its folder")
    export.add_argument("target", type=_path, help="the new folder")
    export.set_defaults(do=_export)
    fetch = commands.add_parser("fetch", help="download the open notes into the cache")
    fetch.add_argument("source", choices=[name for name, source in SOURCES.items() if source.fetch])
    fetch.set_defaults(do=lambda given: _fetch(given.source))
    return parser


def _path(text: str) -> Path:
    try:
        return locations.expanded(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _done(given: argparse.Namespace) -> int:
    try:
        return given.do(given)
    except (ValueError, OSError) as error:
        print(f"shl: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nshl: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _run(given: argparse.Namespace) -> int:
    asked = runner.read_all(given.files)
    done = runner.run(asked, until=given.until, force=given.force, as_json=given.json)
    return 0 if done else 1


def _begun(names: Sequence[str]) -> list[Path]:
    """Folders of the runs called `names`, or of all; FileNotFoundError lists the existing runs if one is missing."""
    there = sorted(path.parent for path in stages.root().rglob("stages"))
    known = ", ".join(str(folder.relative_to(stages.root())) for folder in there) or f"none below {stages.root()}"
    for name in names:
        if not stages.folder_of(name).is_dir():
            raise FileNotFoundError(f"no run {name}; there are: {known}")
    if not names and not there:
        raise FileNotFoundError(f"there is no run below {stages.root()}")
    return [stages.folder_of(name) for name in names] or there


def _status(names: Sequence[str], *, as_json: bool) -> int:
    told = [status.summarize(folder) for folder in _begun(names)]
    print(json.dumps(told, indent=1, ensure_ascii=False) if as_json else status.table(told))
    return 0 if all(one["done"] for one in told) else 1


def _compare(given: argparse.Namespace) -> int:
    from shl_utils.experiments import compare
    from shl_utils.reporting import tables

    found = compare.compare_runs(_begun(given.runs), different=given.different)
    for part in (tables.markdown(found.shown), tables.markdown(found.settings)):
        print(f"{part}\n")
    print(tables.listed(found.definitions))
    if given.out:
        print("Written to " + ", ".join(map(str, compare.write(found, given.out))))
    return 0


def _shown(given: argparse.Namespace) -> int:
    from shl_utils.reporting import site

    write = {"site": site.site, "slides": site.slides}[given.command]
    (folder,) = _begun([given.run])
    print(f"Written: {write(folder, given.target)}")
    return 0


def _scan(paths: Sequence[Path], names: Sequence[str] | None) -> int:
    from shl_utils.runs import leak_scan

    folders = _begun(names or [])
    bare = [folder for folder in folders if not (folder / "corpus.parquet").exists()]
    if bare and (names or len(bare) == len(folders)):
        raise FileNotFoundError(f"{bare[0]} has no corpus.parquet: its notes cannot be looked for")
    folders = [folder for folder in folders if folder not in bare]
    leaks = leak_scan.find_leaks(paths, folders)
    for leak in leaks:
        print(f"{leak.file}: {leak.shingles} runs of {leak_scan.WORDS} words from {leak.notes} notes of {leak.run}")
    print(f"{len(leaks)} files with text of notes, of {len(folders)} runs")
    return 1 if leaks else 0


def _fetch(source: str) -> int:
    from shl_utils.data import sources

    print(f"{source}: verified, {sources.module(source).fetch()}")
    return 0


def _model(file: Path, model: str) -> int:
    from shl_utils.experiments import snakemake_jobs

    return _trained(lambda: snakemake_jobs.read_batch(file, runner.read(file)[1]).train(model))


def _predict(given: argparse.Namespace) -> int:
    (folder,) = _begun([given.run])
    from shl_utils.data import cleaning
    from shl_utils.inference import coding, render

    parameters, _ = stages.finished(folder, coding.STAGE)
    notes = _notes(given.note, given.encoding, parameters)
    coder = coding.load(folder)
    for name, text in notes.items():
        text = cleaning.plain(text)  # positions of sentences refer to this text
        try:
            seen = cleaning.clean(text, parameters.clean_text)
            coded = coding.code(coder, seen, sentences=not given.quick)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if given.json:
            print(json.dumps({"note": name, "run": str(folder)} | render.as_dict(coded, text), ensure_ascii=False))
        else:
            print(f"{name}: {render.text_of(coded, text, show=given.text or not coder.private)}\n")
    return 0


def _export(given: argparse.Namespace) -> int:
    from shl_utils.inference.export import export

    (folder,) = _begun([given.run])
    print(f"Written to {export(folder, given.target)}")
    return 0


def _notes(given: str, encoding: str, parameters: Parameters) -> dict[str, str]:
    """Name to text: of standard input, of one file, or of each row of a table with the column names of the run."""
    from shl_utils.inference import coding

    if given == "-":
        return {"standard input": coding.decoded(sys.stdin.buffer.read(), "standard input", encoding or "utf-8")}
    path = Path(given)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is {'a folder' if path.is_dir() else 'missing'}: give a file, or - for the input"
        )
    if path.suffix.lower() in (".csv", ".jsonl", ".parquet"):
        from shl_utils.data.sources import custom_table

        names = parameters.column_names
        return custom_table.texts(path, column_names=names, encoding=encoding or parameters.encoding)
    return {given: coding.decoded(path.read_bytes(), str(path), encoding or "utf-8")}


def _join(file: Path, node: int) -> int:
    from shl_utils.training import launch

    _, full = runner.read(file)
    return _trained(lambda: launch.join(stages.folder_of(full.run), full, node=node))


def _trained(train: Callable[[], None]) -> int:
    try:
        train()
    except RuntimeError as error:
        print(f"shl: {error}", file=sys.stderr)
        return 1
    return 0


def _bench(file: Path, rate: float, only: Sequence[int], sizes: Sequence[int] | None) -> int:
    ((values, full),) = runner.read_all([file])
    folder = stages.folder_of(full.run)
    with stages.exclusive_run(folder):
        if sizes:
            from benchmarks.scaling import bench

            print(f"Written to {bench(folder, full, sizes)}")
            return 0
        if not runner.one(values, full, until="02_segment", force=False):
            return 1
        from benchmarks.training_cost import training

        print(f"Written to {training(folder, full, rate=rate, only=only)}")
    return 0


def _clean(file: Path) -> int:
    from shl_utils.runs import disk

    folder = stages.folder_of(runner.read(file)[1].run)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not there: nothing was run yet")
    with stages.exclusive_run(folder):
        print(f"{disk.clean(folder) / 1e6:.1f} MB removed from {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
