"""A changed line outdates what it made: exactly the right stages run again, exactly the right models are trained."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from conftest import PROJECT

from shl_utils import declarations
from shl_utils.data import corpus, sources
from shl_utils.encoder import feature_cache
from shl_utils.evaluation import label_metrics, resampling
from shl_utils.experiments import ablation
from shl_utils.method import loss_factory, thresholds
from shl_utils.method.losses import LOSSES
from shl_utils.parameters import STAGES, Parameters, _of, check, training_parameters
from shl_utils.runs import dependencies, stamps
from shl_utils.training import jobs, variants

FOCAL, SH = "segments, sh_focal, filter", "segments, sh, no filter"
BCE = {"one model, bce, no filter", "segments, bce, no filter"}
MODELS = {FOCAL, SH, *BCE}
# file, a line of it, the same otherwise, the stages whose own code that is, the models that depend on it
CHANGES = [
    ("method/segmentation", "    start, name = 0, 0", "    start, name = 0, 1 - 1", {"02", "03", "05"}, set()),
    ("method/harmonic_weights", "ratios[ratios > 0]", "ratios[ratios > 0.0]", {"03", "05"}, {FOCAL, SH}),
    ("method/losses", "_average(-_log_q(logits", "_average(-1 * _log_q(logits", {"03", "05"}, BCE | {SH}),
    ("method/losses", "    return _average(_focused(", "    return 1 * _average(_focused(", {"03", "05"}, {FOCAL}),
    ("method/losses", "_average(losses.unsqueeze(1)", "_average(1 * losses.unsqueeze(1)", {"03", "05"}, set()),
    ("method/label_filter", "= split[table[", "= 1 * split[table[", {"01", "02", "03", "04", "05"}, set()),
    ("evaluation/linear_baseline", "sublinear_tf=True", "sublinear_tf=False", {"04"}, set()),
    ("evaluation/label_metrics", "    return _ratio(2 *", "    return _ratio(2.0 *", {"00", "04", "05", "08"}, set()),
    ("encoder/tokens", "texts = list(texts)", "texts = [*texts]", {"01", "03", "04", "05", "08"}, MODELS),
    ("reporting/plots", '"The best epoch is kept"', '"Kept: the best epoch"', {"03"}, set()),
    ("runs/progress", "EVERY = 0.3", "EVERY = 0.2", set(), set()),
    ("method/harmonic_weights", "ratios[ratios > 0]", "ratios[ratios > 0]  # of each", set(), set()),
]
BEFORE = "a stage before it is not as it was"


def project_with(place, file, old, new):
    """A copy of what runs, one file changed in one place."""
    for name in ("shl_utils", "notebooks", "params"):
        shutil.copytree(PROJECT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    text = (place / file).read_text(encoding="utf-8")
    assert old in text, f"{file} has no {old!r} any more: choose another line"
    (place / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    return place


@pytest.fixture
def changed(tmp_path, monkeypatch):
    """Makes digests those of a copy of the project with one change."""

    def make(*change):
        place = project_with(tmp_path, *change)
        monkeypatch.setattr(dependencies, "PACKAGE", place / "shl_utils")
        monkeypatch.setattr(stamps, "NOTEBOOKS", place / "notebooks")
        jobs._code.cache_clear()

    yield make
    monkeypatch.undo()
    jobs._code.cache_clear()


@pytest.mark.parametrize(("module", "old", "new", "outdated", "models"), CHANGES)
def test_a_changed_line_outdates_exactly_what_it_made(smoke, changed, module, old, new, outdated, models):
    folder = smoke[0]
    changed(f"shl_utils/{module}.py", old, new)
    found = {name[:2]: state.why for name, state in stamps.states(folder).items() if not state.done}
    own = {stage: why for stage, why in found.items() if why != BEFORE}
    assert own == {stage: f"shl_utils/{module}.py changed" for stage in outdated}
    first = min(outdated, default="99")
    assert set(found) == {name[:2] for name in STAGES if name[:2] >= first}
    parameters = check(json.loads((folder / "provenance.json").read_text())["parameters"] | {"run": str(folder)})
    wanted = variants.compared(parameters) + ablation.models(ablation.experiments(parameters.grid, parameters))
    due = {plan.variant.name for plan in jobs.plan(folder, wanted, corpus.read(folder)) if plan.missing()}
    assert due == models


@pytest.mark.long
def test_a_new_title_runs_one_notebook_and_trains_nothing(smoke, tmp_path):
    title = "The best epoch is kept", "Kept: the best epoch"
    place = project_with(tmp_path / "changed", "shl_utils/reporting/plots.py", *title)
    shutil.copytree(smoke[0], tmp_path / "runs" / "smoke")
    weights = [p for p in (tmp_path / "runs").rglob("*.safetensors") if "segments" in p.parts]
    before = {path: path.stat().st_mtime_ns for path in weights}
    env = os.environ | {"PYTHONPATH": str(place), "SHL_RUNS": str(tmp_path / "runs")}
    command = [sys.executable, "-m", "shl_utils.cli"]
    status = subprocess.run([*command, "status"], cwd=place, env=env, capture_output=True, text=True)
    assert "smoke: 03_train: outdated (shl_utils/reporting/plots.py changed)" in status.stdout
    file = str(PROJECT / "params" / "smoke.yaml")
    done = subprocess.run([*command, "run", file], cwd=place, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "03_train: running (outdated (shl_utils/reporting/plots.py changed))" in done.stdout
    assert [line.split(":")[0] for line in done.stdout.splitlines() if ": running" in line] == ["03_train"]
    assert {path: path.stat().st_mtime_ns for path in weights} == before


@pytest.mark.parametrize(
    ("user", "registry", "folder"),
    [
        (loss_factory.fitted, declarations.LOSSES, "shl_utils.method"),
        (thresholds.choose, declarations.RULES, "shl_utils.method"),
        (sources.load, declarations.SOURCES, "shl_utils.data.sources"),
        (sources.files, declarations.SOURCES, "shl_utils.data.sources"),
    ],
)
def test_who_looks_in_a_registry_depends_on_all_that_is_in_it(user, registry, folder):
    found = {(f"{folder}.{entry.module}", entry.function) for entry in registry.values()}
    assert found <= dependencies.reached(user)


def test_what_a_loss_takes_counts_for_it_alone():
    assert jobs._code("bce", "prior") != jobs._code("bce", "label_embedding")


@pytest.mark.parametrize(
    ("line", "users"),
    [
        ("    return _average(-_log_q(", {"bce", "sh"}),
        ("    return _average(_focused(", {"focal", "sh_focal"}),
        ("    return _average(-scale *", {"weighted_bce"}),
        ("    return 0.1 + torch.sigmoid(", {"r_bce", "distribution_balanced"}),
        ("    return (losses.sum(", set(LOSSES) - {"two_way"}),
    ],
)
def test_a_changed_loss_trains_those_that_use_it(changed, line, users):
    before = {loss: jobs._code(loss, "prior") for loss in LOSSES}
    changed("shl_utils/method/losses.py", line, line.replace("return ", "return 1 * "))
    assert {loss for loss in LOSSES if jobs._code(loss, "prior") != before[loss]} == users


def test_what_is_put_into_a_table_counts():
    reached = dependencies.reached(*dependencies._notebook(PROJECT / "notebooks" / "04_evaluate.ipynb")[0])
    assert ("shl_utils.evaluation.linear_baseline", "tfidf_logistic") in reached
    assert ("shl_utils.evaluation.linear_baseline", "_probabilities") in reached


def code_cells(path):
    """Text and tags of the code cells of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    return [("".join(cell["source"]), {*cell["metadata"].get("tags", [])}) for cell in code]


@pytest.mark.parametrize("stage", STAGES)
def test_all_that_a_notebook_names_counts(stage):
    path = PROJECT / "notebooks" / f"{stage}.ipynb"
    code = [text for text, tags in code_cells(path) if not dependencies.UNCOUNTED & tags]
    tree = dependencies.ast.parse("\n".join(code))
    known = dependencies._imports(tree.body)
    named = {
        (known[node.value.id][0], node.attr)
        for node in dependencies.ast.walk(tree)
        if isinstance(node, dependencies.ast.Attribute) and isinstance(node.value, dependencies.ast.Name)
        if node.value.id in known and known[node.value.id][0].startswith("shl_utils.")
    }
    asked = {part for name in named for part in dependencies._definitions(*name)}
    assert asked
    assert asked <= dependencies.reached(*dependencies._notebook(path)[0])


def test_the_package_imports_in_ways_that_are_understood():
    for path in dependencies.PACKAGE.rglob("*.py"):
        tree = dependencies.ast.parse(path.read_text(encoding="utf-8"))
        for node in dependencies.ast.walk(tree):
            if isinstance(node, dependencies.ast.ImportFrom):
                assert node.level == 0, f"{path}: from . import"
            if isinstance(node, dependencies.ast.Import):
                ours = [alias for alias in node.names if alias.name.startswith("shl_utils")]
                assert all(alias.asname for alias in ours), f"{path}: import shl_utils.x without a name"


def test_a_changed_tokenizer_encodes_anew(changed, small_run):
    folder, parameters = small_run
    texts = corpus.read(folder).notes["text"]
    states = feature_cache.path_of(folder, parameters)

    def made():
        feature_cache.FeatureCache(folder, texts).features(parameters)
        return states.stat().st_mtime_ns

    first = made()
    assert made() == first
    changed("shl_utils/encoder/tokens.py", "texts = list(texts)", "texts = [*texts]")
    assert made() > first


def test_a_definition_leads_to_those_that_it_names():
    reached = {name for module, name in dependencies.reached(("shl_utils.evaluation.label_metrics", "scores"))}
    assert {"scores", "f1", "_ratio"} <= reached
    assert "bootstrap" not in reached
    found = dependencies.trace(label_metrics.scores)
    assert list(found) == ["shl_utils/evaluation/label_metrics.py"]
    assert found != dependencies.trace(resampling.bootstrap)


def test_comments_docstrings_and_blank_lines_do_not_count():
    first = 'def f():\n    """What it does."""\n    return 1  # one\n'
    second = "# ours\ndef f():\n\n    return 1\n"
    parsed = [dependencies._parsed(text, dependencies.PACKAGE / "x.py", "shl_utils.x") for text in (first, second)]
    assert [module.parts["f"].lines for module in parsed] == [["def f():", "    return 1"]] * 2
    assert set(parsed[0].parts) == set(parsed[1].parts) == {"f"}


def test_a_word_in_a_docstring_is_no_use():
    """Neither the name of a module that is started, nor that of a file beside it."""
    words = {"shl_utils.training.worker", "__init__.py"}
    for text in (f'def f():\n    """{word}"""\n    return {value!r}\n' for word in words for value in (None, word)):
        module = dependencies._parsed(text, dependencies.PACKAGE / "x.py", "shl_utils.x")
        assert bool(module.parts["f"].uses or module.parts["f"].files) == ("None" not in text)


def test_a_value_of_its_own_is_no_module():
    text = "from shl_utils.evaluation import label_metrics\nfrom shl_utils.method import losses\n\n"
    text += "def f(losses):\n    return losses.bce, label_metrics.scores\n"
    module = dependencies._parsed(text, dependencies.PACKAGE / "x.py", "shl_utils.x")
    assert module.parts["f"].uses == {("shl_utils.evaluation.label_metrics", "scores")}


def test_files_beside_a_module_and_modules_started_by_name_count():
    style = dependencies._module("shl_utils.notebook.style").parts
    assert dependencies.PACKAGE / "notebook" / "shl.mplstyle" in style["FILE"].files
    assert ("shl_utils.notebook.style", "FILE") in style["setup_notebook"].uses
    assert ("shl_utils.training.worker", "*") in dependencies._module("shl_utils.training.launch").parts["join"].uses


def test_answers_prose_and_parameters_of_a_notebook_do_not_count(tmp_path):
    def code(*cells):
        path = tmp_path / "n.ipynb"
        path.write_text(json.dumps({"cells": [dict(zip(("cell_type", "metadata", "source"), c)) for c in cells]}))
        return dependencies.trace_notebook(path)

    own = (
        "code",
        {},
        "%matplotlib inline\nfrom shl_utils.evaluation import label_metrics as metrics\nmetrics.scores(a, b)\n",
    )
    base = code(own)
    assert {f"{tmp_path.name}/n.ipynb", "shl_utils/evaluation/label_metrics.py"} == set(base)
    exercise, parameters = {"tags": ["exercise"]}, {"tags": ["parameters"]}
    assert code(own, ("code", exercise, "guess = "), ("code", parameters, "eta = 1"), ("markdown", {}, "Why?")) == base
    assert code(own, ("code", {}, "1 + 1")) != base


def test_every_exercise_is_tagged_and_nothing_depends_on_its_answer():
    for stage in STAGES:
        cells = code_cells(PROJECT / "notebooks" / f"{stage}.ipynb")
        assert [text for text, tags in cells if "exercise" in tags] == [t for t, _ in cells if "exercises." in t]
        answers = {name for text, tags in cells if "exercise" in tags for name in stored(text)}
        for text in (text for text, tags in cells if "exercise" not in tags):
            assert not answers & (loaded(text) - stored(text))


def stored(source):
    return dependencies._stored(list(dependencies.ast.walk(dependencies.ast.parse(source))))


def loaded(source):
    ast = dependencies.ast
    nodes = ast.walk(ast.parse(source))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def test_a_new_parameter_of_training_counts_without_a_list():
    class More(Parameters):
        damping: float = _of("03_train", 0.0, "a parameter that is added one day")
        shown: int = _of("04_evaluate", 1, "one of another stage")

    def key(**changes):
        labels = jobs.sparse.csr_array((2, 2))
        return jobs._key(More(**changes), "corpus", labels, jobs.np.zeros(2), "")

    assert "damping" in training_parameters(More())
    assert key() != key(damping=0.5)
    assert key() == key(shown=2)
    assert key() == key(processes=2)
