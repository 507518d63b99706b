"""What Windows lacks is not asked for; in `test_notebooks` a table goes through all stages without it."""

import os
import subprocess
import sys

import pytest
from conftest import LACKING


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
