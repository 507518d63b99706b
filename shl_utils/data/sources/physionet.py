"""Tables of MIMIC as PhysioNet ships them: found, checked, and read as text through DuckDB.

Every column is text, so codes keep their leading zeros. No text of a note reaches an exception or a log: DuckDB quotes
the line that it cannot read, so its errors stop here.
"""

from __future__ import annotations

import gzip
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pandas as pd

from shl_utils.data import cells
from shl_utils.data.raw_corpus import RawCorpus
from shl_utils.data.sources import icd
from shl_utils.runs import progress

Counts = dict[str, int]  # by reason, or by what is counted
LICENCE = "PhysioNet Credentialed Health Data Use Agreement 1.5.0: do not share notes or show them in outputs"
MEMORY_LIMIT = "1GB"  # of DuckDB alone; beyond it, it spills to a temporary folder that is removed at the end
THREADS = 2
AGAIN = "download it again and compare it with SHA256SUMS.txt"
NUMBER = re.compile(r"[.+]|^\d+e\d|^(nan|none|null|<na>|inf)$", re.IGNORECASE)  # 4019.0, 1.0E+3, 1e10, nan
NUMBER_10 = re.compile(r"[.+]|^(nan|none|null|<na>|inf)$", re.IGNORECASE)  # 3E03305 is a procedure of ICD-10
ANY, WHOLE = re.compile(".*", re.DOTALL), re.compile("[0-9]+")
CODES = re.compile(r"[0-9A-Z]+")
LINE = 2**24  # bytes of a row that is read at most: a stay's longest note has 2**16 or so
# in SQL, what the releases have in columns beside the codes; NULL is none
FORMS = {"HADM_ID": "[0-9]+", "ROW_ID": "[0-9]+", "NOTE_SEQ": "[0-9]+", "ISERROR": "[01]?"}
FORMS |= {"CHARTDATE": r"\d{4}-\d\d-\d\d( .*)?", "CHARTTIME": r"(\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?)?"}
PAIRS = tuple((f"{kind}_icd", f"d_icd_{kind}") for kind in ("diagnoses", "procedures"))  # codes and their titles
NATURAL = 4  # codes without a title for one whose zeros may be lost: some codes of the releases have no title
SHOWN = re.compile(r"[\w.,'+-]{1,12}")  # anything else may be text from another column
MANY_CODES = 500  # so many different codes without one leading zero do not occur (3 in 100 have one)


@dataclass
class Tables:
    """The tables of one release. files: by table name. download: where to have them from. rows: read of each table.
    codes: undotted, that each table holds, by its name in lower case."""

    db: duckdb.DuckDBPyConnection
    files: dict[str, Path]
    download: str
    rows: Counts = field(default_factory=dict)
    codes: dict[str, set[str]] = field(default_factory=dict)

    def select(self, name: str, columns: str) -> pd.DataFrame:
        """These columns, SQL, of all rows of a table."""
        found = self.run(name, f"SELECT {columns} {self.scan(name)}").astype(object)
        self.rows[name] = len(found)
        return found

    def scan(self, name: str) -> str:
        """The FROM clause that reads a table's file."""
        columns = ", ".join("'{}': 'VARCHAR'".format(c.replace("'", "''")) for c in _header(self.files[name])[0])
        dialect = (
            f"""auto_detect = false, header = true, delim = ',', quote = '"', escape = '"', max_line_size = {LINE}"""
        )
        return f"FROM read_csv(?, {dialect}, columns = {{{columns}}})"

    def run(self, name: str, sql: str) -> pd.DataFrame:
        """What `sql` gives; a question mark in it is the file of the table, which ValueError names if it fails."""
        path = self.files[name]
        try:
            with progress.watched(self.db.query_progress, f"read {path.name}"):
                return self.db.execute(sql, [str(path)] if "?" in sql else None).df()
        except duckdb.Error as error:
            kind, full = type(error).__name__, isinstance(error, duckdb.OutOfMemoryException)
            encoded, open_quote = "\nInvalid unicode" in str(error), "unterminated quote" in str(error)
            long = "aximum line size" in str(error)
        # Raised outside the except block: DuckDB's message, which quotes lines, must not hang on as __context__.
        if full:
            raise ValueError(f"{path} needs more than {MEMORY_LIMIT} and the free space of the temporary folder")
        if encoded:
            raise ValueError(f"{path} is not utf-8, as PhysioNet ships it, but saved in another encoding: {AGAIN}")
        if long:
            raise ValueError(f"{path} has a row of more than {LINE:,} bytes, or a quote that is not closed: {AGAIN}")
        why = ": a quote is not closed, has a backslash before it, or lines end in two ways" if open_quote else ""
        raise ValueError(f"{path} cannot be read as CSV (DuckDB: {kind}; its message may quote a note){why}: {AGAIN}")

    def refuse_forms(self, name: str, read: str, columns: Iterable[str]) -> None:
        """Raise if these columns of `read`, a table in DuckDB, are not as the release has them; NULLs are let be."""
        for column in columns:
            strange = f"SELECT count(*) FILTER (NOT regexp_full_match(trim({column}), '{FORMS[column]}')) FROM {read}"
            (n,) = self.db.execute(strange).fetchone()
            if n:
                what = f"{column} is in {n} rows not as the release has it, as if read as a number or date"
                raise ValueError(f"{self.files[name]}: {what} by another program: {AGAIN}, and save it nowhere else")

    def refuse_numbers(
        self,
        values: Iterable[str],
        name: str,
        column: str,
        *,
        zeros: bool,
        number: re.Pattern = NUMBER,
        form: re.Pattern = ANY,
    ) -> None:
        """Raise if `values` were taken for numbers by another program: look like one, or are not of this form; `zeros`:
        some must start with 0."""
        values = sorted(values, key=len)
        damaged = next((value for value in values if number.search(value) or not form.fullmatch(value)), None)
        if damaged is None and zeros and values and not any(value.startswith("0") for value in values):
            damaged = values[0] if len(values[0]) < 3 or len(values) >= MANY_CODES else None
        if damaged is not None:
            like = f", like {damaged!r}" if SHOWN.fullmatch(damaged) else ""
            what = f"{column} looks read as a number by another program{like} (leading zeros get lost)"
            raise ValueError(f"{self.files[name]}: {what}: {AGAIN}, and open or save it nowhere else")

    def refuse_strange(self, values: Iterable[str], name: str, column: str, known: range) -> None:
        """Raise if an identifier lies outside those that the release gives out."""
        for value in values:
            if not (value.isdecimal() and int(value) in known):
                raise ValueError(
                    f"{self.files[name]}: {column} {value!r} is not from {known[0]} to {known[-1]}, as the release "
                    f"has them: {self.download}"
                )

    def refuse_lost_zeros(self) -> None:
        """Raise if codes have no title that would have one with zeros before them, as numbers have lost them."""
        for name, titles in PAIRS:
            bare = self.codes[name] - self.codes[titles]
            lost = cells.short_of_zeros(sorted(bare), self.codes[titles])
            if NATURAL * len(lost) >= max(len(bare), 1):
                path = next(path for table, path in self.files.items() if table.lower() == name)
                what = f"{len(lost)} codes without a title have one with zeros before them, like {lost[0]!r}"
                raise ValueError(f"{path}: {what}: another program read them as numbers: {AGAIN}")

    def dot(self, part: pd.DataFrame, name: str, column: str, *, version: int, procedure: bool) -> pd.DataFrame:
        """`part` with its codes dotted; raises if they were taken for numbers."""
        codes = part["code"].unique()
        number = NUMBER if version == 9 else NUMBER_10
        self.refuse_numbers(codes, name, column, zeros=version == 9, number=number, form=CODES)
        self.codes[name.lower()] = set(codes)
        named = {code: icd.dotted(code, version=version, procedure=procedure) for code in codes}
        return part.assign(code=part["code"].map(named))


@contextmanager
def opened(folders: Sequence[Path], columns: dict[str, tuple[str, ...]], download: str) -> Iterator[Tables]:
    """The tables named by `columns`, from whichever of the folders has them, whole and with these columns.

    FileNotFoundError for what is missing, ValueError for what is damaged.
    """
    found = _whole(files(folders, columns, download), columns, download)
    with tempfile.TemporaryDirectory(prefix="shl-") as spill:
        limits = {"memory_limit": MEMORY_LIMIT, "threads": THREADS, "temp_directory": spill}
        with duckdb.connect(config=limits) as db:
            db.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")  # for `progress`
            yield Tables(db, found, download)


def count(dropped: Counts, reason: str, number: int) -> None:
    """Add to what was dropped for this reason, if anything was."""
    if number:
        dropped[reason] = dropped.get(reason, 0) + int(number)


def joined(rows: pd.DataFrame, dropped: Counts) -> pd.DataFrame:
    """One note an admission from its rows in order: `note`, `group`, `text`, their texts joined by a line break.

    Left out and counted: blank ones, and those of an admission without a patient (`group`).
    """
    parts = rows.groupby("note", sort=False)
    notes = parts.agg({"group": "first", "text": lambda texts: "\n".join(filter(None, texts))}).reset_index()
    unknown = notes["group"].isna()
    blank = ~unknown & ~notes["text"].str.contains(r"\S", na=False)
    count(dropped, "note of an admission that ADMISSIONS lacks", unknown.sum())
    count(dropped, "blank note", blank.sum())
    return notes[~unknown & ~blank].reset_index(drop=True)


def assembled(
    name: str, notes: pd.DataFrame, codes: pd.DataFrame, descriptions: dict[str, str], dropped: Counts, tables: Tables
) -> RawCorpus:
    """Notes and codes (`note`, `code`) brought together; what has not both is left out and counted in `dropped`."""
    by_note = codes.groupby("note")["code"].agg(sorted)
    unwritten = (~by_note.index.isin(notes["note"])).sum()
    count(dropped, "admission with codes, without a discharge summary", unwritten)
    notes["codes"] = notes["note"].map(by_note)
    count(dropped, "note without codes", notes["codes"].isna().sum())
    notes = notes.dropna(subset=["codes"]).reset_index(drop=True)
    tables.refuse_lost_zeros()
    if notes.empty:
        raise ValueError(f"no coded discharge summary is left; dropped: {dropped}: {tables.download}")
    used = sorted(set().union(*notes["codes"]))
    undescribed = [code for code in used if code not in descriptions]
    if 2 * len(undescribed) > len(used):
        what = f"{len(undescribed)} of {len(used)} codes of the notes are in no table of descriptions"
        raise ValueError(f"{what}: the tables are not of one release: {tables.download}")
    count(dropped, "code without description, described by itself", len(undescribed))
    described = {code: descriptions.get(code, code) for code in used}
    return RawCorpus(name, notes, described, LICENCE, private=True, dropped=dropped)


def results(corpus: RawCorpus) -> Counts:
    """How many notes and codes came out."""
    return {"notes": len(corpus.notes), "codes": len(corpus.descriptions)}


def beside(found: Counts, expected: dict[str, Counts]) -> pd.DataFrame:
    """What was found beside what each release is known to hold; a count that is not known is missing."""
    known = pd.DataFrame(expected, index=list(found), dtype="Int64")
    return known.assign(found=pd.Series(found, dtype="Int64")).rename_axis("rows of, and results")


def files(folders: Sequence[Path], names: Iterable[str], download: str) -> dict[str, Path]:
    """The file of each table, from whichever of the folders has it; FileNotFoundError for what is missing."""
    if not folders[0].is_dir():
        raise FileNotFoundError(f"{folders[0]} is not a folder: name the folder of the tables, or {download}")
    found: dict[str, Path] = {}
    for folder in filter(Path.is_dir, folders):
        for path in filter(Path.is_file, sorted(folder.iterdir(), reverse=True)):
            found.setdefault(path.name.lower(), path)
    # The .gz first: it has a checksum, while an interrupted unpacking leaves a .csv that looks whole.
    tables = {n: found.get(f"{n}.csv.gz".lower(), found.get(f"{n}.csv".lower())) for n in names}
    missing = [name for name, path in tables.items() if path is None]
    if missing:
        looked = "looked for NAME.csv.gz and NAME.csv, upper or lower case"
        places = " and ".join(dict.fromkeys(str(folder) for folder in folders if folder.is_dir()))
        raise FileNotFoundError(f"{places} lacks {', '.join(missing)} ({looked}): {download}")
    return tables


def _whole(tables: dict[str, Path], columns: dict[str, tuple[str, ...]], download: str) -> dict[str, Path]:
    """`tables`, after a check that each is whole, has its columns and at least one row."""
    for name, path in tables.items():
        if path.suffix.lower() == ".gz":
            _check_gzip(path)
        _check_header(path, columns[name], download)
    return tables


def _check_gzip(path: Path) -> None:
    try:
        with gzip.open(path) as file:
            while file.read(1 << 20):
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise ValueError(f"{path} is cut short or damaged (gzip): {AGAIN}") from None


def _header(path: Path) -> tuple[list[str], bool]:
    """The column names in upper case, and whether a row follows."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as file:
        names = file.readline().strip().split(",")
        return [name.strip().strip('"').upper() for name in names], bool(file.readline().strip())


def _check_header(path: Path, columns: tuple[str, ...], download: str) -> None:
    found, has_row = _header(path)
    missing = [column for column in columns if column not in found]
    if missing:
        # A first line that is no header may be note text: it is shown only if it is half known.
        shown = ", ".join(found) if 2 * len(missing) <= len(columns) else "no header in the first line"
        raise ValueError(f"{path} lacks the column {', '.join(missing)} (found: {shown}): {download}")
    if not has_row:
        raise ValueError(f"{path} holds no rows (the open demo ships its notes without): {download}")
