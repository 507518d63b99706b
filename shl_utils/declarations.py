"""What every loss, threshold rule and source says of itself, in the arguments of one decorator.

A `Registry` collects functions, each by `@REGISTRY.add(...)` where it is defined. What the list of parameters needs of
them (names, parameters of their own, open or private) is read here from the text of their modules, which are not
imported: the losses would bring torch, and every command would wait for it. So these arguments are literals.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Registry(dict[str, Any]):
    """Entries by name, in their order of definition; ValueError, with all names, for a name that is not there."""

    def __init__(self, kind: str, entries: Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__(entries)
        self.kind = kind

    def add(self, name: str = "", **declared: Any) -> Callable[[Callable], Callable]:
        """Decorator that adds a function, under its own name unless given one. declared: its declaration, as below."""

        def added(function: Callable) -> Callable:
            self[name or function.__name__] = function
            return function

        return added

    def __missing__(self, name: str) -> Any:
        raise ValueError(f"{self.kind} {name!r} is unknown: use one of {', '.join(self)}")


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """function, module: its name and where it is. takes: its keyword-only arguments without a default.

    parameters: those that it adds to a run's: {name: (default, meaning)}, or with limits, as `parameters` reads them.
    """

    function: str
    module: str
    takes: tuple[str, ...]
    parameters: dict[str, tuple] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Loss(Declaration):
    """harmonic: negative notes have harmonic weights. whole_batch: it compares notes, so no batch may be divided."""

    harmonic: bool = False
    whole_batch: bool = False

    @property
    def derived(self) -> list[str]:
        """What it takes of the training labels."""
        return [name for name in self.takes if name in DERIVED]

    @property
    def uses(self) -> set[str]:
        """Parameters of a run that have an effect on it, also by way of what is derived."""
        taken = {*self.takes, *(name for part in self.derived for name in DERIVED[part].takes)}
        return taken.difference(self.derived).union({"beta"} if self.harmonic else ())


@dataclass(frozen=True, kw_only=True)
class Derived(Declaration):
    """label: what tables call it."""

    label: str


@dataclass(frozen=True, kw_only=True)
class Source(Declaration):
    """private: its notes may have to stay unseen, or the parameter that says so. needs: parameters without which it is
    not found, with what they are.

    fetch: its module has a function `fetch`, which downloads it, verifies it and returns where it is.
    """

    private: bool | str
    needs: dict[str, str] = field(default_factory=dict)
    fetch: bool = False


def _read(kind: str, declaration: type[Declaration], name: str, place: str) -> Registry:
    """The declarations of all that is decorated with `@name.add(...)` in a module, or in the modules of a folder."""
    path = Path(__file__).parent / place
    files = sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return Registry(kind, (found for file in files for found in _in_file(declaration, f"{name}.add", file)))


def _in_file(declaration: type[Declaration], decorator: str, file: Path) -> Iterator[tuple[str, Declaration]]:
    text = file.read_text(encoding="utf-8")
    functions = (
        [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)] if decorator in text else []
    )
    for function in functions:
        for call in function.decorator_list:
            if isinstance(call, ast.Call) and ast.unparse(call.func) == decorator:
                arguments = zip(function.args.kwonlyargs, function.args.kw_defaults)
                takes = tuple(argument.arg for argument, default in arguments if default is None)
                try:
                    declared = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
                    name = ast.literal_eval(call.args[0]) if call.args else function.name
                    yield name, declaration(function=function.name, module=file.stem, takes=takes, **declared)
                except (TypeError, ValueError) as error:
                    raise ValueError(
                        f"{file}, line {call.lineno}: give `@{decorator}` literals, by the names that "
                        f"`declarations.{declaration.__name__}` has: {error}"
                    ) from None


# a declaration counts as code with its function; a file that is named in full would count as a whole, as data
LOSSES = _read("loss", Loss, "LOSSES", "method/losses")
DERIVED = _read("derived value", Derived, "DERIVED", "method/loss_factory")
RULES = _read("threshold rule", Declaration, "RULES", "method/thresholds")
SOURCES = _read("source", Source, "SOURCES", "data/sources")
