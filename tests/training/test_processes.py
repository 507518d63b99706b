"""Trainers in processes of their own end with whoever started them."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
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


def test_a_trainer_whose_parent_died_before_it_could_ask_does_not_start():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    env = os.environ | {"SHL_PARENT": str(gone.pid)}
    done = subprocess.run([sys.executable, "-c", CHILD], env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert "the process that started this one is gone" in done.stderr
    assert done.stdout == ""
