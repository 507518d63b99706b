"""The command `shl`: one function per subcommand, below its arguments."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from shl_utils import console, runner
from shl_utils.declarations import SOURCES
from shl_utils.parameters import STAGES, Parameters
from shl_utils.runs import environment_variables, locations, stages, status


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: done. 1: a stage or training failed, a run is unfinished, or text of notes was found. 2: wrong
    arguments, parameters or files. 130: interrupted."""
    environment_variables.close()
    with console.heard() as lost:
        code = _exit_code(sys.argv[1:] if arguments is None else arguments)
        if lost():
            print(f"shl: not all of its output could be written: {lost()}", file=sys.stderr)
        return code or int(bool(lost()))


def _exit_code(arguments: list[str]) -> int:
    """Do what the arguments say. Not by click's own `main`, which has other exit codes and messages."""
    try:
        with shl.make_context("shl", list(arguments)) as context:
            return shl.invoke(context) or 0
    except click.exceptions.Exit as end:  # after --help
        return end.exit_code
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "shl"
        print(f"shl: {error.format_message()}\nSee `{command} --help`.", file=sys.stderr)
    except (ValueError, OSError) as error:
        print(f"shl: {error}", file=sys.stderr)
    except RuntimeError as error:  # of a training or notebook that failed
        print(f"shl: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nshl: interrupted; the same command resumes here", file=sys.stderr)
        return 130
    return 2


class _Command(click.Command):
    """A command whose repeatable options take several values at once: `--runs a b` for click's `--runs a --runs b`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        repeatable = {name for option in self.params if getattr(option, "multiple", False) for name in option.opts}
        spread, current = [], ""
        for before, word in zip(["", *args], args):
            if word.startswith("-"):
                current = word if word in repeatable else ""
            elif current and before != current:
                spread.append(current)
            spread.append(word)
        return super().parse_args(ctx, spread)


class _Commands(click.Group):
    """Commands that are listed in the order in which they stand here."""

    command_class = _Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def _path(text: str) -> Path:
    try:
        return locations.expanded(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


FILE = click.argument("file", type=_path, help="Parameter file, such as params/demo.yaml.")
RUN = click.argument("run", help="Its name under runs/, or its folder.")
TARGET = click.argument("target", type=_path, help="The new folder.")
COUNT, SEED, FACTOR = click.IntRange(min=1), click.IntRange(min=0), click.FloatRange(min=0, min_open=True)


@click.group(cls=_Commands, no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
def shl() -> None:
    """Run the notebooks in order, train, measure, clean up, code notes, fetch the open corpus."""


@shl.command("run")
@click.argument("files", type=_path, nargs=-1, required=True, metavar="FILE...", help="Such as params/demo.yaml.")
@click.option("--until", type=click.Choice(STAGES), default=STAGES[-1], help="Stop after this stage.")
@click.option("--force", is_flag=True, help="Run every stage again.")
@click.option("--json", "as_json", type=_path, metavar="FILE", help="Write the status of each run, as `status --json`.")
def run(files: Sequence[Path], until: str, force: bool, as_json: Path | None) -> int:
    """Run the notebooks of parameter files; unchanged stages are kept."""
    done = runner.run(runner.read_all(files), until=until, force=force, as_json=as_json)
    return 0 if done else 1


@shl.command("status")
@click.argument("runs", nargs=-1, metavar="[RUN]...", help="Names under runs/, or folders; default: all.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_status(runs: Sequence[str], as_json: bool) -> int:
    """Status of runs, and their errors; exit code 0 if all are done."""
    summaries = [status.summarize(folder) for folder in _begun(runs)]
    print(json.dumps(summaries, indent=1, ensure_ascii=False) if as_json else status.table(summaries))
    return 0 if all(run["done"] for run in summaries) else 1


@shl.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", help="As in `status`; gains are over the first.")
@click.option("--out", type=_path, metavar="NAME", help="Also write NAME.md and NAME.json.")
def compare_runs(runs: Sequence[str], out: Path | None) -> None:
    """Compare finished runs on the same data, with paired intervals."""
    from shl_utils.experiments import compare
    from shl_utils.reporting import formats

    found = compare.compare_runs(_begun(runs))
    for table in filter(len, (found.shown, found.settings)):
        print(f"{formats.markdown(table)}\n")
    print(formats.listed(found.definitions))
    if out:
        print("Written to " + ", ".join(map(str, compare.write(found, out))))


@shl.command("site")
@RUN
@TARGET
def write_site(run: str, target: Path) -> None:
    """Write a run's notebooks as web pages, for use offline."""
    from shl_utils.reporting import site

    print(f"Written: {site.site(*_begun([run]), target, primer=runner.execute_primer)}")


@shl.command("slides")
@RUN
@TARGET
def write_slides(run: str, target: Path) -> None:
    """Write a run's notebooks as slides, for use offline."""
    from shl_utils.reporting import site

    print(f"Written: {site.slides(*_begun([run]), target, primer=runner.execute_primer)}")


@shl.command("publish")
@click.argument("name", help="Of the file in results/, such as openi.")
@click.argument(
    "files", type=_path, nargs=-1, required=True, metavar="FILE...", help="Parameter files of finished runs."
)
def publish(name: str, files: Sequence[Path]) -> None:
    """Write what finished runs found to results/, for `docs`."""
    from shl_utils.publication import results_file

    print(f"Written: {results_file.publish(name, files)}. `shl docs` fills the pages")


@shl.command("check")
@FILE
def check_run(file: Path) -> int:
    """Compare a finished run with its published scores. Exit code 1 if one is far off."""
    from shl_utils.publication import reproduction
    from shl_utils.reporting import formats

    table = reproduction.compare(file)
    print(f"{formats.markdown(reproduction.shown(table))}\n\nF1 x 100 and gain; {reproduction.DEFINITION}")
    return 0 if reproduction.agrees(table) else 1


@shl.command("docs")
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit code 1 if a page says something else.")
def fill_pages(only_check: bool) -> int:
    """Fill the project's pages from results/, params/ and the code."""
    from shl_utils.publication import pages

    pictures, texts = pages.old_pictures(), pages.stale()
    for path in pictures:
        print(f"{pages.picture_of(path)} is not what {path} says")
    for page, text in texts.items():
        print(f"{page} is not what results/, params/ and the code say")
        if not only_check:
            page.write_text(text, encoding="utf-8")
    if not only_check:
        for path in pictures:
            pages.draw(path)
    return 1 if only_check and (pictures or texts) else 0


@shl.command("scan")
@click.argument("paths", type=_path, nargs=-1, required=True, metavar="PATH...", help="Files or folders to search.")
@click.option("--runs", multiple=True, metavar="RUN...", help="Whose notes to search for; default: all under runs/.")
def scan(paths: Sequence[Path], runs: Sequence[str]) -> int:
    """Search files for text of notes; exit code 1 if any has."""
    from shl_utils.data import leak_scan

    folders = _begun(runs)
    without_notes = [folder for folder in folders if not (folder / "corpus.parquet").exists()]
    if without_notes and (runs or len(without_notes) == len(folders)):
        raise FileNotFoundError(f"{without_notes[0]} has no corpus.parquet: its notes cannot be looked for")
    folders = [folder for folder in folders if folder not in without_notes]
    leaks = leak_scan.find_leaks(paths, folders)
    for leak in leaks:
        print(
            f"{leak.file}: {leak.shingles} sequences of {leak_scan.WORDS} words from {leak.notes} notes of {leak.run}"
        )
    print(f"{len({leak.file for leak in leaks})} files with text of notes, of {len(folders)} runs")
    return 1 if leaks else 0


@shl.command("model")
@FILE
@click.argument("model", help="Its id, the name of its folder under ablation/; an unknown one lists all.")
def train_model(file: Path, model: str) -> None:
    """Train one model of an ablation, as workflow/Snakefile does."""
    from shl_utils.experiments import snakemake_jobs

    snakemake_jobs.read_batch(file, runner.read(file)[1]).train(model)


@shl.command("join")
@FILE
@click.option("--node", type=COUNT, required=True, help="Rank of this machine, from 1.")
def join(file: Path, node: int) -> None:
    """On another machine: join the training of a run."""
    from shl_utils.training import launch

    _, full = runner.read(file)
    launch.join(locations.folder_of(full.run), full, node=node)


@shl.command("bench")
@FILE
@click.option("--rates", type=FACTOR, multiple=True, metavar="FACTOR...", help="On learning rates, to choose from.")
@click.option("--seeds", type=SEED, multiple=True, metavar="N...", help="Of training; default: the file's.")
@click.option("--segments", type=COUNT, multiple=True, metavar="K...", help="Cost by number of segments instead.")
@click.option("--sizes", type=COUNT, multiple=True, metavar="NOTES...", help="Cost by number of notes instead.")
@click.option("--steps", "only_steps", is_flag=True, help="Speed of frozen layers and of training steps instead.")
def bench(
    file: Path,
    rates: Sequence[float],
    seeds: Sequence[int],
    segments: Sequence[int],
    sizes: Sequence[int],
    only_steps: bool,
) -> int:
    """Measure the cost of training, against transformers.Trainer."""
    if sum(map(bool, (segments, sizes, only_steps))) > 1 or ((rates or seeds) and (sizes or only_steps)):
        raise click.UsageError(
            "--segments, --sizes and --steps exclude each other; the last two have no rates or seeds"
        )
    runs = runner.read_all([file])
    full = runs[0][1]
    folder = locations.folder_of(full.run)
    if not sizes and not runner.run(runs, until="02_segment", force=False):
        return 1
    with locations.exclusive_run(folder):
        if sizes:
            from benchmarks import scaling

            print(f"Written to {scaling.bench(folder, full, sizes)}")
            return 0
        from benchmarks import steps, training_cost
        from shl_utils.reporting import cost_tables, formats

        if only_steps:
            table, path = cost_tables.steps, steps.bench(folder, full)
        else:
            ways = training_cost.segment_counts(folder, full, segments) if segments else training_cost.WAYS
            table = cost_tables.segments if segments else cost_tables.training
            how = {"factors": rates or [1.0], "seeds": seeds or [full.training_seed]}
            path = training_cost.bench(folder, full, ways, **how, name="segments" if segments else "training")
        print(f"\n{formats.markdown(table(json.loads(path.read_text(encoding='utf-8'))))}\n\nWritten to {path}")
    return 0


@shl.command("clean")
@FILE
def clean(file: Path) -> None:
    """Delete the files of a run that are rebuilt on demand."""
    from shl_utils.evaluation import disk

    folder = locations.folder_of(runner.read(file)[1].run)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not there: nothing was run yet")
    with locations.exclusive_run(folder):
        print(f"{disk.clean(folder) / 1e6:.1f} MB removed from {folder}")


@shl.command("lab", context_settings={"ignore_unknown_options": True})
@click.argument("more", nargs=-1, metavar="[OPTION]...", help="Options of JupyterLab, such as --no-browser.")
def start_lab(more: tuple[str, ...]) -> None:
    """Open the notebooks in JupyterLab: copies of them, in runs/lab/."""
    from shl_utils.notebook import lab

    lab.start(locations.root() / "lab", *more)


@shl.command("predict")
@RUN
@click.argument("note", help="Text file; .csv, .jsonl or .parquet with columns id and text; - for stdin.")
@click.option("--encoding", default="", help="Of the note's text, if not utf-8: latin-1, cp1252, utf-16, ...")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per note, without any text of it.")
@click.option("--quick", is_flag=True, help="Skip the search for the sentences that decide a code.")
@click.option("--text", is_flag=True, help="Show the sentences of a private source too, not only their positions.")
def predict(run: str, note: str, encoding: str, as_json: bool, quick: bool, text: bool) -> None:
    """Code one note, or the notes of a table, with a finished run."""
    (folder,) = _begun([run])
    from shl_utils.data import cleaning
    from shl_utils.inference import coding, render

    parameters, _ = stages.finished(folder, coding.STAGE)
    # positions of sentences refer to the plain text
    plain = {name: cleaning.plain(raw) for name, raw in _notes(note, encoding, parameters).items()}
    seen = {name: cleaning.clean(text, parameters.clean_text) for name, text in plain.items()}
    if blank := [name for name, text in seen.items() if not text.strip()]:
        more = f", and {len(blank) - 1} more" if blank[1:] else ""
        raise ValueError(f"{blank[0]}{more}: the note is blank: there is nothing to code")
    coder = coding.load(folder)
    for name, note_seen in seen.items():
        coded = coding.code(coder, note_seen, sentences=not quick)
        if as_json:
            said = {"note": name, "run": str(folder)} | render.as_dict(coded, plain[name])
            print(json.dumps(said, ensure_ascii=False))
        else:
            print(f"{name}: {render.text_of(coded, plain[name], show=text or not coder.private)}\n")
    if not as_json:
        print(render.CAUTION)


@shl.command("export")
@RUN
@TARGET
def export_models(run: str, target: Path) -> None:
    """Write a run's models, for use with transformers and peft alone."""
    from shl_utils.inference import export

    print(f"Written to {export.export(*_begun([run]), target)}")


@shl.command("fetch")
@click.argument("what", type=click.Choice([*(name for name, source in SOURCES.items() if source.fetch), "mpnet"]))
def fetch(what: str) -> None:
    """Download the open notes, or a larger encoder, into the cache."""
    from shl_utils.data import sources
    from shl_utils.encoder import mpnet

    print(f"{what}: verified, {mpnet.fetch() if what == 'mpnet' else sources.module(what).fetch()}")


def _begun(names: Sequence[str]) -> list[Path]:
    """Folders of the runs called `names`, or of all; FileNotFoundError lists the existing runs if one is missing."""
    root = locations.root()
    there = [path.parent for path in sorted(root.rglob("stages")) if "bench" not in path.relative_to(root).parts]
    known = ", ".join(str(folder.relative_to(root)) for folder in there) or f"none below {root}"
    for name in names:
        if not locations.folder_of(name).is_dir():
            raise FileNotFoundError(f"no run {name}; there are: {known}")
    if not names and not there:
        raise FileNotFoundError(f"there is no run below {root}")
    return [locations.folder_of(name) for name in names] or there


def _notes(given: str, encoding: str, parameters: Parameters) -> dict[str, str]:
    """Name to text: of standard input, of one file, or of each row of a table with the column names of the run."""
    from shl_utils.data import columns

    if given == "-":
        return {"standard input": columns.decoded(sys.stdin.buffer.read(), "standard input", encoding or "utf-8")}
    path = Path(given)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "missing"
        raise FileNotFoundError(f"{path} is {found}: give a file, or - for the input")
    if path.suffix.lower() in columns.KINDS:
        from shl_utils.data.sources import custom_table

        names = parameters.column_names
        return custom_table.texts(path, column_names=names, encoding=encoding or parameters.encoding)
    return {given: columns.decoded(path.read_bytes(), str(path), encoding or "utf-8")}


if __name__ == "__main__":
    sys.exit(main())
