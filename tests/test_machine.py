"""What happens to a machine while a run is at work, or to a run between two commands."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import PROJECT, shl

from shl_utils.parameters import check
from shl_utils.runs import stages, stamps

SMOKE = PROJECT / "params" / "smoke.yaml"


@pytest.mark.long
def test_a_second_command_in_the_same_folder_stops_and_a_killed_one_leaves_no_lock(tmp_path):
    command = [sys.executable, "-m", "shl_utils.cli", "run", str(SMOKE), "--until", "00_imbalance"]
    env = os.environ | {"SHL_RUNS": str(tmp_path)}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as first:
        assert "running" in first.stdout.readline()
        first.send_signal(signal.SIGSTOP)  # it would be done before the others have begun
        second = shl("run", SMOKE, SHL_RUNS=str(tmp_path))
        assert second.returncode == 2
        assert "smoke is in use by another `shl`" in second.stderr
        assert shl("clean", SMOKE, SHL_RUNS=str(tmp_path)).returncode == 2
        first.send_signal(signal.SIGKILL)
    read, write = os.pipe()
    os.close(read)
    third = subprocess.run(command, env=env, stdout=write, stderr=write, check=False)
    os.close(write)
    assert third.returncode == 0, "it goes on when nobody listens"
    assert (tmp_path / "smoke" / "corpus.parquet").exists()


def test_a_clock_that_was_set_changes_nothing(tmp_path):
    for stage in ("00_imbalance", "01_filter"):
        run = stages.begin(stage, {"run": str(tmp_path)})
        run.path(f"{stage}.txt").write_text(stage)
        run.finish(f"{stage}.txt")
    future = time.time() + 10 * 365 * 86_400
    os.utime(tmp_path / "00_imbalance.txt", (future, future))
    stamp = tmp_path / "stages" / "01_filter.json"
    stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"finished": "1970-01-01T00:00:00+0000"}))
    os.utime(stamp, (0, 0))
    assert stages.is_done("01_filter", check({"run": str(tmp_path)}))
    assert stamps.states(tmp_path)["01_filter"].done


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    done = shl("run", SMOKE, SHL_RUNS=str(tmp_path / "file"))
    assert done.returncode == 2
    assert str(tmp_path / "file") in done.stderr
    assert "Traceback" not in done.stderr
