"""Notes and codes from one file of the user's own: CSV, JSON Lines or Parquet.

Everything is read as text, so codes keep their leading zeros. A code that another program took for a number is refused.
No text of a note reaches an exception: errors name file, row and column, and show no cell but a repeated id. Rows are
counted from 1, without the header of a CSV file.
"""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from shl_utils.data import cells, cleaning, columns
from shl_utils.data.columns import Columns
from shl_utils.data.raw_corpus import SOURCES, RawCorpus
from shl_utils.data.splitting import SPLITS
from shl_utils.parameters import Parameters

LICENCE = "the table's own terms, which the project does not know"
BARE = "code without description, described by itself"
REPEATED = "code repeated in its note"
NO_TEXT = "codes must be text, or lists of text without null: as numbers they lose zeros (0010, 250.00)"
READ_AS_NUMBER = (
    "a code looks read as a number or date by another program (like 4019.0, 401,9, nan, 2-Jan): write codes as text "
    "there, and check `separator`"
)
HALF = "it holds half a character (one of a pair of surrogates, like \\ud83d): write the text again, or without it"
WRITTEN = (
    "a list that cannot be read: write codes with `separator` between them and nothing around, or lists of quoted text "
    'as JSON has them, ["A1", "B2"]'
)
MEANT = 'a code that holds it is written in a list, ["A1,B2"], or the table as .jsonl or .parquet with lists'
FLAGS = "columns of 0 and 1 are not read: join the names of a note's codes in one column, with `separator` between them"
ID_AS_NUMBER = "read as a number by another program (like 100001.0, 1E+05, nan): write them as text there"
EMPTY = "it is empty: fill it or remove the row"
WORDS = "descriptions must be text, or lists of text: rename the column if it holds something else"
AS_MANY = (
    "as many descriptions as codes are needed, in the same order: use lists (.jsonl, .parquet) where one holds the "
    "separator, or rename the column if it holds something else"
)
ONE = "describe it the same way everywhere, or in one row alone"
BOTH = "leave `descriptions` out, or rename the column"
MISSING = {"nan", "NaN", "<NA>", "NaT", "null", "NULL"}  # missing values as programs write them
SHORT = 20  # longest code that is shown; a longer one may be a note
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
    """Read columns id, text and codes, and optionally group, split and description; no other column is read.

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
    _need(table, [*names.values()], path, f"say in `column_names` what the file calls it{_flags(table)}")
    if descriptions and "description" in names:
        raise ValueError(f"{path} has a column {names['description']}, and `descriptions` names a file: {BOTH}")
    notes = pd.DataFrame({"note": _names(table, names["id"], path)})
    _refuse_repeated(notes["note"], path, names["id"])
    notes["group"] = _names(table, names["group"], path) if "group" in names else notes["note"]
    notes["text"] = _filled(table, names["text"], path)
    _refuse(notes["text"], lambda text: text.strip() in MISSING, path, names["text"], f"a missing text; {EMPTY}")
    parts = _parts(table[names["codes"]], path, names["codes"], separator, NO_TEXT)
    _refuse_other_forms(table[names["codes"]], path, names["codes"], separator)
    lists = _codes(parts, path, names["codes"])
    notes["codes"] = [sorted(set(row)) for row in lists]
    if "split" in names:
        notes["split"] = _names(table, names["split"], path)
        _refuse(notes["split"], lambda side: side not in SPLITS, path, names["split"], f"use {', '.join(SPLITS)}")
    _refuse_half_numbers(notes["note"], path, names["id"])
    _refuse_half_numbers(notes["group"], path, names.get("group", names["id"]))
    used = sorted(set().union(*notes["codes"]))
    if len(used) < 2:
        raise ValueError(f"{path}: one code only in column {names['codes']}, two are needed: check `separator`")
    if {code.lower() for code in used} <= cells.FLAGS:
        raise ValueError(f"{path}: column {names['codes']}: {FLAGS}")
    known = _descriptions(descriptions, encoding) if descriptions else {}
    if "description" in names:
        known = _beside(parts, table[names["description"]], path, names["description"], separator)
    _refuse_lost_zeros(used, known, descriptions or path)
    counts = {BARE: len(set(used) - set(known)), REPEATED: sum(len(row) - len(set(row)) for row in lists)}
    counts |= _spellings(used, known)
    return RawCorpus(
        name="table",
        notes=notes,
        descriptions={code: known.get(code, code) for code in used},
        licence=LICENCE,
        dropped={reason: n for reason, n in counts.items() if n},
    )


def texts(path: Path, *, column_names: dict[str, str], encoding: str) -> dict[str, str]:
    """Text of every note by its id, as `load` reads them; if its columns are missing, from columns id and text."""
    table = columns.read(path, encoding, remedy="give `--encoding`")
    own = {usual: column_names.get(usual, usual) for usual in ("id", "text")}
    key, text = (name if name in table else usual for usual, name in own.items())
    _need(table, [key, text], path, "rename it in the file")
    names = _names(table, key, path)
    _refuse_repeated(pd.Series(names), path, key)
    return dict(zip(names, _filled(table, text, path)))


def _descriptions(path: Path, encoding: str) -> dict[str, str]:
    table = columns.read(path, encoding)
    _need(table, ["code", "description"], path, "rename it in the file")
    codes = _names(table, "code", path)
    _refuse_repeated(pd.Series(codes), path, "code")
    _refuse(table["description"], _half, path, "description", HALF)
    words = [cell.strip() if isinstance(cell, str) else "" for cell in table["description"]]
    return {code: text for code, text in zip(codes, words) if text}


def _beside(codes: list[list[str]], words: list[Any], path: Path, column: str, separator: str) -> dict[str, str]:
    """Description of every code that has one: each cell describes the codes of its row, in their order."""
    filled = [["" if part is None else part for part in cell] if isinstance(cell, list) else cell for cell in words]
    pairs = [_aligned(*pair) for pair in zip(codes, _parts(filled, path, column, separator, WORDS))]
    _refuse(pairs, _astray, path, column, AS_MANY)
    first: dict[str, tuple[str, int]] = {}
    for row, pair in enumerate(pairs, start=1):
        for code, text in filter(all, zip(*pair)):
            known, where = first.setdefault(code, (text, row))
            if known != text:
                raise ValueError(f"{path}: row {row}, column {column}: a code has another in row {where}: {ONE}")
    return {code: text for code, (text, _) in first.items()}


def _aligned(codes: list[str], words: list[str]) -> tuple[list[str], list[str]]:
    """Codes and descriptions of a row without the empty parts that separators at the end of a cell make."""
    n = max((i for i, code in enumerate(codes, start=1) if code), default=0)
    return codes[:n], words[:n] + [text for text in words[n:] if text]


def _astray(pair: tuple[list[str], list[str]]) -> bool:
    """Whether there are descriptions, but not one for each code."""
    codes, words = pair
    return any(words) and (len(codes) != len(words) or any(text and not code for code, text in zip(codes, words)))


def _parts(found: Iterable[Any], path: Path, column: str, separator: str, remedy: str) -> list[list[str]]:
    """The parts of every cell as text without surrounding space; parts may be empty."""
    lists = [_list(cell, separator) for cell in found]
    _refuse(lists, lambda row: not isinstance(row, list), path, column, remedy)
    _refuse(lists, lambda row: not all(isinstance(part, str) for part in row), path, column, remedy)
    _refuse(lists, lambda row: any(map(_half, row)), path, column, HALF)
    return [[cells.bare(part) for part in row] for row in lists]


def _list(cell: Any, separator: str) -> Any:
    if cell is None:
        return []
    written = cells.listed(cell) if isinstance(cell, str) else cell
    return cell.split(separator) if written is None else written


def _refuse_other_forms(found: Iterable[Any], path: Path, column: str, separator: str) -> None:
    """Raise ValueError for cells that would be misread: lists in another form, or codes with another separator."""
    lists = [_list(cell, separator) for cell in found]
    texts = [isinstance(cell, str) and cells.listed(cell) is None for cell in found]
    parts = [[cell, *row] if text else row for cell, row, text in zip(found, lists, texts)]
    _refuse(parts, lambda row: any(map(_written, row)), path, column, WRITTEN)
    other = cells.other_separator(itertools.compress(found, texts), separator)
    if other:
        rows = [row for row, (cell, text) in enumerate(zip(found, texts), start=1) if text and other in cell]
        mixed = any(separator in cell for cell in itertools.compress(found, texts))
        remedy = (
            "write one of them in all rows" if mixed else f"set `separator: {json.dumps(other, ensure_ascii=False)}`"
        )
        what = f"codes look parted by {other!r}, and `separator` is {separator!r}"
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        raise ValueError(f"{path}: row {rows[0]}{more}, column {column}: {what}: {remedy}; {MEANT}")


def _written(part: str) -> bool:
    """Whether it looks like a list as a program prints it, and not like a code."""
    return bool(cells.WRITTEN.fullmatch(part.strip())) or any(isinstance(x, str) for x in cells.listed(part) or ())


def _half(text: Any) -> bool:
    return isinstance(text, str) and bool(cells.HALF.search(text))


def _flags(table: Columns) -> str:
    """Advice for an error message if two or more columns hold only 0 and 1 and so may stand for codes; else empty."""
    flags = [name for name, column in table.items() if {str(cell) for cell in column} <= {"0", "1", "0.0", "1.0"}]
    return f"; {FLAGS}" if len(flags) > 1 else ""


def _refuse_half_numbers(values: pd.Series, path: Path, column: str) -> None:
    spoiled = cells.half_number(values)
    _refuse(values, lambda value: value == spoiled or bool(cells.NONE.fullmatch(value)), path, column, ID_AS_NUMBER)


def _refuse_lost_zeros(codes: list[str], known: dict[str, str], path: Path) -> None:
    lost = cells.short_of_zeros(codes, known)
    if lost:
        what = f"{len(lost)} codes have no description there, and have one with zeros before them"
        remedy = "write codes as text, with their zeros, or describe these too"
        raise ValueError(f"{path}: {what}: a program read them as numbers: {remedy}")


def _spellings(codes: list[str], known: dict[str, str]) -> dict[str, int]:
    """Counts of codes that differ only in spelling from another code, or from one with a description, by message.

    Whether they are the same code only the user knows.
    """
    alike = cells.alike(codes)
    short = [same for same in alike if all(len(code) <= SHORT and " " not in code for code in same)]
    such = f", such as {' and '.join(short[0][:2])}" if short else ""
    told = {cells.spelling(code) for code in known}
    return {
        f"codes that only spelling tells apart{such}: if they are one, write them alike": sum(map(len, alike)),
        "codes without description that have one in another spelling: write them alike": sum(
            code not in known and cells.spelling(code) in told for code in codes
        ),
    }


def _codes(parts: list[list[str]], path: Path, column: str) -> list[list[str]]:
    """The codes of every note, repeats included."""
    lists = [[code for code in row if code] for row in parts]
    _refuse(lists, lambda row: not row, path, column, EMPTY)
    whole = all(cells.WHOLE.fullmatch(code) for row in lists for code in row)
    _refuse(lists, lambda row: whole or any(cells.NUMBER.fullmatch(code) for code in row), path, column, READ_AS_NUMBER)
    return lists


def _names(table: Columns, column: str, path: Path) -> list[str]:
    return [cleaning.plain(cell).strip() for cell in _filled(table, column, path)]


def _filled(table: Columns, column: str, path: Path) -> list[str]:
    """The cells as text, none of them blank; integers are accepted as text."""
    found = [str(cell) if type(cell) is int else "" if cell is None else cell for cell in table[column]]
    _refuse(found, lambda cell: not isinstance(cell, str), path, column, "it must hold text")
    _refuse(found, _half, path, column, HALF)
    _refuse(found, lambda cell: not cleaning.plain(cell).strip(), path, column, EMPTY)
    return found


def _refuse(found: Iterable[Any], wrong: Callable[[Any], bool], path: Path, column: str, remedy: str) -> None:
    rows = [row for row, cell in enumerate(found, start=1) if wrong(cell)]
    if rows:
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        raise ValueError(f"{path}: row {rows[0]}{more}, column {column}: {remedy}")


def _refuse_repeated(values: pd.Series, path: Path, column: str) -> None:
    twice = values[values.duplicated()]
    if len(twice):
        rows = ", ".join(str(row + 1) for row in values.index[values == twice.iloc[0]][:5])
        name = repr(twice.iloc[0]) if len(twice.iloc[0]) <= 40 else "the same value"  # a longer one may be a note
        raise ValueError(
            f"{path}: column {column} has {name} in rows {rows}; {len(twice)} repeats in all: make it unique"
        )


def _need(table: Columns, names: list[str], path: Path, remedy: str) -> None:
    missing = [name for name in names if name not in table]
    if not missing:
        return
    near = [found for name in missing for found in difflib.get_close_matches(name, table, n=1, cutoff=0.5)]
    # the first line of a file without header may be a note: it is shown only if a part of it is a known name
    shown = near if len(missing) == len(names) else table
    found = (
        f"found {', '.join(shown)}"
        if shown
        else "none of these: does the file have a header, and commas between columns?"
    )
    raise ValueError(f"{path} lacks the column {', '.join(missing)} ({found}): {remedy}")
