"""Tables of what there is to set and to run, from the code and the files themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
import pandas as pd

from shl_utils.experiments import grid
from shl_utils.parameters import STAGES, Parameters, check
from shl_utils.publication import results_file
from shl_utils.runs import parameter_file, provenance
from shl_utils.runs.locations import outside

PARAMS = provenance.PROJECT / "params"


def commands() -> pd.DataFrame:
    """Every command of the program that is running, `shl`: its arguments and options, and what it does."""
    context = click.get_current_context().find_root()
    lines = {}
    for name, command in context.command.commands.items():
        below = click.Context(command, info_name=name, parent=context)
        words = [word for word in command.collect_usage_pieces(below) if word != "[OPTIONS]"]
        options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
        asked = [f"`{option.opts[0]}`: {option.help}" for option in options]
        about = {"what it does": " ".join(command.help.split()), "options": " ".join(asked)}
        lines[f"`{' '.join(['shl', name, *words])}`"] = about
    return pd.DataFrame(lines).T.rename_axis("command")


def parameters() -> pd.DataFrame:
    """Every parameter: the notebook that owns it, its default, its meaning, and its values where they are a list."""
    lines = {
        name: {
            "notebook": field.json_schema_extra["stage"] or "all",
            "default": f"`{field.default!r}`",
            "meaning": field.description + _choices(field.annotation),
        }
        for name, field in Parameters.model_fields.items()
    }
    table = pd.DataFrame(lines).T.rename_axis("parameter")
    return table.sort_values("notebook", kind="stable", key=lambda stages: stages.map(["all", *STAGES].index))


def _choices(kind: Any) -> str:
    """The values of a parameter that has a list of them, as text."""
    kind = get_args(kind)[0] if get_origin(kind) in (list, dict) else kind
    return f" ({', '.join(f'`{value}`' for value in get_args(kind))})" if get_origin(kind) is Literal else ""


def runs() -> pd.DataFrame:
    """Every parameter file: its source and grid; rows and seeds of its ablation; minutes and file of what was
    published of it; and what its head comment says."""
    published, lines = _published(), {}
    for path in sorted(path for path in PARAMS.rglob("*.yaml") if path.parent != grid.FOLDER):
        values = check(parameter_file.load(path))
        rows = list(grid.combinations(values.grid, values))
        seeds = [len(row.seeds) for row in rows]
        lines[f"`{path.relative_to(PARAMS).as_posix()}`"] = {
            "source": values.source,
            "grid": values.grid,
            "rows": len(rows),
            "seeds": " to ".join(map(str, sorted({min(seeds), max(seeds)}))),
            **published.get(outside(path), {"minutes": "", "published": ""}),
            "what": _comment(path),
        }
    return pd.DataFrame(lines).T.rename_axis("file")


def _published() -> dict[str, dict[str, str]]:
    """Minutes of `00` to `05`, and the name in `results/`, by parameter file."""
    return {
        run["file"]: {
            "minutes": f"{results_file.seconds(run) / 60:.0f}",
            "published": path.stem,
        }
        for path, run in results_file.published()
    }


def grids() -> pd.DataFrame:
    """Every grid, and what its head comment says."""
    lines = {f"`{path.stem}`": {"what": _comment(path)} for path in sorted(grid.FOLDER.glob("*.yaml"))}
    return pd.DataFrame(lines).T.rename_axis("grid")


def _comment(path: Path) -> str:
    """The comment that a file begins with, as one line."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)
