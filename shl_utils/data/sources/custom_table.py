"""Notes and codes from one file of the user's own: CSV, JSON Lines or Parquet.

Everything is read as text, so codes keep their leading zeros. A code that another program took for a number is refused.
No text of a note reaches an exception: errors name file, row and column, and show no cell but a repeated id. Rows are
counted from 1, without the header of a CSV file.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from shl_utils.data import cells, columns
from shl_utils.data.columns import Column
from shl_utils.data.raw_corpus import SOURCES, RawCorpus
from shl_utils.data.splitting import SPLITS
from shl_utils.parameters import Parameters

LICENCE = "the table's own terms, which the project does not know"
UNDESCRIBED = "code without description, described by itself"
REPEATED = "code repeated in its note"
CODES_NOT_TEXT = "codes must be text, or lists of text without null: as numbers they lose zeros (0010, 250.00)"
CODE_AS_NUMBER = (
    "a code looks read as a number or date by another program (like 4019.0, 401,9, nan, 2-Jan): write codes as text "
    "there, and check `separator`"
)
UNREADABLE_LIST = (
    "a list that cannot be read: write codes with `separator` between them and nothing around, or lists of quoted text "
    'as JSON has them, ["A1", "B2"]'
)
SEPARATOR_IN_CODE = (
    'a code that holds it is written in a list, ["A1,B2"], or the table as .jsonl or .parquet with lists'
)
FLAG_COLUMNS = (
    "columns of 0 and 1 are not read: join the names of a note's codes in one column, with `separator` between them"
)
ID_AS_NUMBER = "read as a number by another program (like 100001.0, 1E+05, nan): write them as text there"
DESCRIPTIONS_NOT_TEXT = "descriptions must be text, or lists of text: rename the column if it holds something else"
DESCRIPTIONS_UNEQUAL = (
    "as many descriptions as codes are needed, in the same order: use lists (.jsonl, .parquet) where one holds the "
    "separator, or rename the column if it holds something else"
)
MISSING_VALUES = {"nan", "NaN", "<NA>", "NaT", "null", "NULL"}  # missing values as programs write them
LONGEST_SHOWN = 20  # characters of a code that is shown; a longer one may be a note
OPTIONAL = ("group", "split", "description")


@SOURCES.add(
    private="private",
    needs={"table": "the path of a .csv, .jsonl or .parquet file"},
    parameters={
        "table": ("", "table: path of the .csv, .jsonl or .parquet file", {"kind": "path"}),
        "column_names": (
            {},
            "table: its own names of its columns",
            {"keys": ("id", "text", "codes", "split", "group", "description")},
        ),
        "separator": (";", "table: separator between the codes of a note, if they are not a list", {"min_length": 1}),
        "encoding": ("utf-8", "table: text encoding", {"min_length": 1}),
        "descriptions": ("", "table: file with columns code and description, if no column", {"kind": "path"}),
        "private": (True, "table: its notes are private and must not appear in any output"),
    },
)
def table(parameters: Parameters, run_folder: Path) -> RawCorpus:
    return load(
        Path(parameters.table),
        column_names=parameters.column_names,
        separator=parameters.separator,
        encoding=parameters.encoding,
        descriptions=Path(parameters.descriptions) if parameters.descriptions else None,
    )


def load(
    path: Path,
    *,
    column_names: dict[str, str],
    separator: str,
    encoding: str,
    descriptions: Path | None,
) -> RawCorpus:
    """Read columns id, text and codes, and optionally group, split and description; no other column is used.

    column_names: the file's own names, where they differ; a column that is named there must exist.
    separator: between the codes of a note, unless the cell is a list. A cell of text may also be a list as JSON, Python
    or numpy write it. encoding: of CSV and JSON Lines.
    `group` defaults to the id. `split` is kept; it needs train and test and may have validation. `description` is
    parallel to the codes of its note, as a list or with the same separator; cells and parts of them may be empty.
    descriptions: instead of that column, a file of the same kinds with columns code and description. A code without
    description describes itself.
    Raises FileNotFoundError for a missing file, ValueError for everything else that is wrong with one.
    """
    table = columns.read(path, encoding)
    names = {name: column_names.get(name, name) for name in ("id", "text", "codes", *OPTIONAL)}
    for name in OPTIONAL:
        if name not in column_names and name not in table:
            del names[name]
    flags = sum({str(cell) for cell in column} <= {"0", "1", "0.0", "1.0"} for column in table.values())
    advice = f"; {FLAG_COLUMNS}" if flags > 1 else ""  # they may stand for codes
    columns.require(table, list(names.values()), path, f"say in `column_names` what the file calls it{advice}")
    own = {name: Column(path, title, table[title]) for name, title in names.items()}
    if descriptions and "description" in own:
        what = f"{path} has a column {names['description']}, and `descriptions` names a file"
        raise ValueError(f"{what}: leave `descriptions` out, or rename the column")
    notes = pd.DataFrame({"note": own["id"].names(unique=True)})
    notes["group"] = own["group"].names() if "group" in own else notes["note"]
    notes["text"] = own["text"].texts()
    missing = f"a missing text; {columns.EMPTY_CELL}"
    own["text"].refuse(notes["text"], lambda text: text.strip() in MISSING_VALUES, missing)
    parts = _parts(own["codes"], separator, CODES_NOT_TEXT)
    _refuse_other_forms(own["codes"], separator)
    lists = _codes(own["codes"], parts)
    notes["codes"] = [sorted(set(row)) for row in lists]
    if "split" in own:
        notes["split"] = own["split"].names()
        own["split"].refuse(notes["split"], lambda split: split not in SPLITS, f"use {', '.join(SPLITS)}")
    _refuse_numbers(own["id"], notes["note"])
    _refuse_numbers(own.get("group", own["id"]), notes["group"])
    used = sorted(set().union(*notes["codes"]))
    if len(used) < 2:
        raise ValueError(f"{path}: one code only in column {names['codes']}, two are needed: check `separator`")
    if {code.lower() for code in used} <= cells.FLAG_VALUES:
        raise ValueError(f"{path}: column {names['codes']}: {FLAG_COLUMNS}")
    known = _read_descriptions(descriptions, encoding) if descriptions else {}
    if "description" in own:
        known = _pair_descriptions(own["description"], parts, separator)
    _refuse_lost_zeros(used, known, descriptions or path)
    counts = {UNDESCRIBED: len(set(used) - set(known)), REPEATED: sum(len(row) - len(set(row)) for row in lists)}
    counts |= _count_spellings(used, known)
    dropped = {reason: n for reason, n in counts.items() if n}
    described = {code: known.get(code, code) for code in used}
    return RawCorpus("table", notes, described, LICENCE, dropped=dropped)


def texts(path: Path, *, column_names: dict[str, str], encoding: str) -> dict[str, str]:
    """Text of every note by its id, as `load` reads them; if its columns are missing, from columns id and text."""
    table = columns.read(path, encoding, remedy="give `--encoding`")
    own = {usual: column_names.get(usual, usual) for usual in ("id", "text")}
    key, text = (name if name in table else usual for usual, name in own.items())
    columns.require(table, [key, text], path, "rename it in the file")
    names = Column(path, key, table[key]).names(unique=True)
    return dict(zip(names, Column(path, text, table[text]).texts()))


def _read_descriptions(path: Path, encoding: str) -> dict[str, str]:
    table = columns.read(path, encoding)
    columns.require(table, ["code", "description"], path, "rename it in the file")
    codes, described = (Column(path, name, table[name]) for name in ("code", "description"))
    names = codes.names(unique=True)
    described.refuse(described.cells, cells.has_half_character, columns.HALF_CHARACTER)
    words = [cell.strip() if isinstance(cell, str) else "" for cell in described.cells]
    return {code: text for code, text in zip(names, words) if text}


def _pair_descriptions(column: Column, codes: list[list[str]], separator: str) -> dict[str, str]:
    """Description of every code that has one: each cell describes the codes of its row, in their order."""
    filled = [["" if part is None else part for part in c] if isinstance(c, list) else c for c in column.cells]
    words = _parts(replace(column, cells=filled), separator, DESCRIPTIONS_NOT_TEXT)
    pairs = [_align(*pair) for pair in zip(codes, words)]
    column.refuse(pairs, _are_unequal, DESCRIPTIONS_UNEQUAL)
    first: dict[str, tuple[str, int]] = {}
    for row, pair in enumerate(pairs, start=1):
        for code, text in filter(all, zip(*pair)):
            known, where = first.setdefault(code, (text, row))
            if known != text:
                what = f"row {row}, column {column.name}: a code has another in row {where}"
                raise ValueError(f"{column.path}: {what}: describe it the same way everywhere, or in one row alone")
    return {code: text for code, (text, _) in first.items()}


def _align(codes: list[str], words: list[str]) -> tuple[list[str], list[str]]:
    """Codes and descriptions of a row without the empty parts that separators at the end of a cell make."""
    n = max((i for i, code in enumerate(codes, start=1) if code), default=0)
    return codes[:n], words[:n] + [text for text in words[n:] if text]


def _are_unequal(pair: tuple[list[str], list[str]]) -> bool:
    """Whether there are descriptions, but not one for each code."""
    codes, words = pair
    return any(words) and (len(codes) != len(words) or any(text and not code for code, text in zip(codes, words)))


def _parts(column: Column, separator: str, remedy: str) -> list[list[str]]:
    """The parts of every cell as text without surrounding space; parts may be empty."""
    lists = [_list(cell, separator) for cell in column.cells]
    column.refuse(lists, lambda row: not isinstance(row, list), remedy)
    column.refuse(lists, lambda row: not all(isinstance(part, str) for part in row), remedy)
    column.refuse(lists, lambda row: any(map(cells.has_half_character, row)), columns.HALF_CHARACTER)
    return [[cells.tidy(part) for part in row] for row in lists]


def _list(cell: Any, separator: str) -> Any:
    if cell is None:
        return []
    listed = cells.read_list(cell) if isinstance(cell, str) else cell
    return cell.split(separator) if listed is None else listed


def _refuse_other_forms(column: Column, separator: str) -> None:
    """Raise ValueError for cells that would be misread: lists in another form, or codes with another separator."""
    lists = [_list(cell, separator) for cell in column.cells]
    is_text = [isinstance(cell, str) and cells.read_list(cell) is None for cell in column.cells]
    parts = [[cell, *row] if text else row for cell, row, text in zip(column.cells, lists, is_text)]
    column.refuse(parts, lambda row: any(map(cells.is_printed_list, row)), UNREADABLE_LIST)
    texts = list(itertools.compress(column.cells, is_text))
    other = cells.find_separator(texts, separator)
    if other:
        remedy = f"set `separator: {json.dumps(other, ensure_ascii=False)}`"
        if any(separator in cell for cell in texts):
            remedy = "write one of them in all rows"
        what = f"codes look separated by {other!r}, and `separator` is {separator!r}"
        with_other = [other in cell if text else False for cell, text in zip(column.cells, is_text)]
        column.refuse(with_other, bool, f"{what}: {remedy}; {SEPARATOR_IN_CODE}")


def _codes(column: Column, parts: list[list[str]]) -> list[list[str]]:
    """The codes of every note, repeats included."""
    lists = [[code for code in row if code] for row in parts]
    column.refuse(lists, lambda row: not row, columns.EMPTY_CELL)
    all_whole = all(cells.WHOLE_FLOAT.fullmatch(code) for row in lists for code in row)
    changed = cells.SPREADSHEET_VALUE.fullmatch
    column.refuse(lists, lambda row: all_whole or any(map(changed, row)), CODE_AS_NUMBER)
    return lists


def _refuse_numbers(column: Column, values: pd.Series) -> None:
    """Raise ValueError for an identifier that another program took for a number or a missing value."""
    number = cells.find_number(values)
    column.refuse(values, lambda value: value == number or bool(cells.NO_VALUE.fullmatch(value)), ID_AS_NUMBER)


def _refuse_lost_zeros(codes: list[str], known: dict[str, str], path: Path) -> None:
    lost = cells.find_lost_zeros(codes, known)
    if lost:
        what = f"{len(lost)} codes have no description there, and have one with zeros before them"
        remedy = "write codes as text, with their zeros, or describe these too"
        raise ValueError(f"{path}: {what}: a program read them as numbers: {remedy}")


def _count_spellings(codes: list[str], known: dict[str, str]) -> dict[str, int]:
    """Counts of codes that differ only in spelling from another code, or from one with a description, by message.

    Whether they are the same code only the user knows.
    """
    alike = cells.find_alike(codes)
    short = [same for same in alike if all(len(code) <= LONGEST_SHOWN and " " not in code for code in same)]
    such = f", such as {' and '.join(short[0][:2])}" if short else ""
    described = {cells.spelling(code) for code in known}
    return {
        f"codes that only spelling tells apart{such}: if they are one, write them alike": sum(map(len, alike)),
        "codes without description that have one in another spelling: write them alike": sum(
            code not in known and cells.spelling(code) in described for code in codes
        ),
    }
