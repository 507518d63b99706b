"""A run as jobs of Snakemake: what fails or is killed is all that the next call has to do."""

import json
import os
import shutil
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest
from conftest import PROJECT

from shl_utils import runner
from shl_utils.experiments import snakemake_jobs
from shl_utils.parameters import STAGES

FILE = PROJECT / "params" / "smoke.yaml"


def snakemake(root, *words):
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "workflow" / "Snakefile"), *words]
    command += ["--cores", "2", "--config", f"files={FILE}", "until=05_ablate", "threads=2"]
    env = os.environ | {"SHL_RUNS": str(root), "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    return subprocess.Popen(command, cwd=root, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture
def begun(smoke, tmp_path, monkeypatch):
    """The finished run, but for its ablation."""
    monkeypatch.setenv("SHL_RUNS", str(tmp_path))
    folder = tmp_path / "smoke"
    shutil.copytree(smoke[0], folder)
    shutil.rmtree(folder / "ablation")
    for stage in STAGES[5:]:
        (folder / "stages" / f"{stage}.json").unlink()
    for stage in STAGES[:5]:
        marker = folder / "batch" / f"{stage}.done"
        marker.parent.mkdir(exist_ok=True)
        marker.touch()
    return folder


def kill(process, model):
    """Once the job of that model is at work."""
    while process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                words = child.cmdline()
            except psutil.Error:
                continue
            if model in words and "model" in words:
                child.kill()
                return
        time.sleep(0.05)
    pytest.fail("the job was never seen")


@pytest.mark.long
def test_only_what_failed_or_was_killed_is_done_again(begun, smoke):
    failing, killed = list(snakemake_jobs.read_batch(FILE, runner.read(FILE)[1]).models)
    (begun / failing).parent.mkdir()
    (begun / failing).write_text("in the way")
    first = snakemake(begun.parent, "--keep-going")
    kill(first, killed)
    said = first.communicate()[0]
    assert first.returncode == 1, said
    assert not list(begun.rglob("batch/ablation/*"))
    before = {path: path.stat().st_mtime_ns for path in begun.glob("batch/*.done")}
    assert len(before) == 5

    (begun / failing).unlink()
    second = snakemake(begun.parent)
    said = second.communicate()[0]
    assert second.returncode == 0, said
    assert {path: path.stat().st_mtime_ns for path in before} == before
    tables = [pd.read_parquet(folder / "ablation.parquet") for folder in (begun, smoke[0])]
    pd.testing.assert_frame_equal(*(table.drop(columns="core_seconds") for table in tables))


def test_a_model_waits_for_its_stage(begun):
    found = snakemake_jobs.read_batch(FILE, runner.read(FILE)[1])
    (begun / "stages" / "03_train.json").unlink()
    for model in (next(iter(found.models)), next(iter(found.models)).removeprefix("ablation/")):
        with pytest.raises(FileNotFoundError, match="run 03_train first"):
            found.train(model)


def test_models_are_listed_by_id_with_what_they_are(tmp_path):
    found = batch(tmp_path, "- loss: [bce, sh]\n  negatives_per_positive: [1000.0]\n  filter_labels: [train, none]\n")
    with pytest.raises(ValueError, match="has no model 'loss=bce'") as caught:
        found.train("loss=bce")
    lines = dict(line.split(maxsplit=1) for line in str(caught.value).splitlines()[1:])
    assert lines[next(iter(found.models)).removeprefix("ablation/")] == "loss bce, negatives_per_positive 1000"
    assert len(lines) == len(found.models) == 4


def batch(tmp_path, text):
    """The batch of a run with this grid."""
    (tmp_path / "g.yaml").write_text(text)
    (tmp_path / "p.yaml").write_text(f"run: {tmp_path / 'run'}\ngrid: {tmp_path / 'g.yaml'}\n")
    return snakemake_jobs.read_batch(tmp_path / "p.yaml", runner.read(tmp_path / "p.yaml")[1])


@pytest.mark.long
def test_files_with_a_blank_in_their_path_are_jobs(tmp_path):
    place = tmp_path / "my params"
    place.mkdir()
    files = [place / "one of mine.yaml", place / "two.yaml"]
    for i, file in enumerate(files):
        file.write_text(f"run: {tmp_path / f'my run {i}'}\nsource: synthetic\n", encoding="utf-8")
    given = json.dumps([str(file) for file in files])
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "workflow" / "Snakefile"), "-n"]
    command += ["--cores", "1", "--config", f"files={given}", "until=00_imbalance"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "my run 1" in done.stdout + done.stderr
    command[-2] = f"files={json.dumps([str(files[0])] * 2)}"
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "2 of these files write to" in done.stdout + done.stderr
    assert snakemake_jobs.named(str(files[0])) == [files[0]]
    assert snakemake_jobs.named(f"{FILE} {FILE}") == [FILE, FILE]
    with pytest.raises(FileNotFoundError, match="names with a blank go into a list"):
        snakemake_jobs.named(f"{files[0]} {files[1]}")
