"""What is set up outside for other programs does not reach a run, or is on record."""

import os
import subprocess
import sys

import pytest
import torch
from conftest import copy_run

from shl_utils.runs import environment_variables, provenance
from shl_utils.training import launch, variants, worker

STRANGE = {
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
    "ACCELERATE_DYNAMO_BACKEND": "EAGER",
    "ACCELERATE_MIXED_PRECISION": "bf16",
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "RANK": "0",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_SIZE": "2",
    "PET_NNODES": "3",
    "PYTHONOPTIMIZE": "1",
    "PYTHONWARNINGS": "error",
    "TORCH_COMPILE_DEBUG": "1",
    "MPLBACKEND": "nothing",
}


@pytest.fixture
def outside(monkeypatch):
    for name, value in STRANGE.items():
        monkeypatch.setenv(name, value)


def test_a_process_of_ours_sees_none_of_it(outside):
    assert not STRANGE.keys() & environment_variables.closed(os.environ).keys()
    assert environment_variables.closed(os.environ)["PATH"] == os.environ["PATH"]


def test_memory_is_kept_unless_the_user_says_otherwise(monkeypatch):
    name = "MALLOC_TRIM_THRESHOLD_"
    monkeypatch.delenv(name, raising=False)
    assert int(environment_variables.closed(os.environ)[name]) > 2**30
    assert environment_variables.closed(os.environ | {name: "0"})[name] == "0"


def test_for_a_while_this_one_sees_none_of_it_either(outside):
    before = dict(os.environ)
    with environment_variables.shut():
        assert not STRANGE.keys() & os.environ.keys()
    assert dict(os.environ) == before


@pytest.mark.parametrize("given", ["", f".{os.pathsep}"])
def test_no_module_is_taken_from_where_the_user_stands(tmp_path, given):
    for name in ("random", "duckdb", "torch"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('the wrong {name}')", encoding="utf-8")
    env = environment_variables.closed(os.environ | {"PYTHONPATH": given})
    code = "import random, duckdb, sys, shl_utils; print(shl_utils.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(environment_variables.PROJECT / "shl_utils" / "__init__.py")


def test_what_is_left_is_on_record_but_no_secret(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_abc")
    monkeypatch.setenv("HF_ENDPOINT", "https://me:word@mirror.example/x")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setenv("TORCH_API_KEY", "abc")
    monkeypatch.setenv("EDITOR", "ed")
    found = provenance.environment()
    assert found["executable"] == sys.executable
    assert found["project"] == str(environment_variables.PROJECT)
    assert found["variables"]["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert found["variables"]["HF_ENDPOINT"] == "https://mirror.example/x"
    assert not {"HF_TOKEN", "TORCH_API_KEY", "EDITOR"} & found["variables"].keys()


@pytest.mark.long
@pytest.mark.skipif(torch.cuda.is_available(), reason="compares sums that a GPU rounds in any order")
def test_training_is_the_same_whatever_accelerate_is_told_outside(small_run, tmp_path, monkeypatch):
    weights = []
    for name in ("plain", "outside"):
        folder, parameters = copy_run(small_run, tmp_path / name)
        launch.train(folder, [variants.main(parameters.model_copy(update={"parallel_models": 1, "epochs": 1}))])
        weights.append([path.read_bytes() for path in sorted(folder.glob("segments/*/*.safetensors"))])
        for variable, value in STRANGE.items():
            monkeypatch.setenv(variable, value)
    assert weights[0] == weights[1]
    assert weights[0]


def test_processes_wait_for_each_other_as_long_as_a_corpus_takes():
    accelerator = worker.accelerator_for("fp32", world=1)
    assert accelerator.init_handler.timeout.total_seconds() > 24 * 3600
