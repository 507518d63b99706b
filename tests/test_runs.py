"""Run folders: a stage stops when what it builds upon is missing, older, or of other parameters."""

import json
import os
import shutil
import time

import pytest
import torch

from shl_utils import runs
from shl_utils.parameters import check


def stage(name, folder, **values):
    run = runs.begin(name, {"run": str(folder)} | values)
    run.path(f"{name}.txt").write_text(json.dumps(values))
    return run.finish(f"{name}.txt")


def test_a_missing_stage_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no finished 00_imbalance: run 00_imbalance first"):
        stage("01_filter", tmp_path / "a b")


def test_a_missing_file_is_named(tmp_path):
    stage("00_imbalance", tmp_path)
    (tmp_path / "00_imbalance.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"00_imbalance.txt is missing: run 00_imbalance first"):
        stage("01_filter", tmp_path)


def test_later_stages_inherit_earlier_parameters(tmp_path):
    stage("00_imbalance", tmp_path, depth=2)
    stage("01_filter", tmp_path)
    assert runs.begin("02_segment", {"run": str(tmp_path)}).parameters.depth == 2


def test_a_run_of_other_parameters_is_refused(tmp_path):
    stage("00_imbalance", tmp_path, depth=2)
    with pytest.raises(ValueError, match=r"made with depth=2 \(asked: 1\); run 00_imbalance again, or give `run`"):
        stage("01_filter", tmp_path, depth=1)


def test_a_stage_made_again_outdates_those_behind_it(tmp_path):
    stage("00_imbalance", tmp_path)
    stage("01_filter", tmp_path)
    stage("00_imbalance", tmp_path, seed=1)
    with pytest.raises(ValueError, match=r"01_filter .* earlier state of the run: run 01_filter again"):
        stage("02_segment", tmp_path)


def test_is_done_knows_parameters_files_and_interruptions(tmp_path):
    asked = check({"run": str(tmp_path), "depth": 2})
    assert not runs.is_done("00_imbalance", asked)
    stage("00_imbalance", tmp_path, depth=2)
    assert runs.is_done("00_imbalance", asked)
    assert not runs.is_done("00_imbalance", check({"run": str(tmp_path)}))
    begun = runs.begin("00_imbalance", {"run": str(tmp_path), "depth": 2})
    assert runs.is_done("00_imbalance", asked), "what is begun again stands until something of it changes"
    begun.path("00_imbalance.txt").write_text("half")  # then killed
    assert not runs.is_done("00_imbalance", asked)
    assert runs.states(tmp_path)["00_imbalance"].word == "altered"
    with pytest.raises(ValueError, match=r"is not as 00_imbalance left it: run 00_imbalance again"):
        runs.begin("01_filter", {"run": str(tmp_path)})


def test_a_file_outside_the_run_counts(tmp_path):
    outside = tmp_path / "grid.yaml"
    outside.write_text("a")
    asked = check({"run": str(tmp_path / "run")})
    runs.begin("00_imbalance", {"run": str(tmp_path / "run")}).finish(read=[outside])
    assert runs.is_done("00_imbalance", asked)
    outside.write_text("b")
    assert not runs.is_done("00_imbalance", asked)


def test_where_a_model_is_trained_does_not_count(tmp_path):
    for name in runs.STAGES[:4]:
        stage(name, tmp_path, processes=1)
    assert runs.is_done("03_train", check({"run": str(tmp_path), "processes": 2}))
    assert runs.begin("04_evaluate", {"run": str(tmp_path), "processes": 2}).parameters.processes == 2


def test_stages_made_alike_get_the_same_stamp(tmp_path):
    assert stage("00_imbalance", tmp_path)["id"] == stage("00_imbalance", tmp_path)["id"]


def test_provenance_says_what_made_what(tmp_path):
    stage("00_imbalance", tmp_path, seed=3)
    facts = json.loads((tmp_path / "provenance.json").read_text())
    assert facts["seed"] == 3
    assert facts["parameters"]["source"] == "openi"
    assert facts["stages"]["00_imbalance"]["seconds_of_last_attempt"] >= 0
    assert facts["stages"]["00_imbalance"]["peak_memory_mb"] > 10
    assert facts["stages"]["00_imbalance"]["versions"]["torch"].startswith("2.")
    assert {"cores", "gpus", "model"} <= set(facts["stages"]["00_imbalance"]["hardware"])


def test_a_new_run_folder_is_for_its_owner_only(tmp_path):
    runs.begin("00_imbalance", {"run": str(tmp_path / "new")})
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


def test_a_private_source_closes_a_folder_that_was_open(tmp_path):
    for source, mode in ({"source": "mimic3", "folder": "x"}, 0o700), ({}, 0o755):
        folder = tmp_path / f"{mode:o}"
        folder.mkdir()
        folder.chmod(0o755)
        runs.begin("00_imbalance", {"run": str(folder), **source})
        assert folder.stat().st_mode & 0o777 == mode


@pytest.mark.skipif(torch.cuda.is_available(), reason="fp16 is right on a GPU")
def test_what_cannot_be_trained_here_is_refused_before_anything_is_read(tmp_path):
    for wrong, remedy in ({"precision": "fp16"}, "needs a GPU"), ({"loss": "two_way", "processes": 2}, "processes: 1"):
        with pytest.raises(ValueError, match=remedy):
            runs.begin("00_imbalance", {"run": str(tmp_path / "new"), **wrong})
    assert not (tmp_path / "new").exists()


def test_a_stage_is_redone_when_the_code_of_its_notebook_changes(tmp_path, monkeypatch):
    parameters = check({"run": str(tmp_path / "run")})
    runs.begin("00_imbalance", {"run": parameters.run}).finish()
    shutil.copytree(runs.NOTEBOOKS, tmp_path / "notebooks")
    monkeypatch.setattr(runs, "NOTEBOOKS", tmp_path / "notebooks")
    assert runs.is_done("00_imbalance", parameters)
    path = tmp_path / "notebooks" / "00_imbalance.ipynb"
    text = path.read_text(encoding="utf-8")
    for old, new, same in (
        ("# 0 · The long tail", "# 0 · Tails", True),
        ("min_notes = 3", "min_notes = 4", True),  # a parameter: the stamp knows its value
        ("notes.summary()", "notes.summary().T", False),
    ):
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")
        assert runs.is_done("00_imbalance", parameters) is same


def test_runs_do_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    before = runs.folder_of("x")
    monkeypatch.chdir(tmp_path)
    assert runs.folder_of("x") == before
    monkeypatch.setenv("SHL_RUNS", str(tmp_path))
    assert runs.folder_of("x") == tmp_path / "x"


def test_a_large_file_is_read_once_and_again_when_it_changes(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(b"a" * (2 << 20))
    long_ago = time.time() - 100
    os.utime(path, (long_ago, long_ago))
    before = runs._digest_in.cache_info().misses
    assert runs.digest(path) == runs.digest(path)
    assert runs._digest_in.cache_info().misses == before + 1
    first = runs.digest(path)
    path.write_bytes(b"b" * (2 << 20))  # of the same size, at this moment: its time may not tell it
    assert runs.digest(path) != first
    os.utime(path, (long_ago, long_ago))
    assert runs.digest(path) != first
