"""Reads parameters from YAML files and from notebooks, with errors where others accept mistakes silently."""

from __future__ import annotations

import ast
import difflib
import os
import sys
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from shl_utils.parameters import PATHS, Parameters, check, unknown
from shl_utils.runs import locations


class _StrictLoader(yaml.SafeLoader):
    """YAML loader that refuses a duplicate key, of which the plain loader silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = {str(key) for key in keys if keys.count(key) > 1}
        if twice:
            raise ValueError(f"given more than once: {', '.join(sorted(twice))}; keep one of each")
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> Any:
    """Value of a YAML file; FileNotFoundError or ValueError with the file's name if it is missing or has a mistake."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"parameter file {path} is missing: the project's own are in params/")
    try:
        return yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_StrictLoader)
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8 text: save it as UTF-8") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def load(path: Path) -> dict[str, Any]:
    """Checked parameters of a file, which differ from the defaults; every error has the file's name.

    Relative paths are relative to the file's own folder, not to the working directory. ValueError without a `run`.
    """
    values = read_yaml(path)
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected lines of `name: value`")
    if not all(isinstance(name, str) for name in values):
        raise ValueError(f"{path}: a name is no text (YAML reads `no`, `on` and numbers otherwise): check the spelling")
    values = resolved(values, Path(path).resolve().parent)
    check(values, origin=str(path))
    if "run" not in values:
        raise ValueError(f"{path}: `run` is missing: name the run's folder, so that no other run is overwritten")
    return values


def resolved(values: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """`values` with relative paths made absolute from the folder `base`, so that a stamp says which file was read.

    `encoder` and `grid` may be names. `encoder` is a path if it is a folder or begins with . or ~; `grid` is one if it
    has a file suffix.
    """

    def absolute(path: Any) -> Any:
        return os.path.normpath(base / locations.expanded(path)) if isinstance(path, str) and path else path

    result = dict(values)
    for name in PATHS & values.keys():
        value = values[name]
        if isinstance(value, dict):
            result[name] = {key: absolute(path) for key, path in value.items()}
        elif not (isinstance(value, str) and _is_name(name, value, base)):
            result[name] = absolute(value)
    return result


def _is_name(parameter: str, value: str, base: Path) -> bool:
    if parameter == "encoder":
        here = value.startswith((".", "~")) or (base / value).is_dir()
        return not here or value == Parameters.model_fields["encoder"].default
    return parameter == "grid" and not Path(value).suffix


def from_namespace(namespace: dict[str, Any]) -> dict[str, Any]:
    """The parameters among a notebook's variables, as name to value; ValueError for a misspelt or invalid one.

    Papermill only warns about a parameter that no notebook knows, then runs with the default. It sets parameters as
    plain variables before any other cell. So at the first call, every plain literal must be a known name. Later calls,
    when a reader runs the cell again, refuse only near misses: other variables may be the reader's own. Variables of an
    IPython start-up file, which exist before any cell, are ignored for the same reason.
    """
    literals = {
        name: value
        for name, value in namespace.items()
        if isinstance(value, (bool, int, float, str, list, dict, type(None)))
        and not name.startswith("_")
        and name not in ("In", "Out", *_of_startup(namespace))
    }
    strangers = [name for name in literals if name not in Parameters.model_fields]
    if namespace.get("_parameters_checked"):
        strangers = [n for n in strangers if difflib.get_close_matches(n, Parameters.model_fields, 1, 0.85)]
    if strangers:
        raise ValueError("; ".join(unknown(name) for name in strangers))
    values = {name: value for name, value in literals.items() if name in Parameters.model_fields}
    check(values)
    namespace["_parameters_checked"] = True
    return values


def _of_startup(namespace: dict[str, Any]) -> set[str]:
    """Names of variables that existed before the first cell, unless a cell has set them too."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or shell.user_ns is not namespace:
        return set()
    names = [node for cell in namespace.get("In", []) for node in ast.walk(_parsed(cell)) if isinstance(node, ast.Name)]
    return set(shell.user_ns_hidden) - {node.id for node in names if isinstance(node.ctx, ast.Store)}


def _parsed(cell: str) -> ast.Module:
    try:
        return ast.parse(cell)
    except SyntaxError:  # a cell that failed
        return ast.Module([], [])
