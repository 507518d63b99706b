"""Reading a file as columns of cells. Errors quote none of its text."""

from __future__ import annotations

import codecs
import csv
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shl_utils.data import cells

Columns = dict[str, list[Any]]  # cells by column name
SEP = re.compile(r'\ufeff?"?sep=(.)"?[\r\n]*', re.IGNORECASE)  # a spreadsheet declares its separator so
BACKSLASH = re.compile(r'\\"(?!\s*[,;\t\r\n])')


def read(path: Path, encoding: str, *, remedy: str = "set `encoding`") -> Columns:
    """Every column of a CSV, JSON Lines or Parquet file, by name; all have the same number of cells.

    encoding: of CSV and JSON Lines. remedy: advice for a file in another one. Columns of a CSV file are separated by
    commas. If its header has no comma, it is semicolons, tabs or bars; a first line such as `sep=;` decides.
    Raises FileNotFoundError where there is no file, ValueError for one that is truncated, damaged or in another
    encoding.
    """
    readers = {".csv": _read_csv, ".jsonl": _read_json_lines, ".parquet": _read_parquet}
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: give the path of a {', '.join(readers)} file")
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: the name must end in {', '.join(readers)}, to say how it is read")
    codec = checked(encoding)
    try:
        wide = (
            path.suffix.lower() != ".parquet" and _wide(path) and not encoding.lower().startswith(("utf-16", "utf-32"))
        )
        table = None if wide else readers[path.suffix.lower()](path, codec)
    except UnicodeError:
        table = None
    if table is None:  # raised here, so that the decoder's error, which holds the note, is not chained to this one
        raise ValueError(undecodable(path, encoding, remedy))
    if not table or not next(iter(table.values())):
        raise ValueError(f"{path} holds no rows")
    return table


def checked(encoding: str) -> str:
    try:
        " ".encode(encoding)
    except LookupError:
        raise ValueError(
            f"encoding {encoding!r} is unknown: use utf-8, latin-1, cp1252 or another of Python's"
        ) from None
    # Excel's byte order mark is not part of the first column's name
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def undecodable(path: Path, encoding: str, remedy: str) -> str:
    """Error message for a file that is not in this encoding: its first such line, and an encoding that it may be in."""
    data = path.read_bytes()
    lines = enumerate(data.splitlines(), start=1)
    number = next((n for n, line in lines if not _decodes(line, encoding)), 1)
    return f"{path}, line {number}: not {encoding}: {remedy}, such as {likely(data)}"


def _wide(path: Path) -> bool:
    """Whether it begins as UTF-16 without a mark: each letter with a null, which UTF-8 takes for a character."""
    with path.open("rb") as file:
        return b"\0" in file.read(2)


def likely(data: bytes) -> str:
    """An encoding that bytes which are not UTF-8 may be in."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in data[:2]:
        return "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    windows = any(0x80 <= byte < 0xA0 for byte in data) and _decodes(data, "cp1252")
    return "cp1252" if windows else "latin-1"


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeError:
        return False
    return True


def _read_csv(path: Path, encoding: str) -> Columns:
    csv.field_size_limit(2**31 - 1)  # a note may be longer than csv's default limit of 131,072 characters
    rows: list[list[str]] = []
    with path.open(encoding=encoding, newline="") as file:
        first = file.readline()
        said = SEP.fullmatch(first)
        if not said:
            file.seek(0)
        lines = csv.reader(file, strict=True, delimiter=said[1] if said else _between_columns(first))
        try:
            header = [cells.bare(name) for name in next(filter(any, lines), [])]
            while header and not header[-1]:  # a spreadsheet ends lines with the commas of empty columns
                header.pop()
            for row in filter(any, lines):
                if len(row) < len(header) or any(row[len(header) :]):
                    raise csv.Error(f"{len(row)} columns, the header has {len(header)}")
                rows.append(row)
        except csv.Error as error:  # csv's messages quote nothing of the file
            where = f"row {len(rows) + 1}, near line {lines.line_num + bool(said)}"
            raise ValueError(f"{path}: {where}: {error}: {_why(path, encoding)}") from None
    if len(set(header)) < len(header):
        raise ValueError(f"{path}: two columns have the same name, or none: give each its own")
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


def _between_columns(header: str) -> str:
    """The separator in the header: a comma, or else a semicolon, tab or bar."""
    return next((sign for sign in ",;\t|" if sign in header), ",")


def _why(path: Path, encoding: str) -> str:
    """Why rows have another number of columns: CSV doubles quotes, but some programs put a backslash before them."""
    escaped = BACKSLASH.search(path.read_text(encoding=encoding))
    other = ', or quotes have a backslash before them: write them double, "" for \\"' if escaped else ""
    return f"the file is cut short, or a text is not in quotes{other}"


def _read_json_lines(path: Path, encoding: str) -> Columns:
    rows = []
    with path.open(encoding=encoding) as file:
        for line in filter(str.strip, file):
            rows.append(_json_object(line))
            if rows[-1] is None:
                what = "one a line is expected; the file is cut short or damaged, or one large array"
                raise ValueError(f"{path}: row {len(rows)} is no JSON object: {what}")
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
    try:
        return {name: table.column(name).to_pylist() for name in table.column_names}
    except UnicodeError:
        pass
    # raised here, so that the decoder's error, which holds the note, is not chained to this one
    raise ValueError(f"{path} holds text that is not utf-8, as Parquet has it: write it again from decoded text")
