"""Tables as PhysioNet ships them: found, checked to be whole, and read as text through DuckDB.

Every column is read as text, so codes keep their leading zeros. No text of a note reaches an exception or a log.
DuckDB's errors quote the line that it cannot read, so they are replaced here.
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

from shl_utils.runs import progress

Counts = dict[str, int]  # count by reason, or by what is counted
MEMORY_LIMIT = "1GB"  # of DuckDB alone; beyond it, DuckDB spills to a temporary folder that is removed at the end
THREADS = 2
AGAIN = "download it again and compare it with SHA256SUMS.txt"
NOT_A_NUMBER = r"(?is)(?!\d+e\d|(nan|none|null|<na>|inf)$)[^.+]*"  # unlike 4019.0, 1.0E+3, 1e10, nan
LONGEST_ROW = 2**24  # bytes: a stay's longest note has 2**16 or so
SHOWN = re.compile(r"[\w.,'+-]{1,12}")  # anything else may be text from another column
MANY_CODES = 500  # of so many different codes some have a leading zero (3 in 100 do)


@dataclass
class Tables:
    """The tables of one release.

    files: path by table name. columns: those read, by table name. download: advice where to get them. rows: number of
    rows read, by table. codes: undotted codes in each table. dropped: why rows are not used, as {reason: count}.
    """

    db: duckdb.DuckDBPyConnection
    files: dict[str, Path]
    columns: dict[str, tuple[str, ...]]
    download: str
    rows: Counts = field(default_factory=dict)
    codes: dict[str, set[str]] = field(default_factory=dict)
    dropped: Counts = field(default_factory=dict)

    def name(self, lower: str) -> str:
        """A table's name as the release writes it, in upper or lower case."""
        return next(name for name in self.files if name.lower() == lower)

    def drop(self, reason: str, number: int) -> None:
        """Add `number` to what was dropped for this reason, if it is not 0."""
        if number:
            self.dropped[reason] = self.dropped.get(reason, 0) + int(number)

    def select(self, name: str, columns: str) -> pd.DataFrame:
        """The given columns (SQL) of all rows of a table; sets `rows`."""
        found = self.run(name, f"SELECT {columns} {self.scan(name)}").astype(object)
        self.rows[name] = len(found)
        return found

    def scan(self, name: str) -> str:
        """The FROM clause that reads a table's file; its question mark stands for the path."""
        columns = ", ".join("'{}': 'VARCHAR'".format(c.replace("'", "''")) for c in _header(self.files[name])[0])
        dialect = """auto_detect = false, header = true, delim = ',', quote = '"', escape = '"'"""
        return f"FROM read_csv(?, {dialect}, max_line_size = {LONGEST_ROW}, columns = {{{columns}}})"

    def run(self, name: str, sql: str) -> pd.DataFrame:
        """Result of `sql`; a question mark in it is the table's file, which ValueError names if the query fails."""
        path = self.files[name]
        try:
            with progress.watched(self.db.query_progress, f"read {path.name}"):
                return self.db.execute(sql, [str(path)] if "?" in sql else None).df()
        except duckdb.Error as error:
            kind, full = type(error).__name__, isinstance(error, duckdb.OutOfMemoryException)
            encoded, open_quote = "\nInvalid unicode" in str(error), "unterminated quote" in str(error)
            long = "aximum line size" in str(error)
        # Raised outside the except block: DuckDB's message, which quotes lines, must not be kept as __context__.
        if full:
            raise ValueError(f"{path} needs more than {MEMORY_LIMIT} and the free space of the run's folder")
        if encoded:
            raise ValueError(f"{path} is not utf-8, as PhysioNet ships it, but saved in another encoding: {AGAIN}")
        if long:
            what = f"has a row of more than {LONGEST_ROW:,} bytes, or a quote that is not closed"
            raise ValueError(f"{path} {what}: {AGAIN}")
        why = ": a quote is not closed, has a backslash before it, or lines end in two ways" if open_quote else ""
        raise ValueError(f"{path} cannot be read as CSV (DuckDB: {kind}; its message may quote a note){why}: {AGAIN}")

    def refuse_forms(self, name: str, read: str, forms: dict[str, str]) -> None:
        """Raise ValueError if columns of `read`, a table in DuckDB, differ in form from the release; NULL is accepted.

        forms: regular expressions, in SQL, by column.
        """
        for column, form in forms.items():
            strange = f"SELECT count(*) FILTER (NOT regexp_full_match(trim({column}), '{form}')) FROM {read}"
            (n,) = self.db.execute(strange).fetchone()
            if n:
                what = f"{column} is in {n} rows not as the release has it, as if read as a number or date"
                raise ValueError(f"{self.files[name]}: {what} by another program: {AGAIN}, and save it nowhere else")

    def refuse_numbers(
        self, values: Iterable[str], name: str, column: str, *, form: str = NOT_A_NUMBER, zeros: bool = False
    ) -> None:
        """Raise ValueError if another program took `values` for numbers, so that they do not match `form`.

        zeros: one must start with 0, if there are MANY_CODES or one is shorter than three characters.
        """
        values = sorted(values, key=len)
        damaged = next((value for value in values if not re.fullmatch(form, value)), None)
        if damaged is None and zeros and values and not any(value.startswith("0") for value in values):
            damaged = values[0] if len(values[0]) < 3 or len(values) >= MANY_CODES else None
        if damaged is not None:
            like = f", like {damaged!r}" if SHOWN.fullmatch(damaged) else ""
            what = f"{column} looks read as a number by another program{like} (leading zeros get lost)"
            raise ValueError(f"{self.files[name]}: {what}: {AGAIN}, and open or save it nowhere else")

    def refuse_strange(self, values: Iterable[str], name: str, column: str, known: range) -> None:
        """Raise ValueError if an identifier is outside the range that the release uses."""
        for value in values:
            if not (value.isdecimal() and int(value) in known):
                what = f"{column} {value!r} is not from {known[0]} to {known[-1]}, as the release has them"
                raise ValueError(f"{self.files[name]}: {what}: {self.download}")


@contextmanager
def open_tables(
    folders: Sequence[Path], columns: dict[str, tuple[str, ...]], download: str, *, spill: Path | None = None
) -> Iterator[Tables]:
    """The tables named by `columns`, from whichever folder has them, checked to be complete and to have these columns.

    spill: folder for notes that do not fit into MEMORY_LIMIT, such as the run's; default: the system's temporary one.
    Raises FileNotFoundError for what is missing, ValueError for what is damaged.
    """
    found = find_files(folders, columns, download)
    for name, path in found.items():
        if path.suffix.lower() == ".gz":
            _check_gzip(path)
        _check_header(path, columns[name], download)
    with tempfile.TemporaryDirectory(dir=spill, suffix=".part") as kept:  # `shl clean` removes what a kill leaves
        limits = {"memory_limit": MEMORY_LIMIT, "threads": THREADS, "temp_directory": kept}
        with duckdb.connect(config=limits) as db:
            db.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")  # for `progress`
            yield Tables(db, found, columns, download)


def find_files(folders: Sequence[Path], names: Iterable[str], download: str) -> dict[str, Path]:
    """Path of each table, from whichever folder has it; FileNotFoundError for what is missing."""
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
        # A first line that is no header may be note text: it is shown only if half its columns are known.
        shown = ", ".join(found) if 2 * len(missing) <= len(columns) else "no header in the first line"
        raise ValueError(f"{path} lacks the column {', '.join(missing)} (found: {shown}): {download}")
    if not has_row:
        raise ValueError(f"{path} holds no rows (the open demo ships its notes without): {download}")
