"""Small tables in the form of MIMIC-III and MIMIC-IV."""

import csv
import gzip
from functools import partial
from pathlib import Path

import secrecy
from secrecy import SECRET

from shl_utils.data.sources import mimic3, mimic4

NOTE_3 = ["ROW_ID", "SUBJECT_ID", "HADM_ID", "CHARTDATE", "CHARTTIME", "STORETIME", "CATEGORY", "DESCRIPTION"]
NOTE_3 += ["CGID", "ISERROR", "TEXT"]
CODE_3 = ["ROW_ID", "SUBJECT_ID", "HADM_ID", "SEQ_NUM", "ICD9_CODE"]
TITLE_3 = ["ROW_ID", "ICD9_CODE", "SHORT_TITLE", "LONG_TITLE"]
CODE_4 = ["subject_id", "hadm_id", "seq_num", "icd_code", "icd_version"]
OPERATION_4 = ["subject_id", "hadm_id", "seq_num", "chartdate", "icd_code", "icd_version"]
TITLE_4 = ["icd_code", "icd_version", "long_title"]
NOTE_4 = ["note_id", "subject_id", "hadm_id", "note_type", "note_seq", "charttime", "storetime", "text"]
STAY_4 = ["subject_id", "hadm_id", "admittime", "dischtime", "deathtime", "admission_type", "admit_provider_id"]
EXPONENTS = ["3E03305", "3E0G76Z", "8E0W4CZ"]  # procedures that look like numbers to some programs
ANNA, BERTA = 10_000_032, 10_000_980
FIRST, SECOND, OLD, UNCODED = 22_595_853, 25_742_920, 26_913_865, 29_079_034


def note_3(row, hadm, text, *, day="2150-01-02", time="", category="Discharge summary", kind="Report", error=""):
    return [row, 1, hadm, day, time, "", category, kind, "", error, text]


def tables_3():
    """Three stays."""
    return {
        "ADMISSIONS": [["ROW_ID", "SUBJECT_ID", "HADM_ID"], [1, 7, 100100], [2, 7, 100101], [3, 8, 100102]],
        "D_ICD_DIAGNOSES": [TITLE_3, [1, "0010", "Ch", "Cholera"], [2, "E8790", "Ca", "Cardiac cath"]],
        "D_ICD_PROCEDURES": [TITLE_3, [1, "0010", "Im", "Implantation"]],
        "DIAGNOSES_ICD": [
            CODE_3,
            [1, 7, 100100, 1, "0010"],
            [2, 7, 100100, 2, "0010"],
            [3, 7, 100100, 3, ""],
            [4, 7, 100101, 1, "E8790"],
            [5, 8, 100102, 1, "V5867"],
        ],
        "PROCEDURES_ICD": [CODE_3, [1, 7, 100100, 1, "0010"]],
        "NOTEEVENTS": [
            NOTE_3,
            note_3(1, 100100, f'She said "no",\n{SECRET} left.'),
            note_3(2, 100101, "second"),
            note_3(3, 100102, "x"),
        ],
    }


def note_4(patient, stay, seq, text, kind="DS"):
    return [f"{patient}-{kind}-{seq}", patient, stay, kind, seq, "2180-05-07 00:00:00", "", text]


def tables_4():
    """Two stays coded in ICD-10, one in ICD-9, one without a code and one without a note."""
    stays = ((ANNA, FIRST), (ANNA, SECOND), (BERTA, OLD), (BERTA, UNCODED), (BERTA, 29_999_999))
    return {
        "hosp/admissions": [
            STAY_4,
            *([p, s, "2180-05-06 22:23:00", "2180-05-07 17:15:00", "", "URGENT", "P49AFC"] for p, s in stays),
        ],
        "hosp/diagnoses_icd": [
            CODE_4,
            [ANNA, FIRST, 1, "E119", 10],
            [ANNA, FIRST, 2, "I10    ", 10],
            [ANNA, FIRST, 3, "E119", 10],
            [ANNA, FIRST, 4, "4019", 9],
            [ANNA, FIRST, 5, "", 10],
            [ANNA, SECOND, 1, "v4352xa", 10],
            [BERTA, OLD, 1, "0010", 9],
            [BERTA, OLD, 2, "E8490", 9],
            [BERTA, OLD, 3, "V5867", 9],
            [BERTA, 29_999_999, 1, "I10", 10],
            [BERTA, 28_000_000, 1, "I10", 10],
        ],
        "hosp/procedures_icd": [
            OPERATION_4,
            [ANNA, FIRST, 1, "2180-05-06", "0DTJ4ZZ", 10],
            *([ANNA, FIRST, i, "2180-05-06", code, 10] for i, code in enumerate(EXPONENTS, start=2)),
            [BERTA, OLD, 1, "2150-01-01", "0010", 9],
        ],
        "hosp/d_icd_diagnoses": [
            TITLE_4,
            ["E119", 10, "Type 2 diabetes mellitus without complications"],
            ["I10", 10, "Essential (primary) hypertension"],
            ["0010", 9, "Cholera due to vibrio cholerae"],
            ["E8490", 9, "Home accidents"],
            ["E849", 10, "Cystic fibrosis, unspecified"],
        ],
        "hosp/d_icd_procedures": [
            TITLE_4,
            ["0DTJ4ZZ", 10, "Resection of Appendix, Percutaneous Endoscopic Approach"],
            *([code, 10, f"Procedure {code}"] for code in EXPONENTS),
            ["0010", 9, "Implantation of chemotherapeutic agent"],
        ],
        "note/discharge": [
            NOTE_4,
            note_4(ANNA, FIRST, 22, "late addendum", "AD"),
            note_4(ANNA, FIRST, 21, f'She said "no",\n{SECRET} left.'),
            note_4(ANNA, FIRST, 3, "early addendum", "AD"),
            note_4(ANNA, SECOND, 23, "niño, 発熱"),
            note_4(BERTA, OLD, 4, "old stay"),
            note_4(BERTA, UNCODED, 5, "never coded"),
            note_4(BERTA, "", 6, "of no stay"),
            note_4(BERTA, 28_000_000, 7, "of a stay that admissions lacks"),
            note_4(BERTA, OLD, 8, "of another kind", "RR"),
        ],
    }


def save(folder, content, *, packed=False, lower=False, end="\n"):
    """Write the tables, and return their folder. lower: names of tables and columns in lower case."""
    for name, rows in content.items():
        rows = [[str(cell).lower() for cell in rows[0]], *rows[1:]] if lower else rows
        path = folder / f"{name.lower() if lower else name}.csv{'.gz' * packed}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with (gzip.open if packed else open)(path, "wt", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator=end).writerows(rows)
    return folder


def load(folder: Path, version=3):
    """The corpus of MIMIC-III (3), or of MIMIC-IV in one version of ICD (9 or 10)."""
    return mimic3.load(folder) if version == 3 else mimic4.load(folder, folder, version=version)


def refused(folder, version=3, kind=ValueError):
    return secrecy.refused(partial(load, folder, version), kind)
