"""Ragged rows in one safetensors file that is mapped into memory, not read: it may be larger than memory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from shl_utils.encoder.tokens import Ragged

NAMES = {torch.int32: "I32", torch.int64: "I64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}


@contextmanager
def created(
    path: Path, offsets: NDArray[np.int64], shape: tuple[int, ...], dtype: torch.dtype, *, key: str
) -> Iterator[Ragged]:
    """Rows to fill in, each element of `shape`. The file appears when all is written, or not at all.

    offsets: (rows + 1,). key: names what the rows depend on, see `read`.
    Written by hand, since safetensors itself writes only what memory holds. Source of the layout: its README, "Format".
    """
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.part")  # another process may write the same file
    flat = torch.Size([int(offsets[-1]), *shape])
    ends = [8 * len(offsets), 8 * len(offsets) + flat.numel() * dtype.itemsize]
    header = {
        "__metadata__": {"key": key},
        "offsets": {"dtype": NAMES[torch.int64], "shape": [len(offsets)], "data_offsets": [0, ends[0]]},
        "flat": {"dtype": NAMES[dtype], "shape": list(flat), "data_offsets": ends},
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    start = 8 + len(text)
    with partial.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(start + ends[1])
        if hasattr(os, "posix_fallocate"):  # not on macOS; a full disk fails here, not when half is computed
            os.posix_fallocate(file.fileno(), 0, start + ends[1])
        _put(file, offsets.astype(np.int64))
        yield Ragged(_Flat(file, start + ends[0], flat, dtype), offsets)
    partial.replace(path)


class _Flat:
    """What of a tensor's interface fills it, for a file. Not a memory map: Windows renames no file that is mapped."""

    def __init__(self, file: BinaryIO, start: int, shape: torch.Size, dtype: torch.dtype) -> None:
        self.file, self.start, self.shape, self.dtype = file, start, shape, dtype

    def __setitem__(self, place: slice, values: Tensor) -> None:
        self.file.seek(self.start + place.indices(self.shape[0])[0] * self.shape[1:].numel() * self.dtype.itemsize)
        _put(self.file, values.to(self.dtype).contiguous().view(torch.uint8).numpy())

    def copy_(self, values: Tensor) -> None:
        self[:] = values


def _put(file: BinaryIO, values: NDArray) -> None:
    file.write(np.ascontiguousarray(values).data)


def read(path: Path, *, key: str) -> Ragged | None:
    """The rows that were created with the same key; None where there is no such file."""
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        if file.metadata()["key"] != key:
            return None
        return Ragged(file.get_tensor("flat"), file.get_tensor("offsets").numpy())
