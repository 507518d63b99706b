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


@pytest.mark.parametrize("encoding", ["ascii", "shift_jis"])
def test_a_reader_of_another_encoding_is_told_all_it_can_read(begun, encoding):
    env = os.environ | {"PYTHONIOENCODING": encoding}
    told, as_json, missing = (
        subprocess.run([*SHL, "status", *words], env=env, capture_output=True)
        for words in ([], ["--json"], ["Überall 😀"])
    )
    assert told.returncode == 1, told.stderr
    assert told.stdout.decode(encoding).startswith("Lauf ")
    assert told.stderr == b""
    assert json.loads(as_json.stdout.decode(encoding))[0]["run"] == NAME
    assert missing.returncode == 2
    assert b"; there are: " in missing.stderr


@pytest.mark.parametrize("unheard", ["stdout", "stderr"])
def test_a_reader_that_leaves_changes_no_exit_code(begun, unheard):
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    read, write = os.pipe()
    os.close(read)
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | {unheard: write}
    for word, code in (("status", 1), ("--help", 0)):
        done = subprocess.run([*SHL, word], env=env, check=False, **pipes)
        assert done.returncode == code
        assert not done.stderr
    os.close(write)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full disk")
def test_a_disk_that_takes_no_output_is_said(begun):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([*SHL, "status", "--json"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "not all of its output could be written" in done.stderr


def test_streams_that_are_closed_are_no_error(begun):
    done = shl("status", NAME)
    quiet = subprocess.run(["sh", "-c", f'"{sys.executable}" -P -m shl_utils.cli status >&- 2>&-'], check=False)
    assert quiet.returncode == done.returncode == 1
