"""Rows in a file: what was put in comes out, under its key, and any reader of safetensors opens it."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from shl_utils.encoder import ragged_file

MAPS = Path("/proc/self/maps")
OFFSETS = np.array([0, 2, 2, 5])


@pytest.mark.parametrize(("dtype", "shape"), [(torch.int32, ()), (torch.bfloat16, (3,)), (torch.float32, (2,))])
def test_what_is_put_in_comes_out(tmp_path, dtype, shape):
    path = tmp_path / "trunk" / "rows.safetensors"
    values = torch.arange(5 * int(np.prod(shape))).view(5, *shape).to(dtype)
    with ragged_file.created(path, OFFSETS, shape, dtype, key="one") as rows:
        rows.flat[2:5] = values[2:]  # in any order
        rows.flat[0:2] = values[:2]
        assert not path.exists()
    found = ragged_file.read(path, key="one")
    assert torch.equal(found.flat, values)
    assert found.offsets.tolist() == OFFSETS.tolist()
    assert torch.equal(load_file(path)["flat"], values)
    assert ragged_file.read(path, key="another") is None


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("stage", ["disk is full", "halfway"])
def test_what_was_stopped_is_not_there_nor_a_part_of_it(tmp_path, monkeypatch, stage):
    path, reached = tmp_path / "rows.safetensors", []

    def fill():
        with ragged_file.created(path, OFFSETS, (), torch.int32, key="") as rows:
            reached.append(stage)
            rows.flat[0:1] = torch.ones(1, dtype=torch.int32)
            raise KeyboardInterrupt

    if stage == "disk is full":
        monkeypatch.setattr(os, "posix_fallocate", full_disk, raising=False)
    with pytest.raises((OSError, KeyboardInterrupt)):
        fill()
    assert reached == ["halfway"] * (stage == "halfway"), "a full disk is told before anything is computed"
    assert ragged_file.read(path, key="") is None
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not MAPS.exists(), reason="asks Linux what is mapped")
def test_a_file_is_not_mapped_while_it_gets_its_name(tmp_path):
    """Windows renames none that is."""
    with ragged_file.created(tmp_path / "rows.safetensors", OFFSETS, (), torch.int32, key="") as rows:
        rows.flat[:] = torch.zeros(5)
        assert ".part" not in MAPS.read_text(encoding="utf-8")
    assert ragged_file.read(tmp_path / "rows.safetensors", key="").flat.tolist() == [0] * 5
