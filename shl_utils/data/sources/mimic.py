"""What MIMIC-III and MIMIC-IV share: codes and their titles, admissions, joined notes, and the corpus of all these.

Functions take the `Tables` of a release and count in its `dropped` what they leave out. They name tables in lower case,
as MIMIC-IV does; MIMIC-III has the same names in upper case.
"""

from __future__ import annotations

import pandas as pd

from shl_utils.data import cells
from shl_utils.data.raw_corpus import RawCorpus
from shl_utils.data.sources import icd
from shl_utils.data.sources.physionet import AGAIN, Counts, Tables

LICENCE = "PhysioNet Credentialed Health Data Use Agreement 1.5.0: do not share notes or show them in outputs"
NO_VALUE = "(?!(NAN|NONE|NULL|INF)$)"
CODE_FORMS = {9: rf"(?!\d+E\d){NO_VALUE}[0-9A-Z]+", 10: f"{NO_VALUE}[0-9A-Z]+"}  # 3E03305 is a procedure of ICD-10
DIGITS = "[0-9]+"
# tables of codes, and of their titles
KINDS = {"diagnosis": ("diagnoses_icd", "d_icd_diagnoses"), "procedure": ("procedures_icd", "d_icd_procedures")}
NATURAL_LOSS = 4  # refused if one in so many codes without a title may have lost zeros: releases have some without
HADM_ID = "nullif(trim(HADM_ID), '') AS"


def read_titles(tables: Tables, *, version: int) -> dict[str, str]:
    """Title of every dotted code that has one. version: 9 or 10, of ICD."""
    titles: dict[str, str] = {}
    for kind, (_, table) in KINDS.items():
        part = _read(tables, tables.name(table), "nullif(trim(LONG_TITLE), '') AS title", version).dropna()
        part = _dot(tables, tables.name(table), part, version=version, procedure=kind == "procedure")
        titles |= dict(zip(part["code"], part["title"]))
    return titles


def read_codes(tables: Tables, *, version: int) -> pd.DataFrame:
    """One row per label of this version of ICD (9 or 10), sorted, without repeats: `note`, `code` (dotted)."""
    parts = []
    for kind, (table, _) in KINDS.items():
        name = tables.name(table)
        part = _read(tables, name, f"{HADM_ID} note", version, kind)
        tables.refuse_numbers(part["note"].dropna().unique(), name, "HADM_ID", form=DIGITS)
        tables.drop(f"{kind} without a code or an admission", part.isna().any(axis=1).sum())
        parts.append(_dot(tables, name, part.dropna(), version=version, procedure=kind == "procedure"))
    codes = pd.concat(parts)
    tables.drop("code repeated in its admission", codes.duplicated().sum())
    return codes.drop_duplicates().sort_values(["note", "code"], ignore_index=True)


def _read(tables: Tables, name: str, column: str, version: int, kind: str = "") -> pd.DataFrame:
    """`column` (SQL) and `code` of the rows of this version. If a `kind` is given, those of the other are counted."""
    columns = f"{column}, nullif(upper(trim({_code_column(tables, name)})), '') AS code"
    if "ICD_VERSION" not in tables.columns[name]:
        return tables.select(name, columns)
    part = tables.select(name, f"{columns}, trim(ICD_VERSION) AS version")
    strange = part["version"].fillna("")
    strange = strange[~strange.isin(["9", "10"])]
    if len(strange):
        what = f"ICD_VERSION is {strange.iloc[0]!r}, neither 9 nor 10"
        raise ValueError(f"{tables.files[name]}: {what}: {tables.download}")
    own = part["version"] == str(version)
    tables.drop(f"{kind} of another version than ICD-{version}", (~own).sum() if kind else 0)
    return part[own].drop(columns="version")


def _code_column(tables: Tables, name: str) -> str:
    return next(column for column in tables.columns[name] if column.endswith("_CODE"))


def _dot(tables: Tables, name: str, part: pd.DataFrame, *, version: int, procedure: bool) -> pd.DataFrame:
    """`part` with its column `code` dotted; sets `tables.codes`. Raises ValueError if codes were taken for numbers."""
    codes = part["code"].unique()
    tables.refuse_numbers(codes, name, _code_column(tables, name), form=CODE_FORMS[version], zeros=version == 9)
    tables.codes[name] = set(codes)
    dotted = {code: icd.dotted(code, version=version, procedure=procedure) for code in codes}
    return part.assign(code=part["code"].map(dotted))


def read_admissions(tables: Tables, identifiers: dict[str, range]) -> None:
    """Register ADMISSIONS in DuckDB as `known`: `note`, `subject`. ValueError for an identifier outside its range."""
    name = tables.name("admissions")
    known = tables.select(name, "trim(HADM_ID) AS note, trim(SUBJECT_ID) AS subject").dropna().drop_duplicates()
    tables.refuse_numbers(known.to_numpy().ravel(), name, "HADM_ID or SUBJECT_ID")
    for column, values in (("HADM_ID", known["note"]), ("SUBJECT_ID", known["subject"])):
        if column in identifiers:
            tables.refuse_strange(values, name, column, identifiers[column])
    tables.db.register("known", known)


def read_rows(tables: Tables, name: str, *, where: str, order: str) -> pd.DataFrame:
    """Rows of the temporary table `summaries`, in order of admission: `note`, `group` (None if unknown), `text`."""
    return tables.run(
        name,
        f"""
        SELECT HADM_ID AS note, subject AS "group", coalesce(TEXT, '') AS text
        FROM summaries LEFT JOIN known ON HADM_ID = known.note
        WHERE {where} ORDER BY TRY_CAST(HADM_ID AS INT), HADM_ID, {order}""",
    )


def join_rows(tables: Tables, rows: pd.DataFrame) -> pd.DataFrame:
    """One note per admission, `note`, `group` and `text`: the texts of its rows, in order, joined by a line break.

    Blank notes, and those of an admission without a patient (`group`), are excluded.
    Joined outside of DuckDB: string_agg of all notes at once does not fit in its memory limit.
    """
    parts = rows.groupby("note", sort=False)
    notes = parts.agg({"group": "first", "text": lambda texts: "\n".join(filter(None, texts))}).reset_index()
    unknown = notes["group"].isna()
    blank = ~unknown & ~notes["text"].str.contains(r"\S", na=False)
    tables.drop("note of an admission that ADMISSIONS lacks", unknown.sum())
    tables.drop("blank note", blank.sum())
    return notes[~unknown & ~blank].reset_index(drop=True)


def assemble(name: str, tables: Tables, notes: pd.DataFrame, codes: pd.DataFrame, titles: dict[str, str]) -> RawCorpus:
    """The corpus of `notes` and `codes`. What lacks either is excluded; a code without title describes itself.

    Raises ValueError if no note is left, codes have lost zeros, or more than half of them lack a title.
    """
    by_note = codes.groupby("note")["code"].agg(sorted)
    unwritten = (~by_note.index.isin(notes["note"])).sum()
    tables.drop("admission with codes, without a discharge summary", unwritten)
    notes["codes"] = notes["note"].map(by_note)
    tables.drop("note without codes", notes["codes"].isna().sum())
    notes = notes.dropna(subset=["codes"]).reset_index(drop=True)
    _refuse_lost_zeros(tables)
    if notes.empty:
        raise ValueError(f"no coded discharge summary is left; dropped: {tables.dropped}: {tables.download}")
    used = sorted(set().union(*notes["codes"]))
    untitled = len(set(used) - set(titles))
    if 2 * untitled > len(used):
        what = f"{untitled} of {len(used)} codes of the notes are in no table of descriptions"
        raise ValueError(f"{what}: the tables are not of one release: {tables.download}")
    tables.drop("code without description, described by itself", untitled)
    described = {code: titles.get(code, code) for code in used}
    return RawCorpus(name, notes, described, LICENCE, dropped=tables.dropped)


def _refuse_lost_zeros(tables: Tables) -> None:
    """Raise ValueError if codes lack a title but would have one with leading zeros, which numbers lose."""
    for pair in KINDS.values():
        name, titles = map(tables.name, pair)
        untitled = tables.codes[name] - tables.codes[titles]
        lost = cells.find_lost_zeros(sorted(untitled), tables.codes[titles])
        if NATURAL_LOSS * len(lost) >= max(len(untitled), 1):
            what = f"{len(lost)} codes without a title have one with zeros before them, like {lost[0]!r}"
            raise ValueError(f"{tables.files[name]}: {what}: another program read them as numbers: {AGAIN}")


def compare_counts(
    rows: Counts, corpus: RawCorpus, expected: dict[str, Counts], *, more: Counts | None = None
) -> pd.DataFrame:
    """What was found (`found`) and, one column each, what releases are known to hold (NA if unknown).

    One row per table (`rows`), then those of notes and codes in the corpus, and `more`.
    """
    found = rows | {"notes": len(corpus.notes), "codes": len(corpus.descriptions)} | (more or {})
    known = pd.DataFrame(expected, index=list(found), dtype="Int64")
    return known.assign(found=pd.Series(found, dtype="Int64")).rename_axis("rows of, and results")
