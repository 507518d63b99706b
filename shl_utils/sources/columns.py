"""A file as columns of cells: whole, in its encoding, and without a word of it in an error."""

from __future__ import annotations

import codecs
import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Columns = dict[str, list[Any]]  # the cells of each column


def read(path: Path, encoding: str) -> Columns:
    """Every column of a CSV, JSON Lines or Parquet file, as many cells in each.

    encoding: of CSV and JSON Lines. Raises FileNotFoundError where there is no file, ValueError for what is cut short,
    damaged or in another encoding.
    """
    readers = {".csv": _read_csv, ".jsonl": _read_json_lines, ".parquet": _read_parquet}
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: give the path of a {', '.join(readers)} file")
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: the name must end in {', '.join(readers)}, to say how it is read")
    try:
        table = readers[path.suffix.lower()](path, _checked(encoding))
    except UnicodeError:
        table = None
    if table is None:  # raised here, so that the note in the decoder's error does not hang on this one
        raise ValueError(
            f"{path}, line {_undecodable(path, encoding)}: not {encoding}: set `encoding`, such as latin-1"
        )
    if not table or not next(iter(table.values())):
        raise ValueError(f"{path} holds no rows")
    return table


def _checked(encoding: str) -> str:
    try:
        " ".encode(encoding)
    except LookupError:
        raise ValueError(
            f"encoding {encoding!r} is unknown: use utf-8, latin-1, cp1252 or another of Python's"
        ) from None
    # Excel's byte order mark is no part of the first column's name
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def _undecodable(path: Path, encoding: str) -> int:
    """Number of the first line that is not in this encoding."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode(encoding)
            except UnicodeError:
                return number
    return 1


def _read_csv(path: Path, encoding: str) -> Columns:
    csv.field_size_limit(2**31 - 1)  # a note may be longer than the 131,072 characters that csv allows at first
    cells: list[list[str]] = []
    with path.open(encoding=encoding, newline="") as file:
        lines = csv.reader(file, strict=True)
        try:
            header = [name.strip() for name in next(lines, [])]
            for row in filter(None, lines):
                if len(row) != len(header):
                    raise csv.Error(f"{len(row)} columns, the header has {len(header)}")
                cells.append(row)
        except csv.Error as error:  # its messages quote nothing of the file
            where = f"row {len(cells) + 1}, near line {lines.line_num}"
            raise ValueError(f"{path}: {where}: {error}: the file is cut short, or a text is not in quotes") from None
    if len(set(header)) < len(header):
        raise ValueError(f"{path}: two columns have the same name: rename one")
    return {name: [row[i] for row in cells] for i, name in enumerate(header)}


def _read_json_lines(path: Path, encoding: str) -> Columns:
    rows = []
    with path.open(encoding=encoding) as file:
        for line in filter(str.strip, file):
            rows.append(_json_object(line))
            if rows[-1] is None:
                raise ValueError(f"{path}: row {len(rows)} is no JSON object: the file is cut short or damaged")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _json_object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _read_parquet(path: Path, encoding: str) -> Columns:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is cut short or damaged (Parquet: {type(error).__name__}): write it again") from None
    return {name: table.column(name).to_pylist() for name in table.column_names}
