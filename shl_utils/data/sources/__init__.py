"""Sources of notes and codes: one module per source, which declares itself.

A source is a function that takes the parameters and the run's folder, and returns a `RawCorpus`. Its decorator says
whether its notes are private, which parameters it needs and which it brings, and whether it can be fetched: see
`declarations.Source`. If it reads other files than those parameters name, `files(parameters)` in the module lists them.
Everything after that (splits, filter, segments, training) uses only the `RawCorpus`, so a new source is one new module.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

from shl_utils import declarations
from shl_utils.data.raw_corpus import SOURCES, RawCorpus
from shl_utils.parameters import PATHS, Parameters


def module(name: str) -> ModuleType:
    """The module of the source called `name`. ValueError if there is no such source."""
    return import_module(f".{declarations.SOURCES[name].module}", __package__)


def load(parameters: Parameters, run_folder: Path) -> RawCorpus:
    """Read the source that the parameters name. Raises what the source raises, and ValueError if there is none."""
    module(parameters.source)  # which adds it to SOURCES
    private = declarations.SOURCES[parameters.source].private
    found = SOURCES[parameters.source](parameters, run_folder)
    return replace(found, private=getattr(parameters, private) if isinstance(private, str) else private)


def files(parameters: Parameters) -> list[Path]:
    """Files that the source reads; when one changes, the run is made again.

    Some are not listed. The reports of openi are checked by digest and Reuters by counts when they are read. Generated
    notes depend on the parameters alone.
    """
    own = getattr(module(parameters.source), "files", _named)
    splits = [Path(name) for name in parameters.split_files.values() if name]
    return [path.resolve() for path in (*own(parameters), *splits)]


def _named(parameters: Parameters) -> list[Path]:
    """Paths among the parameters that the source needs or brings."""
    declared = declarations.SOURCES[parameters.source]
    found = [getattr(parameters, name) for name in declared.needs | declared.parameters if name in PATHS]
    return [Path(name) for name in found if name]
