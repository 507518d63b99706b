"""Texts as token ids: ragged rows, chunks of notes, batches of similar length."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shl_utils.runs import progress

BLOCK = 1_000  # texts tokenized at once: meanwhile the tokenizer holds some 160 bytes per token of them
# characters of a text that are tokenized first, per token wanted: 2.1 times as fast as whole notes of 8,200 characters
CHARS_PER_TOKEN = 8
# largest number of tokens in a batch, padding included: of 1,024 to 4,096 the fastest on two cores, or within 2% of it
PADDED = 2048


@dataclass(frozen=True)
class Ragged:
    """Rows of different length, concatenated: row i is `flat[offsets[i]:offsets[i + 1]]`; `offsets` is (rows + 1,)."""

    flat: Tensor
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of every row: (rows,)."""
        return np.diff(self.offsets)

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[int]]) -> Ragged:
        """Rows of token ids, as int32."""
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        flat = np.concatenate([np.empty(0), *rows], dtype=np.int32, casting="unsafe")
        return cls(torch.from_numpy(flat), offsets)

    def pad(self, rows: Sequence[int], *, device: str | torch.device = "cpu") -> tuple[Tensor, Tensor]:
        """`rows` as one tensor (len(rows), longest, ...) padded with 0, and its mask (len(rows), longest) of 0 and 1.

        Both are on `device`, as models want them: states in their own type, token ids and mask as int64. See
        `_padded_length`.
        """
        longest = _padded_length(self.lengths[rows].max())
        dtype = self.flat.dtype if self.flat.is_floating_point() else torch.long
        padded = torch.zeros(len(rows), longest, *self.flat.shape[1:], dtype=dtype)
        mask = torch.zeros(len(rows), longest, dtype=torch.long)
        for i, row in enumerate(rows):
            part = self.flat[self.offsets[row] : self.offsets[row + 1]]
            padded[i, : len(part)] = part
            mask[i, : len(part)] = 1
        return padded.to(device), mask.to(device)


def _padded_length(longest: int) -> int:
    """The next multiple of 8, at least 8: for each new length, PyTorch's CPU backend would rebuild its kernels."""
    return 8 * max(math.ceil(longest / 8), 1)


def tokenize(tokenizer, texts: Sequence[str], *, max_tokens: int) -> Ragged:
    """Token ids (int32) of every text, truncated to `max_tokens` including the special tokens."""
    return Ragged.from_rows(list(_ids(tokenizer, texts, length=max_tokens, special=True)))


def words(tokenizer, text: str) -> list[str]:
    """Words of a text, without punctuation, as the tokenizer parts them before it makes pieces of them; none of a
    tokenizer that does not say."""
    parts = tokenizer.backend_tokenizer if tokenizer.is_fast else None
    if parts is None or parts.pre_tokenizer is None:
        return []
    plain = parts.normalizer.normalize_str(text) if parts.normalizer else text
    found = (word.lstrip("Ġ▁") for word, _ in parts.pre_tokenizer.pre_tokenize_str(plain))  # marks of a blank
    return [word for word in found if any(map(str.isalnum, word))]


def characters_read(tokenizer, text: str, *, max_tokens: int) -> int:
    """Number of characters, from the beginning of the text, that `tokenize` reads."""
    if tokenizer.is_fast:
        seen = tokenizer(text, truncation=True, max_length=max_tokens, return_offsets_mapping=True)
        return max((last for _, last in seen["offset_mapping"]), default=0)
    ends = range(1, len(text) + 1)
    return bisect(ends, False, key=lambda end: len(tokenizer(text[:end])["input_ids"]) > max_tokens)


def _ids(tokenizer, texts: Sequence[str], *, length: int, special: bool) -> Iterator[NDArray[np.int32]]:
    """Token ids of every text, at most `length`. Of a long text only the beginning is tokenized, if it suffices."""
    texts = list(texts)

    def encode(some: Sequence[str]) -> list[list[int]]:
        return tokenizer(some, truncation=True, max_length=length, add_special_tokens=special)["input_ids"]

    for first in range(0, len(texts), BLOCK):
        block = texts[first : first + BLOCK]
        heads = [_head(text, CHARS_PER_TOKEN * length) for text in block]
        found = encode(heads)
        for text, head, ids in zip(block, heads, found):
            enough = len(ids) == length or head == text
            yield np.array(ids if enough else encode([text])[0], dtype=np.int32)


def _head(text: str, characters: int) -> str:
    """The words within the first `characters`; the whole text if it is no longer, or has no white space there."""
    if len(text) <= characters:
        return text
    words = text[:characters].rsplit(None, 1)
    return words[0] if len(words) == 2 else text


def chunk(tokenizer, texts: Sequence[str], *, max_tokens: int, chunk_tokens: int) -> tuple[Ragged, NDArray]:
    """Texts truncated to `max_tokens`, then divided into chunks of at most `chunk_tokens`, each with special tokens.

    Returns the chunks, and for each the number of its text (chunks,). By hand, since a fast tokenizer's own overflow
    knows no `max_tokens`: it takes 3 times as long on notes of 8,200 characters, and slow tokenizers have none.
    """
    before, after = special_tokens(tokenizer)
    special = len(before) + len(after)
    bodies = _ids(tokenizer, texts, length=max_tokens - special, special=False)
    step = chunk_tokens - special
    pieces = [(i, ids[a : a + step]) for i, ids in enumerate(bodies) for a in range(0, max(len(ids), 1), step)]
    rows = [np.array([*before, *ids, *after], dtype=np.int32) for _, ids in pieces]
    return Ragged.from_rows(rows), np.array([i for i, _ in pieces])


def special_tokens(tokenizer) -> tuple[list[int], list[int]]:
    """Ids of the tokens put before and after a text, such as [CLS] and [SEP]."""
    plain, full = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    start = full.index(plain[0])
    return full[:start], full[start + len(plain) :]


def by_length(lengths: NDArray, *, label: str | None) -> Iterator[NDArray[np.int64]]:
    """Batches of row numbers of like length, longest first, at most PADDED tokens each; a label adds a progress bar."""
    order = np.argsort(lengths, kind="stable")[::-1]
    with progress.bar(len(order), label) if label else nullcontext() as bar:
        start = 0
        while start < len(order):
            batch = order[start : start + max(PADDED // _padded_length(lengths[order[start]]), 1)]
            yield batch
            start += len(batch)
            if bar:
                bar.update(len(batch))
