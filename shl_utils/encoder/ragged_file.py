"""Ragged rows in one safetensors file that is mapped into memory, not read: it may be larger than memory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from shl_utils.encoder.tokens import Ragged

NAMES = {torch.int32: "I32", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}


@contextmanager
def created(
    path: Path, offsets: NDArray[np.int64], shape: tuple[int, ...], dtype: torch.dtype, *, key: str
) -> Iterator[Ragged]:
    """Rows to fill in, each element of `shape`. The file appears when all is written, or not at all.

    offsets: (rows + 1,). key: names what the rows depend on, see `read`. OSError, before anything is computed, where
    the disk is too full.
    Written by hand, since safetensors itself writes only what memory holds. Source of the layout: its README, "Format".
    """
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.part")  # another process may write the same file
    n, row_bytes = int(offsets[-1]), int(np.prod(shape)) * dtype.itemsize
    ends = [offsets.nbytes, offsets.nbytes + n * row_bytes]
    header = {
        "__metadata__": {"key": key},
        "offsets": {"dtype": "I64", "shape": [len(offsets)], "data_offsets": [0, ends[0]]},
        "flat": {"dtype": NAMES[dtype], "shape": [n, *shape], "data_offsets": ends},
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    start = 8 + len(text)
    try:
        with partial.open("wb") as file:
            file.truncate(start + ends[1])
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(file.fileno(), 0, start + ends[1])
            file.write(len(text).to_bytes(8, "little") + text + offsets.tobytes())
            yield Ragged(_Flat(file, start + ends[0], row_bytes, dtype), offsets)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Flat:
    """What of a tensor's interface fills it, for a file. Not a memory map: Windows renames no file that is mapped."""

    file: BinaryIO
    start: int
    row_bytes: int
    dtype: torch.dtype

    def __setitem__(self, place: slice, values: Tensor) -> None:
        self.file.seek(self.start + (place.start or 0) * self.row_bytes)
        self.file.write(values.to(self.dtype).contiguous().view(torch.uint8).numpy().data)


def read(path: Path, *, key: str) -> Ragged | None:
    """The rows that were created with the same key; None where there is no such file."""
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        if file.metadata()["key"] != key:
            return None
        return Ragged(file.get_tensor("flat"), file.get_tensor("offsets").numpy())
