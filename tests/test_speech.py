"""What commands say reaches readers of other encodings, and no reader that leaves stops a run."""

import json
import os
import subprocess
import sys

import pytest
from conftest import shl

from shl_utils.runs import stages

NAME = "Lauf ± 発熱 😀"
SHL = [sys.executable, "-P", "-m", "shl_utils.cli"]


@pytest.fixture
def begun(tmp_path, monkeypatch):
    monkeypatch.setenv("SHL_RUNS", str(tmp_path / "runs"))
    stages.begin("00_imbalance", {"run": NAME, "source": "synthetic"}).finish()
    return tmp_path


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "shift_jis"])
def test_a_reader_of_another_encoding_is_told_all_it_can_read(begun, encoding):
    done = subprocess.run([*SHL, "status"], env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True)
    assert done.returncode == 1, done.stderr
    assert done.stdout.decode(encoding).startswith("Lauf ")
    assert done.stderr == b""
    done = subprocess.run(
        [*SHL, "status", "--json"], env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True
    )
    assert json.loads(done.stdout.decode(encoding))[0]["run"] == NAME
    done = subprocess.run(
        [*SHL, "status", "Überall 😀"], env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True
    )
    assert done.returncode == 2
    assert b"; there are: " in done.stderr


@pytest.mark.parametrize("unheard", ["stdout", "stderr"])
def test_a_reader_that_leaves_changes_no_exit_code(begun, unheard):
    read, write = os.pipe()
    os.close(read)
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | {unheard: write}
    done = subprocess.run([*SHL, "status"], check=False, **pipes)
    assert done.returncode == 1
    assert not done.stderr
    done = subprocess.run([*SHL, "--help"], check=False, **pipes)
    assert done.returncode == 0
    os.close(write)


@pytest.mark.slow
def test_a_run_goes_on_when_nobody_listens(tmp_path):
    (tmp_path / "p.yaml").write_text("run: p\nsource: synthetic\nsynthetic_notes: 100", encoding="utf-8")
    env = os.environ | {"SHL_RUNS": str(tmp_path / "runs")}
    read, write = os.pipe()
    os.close(read)
    command = [*SHL, "run", "p.yaml", "--until", "00_imbalance"]
    done = subprocess.run(command, cwd=tmp_path, env=env, stdout=write, stderr=write, check=False)
    os.close(write)
    assert done.returncode == 0
    assert (tmp_path / "runs" / "p" / "corpus.parquet").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full disk")
def test_a_disk_that_takes_no_output_is_said(begun):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([*SHL, "status", "--json"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "not all that it says could be written" in done.stderr


def test_streams_that_are_closed_are_no_error(begun):
    done = shl("status", NAME)
    quiet = subprocess.run(["sh", "-c", f'"{sys.executable}" -P -m shl_utils.cli status >&- 2>&-'], check=False)
    assert quiet.returncode == done.returncode == 1
