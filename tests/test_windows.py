"""What Windows lacks is not asked for: not by the command, nor by its notebooks and trainers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT, shl

from shl_utils.parameters import STAGES

LACKING = os.pathsep.join([str(Path(__file__).with_name("as_on_windows")), str(PROJECT)])  # see sitecustomize.py there


@pytest.mark.long
def test_every_module_is_imported_without_what_windows_lacks():
    code = "import importlib, pkgutil, shl_utils\n"
    code += (
        "for found in pkgutil.walk_packages(shl_utils.__path__, 'shl_utils.'): importlib.import_module(found.name)\n"
    )
    code += "import os, socket; print(hasattr(os, 'fork'), hasattr(socket, 'AF_UNIX'))"
    env = os.environ | {"PYTHONPATH": LACKING}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "False False\n", done.stderr


@pytest.mark.long
def test_a_run_goes_through_all_stages_without_it(tmp_path):
    """With trainers side by side, each a process of its own."""
    text = (PROJECT / "params" / "smoke.yaml").read_text(encoding="utf-8")
    text = text.replace("max_tokens: 512", "max_tokens: 64\nchunk_tokens: 32")
    (tmp_path / "p.yaml").write_text(f"{text}\nparallel_models: 2\n", encoding="utf-8")
    done = shl("run", tmp_path / "p.yaml", SHL_RUNS=str(tmp_path / "runs"), PYTHONPATH=LACKING)
    assert done.returncode == 0, done.stderr
    assert all(f"{stage}: done" in done.stdout for stage in STAGES)
    assert list((tmp_path / "runs").rglob("launch.1.log")), "there were two trainers"


def test_a_second_command_waits_there_too(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", LACKING)
    code = "from pathlib import Path; from shl_utils.runs import storage\n"
    code += f"with storage.try_lock(Path({str(tmp_path / 'x')!r})) as free: print(free, flush=True); "
    first = [sys.executable, "-c", code + "input()"]
    with subprocess.Popen(first, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "True\n"
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert second.stdout == "False\n"
        holder.kill()
    third = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert third.stdout == "True\n", "a killed one leaves no lock"
