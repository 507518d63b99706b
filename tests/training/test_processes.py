"""Trainers in processes of their own: they say why they stop, and end with whoever started them."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from shl_utils.training import processes

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
CHILD = """
import os, sys, time
from shl_utils.training import processes
processes.die_with_parent()
print(os.getpid(), flush=True)
time.sleep(900)
"""
PARENT = f"""
import os, subprocess, sys, time
from shl_utils.training import processes
env = os.environ | {{processes.PARENT: str(os.getpid())}}
subprocess.Popen([sys.executable, "-c", {CHILD!r}], env=env)
time.sleep(900)
"""


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


@on_linux
def test_a_trainer_ends_with_a_killed_parent():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert alive(child)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 300
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


@on_linux
def test_a_trainer_whose_parent_died_before_it_could_ask_does_not_start():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    env = os.environ | {"SHL_PARENT": str(gone.pid)}
    done = subprocess.run([sys.executable, "-c", CHILD], env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert "the process that started this one is gone" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("code", "error", "log", "expected"),
    [
        (
            1,
            {"message": "ValueError: two\nlines", "extraInfo": {}},
            "Traceback",
            "code 1; ValueError: two\nlines (",
        ),
        (1, "root cause: Signal 9", "=====", "code 1; root cause: Signal 9 (all of it: {log})"),
        (1, None, "Traceback\nImportError: no torch\n", "code 1; ImportError: no torch (all of it: {log})"),
        (2, None, "", "code 2; no output (all of it: {log})"),
        (
            -9,
            None,
            "",
            "(signal 9), as it is when the machine runs out of memory: lower `parallel_models`",
        ),
    ],
)
def test_the_cause_is_the_error_that_was_left_or_else_the_last_line(tmp_path, code, error, log, expected):
    (tmp_path / "launch.3.log").write_text(log)
    if error:
        (tmp_path / "launch.3.error").write_text(json.dumps({"message": error}))
    assert expected.format(log=tmp_path / "launch.3.log") in processes._stopped(code, tmp_path, 3)


def test_torchrun_leaves_the_first_error_of_its_processes_even_if_they_could_not(tmp_path, monkeypatch):
    (tmp_path / "1").write_text(json.dumps({"message": {"message": "lost its peer", "extraInfo": {"timestamp": 2e9}}}))
    killed, other = (ProcessFailure(rank, 7, -9, str(tmp_path / str(rank))) for rank in (0, 1))

    def fails(arguments):
        raise ChildFailedError("worker", {1: other, 0: killed})

    monkeypatch.setattr(run, "main", fails)
    monkeypatch.setenv(processes.ERROR_FILE, str(tmp_path / "error"))
    with pytest.raises(ChildFailedError):
        processes._torchrun([])
    assert json.loads((tmp_path / "error").read_text()) == {
        "message": "root cause: Signal 9 (SIGKILL) received by PID 7"
    }


def test_one_that_fails_ends_the_others(tmp_path):
    """The first sleeps until it is ended."""
    code = "import os, sys, time; time.sleep(900 * (os.environ['N'] == '0')); sys.exit('enough')"
    with pytest.raises(RuntimeError, match=r"exit code 1; enough \(all of it: .*launch\.1\.log"):
        processes.run([sys.executable, "-c", code], tmp_path, {i: {"N": str(i)} for i in range(2)})
