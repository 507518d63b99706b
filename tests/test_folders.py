"""The folders of the package stand in an order: what a module imports lies in its own folder, or before it."""

import ast

import pytest
from conftest import PROJECT

# no folder of a floor knows another of it
FLOORS = (
    {"shl_utils.declarations", "shl_utils.hints"},
    {"shl_utils.parameters"},
    {"shl_utils.runs", "shl_utils.method"},
    {"shl_utils.data", "shl_utils.encoder"},
    {"shl_utils.training"},
    {"shl_utils.evaluation"},
    {"shl_utils.reporting"},
    {"shl_utils.experiments", "shl_utils.inference", "shl_utils.notebook"},
    {"shl_utils.publication"},
)
ABOVE = {"shl_utils.cli", "shl_utils.runner", "shl_utils.kernels", "shl_utils.console", "benchmarks"}
MOST = 13  # modules in a folder
METHOD = 700  # lines that hold the method of the paper


def modules():
    paths = [path for top in ("shl_utils", "benchmarks") for path in (PROJECT / top).rglob("*.py")]
    names = {path: ".".join(path.relative_to(PROJECT).with_suffix("").parts) for path in paths}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


MODULES = modules()


def imported(name):
    """The modules that one imports, wherever in it."""
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in MODULES or node.module in MODULES:
                    yield whole if whole in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)


def folder(name):
    """`shl_utils.data` of `shl_utils.data.sources.openi`; of a module at the top, itself."""
    top, *rest = name.split(".")
    return top if top != "shl_utils" else ".".join([top, *rest[:1]])


def floor(name):
    return next((n for n, floor in enumerate(FLOORS) if folder(name) in floor), len(FLOORS))


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_from_its_own_folder_and_from_those_before_it(name):
    others = [other for other in imported(name) if folder(other) not in (folder(name), "shl_utils")]
    wrong = [other for other in others if floor(other) >= floor(name) and floor(name) < len(FLOORS)]
    assert not wrong, f"{name} imports {', '.join(wrong)}"


def test_no_module_leads_back_to_itself():
    ends: set[str] = set()

    def follow(name, path):
        assert name not in path, " -> ".join([*path, name])
        if name not in ends:
            for other in set(imported(name)):
                follow(other, [*path, name])
            ends.add(name)

    for name in MODULES:
        follow(name, [])


def test_every_module_lies_in_a_folder_that_has_a_floor():
    assert {folder(name) for name in MODULES} - {"shl_utils"} == set().union(*FLOORS) | ABOVE


def test_no_folder_holds_more_than_a_dozen_modules_or_so():
    folders = {path.parent for path in MODULES.values()}
    held = {place.name: len([p for p in place.glob("*.py") if p.name != "__init__.py"]) for place in folders}
    assert max(held.values()) <= MOST, held


def test_the_papers_method_is_short_and_by_itself():
    paths = (PROJECT / "shl_utils" / "method").glob("*.py")
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths) <= METHOD


def test_tests_lie_as_what_they_test():
    """A folder of tests is one of the package, and a test in it is called after a module there."""
    for path in (PROJECT / "tests").rglob("*/test_*.py"):
        place = path.parent.relative_to(PROJECT / "tests")
        assert (PROJECT / "shl_utils" / place / f"{path.stem.removeprefix('test_')}.py").exists(), path
