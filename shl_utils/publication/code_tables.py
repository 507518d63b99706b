"""Tables of what there is to set and to run, from the code and the files themselves."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from shl_utils.experiments import grid
from shl_utils.parameters import STAGES, Parameters, check
from shl_utils.runs import parameter_file, provenance

PARAMS = provenance.PROJECT / "params"


def parameters() -> pd.DataFrame:
    """Every parameter: the notebook that owns it, its default, and its meaning."""
    lines = {
        name: {
            "notebook": field.json_schema_extra["stage"] or "all",
            "default": f"`{field.default!r}`",
            "meaning": field.description,
        }
        for name, field in Parameters.model_fields.items()
    }
    table = pd.DataFrame(lines).T.rename_axis("parameter")
    return table.sort_values("notebook", kind="stable", key=lambda stages: stages.map(["all", *STAGES].index))


def runs() -> pd.DataFrame:
    """Every parameter file: its source, its grids, and what its head comment says."""
    lines = {}
    for path in sorted(path for path in PARAMS.rglob("*.yaml") if path.parent != grid.FOLDER):
        values = check(parameter_file.load(path))
        used = ", ".join(filter(None, (values.grid, values.sensitivity)))
        name = path.relative_to(PARAMS).as_posix()
        lines[f"`{name}`"] = {"source": values.source, "grid": used, "what": _comment(path)}
    return pd.DataFrame(lines).T.rename_axis("file")


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
