"""MIMIC-III v1.4 (Johnson et al. 2016, doi:10.13026/C2XW26): discharge summaries and their ICD-9-CM codes.

Diagnoses and procedures are dotted before they are merged: 1,593 undotted codes are both. For example, 0010 is cholera,
001.0, and an implantation, 00.10.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from shl_utils.data.raw_corpus import SOURCES, RawCorpus
from shl_utils.data.sources import physionet
from shl_utils.data.sources.physionet import Counts, Tables, count
from shl_utils.parameters import Parameters

NOTE_COLUMNS = ("ROW_ID", "HADM_ID", "CHARTDATE", "CHARTTIME", "CATEGORY", "DESCRIPTION", "ISERROR", "TEXT")
COLUMNS = {  # columns read of each table; v1.4 has more
    "ADMISSIONS": ("SUBJECT_ID", "HADM_ID"),
    "D_ICD_DIAGNOSES": ("ICD9_CODE", "LONG_TITLE"),
    "D_ICD_PROCEDURES": ("ICD9_CODE", "LONG_TITLE"),
    "DIAGNOSES_ICD": ("HADM_ID", "ICD9_CODE"),
    "PROCEDURES_ICD": ("HADM_ID", "ICD9_CODE"),
    "NOTEEVENTS": NOTE_COLUMNS,
}
DOWNLOAD = "download MIMIC-III v1.4 from https://physionet.org/content/mimiciii/1.4/"
SUMMARY = "Discharge summary"
SUMMARIES = f"NOTEEVENTS of {SUMMARY}"
STAYS, PATIENTS = range(100_001, 200_000), range(1, 100_000)  # the identifiers that v1.4 uses
# rows: from the checks of MIT-LCP/mimic-code; notes and codes: of what is called MIMIC-III full
EXPECTED = {
    "v1.4": {
        "ADMISSIONS": 58_976,
        "D_ICD_DIAGNOSES": 14_567,
        "D_ICD_PROCEDURES": 3_882,
        "DIAGNOSES_ICD": 651_047,
        "PROCEDURES_ICD": 240_095,
        SUMMARIES: 59_652,
        "notes": 52_723,
        "codes": 8_929,
    }
}
CODE = "nullif(upper(trim(ICD9_CODE)), '') AS code"
ROWS = """
SELECT HADM_ID AS note, subject AS "group", coalesce(TEXT, '') AS text
FROM summaries LEFT JOIN known ON HADM_ID = known.note
WHERE trim(ISERROR) IS DISTINCT FROM '1' AND DESCRIPTION IN ('Report', 'Addendum') AND HADM_ID IS NOT NULL
ORDER BY TRY_CAST(HADM_ID AS INT), HADM_ID, DESCRIPTION = 'Addendum',
    CHARTDATE NULLS FIRST, CHARTTIME NULLS FIRST, TRY_CAST(ROW_ID AS INT)"""


@SOURCES.add(private=True, needs={"folder": "the folder that holds NOTEEVENTS.csv.gz and the rest"})
def mimic3(parameters: Parameters, run_folder: Path) -> RawCorpus:
    return load(Path(parameters.folder))


def files(parameters: Parameters) -> list[Path]:
    """Paths of the tables that `load` reads."""
    return list(physionet.files([Path(parameters.folder)], COLUMNS, DOWNLOAD).values())


def load(folder: Path, *, generated: bool = False) -> RawCorpus:
    """Read the six tables NAME.csv or NAME.csv.gz in `folder` (names and headers in upper or lower case).

    One note per admission: its reports, then its addenda, each by CHARTDATE, CHARTTIME and ROW_ID. They are joined by a
    line break and otherwise unchanged. `note` is the HADM_ID, `group` the SUBJECT_ID.
    generated: the tables are not MIMIC's own, so identifiers outside MIMIC's ranges are accepted.
    Raises FileNotFoundError for what is missing, ValueError for what is damaged or cannot be MIMIC-III. Where possible
    this is before the notes are parsed; the check of a gzip file reads it once.
    """
    with physionet.opened([Path(folder)], COLUMNS, DOWNLOAD) as tables:
        descriptions = _read_descriptions(tables)
        codes, dropped = _read_codes(tables)
        notes = _read_notes(tables, dropped, generated=generated)
        corpus = physionet.assembled("mimic3", notes, codes, descriptions, dropped, tables)
    return replace(corpus, counts=physionet.beside(tables.rows | physionet.results(corpus), EXPECTED))


def _read_codes(tables: Tables) -> tuple[pd.DataFrame, Counts]:
    dropped: Counts = {}
    parts = []
    for name, kind in (("DIAGNOSES_ICD", "diagnosis"), ("PROCEDURES_ICD", "procedure")):
        part = tables.select(name, f"nullif(trim(HADM_ID), '') AS note, {CODE}")
        tables.refuse_numbers(part["note"].dropna().unique(), name, "HADM_ID", zeros=False, form=physionet.WHOLE)
        count(dropped, f"{kind} without a code or an admission", part.isna().any(axis=1).sum())
        parts.append(tables.dot(part.dropna(), name, "ICD9_CODE", version=9, procedure=kind == "procedure"))
    codes = pd.concat(parts)
    count(dropped, "code repeated in its admission", codes.duplicated().sum())
    return codes.drop_duplicates().sort_values(["note", "code"], ignore_index=True), dropped


def _read_descriptions(tables: Tables) -> dict[str, str]:
    descriptions: dict[str, str] = {}
    for name in ("D_ICD_DIAGNOSES", "D_ICD_PROCEDURES"):
        part = tables.select(name, f"{CODE}, nullif(trim(LONG_TITLE), '') AS title").dropna()
        part = tables.dot(part, name, "ICD9_CODE", version=9, procedure=name == "D_ICD_PROCEDURES")
        descriptions |= dict(zip(part["code"], part["title"]))
    return descriptions


def _read_notes(tables: Tables, dropped: Counts, *, generated: bool) -> pd.DataFrame:
    """One row per admission: note, group, text. What is excluded is counted in `dropped`."""
    known = tables.select("ADMISSIONS", "trim(HADM_ID) AS note, trim(SUBJECT_ID) AS subject").dropna()
    known = known.drop_duplicates()
    tables.refuse_numbers(known.to_numpy().ravel(), "ADMISSIONS", "HADM_ID or SUBJECT_ID", zeros=False)
    if not generated:
        tables.refuse_strange(known["note"], "ADMISSIONS", "HADM_ID", STAYS)
        tables.refuse_strange(known["subject"], "ADMISSIONS", "SUBJECT_ID", PATIENTS)
    tables.db.register("known", known)
    columns = ", ".join(NOTE_COLUMNS).replace("HADM_ID", "nullif(trim(HADM_ID), '') AS HADM_ID")
    wanted = f"SELECT {columns} {tables.scan('NOTEEVENTS')} WHERE trim(CATEGORY) = '{SUMMARY}'"
    tables.run("NOTEEVENTS", f"CREATE TEMP TABLE summaries AS {wanted}")
    total, failed, other, homeless = tables.db.execute("""
        SELECT count(*), count(*) FILTER (trim(ISERROR) = '1'),
            count(*) FILTER (coalesce(DESCRIPTION, '') NOT IN ('Report', 'Addendum')),
            count(*) FILTER (HADM_ID IS NULL)
        FROM summaries""").fetchone()
    path = tables.files["NOTEEVENTS"]
    if total == 0:
        raise ValueError(f"{path} holds no row of CATEGORY '{SUMMARY}' (the open demo has none): {DOWNLOAD}")
    tables.refuse_forms("NOTEEVENTS", "summaries", ("HADM_ID", "ISERROR", "ROW_ID", "CHARTDATE", "CHARTTIME"))
    tables.rows[SUMMARIES] = total
    count(dropped, f"{SUMMARY} row marked as an error", failed)
    count(dropped, f"{SUMMARY} row that is neither Report nor Addendum", other)
    count(dropped, f"{SUMMARY} row without an admission", homeless)
    # An admission with only an addendum keeps it, as in Mullenbach et al. 2018, so that counts compare.
    # Joined outside of DuckDB: string_agg of all notes at once does not fit in its memory limit.
    return physionet.joined(tables.run("NOTEEVENTS", ROWS), dropped)
