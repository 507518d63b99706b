"""Parameters: every mistake is refused with its remedy, and the notebooks agree with the one list of defaults."""

import ast
import difflib
import os
import re

import nbformat
import pytest
import torch
from conftest import PROJECT, SLIDERS
from nbclient import NotebookClient

from shl_utils import parameters
from shl_utils.parameters import STAGES, Parameters, check
from shl_utils.runs import mixed_precision, parameter_file


def write(tmp_path, text):
    path = tmp_path / "p.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eta: 0", "eta: Input should be greater than 0"),
        ("eta: -0.5", "eta: Input should be greater than 0"),
        ("source: table\ntable: x.csv\ncolumn_names: {text: 3}", "Input should be a valid string"),
        ("separator: ''", "separator: String should have at least 1 character"),
        ("seed: 10000000", "seed: Input should be less than or equal to 1000000"),
    ],
)
def test_mistakes_name_the_file_and_the_remedy(tmp_path, text, message):
    """More of them are in `faults`, through the command."""
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        parameter_file.load(path)
    assert message in str(caught.value)


def test_every_mistake_is_reported_at_once(tmp_path):
    with pytest.raises(ValueError, match=r"eta.*; .*'epoch'"):
        parameter_file.load(write(tmp_path, "epoch: 3\neta: 0"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.yaml is missing: the project's own are in params/"):
        parameter_file.load(tmp_path / "nowhere.yaml")


FILES = [path for path in (PROJECT / "params").rglob("*.yaml") if path.parent.name != "grids"]


@pytest.mark.parametrize("path", sorted(FILES), ids=lambda p: p.name)
def test_our_own_files_are_valid_and_hold_differences_only(path):
    values = parameter_file.load(path)
    defaults = Parameters().model_dump()
    assert values["run"] == "_".join(path.relative_to(PROJECT / "params").with_suffix("").parts)
    assert all(defaults[name] != value for name, value in values.items() if name != "run")


def test_a_misspelt_variable_of_a_notebook_stops_it():
    with pytest.raises(ValueError, match="unknown parameter 'los', did you mean 'loss'"):
        parameter_file.from_namespace({"run": "x", "loss": "bce", "los": "sh"})


def test_a_readers_own_variables_do_not_stop_a_second_call():
    namespace = {"run": "x", "eta": 0.5}
    parameter_file.from_namespace(namespace)
    namespace["threshold_i_like"] = 0.3
    assert parameter_file.from_namespace(namespace) == {"run": "x", "eta": 0.5}
    namespace["epochss"] = 3
    with pytest.raises(ValueError, match="did you mean 'epochs'"):
        parameter_file.from_namespace(namespace)


TAGS = {"parameters", "further-parameters"}


@pytest.mark.parametrize("stage", STAGES)
def test_notebook_cells_repeat_the_defaults_of_their_stage(stage):
    notebook = nbformat.read(PROJECT / "notebooks" / f"{stage}.ipynb", as_version=4)
    *further, cell = (c for c in notebook.cells if TAGS & {*c.metadata.get("tags", [])})
    assert "parameters" in cell.metadata["tags"], "papermill's values come after all of them"
    assert len(cell.source.splitlines()) <= 5, "what a reader would change; the rest is folded"
    assert all(c.metadata["jupyter"]["source_hidden"] for c in further)
    lines = [line for c in (*further, cell) for line in c.source.splitlines() if line != "# further parameters"]
    assigned = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse("\n".join(lines)).body}
    defaults = Parameters().model_dump()
    common = ["run", "interactive"] if stage in SLIDERS else ["run"]
    common += ["based_on"] if stage != STAGES[0] else []
    assert assigned == {name: defaults[name] for name in [*common, *parameters.owned_by(stage)]}
    assert all("#" in line for line in lines), "each parameter has a comment"


@pytest.mark.parametrize("path", sorted((PROJECT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_no_cell_reuses_a_name_that_a_second_run_of_the_first_cell_would_take_for_a_parameter(path):
    cells = nbformat.read(path, as_version=4).cells
    code = [c.source for c in cells if c.cell_type == "code" and not TAGS & {*c.metadata.get("tags", [])}]
    names = [node for source in code for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
    assigned = {node.id for node in names if isinstance(node.ctx, ast.Store)} - {"table"}  # a frame, no literal
    near = {name: difflib.get_close_matches(name, Parameters.model_fields, 1, 0.85) for name in assigned}
    assert not {name: match for name, match in near.items() if match}


def test_variables_of_a_startup_file_are_no_parameters_unless_a_cell_sets_them(tmp_path):
    """In a kernel that Jupyter starts, not we."""
    startup = tmp_path / "profile_default" / "startup" / "00.py"
    startup.parent.mkdir(parents=True)
    startup.write_text("DATA = '/data'\nloss = 'none of ours'\nseed = 3\n", encoding="utf-8")
    notebook = nbformat.v4.new_notebook()
    cells = [
        "seed = 3",
        "x = = 1",
        "from shl_utils.runs import parameter_file; parameter_file.from_namespace(globals())",
    ]
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    client = NotebookClient(notebook, allow_errors=True)
    with client.setup_kernel(env=os.environ | {"IPYTHONDIR": str(tmp_path)}):
        for i, cell in enumerate(notebook.cells):
            client.execute_cell(cell, i)
    assert notebook.cells[-1].outputs[0]["data"]["text/plain"] == "{'seed': 3}"


def test_on_two_gpus_a_loss_of_whole_batches_trains_side_by_side_or_in_one_process(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    asked = {"loss": "two_way", "precision": "fp32"}
    mixed_precision.check(check(asked | {"parallel_models": 2}))
    mixed_precision.check(check(asked | {"processes": 1}))
    with pytest.raises(ValueError, match="set `processes: 1` and `nodes: 1`"):
        mixed_precision.check(check(asked))
