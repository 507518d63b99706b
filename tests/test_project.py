"""The project's own files: one list of dependencies, pins for all of it, notebooks without outputs or code."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

import shl_utils

PROJECT = Path(__file__).parent.parent
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


def requirements():
    extra = [r for group in PYPROJECT["optional-dependencies"].values() for r in group]
    return [Requirement(r) for r in PYPROJECT["dependencies"] + extra if not r.startswith("shl[")]


def test_every_dependency_is_pinned_within_its_bounds():
    lines = (PROJECT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pins = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins.items()}
    assert pins["torch"] == "2.13.0", "a local build such as +cpu is not on the public index"
    for requirement in requirements():
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        assert requirement.specifier.contains(pins[name]), requirement


def test_environment_yml_is_built_on_pyproject():
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert conda == [f"python{PYPROJECT['requires-python']}", "pip"]
    assert pip == {"pip": ["-c constraints.txt", "-e .[test]"]}
    assert "test" in PYPROJECT["optional-dependencies"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_tell_and_the_package_does(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata["kernelspec"]["name"] == "python3", "papermill needs a kernel name"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
            folded = cell.metadata.get("jupyter", {}).get("source_hidden")
            assert folded or len(cell.source.splitlines()) <= 8, "a reader sees short cells"
            nodes = list(ast.walk(ast.parse(cell.source)))
            assert not [n for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef, ast.While))]
    opening = notebook.cells[0].source  # a question opens it, and checks close it
    for part in ("**Question.**", "| Reads |", "| Writes |", "| Takes |"):
        assert part in opening
    assert any(cell.source == "## Checks" for cell in notebook.cells)
    assert any("assert " in cell.source for cell in notebook.cells)


def test_what_is_cited_is_this_version():
    cited = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == shl_utils.__version__
    assert f"\n## {shl_utils.__version__}" in (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_no_placeholder_is_left():
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    names = {"CHANGELOG", "CITATION"}
    assert set(re.findall(r"\b[A-Z]{6,}\b", readme)) <= names, "words that stand for a figure"
    for path in [PROJECT / "README.md", *NOTEBOOKS]:
        assert not re.search(r"\b(RESULTS|MINUTES|TODO|FIXME|NNN)\b", path.read_text(encoding="utf-8")), path


PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_what_a_page_points_to_is_there(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            file, _, heading = target.partition("#")
            path = page.parent / file
            assert path.exists(), target
            if not heading:
                continue
            heads = [re.sub(r"[^\w -]", "", line.lstrip("# ")).lower() for line in path.read_text().splitlines()[:999]]
            assert heading in [head.replace(" ", "-") for head in heads], target


def test_the_pages_are_a_site_that_needs_no_network_and_has_no_broken_link(tmp_path):
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--conf-dir", "docs", ".", tmp_path]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = [page for page in tmp_path.rglob("*.html") if "_static" not in page.parts]
    assert len(pages) > len(PAGES)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"""<(?:script|link|img)[^>]+(?:src|href)=["'](?:https?:)?//""", text), page
        for target in re.findall(r"""(?:href|src)=["']([^"'#?]+)""", text):
            if not re.match(r"[a-z]+:", target):
                assert (page.parent / unquote(target)).exists(), f"{page.name}: {target}"


def test_the_front_page_is_short_and_leads_to_every_other():
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 180
    assert [page.name for page in PAGES[1:] if page.relative_to(PROJECT).as_posix() not in text] == []


def test_notebooks_are_stripped():
    command = [sys.executable, "-m", "nbstripout", "--verify", *map(str, NOTEBOOKS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
