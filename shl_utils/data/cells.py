"""What users' cells hold: lists written as text, codes with another separator, values that another program took for a
number. What is clear is read; what looks like something else is reported."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable
from typing import Any

from shl_utils.data import cleaning

# lists as JSON, Python and numpy write them; numpy puts no comma between strings, and Python would join them
LIST = re.compile(r"\s*[\[(].*[\])]\s*", re.DOTALL)
BETWEEN_STRINGS = re.compile(r"(?<=['\"])\s+(?=['\"])")
# a list, set or object that cannot be read as a list of text; or a part in quotes
PRINTED_LIST = re.compile(
    r"(\w+\()?[\[{(]+\s*['\"].*[\])}]|(\w+\()?[\[{][^\]}]*[,;|=:][^\]}]*[\]}]+\)?|(['\"]).+\3", re.DOTALL
)
# a spreadsheet's number, date or error: 4019.0, 1.0E+3, 4,019, nan, 2-Jan; but 3E03329 is a procedure of ICD-10
SPREADSHEET_VALUE = re.compile(
    r"\d{4,}\.0+|[\d.,]+e[+-]\d+|\d+,\d+|nan|none|null|<na>|n/a|[+-]?inf|#(n/a|name\?|(ref|value|null|num|div/0)!)"
    r"|\d{1,2}[-. ](jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)|\d{4}-\d\d-\d\d([ t].*)?",
    re.IGNORECASE,
)
WHOLE_FLOAT = re.compile(r"\d+\.0")
EXPONENT = re.compile(r"\d+[.,]\d+e[+-]?\d+|\d+e[+-]\d+", re.IGNORECASE)  # but 12e45 may be part of a digest
NO_VALUE = re.compile(r"nan|none|null|<na>|nat|n/a", re.IGNORECASE)
FLAG_VALUES = {"0", "1", "true", "false"}
HALF_CHARACTER = re.compile("[\ud800-\udfff]")  # one of a pair of surrogates: no encoding can represent it
LIKE_CODE = re.compile(r"[^\W\d_]{0,3}\d[\w.]{0,9}")  # E11.9, 401.9, 0010, 3E03329; no word, no phrase
LIST_SEPARATORS = (*";,|\t\n", "\\t", "\\n", *"；，、｜؛،")  # separators that hardly occur within a code
WORD_SEPARATORS = (" and ", " ", "-", "_", ":")  # separators that often do: accepted only between what looks like codes
NO_SEPARATORS = set(".'\"()[]{}*%<>=?!@")
MIN_NOTES_OF_PART = 2  # notes that a part needs for its positions to count
MIN_LIKE_CODES = 0.9  # share of the pieces that must look like codes
MIN_MIXED = 0.5  # share of the parts after a separator that must also occur before one: a qualifier never does
MIN_CELLS = 0.2  # share of the cells that must hold the separator


def read_list(cell: str) -> list[Any] | None:
    """The list that the text writes out, in the form of JSON, Python or numpy; None for other text."""
    if not LIST.fullmatch(cell):
        return None
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        try:
            with warnings.catch_warnings(action="ignore"):  # Python's warning about an unknown backslash escape
                found = ast.literal_eval(BETWEEN_STRINGS.sub(", ", cell.strip()))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    return list(found) if isinstance(found, (list, tuple)) else None


def is_printed_list(part: str) -> bool:
    """Whether it looks like a list as a program prints it, and not like a code."""
    return bool(PRINTED_LIST.fullmatch(part.strip())) or any(isinstance(x, str) for x in read_list(part) or ())


def has_half_character(cell: Any) -> bool:
    return isinstance(cell, str) and bool(HALF_CHARACTER.search(cell))


def tidy(part: str) -> str:
    """A code without invisible characters, with single blanks."""
    return " ".join(cleaning.plain(part).split())


def find_separator(cells: Iterable[str], separator: str) -> str:
    """The separator that evidently stands between codes in these cells, where `separator` does not; or "".

    Evident is one that hardly occurs within codes, between what looks like codes. Evident is also one whose parts occur
    both before and after it ("A;B", "B;C"), as no qualifier does ("Opacity/lung").
    """
    cells = list(cells)
    parts = Counter(part.strip() for cell in cells for part in cell.split(separator) if part.strip())
    # sorted, so that signs that occur equally often are tried in the same order by every process
    signs = Counter(sign for part in parts for sign in sorted({*part} - NO_SEPARATORS) if not sign.isalnum())
    known = (*LIST_SEPARATORS, *WORD_SEPARATORS)
    others = [sign for sign, _ in signs.most_common() if sign not in known and not sign.isspace()]
    for other in (*LIST_SEPARATORS, *others, *WORD_SEPARATORS):
        if other != separator and _separates_codes(parts, other, len(cells)):
            return other
    return ""


def _separates_codes(parts: Counter[str], other: str, n_cells: int) -> bool:
    """Whether `other` separates codes in these parts. parts: number of notes with each."""
    split = {part: [piece for piece in map(str.strip, part.split(other)) if piece] for part in parts if other in part}
    compound = {part: pieces for part, pieces in split.items() if len(pieces) > 1}
    share = sum(parts[part] for part in compound) / max(n_cells, 1)
    pieces_of_all = [piece for pieces in compound.values() for piece in pieces]
    like_codes = sum(map(bool, map(LIKE_CODE.fullmatch, pieces_of_all))) >= MIN_LIKE_CODES * len(pieces_of_all)
    if not compound or (other in WORD_SEPARATORS and not like_codes):
        return False
    if other == "," and all(SPREADSHEET_VALUE.fullmatch(part) for part in compound):
        return False  # 401,9 of a spreadsheet whose language has a decimal comma
    if other in LIST_SEPARATORS and like_codes:
        return sum(parts[part] for part in compound) > 1 or parts.keys() >= set(pieces_of_all)
    varied = len({len(pieces) for pieces in split.values()}) > 2  # like lists, unlike codes of three numbers
    end = -1 if other in LIST_SEPARATORS or (like_codes and varied) else 1  # a qualifier may have further ones after it
    leading = {part for part in parts if part not in compound}.union(*(pieces[:end] for pieces in compound.values()))
    following = Counter[str]()
    for part, pieces in compound.items():
        following.update(dict.fromkeys(pieces[1:], parts[part]))
    seen = [piece for piece, n in following.items() if n >= MIN_NOTES_OF_PART]
    mixed = sum(piece in leading for piece in seen) / max(len(seen), 1)
    return mixed >= MIN_MIXED and share >= MIN_CELLS


def find_alike(codes: Iterable[str]) -> list[list[str]]:
    """Groups of codes that differ only in case, dots, dashes, blanks or the width of letters."""
    found: dict[str, list[str]] = {}
    for code in sorted(codes):
        found.setdefault(spelling(code), []).append(code)
    return [same for same in found.values() if len(same) > 1]


def spelling(code: str) -> str:
    """A normal form of the code: what is left without case, dots, dashes, blanks and the width of letters."""
    return re.sub(r"[\s._\-‐‑–—−']", "", unicodedata.normalize("NFKC", code).casefold()) or code


def find_lost_zeros(codes: Iterable[str], known: Iterable[str]) -> list[str]:
    """Those of `codes` that are not `known` but would be with one to three leading zeros, as lost in a number."""
    known = set(known)
    numbers = (code for code in codes if code not in known and code[0].isdecimal())
    return [code for code in numbers if any("0" * n + code in known for n in (1, 2, 3))]


def find_number(values: Iterable[str]) -> str:
    """An identifier that another program took for a number, in some rows or so that digits are lost; "" if none."""
    values = list(values)
    spoiled = [value for value in values if EXPONENT.fullmatch(value)]
    points = [value for value in values if re.fullmatch(r"\d+\.0+", value)]
    mixed = points and len(points) < sum(value[:1].isdecimal() for value in values)
    return (spoiled or (points if mixed else [""]))[0]
