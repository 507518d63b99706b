"""Reading a file as columns of cells, and what a column must hold. Errors quote none of its text."""

from __future__ import annotations

import codecs
import csv
import difflib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import feather

from shl_utils.data import cells, cleaning

Columns = dict[str, list[Any]]  # cells by column name
KINDS = (".csv", ".jsonl", ".parquet")
SEP = re.compile(r'\ufeff?"?sep=(.)"?[\r\n]*', re.IGNORECASE)  # a spreadsheet declares its separator so
BACKSLASH = re.compile(r'\\"(?!\s*[,;\t\r\n])')
EMPTY_CELL = "it is empty: fill it or remove the row"
HALF_CHARACTER = (
    "it holds half a character (one of a pair of surrogates, like \\ud83d): write the text again, or without it"
)


@dataclass(frozen=True)
class Column:
    """One column of a user's file. Errors name file, row and column, and show no cell but a repeated one.

    Rows are counted from 1, without the header of a CSV file.
    """

    path: Path
    name: str
    cells: list[Any]

    def refuse(self, values: Iterable[Any], wrong: Callable[[Any], bool], remedy: str) -> None:
        """Raise ValueError with `remedy` if any of `values`, one per row, is wrong."""
        rows = [row for row, value in enumerate(values, start=1) if wrong(value)]
        if rows:
            more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
            raise ValueError(f"{self.path}: row {rows[0]}{more}, column {self.name}: {remedy}")

    def texts(self) -> list[str]:
        """The cells as text, none of them blank; integers are accepted as text."""
        found = [str(cell) if type(cell) is int else "" if cell is None else cell for cell in self.cells]
        self.refuse(found, lambda cell: not isinstance(cell, str), "it must hold text")
        self.refuse(found, cells.has_half_character, HALF_CHARACTER)
        self.refuse(found, lambda cell: not cleaning.plain(cell).strip(), EMPTY_CELL)
        return found

    def names(self, *, unique: bool = False) -> list[str]:
        """The cells as text without invisible characters and space around; ValueError if `unique` and one repeats."""
        found = [cleaning.plain(cell).strip() for cell in self.texts()]
        twice = pd.Series(found)[pd.Series(found).duplicated()]
        if unique and len(twice):
            first = twice.iloc[0]
            rows = [str(row) for row, name in enumerate(found, start=1) if name == first][:5]
            shown = repr(first) if len(first) <= 40 else "the same value"  # a longer one may be a note
            what = f"has {shown} in rows {', '.join(rows)}; {len(twice)} repeats in all"
            raise ValueError(f"{self.path}: column {self.name} {what}: make it unique")
        return found


def require(table: Columns, names: Sequence[str], path: Path, remedy: str) -> None:
    """Raise ValueError with `remedy`, and the names that were found, if the table lacks one of these columns."""
    missing = [name for name in names if name not in table]
    if not missing:
        return
    near = [found for name in missing for found in difflib.get_close_matches(name, table, n=1, cutoff=0.5)]
    # the first line of a file without header may be a note: it is shown only if a part of it is a known name
    shown = near if len(missing) == len(names) else table
    none = "none of these: does the file have a header, and commas between columns?"
    found = f"found {', '.join(shown)}" if shown else none
    raise ValueError(f"{path} lacks the column {', '.join(missing)} ({found}): {remedy}")


def read(path: Path, encoding: str, *, kinds: Sequence[str] = KINDS, remedy: str = "set `encoding`") -> Columns:
    """Every column of a CSV, JSON Lines, Parquet or Feather file, by name; all have the same number of cells.

    encoding: of CSV and JSON Lines. kinds: endings of names that are accepted. remedy: advice for a file in another
    encoding. Columns of a CSV file are separated by commas. If its header has no comma, it is semicolons, tabs or bars;
    a first line such as `sep=;` decides.
    Raises FileNotFoundError where there is no file, ValueError for one that is truncated, damaged or in another
    encoding.
    """
    kind = path.suffix.lower()
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: give the path of a {', '.join(kinds)} file")
    if kind not in kinds:
        raise ValueError(f"{path}: the name must end in {', '.join(kinds)}, to say how it is read")
    codec = checked(encoding)
    if kind in (".parquet", ".feather"):
        table = _read_arrow(path)
    else:
        table = _read_text(path, codec, _read_csv if kind == ".csv" else _read_json_lines)
        if table is None:  # raised here, so that the decoder's error, which holds the note, is not chained to this one
            raise ValueError(undecodable(path, encoding, remedy))
    if not table or not next(iter(table.values())):
        raise ValueError(f"{path} holds no rows")
    return table


def checked(encoding: str) -> str:
    """The codec of an encoding; ValueError for an unknown one."""
    try:
        " ".encode(encoding)
    except LookupError:
        raise ValueError(
            f"encoding {encoding!r} is unknown: use utf-8, latin-1, cp1252 or another of Python's"
        ) from None
    # Excel's byte order mark is not part of the first column's name
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def decoded(data: bytes, name: str, encoding: str) -> str:
    """Text of the bytes of the note file `name`; ValueError for another encoding, with one that it may be in."""
    codec = checked(encoding)
    try:
        return data.decode(codec)
    except UnicodeError:
        pass
    # raised here, so that the decoder's error, which contains the note, is not chained to this one
    raise ValueError(f"{name} is not {encoding}: give `--encoding {likely(data)}`, or what it was saved in")


def undecodable(path: Path, encoding: str, remedy: str) -> str:
    """Error message for a file that is not in this encoding: its first such line, and an encoding that it may be in."""
    data = path.read_bytes()
    lines = enumerate(data.splitlines(), start=1)
    number = next((n for n, line in lines if not _decodes(line, encoding)), 1)
    return f"{path}, line {number}: not {encoding}: {remedy}, such as {likely(data)}"


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


def _read_text(path: Path, codec: str, reader: Callable[[Path, str], Columns]) -> Columns | None:
    """What `reader` reads; None for a file in another encoding."""
    with path.open("rb") as file:
        # UTF-16 without a mark: each letter with a null, which UTF-8 takes for a character
        if b"\0" in file.read(2) and not codec.lower().startswith(("utf-16", "utf-32")):
            return None
    try:
        return reader(path, codec)
    except UnicodeError:
        return None


def _read_csv(path: Path, codec: str) -> Columns:
    csv.field_size_limit(2**31 - 1)  # a note may be longer than csv's default limit of 131,072 characters
    rows: list[list[str]] = []
    with path.open(encoding=codec, newline="") as file:
        first = file.readline()
        declared = SEP.fullmatch(first)
        if not declared:
            file.seek(0)
        separator = declared[1] if declared else next((sign for sign in ",;\t|" if sign in first), ",")
        lines = csv.reader(file, strict=True, delimiter=separator)
        try:
            header = [cells.tidy(name) for name in next(filter(any, lines), [])]
            while header and not header[-1]:  # a spreadsheet ends lines with the commas of empty columns
                header.pop()
            for row in filter(any, lines):
                if len(row) < len(header) or any(row[len(header) :]):
                    raise csv.Error(f"{len(row)} columns, the header has {len(header)}")
                rows.append(row)
        except csv.Error as error:  # csv's messages quote nothing of the file
            where = f"row {len(rows) + 1}, near line {lines.line_num + bool(declared)}"
            raise ValueError(f"{path}: {where}: {error}: {_why(path, codec)}") from None
    if len(set(header)) < len(header):
        raise ValueError(f"{path}: two columns have the same name, or none: give each its own")
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


def _why(path: Path, codec: str) -> str:
    """Why rows have another number of columns: CSV doubles quotes, but some programs put a backslash before them."""
    escaped = BACKSLASH.search(path.read_text(encoding=codec))
    other = ', or quotes have a backslash before them: write them double, "" for \\"' if escaped else ""
    return f"the file is cut short, or a text is not in quotes{other}"


def _read_json_lines(path: Path, codec: str) -> Columns:
    rows = []
    with path.open(encoding=codec) as file:
        for line in filter(str.strip, file):
            rows.append(_json_object(line))
            if rows[-1] is None:
                what = "one per line is expected; the file is cut short or damaged, or one large array"
                raise ValueError(f"{path}: row {len(rows)} is no JSON object: {what}")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _json_object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _read_arrow(path: Path) -> Columns:
    kind, reader = ("Parquet", pq.read_table) if path.suffix.lower() == ".parquet" else ("Feather", feather.read_table)
    try:
        table = reader(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is cut short or damaged ({kind}: {type(error).__name__}): write it again") from None
    try:
        return {name: table.column(name).to_pylist() for name in table.column_names}
    except UnicodeError:
        pass
    # raised here, so that the decoder's error, which holds the note, is not chained to this one
    raise ValueError(f"{path} holds text that is not utf-8, as {kind} has it: write it again from decoded text")
