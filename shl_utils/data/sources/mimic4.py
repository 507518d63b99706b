"""MIMIC-IV v2.2 or v3.x (Johnson et al. 2023, doi:10.1038/s41597-022-01899-x) with MIMIC-IV-Note v2.2.

Codes are in the `hosp` tables, discharge summaries in a module of their own. A stay is coded in ICD-9 or in ICD-10. The
same letters may mean different things: E849 is the place of an accident in one, and cystic fibrosis, E84.9, in the
other. So a corpus holds the codes of one version.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd

from shl_utils.data.raw_corpus import SOURCES, RawCorpus
from shl_utils.data.sources import mimic, physionet
from shl_utils.data.sources.physionet import Tables
from shl_utils.parameters import Parameters

CODES = ("HADM_ID", "ICD_CODE", "ICD_VERSION")
TITLES = ("ICD_CODE", "ICD_VERSION", "LONG_TITLE")
COLUMNS = {  # columns read of each table; the releases have more
    "admissions": ("SUBJECT_ID", "HADM_ID"),
    "d_icd_diagnoses": TITLES,
    "d_icd_procedures": TITLES,
    "diagnoses_icd": CODES,
    "procedures_icd": CODES,
    "discharge": ("HADM_ID", "NOTE_TYPE", "NOTE_SEQ", "TEXT"),
}
DOWNLOAD = (
    "download MIMIC-IV from https://physionet.org/content/mimiciv/ and its notes from "
    "https://physionet.org/content/mimic-iv-note/"
)
IDENTIFIERS = {"HADM_ID": range(20_000_000, 30_000_000), "SUBJECT_ID": range(10_000_000, 20_000_000)}  # of MIMIC-IV
FORMS = {"HADM_ID": mimic.DIGITS, "NOTE_SEQ": mimic.DIGITS}
# rows, from the checks of MIT-LCP/mimic-code; the notes are those of MIMIC-IV-Note v2.2 for both
EXPECTED = {
    "v2.2": {
        "admissions": 431_231,
        "d_icd_diagnoses": 109_775,
        "d_icd_procedures": 85_257,
        "diagnoses_icd": 4_756_326,
        "procedures_icd": 669_186,
        "discharge": 331_793,
    },
    "v3.1": {
        "admissions": 546_028,
        "d_icd_diagnoses": 112_107,
        "d_icd_procedures": 86_423,
        "diagnoses_icd": 6_364_488,
        "procedures_icd": 859_655,
        "discharge": 331_793,
    },
}
FREQUENT = 10  # fewest notes of a code that the splits of Edin et al. 2023 keep
PUBLISHED = {9: 209_326, 10: 122_279}  # notes with such a code, of v2.2, in these splits


@SOURCES.add(
    private=True,
    needs={"folder": "the folder that holds hosp/, or the tables of hosp themselves"},
    parameters={
        "notes_folder": ("", "mimic4: folder of discharge.csv.gz or of note/, if not below `folder`", {"kind": "path"}),
        "icd_version": (10, "mimic4: admissions coded in ICD-9 or in ICD-10", {"choices": (9, 10)}),
    },
)
def mimic4(parameters: Parameters, run_folder: Path) -> RawCorpus:
    return load(*_folders(parameters), version=parameters.icd_version, spill=run_folder)


def files(parameters: Parameters) -> list[Path]:
    """Paths of the tables that `load` reads."""
    return list(physionet.find_files(_places(*_folders(parameters)), COLUMNS, DOWNLOAD).values())


def _folders(parameters: Parameters) -> tuple[Path, Path]:
    """Folders of the tables and of the notes."""
    return Path(parameters.folder), Path(parameters.notes_folder or parameters.folder)


def _places(folder: Path, notes_folder: Path) -> list[Path]:
    return [folder, folder / "hosp", folder / "note", notes_folder, notes_folder / "note"]


def load(folder: Path, notes_folder: Path, *, version: int, spill: Path | None = None) -> RawCorpus:
    """Read the five `hosp` tables and `discharge`, each NAME.csv or NAME.csv.gz.

    folder: the one with the tables, or with hosp/. notes_folder: the one with discharge, or with note/; it may be
    `folder`. version: 9 or 10, the ICD version whose codes are read; stays without any are excluded. spill: as in
    `physionet.open_tables`.
    One note per admission: its summaries, then its addenda, each by NOTE_SEQ. They are joined by a line break and
    otherwise unchanged. `note` is the hadm_id, `group` the subject_id. Raises as `mimic3.load` does.
    """
    if not notes_folder.is_dir():
        raise FileNotFoundError(f"{notes_folder} is not a folder: set `notes_folder` to that of note/, or {DOWNLOAD}")
    with physionet.open_tables(_places(folder, notes_folder), COLUMNS, DOWNLOAD, spill=spill) as tables:
        titles = mimic.read_titles(tables, version=version)
        codes = mimic.read_codes(tables, version=version)
        if codes.empty:
            raise ValueError(f"{tables.files['diagnoses_icd']} holds no code of ICD-{version}: set `icd_version`")
        mimic.read_admissions(tables, IDENTIFIERS)
        corpus = mimic.assemble("mimic4", tables, _read_notes(tables, codes), codes, titles)
    frequent = f"notes with a code of {FREQUENT} notes or more"
    expected = EXPECTED | {"v2.2": EXPECTED["v2.2"] | {frequent: PUBLISHED[version]}}
    found = mimic.compare_counts(tables.rows, corpus, expected, more={frequent: _count_frequent(corpus)})
    return replace(corpus, counts=found)


def _count_frequent(corpus: RawCorpus) -> int:
    counts = Counter(code for row in corpus.notes["codes"] for code in row)
    return sum(any(counts[code] >= FREQUENT for code in row) for row in corpus.notes["codes"])


def _read_notes(tables: Tables, codes: pd.DataFrame) -> pd.DataFrame:
    """One row per coded admission: note, group, text."""
    tables.db.register("coded", codes[["note"]].drop_duplicates())
    # the text of stays coded in the other version, which is most of it, is not kept
    text = "CASE WHEN trim(HADM_ID) IN (SELECT note FROM coded) THEN TEXT END AS TEXT"
    columns = f"{mimic.HADM_ID} HADM_ID, trim(NOTE_TYPE) AS NOTE_TYPE, NOTE_SEQ, {text}"
    tables.run("discharge", f"CREATE TEMP TABLE summaries AS SELECT {columns} {tables.scan('discharge')}")
    tables.refuse_forms("discharge", "summaries", FORMS)
    total, other, homeless, uncoded = tables.db.execute("""
        SELECT count(*), count(*) FILTER (coalesce(NOTE_TYPE, '') NOT IN ('DS', 'AD')),
            count(*) FILTER (HADM_ID IS NULL),
            count(DISTINCT HADM_ID) FILTER (HADM_ID NOT IN (SELECT note FROM coded))
        FROM summaries""").fetchone()
    tables.rows["discharge"] = total
    tables.drop("row of discharge that is neither DS nor AD", other)
    tables.drop("row of discharge without an admission", homeless)
    tables.drop("note without codes of this version", uncoded)
    used = "NOTE_TYPE IN ('DS', 'AD') AND HADM_ID IN (SELECT note FROM coded)"
    rows = mimic.read_rows(tables, "discharge", where=used, order="NOTE_TYPE = 'AD', TRY_CAST(NOTE_SEQ AS INT)")
    if rows.empty:
        raise ValueError(f"{tables.files['discharge']} holds no discharge summary of a coded admission: {DOWNLOAD}")
    return mimic.join_rows(tables, rows)
