"""Files and folders are written whole or not at all, and known by their content."""

import os
import time

import pytest

from shl_utils.runs import storage


def write_half(path):
    with storage.atomic(path) as partial:
        partial.write_text("half of")
        raise OSError("the disk is full")


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    storage.write_json(tmp_path / "a.json", {"b": 1})
    with pytest.raises(OSError, match="full"):
        write_half(tmp_path / "a.json")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == '{\n "b": 1\n}\n'


def test_a_folder_takes_the_place_of_the_old_one_whole(tmp_path):
    (tmp_path / "0.part").mkdir()  # of one that was killed
    (tmp_path / "0.part" / "relic").touch()
    for name in ("old", "new"):
        with storage.atomic(tmp_path / "0") as partial:
            partial.mkdir()
            (partial / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["0", "0/new"]


def test_a_large_file_is_read_once_and_again_when_it_changes(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(b"a" * (2 << 20))
    long_ago = time.time() - 100
    os.utime(path, (long_ago, long_ago))
    before = storage._digest_in.cache_info().misses
    assert storage.digest(path) == storage.digest(path)
    assert storage._digest_in.cache_info().misses == before + 1
    first = storage.digest(path)
    path.write_bytes(b"b" * (2 << 20))  # of the same size, at this moment: its time may not tell it
    assert storage.digest(path) != first
    os.utime(path, (long_ago, long_ago))
    assert storage.digest(path) != first


def test_what_a_file_manager_leaves_does_not_count(tmp_path):
    (tmp_path / "a").write_text("a")
    before = storage.digest(tmp_path)
    (tmp_path / ".DS_Store").write_text("b")
    assert storage.digest(tmp_path) == before
