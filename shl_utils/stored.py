"""Rows of different length in one safetensors file that is mapped into memory, not read: it may be larger than that."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open

from shl_utils.tokens import Ragged

NAMES = {torch.int32: "I32", torch.int64: "I64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}


@contextmanager
def created(
    path: Path, offsets: NDArray[np.int64], shape: tuple[int, ...], dtype: torch.dtype, *, key: str
) -> Iterator[Ragged]:
    """Rows to be filled in, each element of `shape`; the file is there once all is done, or not at all.

    offsets: (rows + 1,). key: what the rows depend on, see `read`.
    safetensors itself writes only what memory holds. Source of the layout: its README, "Format".
    """
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.part")  # another process may be at it too
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
        if hasattr(os, "posix_fallocate"):  # not on macOS; a full disk is an error here, later it would be a kill
            os.posix_fallocate(file.fileno(), 0, start + ends[1])
    whole = torch.from_file(str(partial), shared=True, size=start + ends[1], dtype=torch.uint8)
    whole[start : start + ends[0]].view(torch.int64).copy_(torch.from_numpy(offsets))
    yield Ragged(whole[start + ends[0] :].view(dtype).view(flat), offsets)
    partial.replace(path)


def read(path: Path, *, key: str) -> Ragged | None:
    """What was created under the same key; None where there is no such file."""
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        if (file.metadata() or {}).get("key") != key or "offsets" not in set(file.keys()):  # of an earlier version
            return None
        return Ragged(file.get_tensor("flat"), file.get_tensor("offsets").numpy())
