"""Search of files for text of notes (`shl scan`), by sequences of words that a file shares with a corpus.

Text in pictures, and in files that are neither text nor Parquet, is not found.
"""

from __future__ import annotations

import codecs
import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

WORDS = 8  # consecutive words that a file shares with a note
WORD = re.compile(r"[^\W_]+")
TAG = re.compile(r"<[^>]*>")
DATA = re.compile(r"<script[^>]*application/json[^>]*>(.*?)</script>", re.DOTALL)
BINARY = b"\x00"  # occurs in the first BLOCK bytes of a binary file
BLOCK = 8192
SKIPPED = {".git", ".venv", "__pycache__"}
Shingle = tuple[str, ...]


@dataclass(frozen=True)
class Leak:
    """A file with text of a run's notes: `notes` of them share `shingles` sequences of WORDS words with it."""

    file: Path
    run: Path
    notes: int
    shingles: int


def find_leaks(paths: Iterable[Path], folders: Sequence[Path]) -> list[Leak]:
    """Files at or below `paths` that hold text of the notes of the runs in `folders`; the text itself is not returned.

    Sequences that also occur in a code's description are not counted. Files of these runs are searched like others,
    except for their corpus. FileNotFoundError if one of `paths` does not exist.
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
    """Texts of a file: strings of JSON and notebooks, HTML without tags, cells of Parquet, or else all of it."""
    if path.suffix == ".parquet":
        for column in pq.read_table(path).itercolumns():
            if "string" in str(column.type):  # in lists and structs too
                yield from _strings(column.to_pylist())
        return
    data = path.read_bytes()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as PowerShell writes
    if not wide and BINARY in data[:BLOCK]:
        return
    text = data.decode("utf-16" if wide else "utf-8", errors="replace")
    if path.suffix in (".ipynb", ".json", ".jsonl"):
        try:
            for line in text.splitlines() if path.suffix == ".jsonl" else [text]:
                for part in _strings(json.loads(line or "null")):
                    yield from _readings(part)
            return
        except json.JSONDecodeError:
            pass
    if path.suffix not in (".html", ".htm", ".svg"):
        yield text
        return
    yield from _readings(text)
    for data in DATA.findall(text):  # such as the frames of a slider
        with suppress(json.JSONDecodeError):  # a template
            for part in _strings(json.loads(data)):
                yield from _readings(part)


def _readings(text: str) -> Iterator[str]:
    """Yield the text as it is, and read as HTML: what is between "<" and ">" may be a tag or not."""
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
    """Those of `wanted` that a note holds. vocabulary: all their words, at least.

    Only WORDS consecutive words of the vocabulary are looked up, which nearly always saves the look-up.
    """
    words = WORD.findall(text.lower())
    result: set[Shingle] = set()
    run = 0
    for i, word in enumerate(words, start=1):
        run = run + 1 if word in vocabulary else 0
        if run >= WORDS and (shingle := tuple(words[i - WORDS : i])) in wanted:
            result.add(shingle)
    return result
