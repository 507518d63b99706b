"""Shared by the tests: small runs on real reports, `shl` as a command, and the order of the tests."""

import dataclasses
import json
import os
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from unittest import mock

import hypothesis
import pytest
from filelock import FileLock
from nbformat.v4 import new_markdown_cell, new_notebook

if "PYTEST_XDIST_WORKER" in os.environ:  # those side by side share the cores; said before torch is imported
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(share, 1)))

from shl_utils import cli
from shl_utils.data import corpus, sources
from shl_utils.method import label_filter
from shl_utils.parameters import check
from shl_utils.publication import results_file
from shl_utils.runs import storage
from shl_utils.training import similarities, variants

hypothesis.settings.register_profile("busy", deadline=None)  # 200 ms are soon over where others are at work
hypothesis.settings.load_profile("busy")

PROJECT = Path(__file__).parents[1]
LACKING = os.pathsep.join([str(Path(__file__).with_name("as_on_windows")), str(PROJECT)])  # see sitecustomize.py there
SLIDERS = ("00_imbalance", "01_filter", "02_segment", "03_train", "06_cost")  # the notebooks that have some
PRIMER = partial(new_notebook, cells=[new_markdown_cell("# Primer\n\n**Question.** What?")])  # in place of the long one
SETTINGS = {
    "depth": 1,
    "min_notes": 4,
    "max_tokens": 48,
    "chunk_tokens": 32,
    "lora_layers": 1,
    "epochs": 2,
    "min_steps": 0,
    "precision": "fp32",
}


def shl(*words, **variables):
    command = [sys.executable, "-P", "-m", "shl_utils.cli", *map(str, words)]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)


@pytest.fixture
def command(capsys):
    """`shl` within this process, which has torch already: a start takes seconds."""

    def shl_here(*words, **variables):
        with mock.patch.dict(os.environ, variables):
            code = cli.main([str(word) for word in words])
        said = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, said.out, said.err)

    return shl_here


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """A finished run of params/smoke.yaml, in a folder whose name has a space; what the command said.

    All workers share it, so no test writes to it: copy it first.
    """
    place = tmp_path_factory.getbasetemp()
    root = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "runs of tests"
    with FileLock(f"{root}.lock"):
        said = root / "said.json"
        if not said.exists():
            done = shl("run", PROJECT / "params" / "smoke.yaml", SHL_RUNS=str(root))
            assert done.returncode == 0, done.stderr
            said.write_text(json.dumps([done.stdout, done.stderr]), encoding="utf-8")
    return root / "smoke", subprocess.CompletedProcess([], 0, *json.loads(said.read_text(encoding="utf-8")))


@pytest.fixture
def results_folder(tmp_path, monkeypatch):
    """A folder of results with one file of steps, called bench."""
    monkeypatch.setattr(results_file, "FOLDER", tmp_path / "results")
    (tmp_path / "results").mkdir()
    line = {"what": "steps of 4", "precision": "fp32", "notes_per_second": 12.6, "flops_per_note": 1e9, "share": 0.5}
    (tmp_path / "results" / "bench.json").write_text(json.dumps({"steps": [line]}))
    return tmp_path / "results"


@pytest.fixture
def published(smoke, results_folder, monkeypatch):
    """The contents of what `shl publish` writes of the smoke run."""
    monkeypatch.setenv("SHL_RUNS", str(smoke[0].parent))
    assert cli.main(["publish", "small", str(PROJECT / "params" / "smoke.yaml")]) == 0
    return json.loads((results_folder / "small.json").read_text())


def pytest_collection_modifyitems(items):
    """Long tests last; where workers share the files, those with most of them first."""
    long = [item for item in items if item.get_closest_marker("long")]
    if "PYTEST_XDIST_WORKER" in os.environ:
        n = Counter(item.path for item in long)
        items.sort(key=lambda item: -n[item.path])
    else:
        items.sort(key=long.__contains__)


@pytest.fixture(scope="session")
def open_data():
    """Folder of open corpora that are not the project's to ship: $SHL_TEST_DATA, or shared/data beside the project."""
    folder = Path(os.environ.get("SHL_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: set SHL_TEST_DATA to the folder that holds codiesp/ and nltk_data/")
    return folder


def copy_run(small_run, target):
    """A run folder of its own with the same corpus, labels and segments, and its parameters."""
    source, parameters = small_run
    target.mkdir(exist_ok=True)
    for name in ("corpus.parquet", "codes.parquet", "filter.parquet", "segments.parquet", "parameters.json"):
        (target / name).write_bytes((source / name).read_bytes())
    return target, parameters.model_copy(update={"run": str(target)})


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """Folder and parameters of a run on 400 real reports, ready for training, in three segments or so."""
    folder = tmp_path_factory.mktemp("small")
    parameters = check({"run": str(folder)} | SETTINGS)
    source = sources.load(parameters, folder)
    source = dataclasses.replace(source, notes=source.notes.iloc[:400].reset_index(drop=True))
    notes, _ = corpus.build(source, parameters)
    corpus.write(notes, folder)
    similarity, *_ = similarities.kept(folder, notes, parameters)
    table, _ = label_filter.apply(similarity, notes.split, parameters)
    similarities.write(table, notes, folder / "filter.parquet")
    main = variants.main(parameters)
    variants.write_segments(folder, notes, [main])
    storage.write_json(folder / "parameters.json", parameters.model_dump())
    return folder, parameters
