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
from shl_utils.data.sources import physionet
from shl_utils.data.sources.physionet import Counts, Tables, count
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
STAYS, PATIENTS = (
    range(20_000_000, 30_000_000),
    range(10_000_000, 20_000_000),
)  # the identifiers that MIMIC-IV uses
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
CODE = "nullif(upper(trim(ICD_CODE)), '') AS code"
ROWS = """
SELECT HADM_ID AS note, subject AS "group", coalesce(TEXT, '') AS text
FROM summaries LEFT JOIN known ON HADM_ID = known.note
WHERE NOTE_TYPE IN ('DS', 'AD') AND HADM_ID IN (SELECT note FROM coded)
ORDER BY TRY_CAST(HADM_ID AS INT), NOTE_TYPE = 'AD', TRY_CAST(NOTE_SEQ AS INT)"""


@SOURCES.add(
    private=True,
    needs={"folder": "the folder that holds hosp/, or the tables of hosp themselves"},
    parameters={
        "notes_folder": ("", "mimic4: folder of discharge.csv.gz or of note/, if not below `folder`", {"kind": "path"}),
        "icd_version": (10, "mimic4: admissions coded in ICD-9 or in ICD-10", {"choices": (9, 10)}),
    },
)
def mimic4(parameters: Parameters, run_folder: Path) -> RawCorpus:
    return load(*_folders(parameters), version=parameters.icd_version)


def files(parameters: Parameters) -> list[Path]:
    """Paths of the tables that `load` reads."""
    return list(physionet.files(_places(*_folders(parameters)), COLUMNS, DOWNLOAD).values())


def _folders(parameters: Parameters) -> tuple[Path, Path]:
    """Folders of the tables and of the notes."""
    return Path(parameters.folder), Path(parameters.notes_folder or parameters.folder)


def _places(folder: Path, notes_folder: Path) -> list[Path]:
    return [
        Path(folder),
        Path(folder) / "hosp",
        Path(folder) / "note",
        Path(notes_folder),
        Path(notes_folder) / "note",
    ]


def load(folder: Path, notes_folder: Path, *, version: int) -> RawCorpus:
    """Read the five `hosp` tables and `discharge`, each NAME.csv or NAME.csv.gz.

    folder: the one with the tables, or with hosp/. notes_folder: the one with discharge, or with note/; it may be
    `folder`. version: 9 or 10, the ICD version whose codes are read; stays without any are excluded.
    One note per admission: its summaries, then its addenda, each by NOTE_SEQ. They are joined by a line break and
    otherwise unchanged. `note` is the hadm_id, `group` the subject_id. Raises as `mimic3.load` does.
    """
    if not Path(notes_folder).is_dir():
        raise FileNotFoundError(f"{notes_folder} is not a folder: set `notes_folder` to that of note/, or {DOWNLOAD}")
    with physionet.opened(_places(folder, notes_folder), COLUMNS, DOWNLOAD) as tables:
        descriptions = _read_descriptions(tables, version)
        codes, dropped = _read_codes(tables, version)
        notes = _read_notes(tables, codes, dropped)
        corpus = physionet.assembled("mimic4", notes, codes, descriptions, dropped, tables)
    frequent = f"notes with a code of {FREQUENT} notes or more"
    found = tables.rows | physionet.results(corpus) | {frequent: _with_frequent(corpus)}
    expected = EXPECTED | {"v2.2": EXPECTED["v2.2"] | {frequent: PUBLISHED[version]}}
    return replace(corpus, counts=physionet.beside(found, expected))


def _with_frequent(corpus: RawCorpus) -> int:
    counts = Counter(code for row in corpus.notes["codes"] for code in row)
    return sum(any(counts[code] >= FREQUENT for code in row) for row in corpus.notes["codes"])


def _read_codes(tables: Tables, version: int) -> tuple[pd.DataFrame, Counts]:
    """One row per label of this version, sorted, without repeats: `note`, `code`. Also counts of what was dropped."""
    dropped: Counts = {}
    parts = []
    for name, kind in (("diagnoses_icd", "diagnosis"), ("procedures_icd", "procedure")):
        part = _select(tables, name, f"nullif(trim(HADM_ID), '') AS note, {CODE}", version, dropped, kind)
        tables.refuse_numbers(part["note"].dropna().unique(), name, "HADM_ID", zeros=False, form=physionet.WHOLE)
        count(dropped, f"{kind} without a code or an admission", part.isna().any(axis=1).sum())
        parts.append(tables.dot(part.dropna(), name, "ICD_CODE", version=version, procedure=kind == "procedure"))
    codes = pd.concat(parts)
    if codes.empty:
        raise ValueError(f"{tables.files['diagnoses_icd']} holds no code of ICD-{version}: set `icd_version`")
    count(dropped, "code repeated in its admission", codes.duplicated().sum())
    return codes.drop_duplicates().sort_values(["note", "code"], ignore_index=True), dropped


def _read_descriptions(tables: Tables, version: int) -> dict[str, str]:
    descriptions: dict[str, str] = {}
    for name in ("d_icd_diagnoses", "d_icd_procedures"):
        part = _select(tables, name, f"{CODE}, nullif(trim(LONG_TITLE), '') AS title", version, {}, "").dropna()
        part = tables.dot(part, name, "ICD_CODE", version=version, procedure=name == "d_icd_procedures")
        descriptions |= dict(zip(part["code"], part["title"]))
    return descriptions


def _select(tables: Tables, name: str, columns: str, version: int, dropped: Counts, kind: str) -> pd.DataFrame:
    """Columns of the rows of this version. `tables.rows` counts all rows, `dropped` those of the other version."""
    part = tables.select(name, f"{columns}, trim(ICD_VERSION) AS version")
    strange = part["version"].fillna("")
    strange = strange[~strange.isin(["9", "10"])]
    if len(strange):
        raise ValueError(f"{tables.files[name]}: ICD_VERSION is {strange.iloc[0]!r}, neither 9 nor 10: {DOWNLOAD}")
    own = part["version"] == str(version)
    count(dropped, f"{kind} of another version than ICD-{version}", (~own).sum())
    return part[own].drop(columns="version")


def _read_notes(tables: Tables, codes: pd.DataFrame, dropped: Counts) -> pd.DataFrame:
    """One row per coded admission: note, group, text. What is excluded is counted in `dropped`."""
    known = tables.select("admissions", "trim(HADM_ID) AS note, trim(SUBJECT_ID) AS subject").dropna()
    known = known.drop_duplicates()
    tables.refuse_numbers(known.to_numpy().ravel(), "admissions", "HADM_ID or SUBJECT_ID", zeros=False)
    tables.refuse_strange(known["note"], "admissions", "HADM_ID", STAYS)
    tables.refuse_strange(known["subject"], "admissions", "SUBJECT_ID", PATIENTS)
    tables.db.register("known", known)
    tables.db.register("coded", codes[["note"]].drop_duplicates())
    # the text of stays coded in the other version, which is most of it, is not kept
    text = "CASE WHEN trim(HADM_ID) IN (SELECT note FROM coded) THEN TEXT END AS TEXT"
    columns = f"nullif(trim(HADM_ID), '') AS HADM_ID, trim(NOTE_TYPE) AS NOTE_TYPE, NOTE_SEQ, {text}"
    tables.run("discharge", f"CREATE TEMP TABLE summaries AS SELECT {columns} {tables.scan('discharge')}")
    tables.refuse_forms("discharge", "summaries", ("HADM_ID", "NOTE_SEQ"))
    total, other, homeless, uncoded = tables.db.execute("""
        SELECT count(*), count(*) FILTER (coalesce(NOTE_TYPE, '') NOT IN ('DS', 'AD')),
            count(*) FILTER (HADM_ID IS NULL),
            count(DISTINCT HADM_ID) FILTER (HADM_ID NOT IN (SELECT note FROM coded))
        FROM summaries""").fetchone()
    tables.rows["discharge"] = total
    count(dropped, "row of discharge that is neither DS nor AD", other)
    count(dropped, "row of discharge without an admission", homeless)
    count(dropped, "note without codes of this version", uncoded)
    rows = tables.run("discharge", ROWS)
    if rows.empty:
        raise ValueError(f"{tables.files['discharge']} holds no discharge summary of a coded admission: {DOWNLOAD}")
    return physionet.joined(rows, dropped)
