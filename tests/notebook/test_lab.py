"""JupyterLab on copies of the notebooks."""

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import nbformat
from conftest import PROJECT

from shl_utils.notebook import lab


def test_copies_are_made_once_and_name_their_kernel_in_full(tmp_path):
    first = lab.copy(tmp_path / "lab")
    assert first.name == "00_imbalance.ipynb"
    for original in (PROJECT / "notebooks").glob("*.ipynb"):
        theirs, ours = (nbformat.read(path, as_version=4) for path in (original, first.with_name(original.name)))
        assert theirs.cells == ours.cells
        assert ours.metadata["language_info"]["name"] == "python"
    first.write_text("mine", encoding="utf-8")
    lab.copy(tmp_path / "lab")
    assert first.read_text(encoding="utf-8") == "mine"


def test_the_command_starts_it_with_our_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("SHL_RUNS", str(tmp_path))
    command = [sys.executable, "-m", "shl_utils.cli", "lab", "--no-browser", "--allow-root", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            address, token = re.search(r"(http://127\.0\.0\.1:\d+)/lab\S*\?token=(\w+)", _until_told(server)).groups()
            plugin = "@jupyter-widgets/jupyterlab-manager:plugin"
            settings = json.loads(_read(f"{address}/lab/api/settings/{plugin}?token={token}"))
            assert settings["schema"]["properties"]["saveState"]["default"] is True
        finally:
            server.terminate()


def _read(address):
    """What stands at an address: the server tells it just before it listens."""
    for _ in range(100):
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                return answer.read()
        except urllib.error.URLError:
            time.sleep(0.3)
    raise TimeoutError(address)


def _until_told(server):
    """What it writes until it names the address that a browser should open."""
    told = ""
    for line in server.stdout:
        told += line
        if "http://127.0.0.1" in line:
            return told
    return told
