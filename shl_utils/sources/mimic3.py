"""MIMIC-III v1.4 (Johnson et al. 2016, doi:10.13026/C2XW26): discharge summaries and their ICD-9-CM codes.

Every column is read as text, so codes keep their leading zeros. Diagnoses and procedures are dotted before
they meet: 1,593 undotted codes are both (0010 is cholera, 001.0, and an implantation, 00.10). No text of
a note reaches an exception or a log: DuckDB quotes the line that it cannot read, so its errors stop here.
"""

from __future__ import annotations

import gzip
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd

from shl_utils.sources import Corpus

Database = duckdb.DuckDBPyConnection
Files = dict[str, Path]  # by table name
Counts = dict[str, int]  # by reason
LICENCE = "PhysioNet Credentialed Health Data Use Agreement 1.5.0: do not share notes or show them in outputs"
NOTE_COLUMNS = ("ROW_ID", "HADM_ID", "CHARTDATE", "CHARTTIME", "CATEGORY", "DESCRIPTION", "ISERROR", "TEXT")
COLUMNS = {  # what is read of each table; v1.4 has more columns
    "ADMISSIONS": ("SUBJECT_ID", "HADM_ID"),
    "D_ICD_DIAGNOSES": ("ICD9_CODE", "LONG_TITLE"),
    "D_ICD_PROCEDURES": ("ICD9_CODE", "LONG_TITLE"),
    "DIAGNOSES_ICD": ("HADM_ID", "ICD9_CODE"),
    "PROCEDURES_ICD": ("HADM_ID", "ICD9_CODE"),
    "NOTEEVENTS": NOTE_COLUMNS,
}
MEMORY_LIMIT = "1GB"  # of DuckDB alone; beyond it, it spills to a temporary folder that is removed at the end
THREADS = 2
DOWNLOAD = "download MIMIC-III v1.4 from https://physionet.org/content/mimiciii/1.4/"
AGAIN = "download it again and compare it with SHA256SUMS.txt"
NUMBER = re.compile(r"[.+]|^\d+e\d|^(nan|none|null|<na>|inf)$", re.IGNORECASE)  # 4019.0, 1.0E+3, nan
MANY_CODES = 500  # so many different codes without one leading zero do not occur (3 in 100 have one)
SUMMARY = "Discharge summary"
CODE = "nullif(upper(trim(ICD9_CODE)), '') AS code"
ROWS = """
SELECT HADM_ID AS note, subject AS "group", coalesce(TEXT, '') AS text
FROM summaries LEFT JOIN known ON HADM_ID = known.note
WHERE ISERROR IS DISTINCT FROM '1' AND DESCRIPTION IN ('Report', 'Addendum') AND HADM_ID IS NOT NULL
ORDER BY TRY_CAST(HADM_ID AS INT), HADM_ID, DESCRIPTION = 'Addendum',
    CHARTDATE NULLS FIRST, CHARTTIME NULLS FIRST, TRY_CAST(ROW_ID AS INT)"""


def dotted(code: str, *, procedure: bool) -> str:
    """An undotted ICD-9-CM code with its dot: procedures PP.pp, diagnoses DDD.dd, Vdd.dd and Eddd.d.

    Source: ICD-9-CM, official guidelines, volumes 1 and 3. A code no longer than its category has no dot.
    """
    category = 2 if procedure else 4 if code.startswith("E") else 3
    return f"{code[:category]}.{code[category:]}" if len(code) > category else code


def load(folder: Path) -> Corpus:
    """Read the six tables NAME.csv or NAME.csv.gz in `folder` (names and headers in upper or lower case).

    One note an admission: its reports, then its addenda, each by CHARTDATE, CHARTTIME and ROW_ID, joined by a
    line break and otherwise untouched. `note` is the HADM_ID, `group` the SUBJECT_ID.
    Raises FileNotFoundError for what is missing, ValueError for what is damaged, before the notes are parsed
    where that can be seen; the check of a gzip file reads it once.
    """
    tables = _find(Path(folder), COLUMNS)
    with _database() as db:
        descriptions = _read_descriptions(db, tables)
        codes, dropped = _read_codes(db, tables)
        notes = _read_notes(db, tables, dropped)
    by_note = codes.groupby("note")["code"].agg(sorted)
    unwritten = (~by_note.index.isin(notes["note"])).sum()
    _count(dropped, "admission with codes, without a discharge summary", unwritten)
    notes["codes"] = notes["note"].map(by_note)
    _count(dropped, "note without codes", notes["codes"].isna().sum())
    notes = notes.dropna(subset=["codes"]).reset_index(drop=True)
    if notes.empty:
        raise ValueError(f"{folder}: no coded discharge summary is left; dropped: {dropped}; {AGAIN}")
    used = sorted(set().union(*notes["codes"]))
    undescribed = [code for code in used if code not in descriptions]
    _count(dropped, "code without description, described by itself", len(undescribed))
    described = {code: descriptions.get(code, code) for code in used}
    return Corpus("mimic3", notes, described, LICENCE, private=True, dropped=dropped)


def read_codes(folder: Path) -> tuple[pd.DataFrame, Counts]:
    """The dotted codes alone, and counts of what was dropped; needs DIAGNOSES_ICD and PROCEDURES_ICD only.

    One row an assignment: `note` (HADM_ID) and `code`, sorted, without repeats. Raises as `load` does.
    """
    tables = _find(Path(folder), ("DIAGNOSES_ICD", "PROCEDURES_ICD"))
    with _database() as db:
        return _read_codes(db, tables)


def _read_codes(db: Database, tables: Files) -> tuple[pd.DataFrame, Counts]:
    dropped: Counts = {}
    parts = []
    for name, kind in (("DIAGNOSES_ICD", "diagnosis"), ("PROCEDURES_ICD", "procedure")):
        path = tables[name]
        part = _select(db, path, f"nullif(trim(HADM_ID), '') AS note, {CODE}")
        _refuse_numbers(part["note"].dropna().unique(), path, "HADM_ID", zeros=False)
        _count(dropped, f"{kind} without a code or an admission", part.isna().any(axis=1).sum())
        parts.append(_dot(part.dropna(), path, procedure=kind == "procedure"))
    codes = pd.concat(parts)
    _count(dropped, "code repeated in its admission", codes.duplicated().sum())
    return codes.drop_duplicates().sort_values(["note", "code"], ignore_index=True), dropped


def _read_descriptions(db: Database, tables: Files) -> dict[str, str]:
    descriptions: dict[str, str] = {}
    for name in ("D_ICD_DIAGNOSES", "D_ICD_PROCEDURES"):
        part = _select(db, tables[name], f"{CODE}, nullif(trim(LONG_TITLE), '') AS title").dropna()
        part = _dot(part, tables[name], procedure=name == "D_ICD_PROCEDURES")
        descriptions |= dict(zip(part["code"], part["title"]))
    return descriptions


def _read_notes(db: Database, tables: Files, dropped: Counts) -> pd.DataFrame:
    """One row an admission: note, group, text; counts in `dropped` what is left out."""
    path = tables["NOTEEVENTS"]
    known = _select(db, tables["ADMISSIONS"], "DISTINCT trim(HADM_ID) AS note, trim(SUBJECT_ID) AS subject")
    known = known.dropna()
    _refuse_numbers(known.to_numpy().ravel(), tables["ADMISSIONS"], "HADM_ID or SUBJECT_ID", zeros=False)
    db.register("known", known)
    columns = ", ".join(NOTE_COLUMNS).replace("HADM_ID", "nullif(trim(HADM_ID), '') AS HADM_ID")
    wanted = f"SELECT {columns} {_scan(path)} WHERE trim(CATEGORY) = '{SUMMARY}'"
    _run(db, path, f"CREATE TEMP TABLE summaries AS {wanted}")
    total, failed, other, homeless, numbers = db.execute("""
        SELECT count(*), count(*) FILTER (ISERROR = '1'),
            count(*) FILTER (coalesce(DESCRIPTION, '') NOT IN ('Report', 'Addendum')),
            count(*) FILTER (HADM_ID IS NULL), count(*) FILTER (regexp_matches(HADM_ID, '^[0-9]+[.][0-9]*$'))
        FROM summaries""").fetchone()
    if total == 0:
        raise ValueError(f"{path} holds no row of CATEGORY '{SUMMARY}' (the open demo has none): {DOWNLOAD}")
    if numbers:
        raise ValueError(f"{path}: HADM_ID was read as a number by another program (like 100001.0): {AGAIN}")
    _count(dropped, f"{SUMMARY} row marked as an error", failed)
    _count(dropped, f"{SUMMARY} row that is neither Report nor Addendum", other)
    _count(dropped, f"{SUMMARY} row without an admission", homeless)
    # An admission with only an addendum keeps it, as in Mullenbach et al. 2018, so that counts compare.
    rows = _run(db, path, ROWS)  # joined here: string_agg of all notes at once does not fit in MEMORY_LIMIT
    parts = rows.groupby("note", sort=False)
    notes = parts.agg({"group": "first", "text": lambda texts: "\n".join(filter(None, texts))}).reset_index()
    unknown = notes["group"].isna()
    blank = ~unknown & ~notes["text"].str.contains(r"\S", na=False)
    _count(dropped, "note of an admission that ADMISSIONS lacks", unknown.sum())
    _count(dropped, "blank note", blank.sum())
    return notes[~unknown & ~blank].reset_index(drop=True)


def _dot(part: pd.DataFrame, path: Path, *, procedure: bool) -> pd.DataFrame:
    codes = part["code"].unique()
    _refuse_numbers(codes, path, "ICD9_CODE", zeros=True)
    return part.assign(code=part["code"].map({code: dotted(code, procedure=procedure) for code in codes}))


def _refuse_numbers(values: Iterable[str], path: Path, column: str, *, zeros: bool) -> None:
    """Raise if `values` were taken for numbers by another program; `zeros`: some must start with 0."""
    values = sorted(values, key=len)
    damaged = next((value for value in values if NUMBER.search(value)), None)
    if damaged is None and zeros and values and not any(value.startswith("0") for value in values):
        damaged = values[0] if len(values[0]) < 3 or len(values) >= MANY_CODES else None
    if damaged is not None:
        what = f"{column} looks read as a number by another program, like {damaged!r} (leading zeros get lost)"
        raise ValueError(f"{path}: {what}: {AGAIN}, and open or save it nowhere else")


def _count(dropped: Counts, reason: str, number: int) -> None:
    if number:
        dropped[reason] = dropped.get(reason, 0) + int(number)


def _find(folder: Path, names: Iterable[str]) -> Files:
    """The file of each table, after a check that each is whole, has its columns and at least one row."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder: name the folder of the tables, or {DOWNLOAD}")
    files = {path.name.lower(): path for path in sorted(folder.iterdir(), reverse=True)}
    # The .gz first: it has a checksum, while an interrupted unpacking leaves a .csv that looks whole.
    tables = {n: files.get(f"{n}.csv.gz".lower(), files.get(f"{n}.csv".lower())) for n in names}
    missing = [name for name, path in tables.items() if path is None]
    if missing:
        looked = "looked for NAME.csv.gz and NAME.csv, upper or lower case"
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)} ({looked}): {DOWNLOAD}")
    for name, path in tables.items():
        if path.suffix.lower() == ".gz":
            _check_gzip(path)
        _check_header(path, COLUMNS[name])
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


def _check_header(path: Path, columns: tuple[str, ...]) -> None:
    found, has_row = _header(path)
    missing = [column for column in columns if column not in found]
    if missing:
        # A first line that is no header may be note text: it is shown only if it is half known.
        shown = ", ".join(found) if 2 * len(missing) <= len(columns) else "no header in the first line"
        raise ValueError(f"{path} lacks the column {', '.join(missing)} (found: {shown}): {DOWNLOAD}")
    if not has_row:
        raise ValueError(f"{path} holds no rows (the open demo ships NOTEEVENTS without): {DOWNLOAD}")


def _scan(path: Path) -> str:
    columns = ", ".join("'{}': 'VARCHAR'".format(name.replace("'", "''")) for name in _header(path)[0])
    dialect = """auto_detect = false, header = true, delim = ',', quote = '"', escape = '"'"""
    return f"FROM read_csv(?, {dialect}, columns = {{{columns}}})"


def _select(db: Database, path: Path, columns: str) -> pd.DataFrame:
    return _run(db, path, f"SELECT {columns} {_scan(path)}").astype(object)


def _run(db: Database, path: Path, sql: str) -> pd.DataFrame:
    try:
        return db.execute(sql, [str(path)] if "?" in sql else None).df()
    except duckdb.Error as error:
        kind, full = type(error).__name__, isinstance(error, duckdb.OutOfMemoryException)
        encoded = "\nInvalid unicode" in str(error)
    # Raised outside the except block: DuckDB's message, which quotes lines, must not hang on as __context__.
    if full:
        raise ValueError(f"{path} needs more than {MEMORY_LIMIT} and the free space of the temporary folder")
    if encoded:
        raise ValueError(f"{path} is not utf-8, as PhysioNet ships it, but saved in another encoding: {AGAIN}")
    raise ValueError(f"{path} cannot be read as CSV (DuckDB: {kind}; its message may quote a note): {AGAIN}")


@contextmanager
def _database() -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="shl-") as spill:
        limits = {"memory_limit": MEMORY_LIMIT, "threads": THREADS, "temp_directory": spill}
        with duckdb.connect(config=limits) as db:
            yield db
