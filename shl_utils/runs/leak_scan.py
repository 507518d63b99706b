"""Does a file hold the text of a note? `shl scan` looks for runs of words that a corpus has, too.

Text in pictures and in files that are neither text nor Parquet is not seen.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

WORDS = 8  # in a row, that a file shares with a note
WORD = re.compile(r"[^\W_]+")
TAG = re.compile(r"<[^>]*>")
BINARY = b"\x00"  # in the first BLOCK bytes of a file that is no text
BLOCK = 8192
SKIPPED = {".git", ".venv", "__pycache__"}
Shingle = tuple[str, ...]


@dataclass(frozen=True)
class Leak:
    """notes: how many of the run's notes share `shingles` runs of WORDS words with the file."""

    file: Path
    run: Path
    notes: int
    shingles: int


def find_leaks(paths: Iterable[Path], folders: Sequence[Path]) -> list[Leak]:
    """Files at or below `paths` with text of the notes of the runs in `folders`, without a word of it.

    Words that also stand in a row in a code's description are not held against a file. The files of these runs are
    looked at like others, but for their corpus.
    """
    own = {(folder / "corpus.parquet").resolve() for folder in folders}
    of_file = {path: _shingles(_texts(path)) for path in _files(paths) if path.resolve() not in own}
    everywhere = set().union(*of_file.values())
    vocabulary = {word for shingle in everywhere for word in shingle}
    leaks = []
    for folder in folders:
        descriptions = pd.read_parquet(folder / "codes.parquet")["description"]
        wanted = everywhere - _shingles(descriptions)
        hits = [_held(text, wanted, vocabulary) for text in pd.read_parquet(folder / "corpus.parquet")["text"]]
        for path, shingles in of_file.items():
            notes = [hit & shingles for hit in hits if hit and not hit.isdisjoint(shingles)]
            if notes:
                leaks.append(Leak(path, folder, len(notes), len(set().union(*notes))))
    return leaks


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path
        elif not path.is_dir():
            raise FileNotFoundError(f"{path} is not there: name a file or a folder")
        else:
            below = (p for p in sorted(path.rglob("*")) if p.is_file() and not p.is_symlink())
            yield from (p for p in below if not SKIPPED & set(p.relative_to(path).parts))


def _texts(path: Path) -> Iterator[str]:
    """What a file says: the strings of JSON and notebooks, HTML without tags, the cells of Parquet, or all of it."""
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        yield from _strings(table.select_dtypes(exclude="number").to_numpy().ravel().tolist())
        return
    data = path.read_bytes()
    if BINARY in data[:BLOCK]:
        return
    text = data.decode("utf-8", errors="replace")
    if path.suffix in (".ipynb", ".json", ".jsonl"):
        try:
            for line in text.splitlines() if path.suffix == ".jsonl" else [text]:
                for part in _strings(json.loads(line or "null")):
                    yield from _readings(part)
            return
        except json.JSONDecodeError:
            pass
    yield from _readings(text) if path.suffix in (".html", ".htm", ".svg") else [text]


def _readings(text: str) -> Iterator[str]:
    """As it stands, and as HTML; what stands between a "<" and a ">" may be a tag or not."""
    yield text
    yield html.unescape(TAG.sub(" ", text))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _strings([*value.keys(), *value.values()])
    elif isinstance(value, (list, tuple)):
        if value and all(isinstance(part, str) for part in value):
            yield "".join(value)  # a notebook keeps a text as a list of its lines
        for part in value:
            yield from _strings(part)


def _shingles(texts: Iterable[str]) -> set[Shingle]:
    result: set[Shingle] = set()
    for text in texts:
        words = WORD.findall(text.lower())
        result.update(zip(*(words[i:] for i in range(WORDS))))
    return result


def _held(text: str, wanted: set[Shingle], vocabulary: set[str]) -> set[Shingle]:
    """Those of `wanted` that a note holds. vocabulary: all words of these; where one has not as many in a row, the rest
    need not be looked at, which is nearly always so."""
    words = WORD.findall(text.lower())
    result: set[Shingle] = set()
    run = 0
    for i, word in enumerate(words, start=1):
        run = run + 1 if word in vocabulary else 0
        if run >= WORDS and (shingle := tuple(words[i - WORDS : i])) in wanted:
            result.add(shingle)
    return result
