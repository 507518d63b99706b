"""Which code a result depends on, by static analysis: a changed line outdates the results it made and no others.

A definition (function, class or constant at the top level of a module) depends on those it names, and so on.
Excluded are comments, docstrings and the modules of BOOKKEEPING, which only record results or stop impossible runs.
A registry depends on all that is added to it by decorator, and `__package__` (for import_module) names its folder.
A call on an object whose class no code names is not seen: name the class in an annotation.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import symtable
import tokenize
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, wraps
from pathlib import Path
from types import ModuleType
from typing import Any

from shl_utils.runs import storage

PACKAGE = Path(__file__).parents[1]
BENCHMARKS = "benchmarks"  # stands beside the package and measures its code
# `parameters` is here because every stamp and key holds the values; what `declarations` reads counts with the functions
BOOKKEEPING = {
    f"{PACKAGE.name}.{name}"
    for name in (
        *("parameters", "declarations", "hints", "experiments.label_check", "training.adapter_check"),
        *("runs.dependencies", "runs.locations", "runs.progress", "runs.provenance"),
        *("runs.reuse", "runs.stages", "runs.stamps", "runs.storage"),
    )
}
UNCOUNTED = {"parameters", "further-parameters", "exercise"}  # tags of excluded notebook cells
MAIN = "__main__"  # definition name of code that runs only if the module is the script
WHOLE = "*"  # definition name for all of a module
Name = tuple[str, str]  # (module, definition); definition "" is module-level code outside of definitions
Root = Callable | ModuleType | Name
Code = dict[str, str]  # file, relative to the project, to the digest of its included code


@dataclass
class _Definition:
    """lines: of its source. uses: definitions of this package that it names. files: data files in the module's folder
    that it names."""

    lines: list[str] = field(default_factory=list)
    uses: set[Name] = field(default_factory=set)
    files: set[Path] = field(default_factory=set)


@dataclass
class _Module:
    """A parsed module. parts: its definitions, by name. imported: what each imported name stands for."""

    path: Path
    parts: dict[str, _Definition] = field(default_factory=dict)
    imported: dict[str, Name] = field(default_factory=dict)


def _cached(parse: Callable) -> Callable:
    """`parse`, which takes the path of a file first, called again for the same arguments only if the file changed."""

    @lru_cache(maxsize=1024)
    def parsed(path: Path, state: tuple[int, int], *more: Any) -> Any:
        return parse(path, *more)

    @wraps(parse)
    def current(path: Path, *more: Any) -> Any:
        found = path.stat()
        return parsed(path, (found.st_mtime_ns, found.st_size), *more)

    return current


def trace(*roots: Root, without: Collection[Root] = ()) -> Code:
    """Digests of the code that `roots` (functions, classes, modules) depend on, excluding what only `without` needs."""
    return _digests(reached(*roots, without=without))


def trace_notebook(path: Path, *, original: Path | None = None) -> Code:
    """Digests of the code that a notebook depends on, including its own. original: that of which it is a copy.

    Excluded are its parameters, whose values are stamped, exercises, whose answers are the reader's, prose and outputs.
    """
    uses, own = _notebook(path)
    named = original or path
    return _digests(reached(*uses)) | {f"{named.parent.name}/{named.name}": own}


@_cached
def _notebook(path: Path) -> tuple[set[Name], str]:
    """Definitions that the code of a notebook names, and the digest of that code."""
    from IPython.core.inputtransformer2 import TransformerManager  # half a second to import

    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    code = [cell for cell in code if not UNCOUNTED & set(cell["metadata"].get("tags", []))]
    source = TransformerManager().transform_cell("\n".join("".join(cell["source"]) for cell in code))
    uses = set().union(*(part.uses for part in _parsed(source, path, path.stem).parts.values()))
    return uses, storage.short(list(filter(None, _stripped(source, ast.parse(source)))))


def changed(before: Code, now: Code) -> list[str]:
    """Sorted files whose digest differs, or that only one of the two holds."""
    return sorted(file for file in before.keys() | now.keys() if before.get(file) != now.get(file))


def definition(root: Root) -> Name:
    """Module and name of a function, class or module; of a method, those of its class."""
    if isinstance(root, tuple):
        return root
    if isinstance(root, ModuleType):
        return root.__name__, WHOLE
    return root.__module__, root.__qualname__.split(".")[0]


def _digests(parts: set[Name]) -> Code:
    """Digest per file of the definitions `parts` in it, and of each data file that they name."""
    by_file: dict[str, list[tuple[str, list[str]]]] = {}
    for module, name in sorted(parts):
        parsed = _module(module)
        by_file.setdefault(_relative(parsed.path), []).append((name, parsed.parts[name].lines))
        for file in sorted(parsed.parts[name].files):
            by_file[_relative(file)] = [(file.name, [hashlib.sha256(file.read_bytes()).hexdigest()])]
    return {file: storage.short(texts) for file, texts in by_file.items()}


def reached(*roots: Root, without: Collection[Root] = ()) -> set[Name]:
    """All definitions that `roots` depend on, directly or not, including themselves and without those of `without`.

    A module's code outside of definitions is included with any of them.
    """
    found: set[Name] = set()
    left_out = set(map(definition, without))
    ahead = [part for root in roots for part in _definitions(*definition(root))]
    while ahead:
        part = ahead.pop()
        if part in found or part in left_out:
            continue
        found.add(part)
        module = _module(part[0])
        ahead += [other for use in module.parts[part[1]].uses for other in _definitions(*use)]
        ahead += [(part[0], "")] if "" in module.parts else []
    return found


def _definitions(module: str, name: str) -> Iterator[Name]:
    """Yield where `name` of a module is defined; nothing if it is excluded or not of this package."""
    if module in BOOKKEEPING or _path(module) is None:
        return
    parsed = _module(module)
    if name == WHOLE:
        yield from ((module, one) for one in parsed.parts)
    elif name in parsed.parts:
        yield module, name
    elif name in parsed.imported:
        yield from _definitions(*parsed.imported[name])
    elif _path(f"{module}.{name}"):
        yield from _definitions(f"{module}.{name}", WHOLE)


def _path(module: str) -> Path | None:
    """File of a module of this package or of the benchmarks; None for any other."""
    top, *rest = module.split(".")
    if top not in (PACKAGE.name, BENCHMARKS):
        return None
    place = PACKAGE.parent.joinpath(top, *rest)
    return next((p for p in (place.with_suffix(".py") if rest else place, place / "__init__.py") if p.is_file()), None)


def _module(name: str) -> _Module:
    return _parsed_file(_path(name), name)


@_cached
def _parsed_file(path: Path, name: str) -> _Module:
    return _parsed(path.read_text(encoding="utf-8"), path, name)


def _parsed(source: str, path: Path, own: str) -> _Module:
    tree, tables = ast.parse(source), symtable.symtable(source, str(path), "exec").get_children()
    lines = _stripped(source, tree)
    module = _Module(path, imported=_imports(tree.body))
    for node in tree.body:
        for name in _bound(node):
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            part = module.parts.setdefault(name, _Definition())
            part.lines += filter(None, lines[first - 1 : node.end_lineno])
    for node in tree.body:
        inner = [table for table in tables if table.get_lineno() == node.lineno]
        uses, files = _uses(node, inner, module, own)
        for name in _bound(node):
            module.parts[name].uses |= uses
            module.parts[name].files |= files
        for registry in _registries(node) & module.parts.keys():
            module.parts[registry].uses.add((own, node.name))
    return module


def _registries(node: ast.stmt) -> set[str]:
    """Names of the objects whose method decorates a function, as in `@RULES.add()`."""
    calls = [part.func for part in getattr(node, "decorator_list", ()) if isinstance(part, ast.Call)]
    return {f.value.id for f in calls if isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name)}


def _bound(node: ast.stmt) -> list[str]:
    """Names that a top-level statement defines: "" or MAIN if it defines none; nothing for imports and docstrings."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return []
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return []
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        names = [part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]
        return names or [""]  # as in `found[name] = value`
    return [MAIN if isinstance(node, ast.If) and MAIN in ast.unparse(node.test) else ""]


def _imports(nodes: Iterable[ast.AST]) -> dict[str, Name]:
    """Imported name to (module, name), or to (module, WHOLE) for a module itself."""
    found: dict[str, Name] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.asname: (alias.name, WHOLE) for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                whole = _path(inner) is not None
                found[alias.asname or alias.name] = (inner, WHOLE) if whole else (node.module, alias.name)
    return found


def _uses(node: ast.stmt, tables: list, module: _Module, own: str) -> tuple[set[Name], set[Path]]:
    """Definitions of this package, and files in the module's folder, that a statement names."""
    parts = list(ast.walk(node))
    known = module.imported | _imports(parts)
    shadowed = _stored(parts) - set().union(*map(_globals, tables)) if tables else set()
    owners = {part.value: part.attr for part in parts if isinstance(part, ast.Attribute)}
    uses: set[Name] = set()
    for part in parts:
        if isinstance(part, ast.Name) and part.id not in shadowed:
            targets = [known[part.id]] if part.id in known else []
            targets += [(own, part.id)] if part.id in module.parts else []
            uses |= {(to, owners[part]) if name == WHOLE and part in owners else (to, name) for to, name in targets}
            if part.id == "__package__":
                package = own if module.path.stem == "__init__" else own.rpartition(".")[0]
                uses |= {(f"{package}.{path.stem}", WHOLE) for path in module.path.parent.glob("[!_]*.py")}
    words = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    uses |= {(word, WHOLE) for word in words if word.startswith(f"{PACKAGE.name}.") and _path(word)}  # python -m
    beside = [module.path.parent / word for word in words if 0 < len(word) < 100 and "\n" not in word]
    return uses, {path for path in beside if path.suffix and path.is_file() and PACKAGE in path.parents}


def _stored(parts: list[ast.AST]) -> set[str]:
    """Names that a function binds: its arguments and the variables it assigns."""
    names = {part.arg for part in parts if isinstance(part, ast.arg)}
    return names | {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def _globals(table: symtable.SymbolTable) -> set[str]:
    """Names that a function, or one nested in it, reads from its module."""
    own = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
    return own.union(*map(_globals, table.get_children()))


def _stripped(source: str, tree: ast.AST) -> list[str]:
    """The source's lines without comments and docstrings, empty where removed; docstrings leave `tree` too."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(tree):
        documented = isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        if documented and ast.get_docstring(node, clean=False) is not None:
            text = node.body.pop(0)
            lines[text.lineno - 1 : text.end_lineno] = [""] * (text.end_lineno - text.lineno + 1)
    return [line.rstrip() for line in lines]


def _relative(path: Path) -> str:
    return path.relative_to(PACKAGE.parent).as_posix() if PACKAGE.parent in path.parents else path.name
