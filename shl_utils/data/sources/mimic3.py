"""MIMIC-III v1.4 (Johnson et al. 2016, doi:10.13026/C2XW26): discharge summaries and their ICD-9-CM codes.

Diagnoses and procedures are dotted before they are merged: 1,593 undotted codes are both. For example, 0010 is cholera,
001.0, and an implantation, 00.10.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from shl_utils.data.raw_corpus import SOURCES, RawCorpus
from shl_utils.data.sources import mimic, physionet
from shl_utils.data.sources.physionet import Tables
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
IDENTIFIERS = {"HADM_ID": range(100_001, 200_000), "SUBJECT_ID": range(1, 100_000)}  # that v1.4 uses
FORMS = {"HADM_ID": mimic.DIGITS, "ISERROR": "[01]?", "ROW_ID": mimic.DIGITS}
FORMS |= {"CHARTDATE": r"\d{4}-\d\d-\d\d( .*)?", "CHARTTIME": r"(\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?)?"}
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


@SOURCES.add(private=True, needs={"folder": "the folder that holds NOTEEVENTS.csv.gz and the rest"})
def mimic3(parameters: Parameters, run_folder: Path) -> RawCorpus:
    return load(Path(parameters.folder), spill=run_folder)


def files(parameters: Parameters) -> list[Path]:
    """Paths of the tables that `load` reads."""
    return list(physionet.find_files([Path(parameters.folder)], COLUMNS, DOWNLOAD).values())


def load(folder: Path, *, generated: bool = False, spill: Path | None = None) -> RawCorpus:
    """Read the six tables NAME.csv or NAME.csv.gz in `folder` (names and headers in upper or lower case).

    One note per admission: its reports, then its addenda, each by CHARTDATE, CHARTTIME and ROW_ID. They are joined by a
    line break and otherwise unchanged. `note` is the HADM_ID, `group` the SUBJECT_ID.
    generated: the tables are not MIMIC's own, so identifiers outside MIMIC's ranges are accepted. spill: as in
    `open_tables`.
    Raises FileNotFoundError for what is missing, ValueError for what is damaged or cannot be MIMIC-III. Where possible
    this is before the notes are parsed; the check of a gzip file reads it once.
    """
    with physionet.open_tables([folder], COLUMNS, DOWNLOAD, spill=spill) as tables:
        titles = mimic.read_titles(tables, version=9)
        codes = mimic.read_codes(tables, version=9)
        mimic.read_admissions(tables, {} if generated else IDENTIFIERS)
        corpus = mimic.assemble("mimic3", tables, _read_notes(tables), codes, titles)
    return replace(corpus, counts=mimic.compare_counts(tables.rows, corpus, EXPECTED))


def _read_notes(tables: Tables) -> pd.DataFrame:
    """One row per admission: note, group, text."""
    columns = ", ".join(NOTE_COLUMNS).replace("HADM_ID", f"{mimic.HADM_ID} HADM_ID")
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
    tables.refuse_forms("NOTEEVENTS", "summaries", FORMS)
    tables.rows[SUMMARIES] = total
    tables.drop(f"{SUMMARY} row marked as an error", failed)
    tables.drop(f"{SUMMARY} row that is neither Report nor Addendum", other)
    tables.drop(f"{SUMMARY} row without an admission", homeless)
    # An admission with only an addendum keeps it, as in Mullenbach et al. 2018, so that counts compare.
    used = "trim(ISERROR) IS DISTINCT FROM '1' AND DESCRIPTION IN ('Report', 'Addendum') AND HADM_ID IS NOT NULL"
    order = "DESCRIPTION = 'Addendum', CHARTDATE NULLS FIRST, CHARTTIME NULLS FIRST, TRY_CAST(ROW_ID AS INT)"
    return mimic.join_rows(tables, mimic.read_rows(tables, "NOTEEVENTS", where=used, order=order))
