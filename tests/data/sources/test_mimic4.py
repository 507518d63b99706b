"""The MIMIC-IV loader on small tables written here, in the columns and folders of the releases."""

import csv
import gzip
import traceback

import pandas as pd
import pytest

from shl_utils.data.sources import mimic3, mimic4, synthetic

SECRET = "Zebulon Quackenbush"
CODE = ["subject_id", "hadm_id", "seq_num", "icd_code", "icd_version"]
OPERATION = ["subject_id", "hadm_id", "seq_num", "chartdate", "icd_code", "icd_version"]
TITLE = ["icd_code", "icd_version", "long_title"]
NOTE = ["note_id", "subject_id", "hadm_id", "note_type", "note_seq", "charttime", "storetime", "text"]
STAY = ["subject_id", "hadm_id", "admittime", "dischtime", "deathtime", "admission_type", "admit_provider_id"]
EXPONENTS = ["3E03305", "3E0G76Z", "8E0W4CZ"]  # procedures that look like numbers to some programs
ANNA, BERTA = 10_000_032, 10_000_980
FIRST, SECOND, OLD, BARE = 22_595_853, 25_742_920, 26_913_865, 29_079_034


def note(patient, stay, seq, text, kind="DS"):
    return [f"{patient}-{kind}-{seq}", patient, stay, kind, seq, "2180-05-07 00:00:00", "", text]


def tables():
    """Two stays coded in ICD-10, one in ICD-9, one without a code and one without a note."""
    return {
        "hosp/admissions": [
            STAY,
            *(
                [p, s, "2180-05-06 22:23:00", "2180-05-07 17:15:00", "", "URGENT", "P49AFC"]
                for p, s in ((ANNA, FIRST), (ANNA, SECOND), (BERTA, OLD), (BERTA, BARE), (BERTA, 29_999_999))
            ),
        ],
        "hosp/diagnoses_icd": [
            CODE,
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
            OPERATION,
            [ANNA, FIRST, 1, "2180-05-06", "0DTJ4ZZ", 10],
            *([ANNA, FIRST, i, "2180-05-06", code, 10] for i, code in enumerate(EXPONENTS, start=2)),
            [BERTA, OLD, 1, "2150-01-01", "0010", 9],
        ],
        "hosp/d_icd_diagnoses": [
            TITLE,
            ["E119", 10, "Type 2 diabetes mellitus without complications"],
            ["I10", 10, "Essential (primary) hypertension"],
            ["0010", 9, "Cholera due to vibrio cholerae"],
            ["E8490", 9, "Home accidents"],
            ["E849", 10, "Cystic fibrosis, unspecified"],
        ],
        "hosp/d_icd_procedures": [
            TITLE,
            ["0DTJ4ZZ", 10, "Resection of Appendix, Percutaneous Endoscopic Approach"],
            *([code, 10, f"Procedure {code}"] for code in EXPONENTS),
            ["0010", 9, "Implantation of chemotherapeutic agent"],
        ],
        "note/discharge": [
            NOTE,
            note(ANNA, FIRST, 22, "late addendum", "AD"),
            note(ANNA, FIRST, 21, f'She said "no",\n{SECRET} left.'),
            note(ANNA, FIRST, 3, "early addendum", "AD"),
            note(ANNA, SECOND, 23, "niño, 発熱"),
            note(BERTA, OLD, 4, "old stay"),
            note(BERTA, BARE, 5, "never coded"),
            note(BERTA, "", 6, "of no stay"),
            note(BERTA, 28_000_000, 7, "of a stay that admissions lacks"),
            note(BERTA, OLD, 8, "of another kind", "RR"),
        ],
    }


def save(folder, content, *, packed=False, end="\n"):
    for name, rows in content.items():
        path = folder / f"{name}.csv{'.gz' * packed}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with (gzip.open if packed else open)(path, "wt", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator=end).writerows(rows)
    return folder


def load(folder, version=10):
    return mimic4.load(folder, folder, version=version)


def refused(folder, kind=ValueError, version=10):
    """The message of the error; no text of a note may be in it, nor in what is chained to it."""
    with pytest.raises(kind) as caught:
        load(folder, version)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


@pytest.mark.parametrize(("packed", "end"), [(False, "\n"), (True, "\n"), (False, "\r\n")])
def test_codes_of_one_version_meet_their_notes(tmp_path, packed, end):
    corpus = load(save(tmp_path / "m", tables(), packed=packed, end=end))
    assert corpus.name == "mimic4"
    assert corpus.notes["note"].tolist() == [str(FIRST), str(SECOND)]
    assert corpus.notes["group"].tolist() == [str(ANNA)] * 2
    assert corpus.notes["codes"].tolist() == [["0DTJ4ZZ", *EXPONENTS, "E11.9", "I10"], ["V43.52XA"]]
    assert corpus.notes["text"].tolist() == [
        f'She said "no",\n{SECRET} left.\nearly addendum\nlate addendum',
        "niño, 発熱",
    ]
    assert corpus.descriptions["E11.9"] == "Type 2 diabetes mellitus without complications"
    assert corpus.descriptions["V43.52XA"] == "V43.52XA"
    assert corpus.dropped == {
        "row of discharge that is neither DS nor AD": 1,
        "row of discharge without an admission": 1,
        "note of an admission that ADMISSIONS lacks": 1,
        "diagnosis of another version than ICD-10": 4,
        "procedure of another version than ICD-10": 1,
        "diagnosis without a code or an admission": 1,
        "code repeated in its admission": 1,
        "note without codes of this version": 2,
        "admission with codes, without a discharge summary": 2,
        "code without description, described by itself": 1,
    }
    assert corpus.counts.loc["discharge"].tolist() == [331_793, 331_793, 9]
    assert corpus.counts.loc["notes with a code of 10 notes or more", ["v2.2", "found"]].tolist() == [122_279, 0]
    assert corpus.counts.loc["codes", "found"] == 7


def test_the_other_version_is_another_corpus(tmp_path):
    corpus = load(save(tmp_path / "m", tables()), version=9)
    assert corpus.notes["note"].tolist() == [str(FIRST), str(OLD)]
    assert corpus.notes["codes"].tolist() == [["401.9"], ["00.10", "001.0", "E849.0", "V58.67"]]
    assert corpus.descriptions["E849.0"] == "Home accidents"
    assert corpus.descriptions["00.10"] == "Implantation of chemotherapeutic agent"


def test_tables_and_notes_lie_where_the_user_has_them(tmp_path):
    whole = save(tmp_path / "m", tables())
    apart = tmp_path / "notes"
    (whole / "note").rename(apart)
    assert "lacks discharge" in refused(whole, FileNotFoundError)
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder: set `notes_folder`"):
        mimic4.load(whole, tmp_path / "nowhere", version=10)
    for folder, notes in ((whole, apart), (whole / "hosp", apart)):
        assert len(mimic4.load(folder, notes, version=10).notes) == 2


def test_another_version_than_9_and_10_is_refused(tmp_path):
    content = tables()
    content["hosp/diagnoses_icd"][3][4] = 11
    assert "ICD_VERSION is '11'" in refused(save(tmp_path / "m", content))


def test_a_release_without_this_version_says_what_to_set(tmp_path):
    content = tables()
    for name in ("diagnoses_icd", "procedures_icd"):
        content[f"hosp/{name}"] = [row for row in content[f"hosp/{name}"] if row[-1] != 9]
    assert "holds no code of ICD-9: set `icd_version`" in refused(save(tmp_path / "m", content), version=9)


@pytest.mark.parametrize("column", [0, 1])
def test_tables_of_mimic_iii_are_refused(tmp_path, column):
    content = tables()
    content["hosp/admissions"][1][column] = 100_001 + column
    assert f"{100_001 + column}' is not from" in refused(save(tmp_path / "m", content))


@pytest.mark.parametrize("code", ["4019.0", "1.0E+3", "nan"])
def test_codes_taken_for_numbers_are_refused(tmp_path, code):
    content = tables()
    content["hosp/diagnoses_icd"][4][3] = code
    assert "diagnoses_icd.csv: ICD_CODE looks read as a number" in refused(save(tmp_path / "m", content), version=9)


@pytest.mark.parametrize("value", [f"{SECOND}.0", "2.5742920E7", "25,742,920", "nan"])
@pytest.mark.parametrize("table", ["hosp/admissions", "hosp/diagnoses_icd", "hosp/procedures_icd", "note/discharge"])
@pytest.mark.parametrize("version", [9, 10])
def test_an_identifier_that_a_spreadsheet_changed_in_one_row_is_named(tmp_path, table, value, version):
    content = tables()
    row = list(content[table][1])
    row[content[table][0].index("hadm_id")] = value
    if "icd_version" in content[table][0]:
        row[content[table][0].index("icd_version")] = version
    content[table].append(row)
    message = refused(save(tmp_path / "m", content), version=version)
    assert f"{table.split('/')[1]}.csv: HADM_ID" in message


@pytest.mark.parametrize("value", ["1.0", "1e0", "nan"])
def test_the_order_of_notes_that_a_spreadsheet_changed_is_named(tmp_path, value):
    content = tables()
    content["note/discharge"][1][NOTE.index("note_seq")] = value
    assert "discharge.csv: NOTE_SEQ is in 1 rows not as the release has it" in refused(save(tmp_path / "m", content))


@pytest.mark.parametrize("version", ["9.0", "", "nan"])
def test_a_version_that_another_program_changed_is_named(tmp_path, version):
    content = tables()
    content["hosp/diagnoses_icd"][3][4] = version
    assert f"ICD_VERSION is {version!r}" in refused(save(tmp_path / "m", content))


@pytest.mark.parametrize("name", list(mimic4.COLUMNS))
def test_an_empty_table_is_named(tmp_path, name):
    content = {n: rows[:1] if n.endswith(f"/{name}") else rows for n, rows in tables().items()}
    assert f"{name}.csv holds no rows" in refused(save(tmp_path / "m", content))


def test_damage_is_named_without_a_word_of_the_note(tmp_path):
    folder = save(tmp_path / "m", tables())
    with (folder / "note/discharge.csv").open("a") as file:
        file.write(f'x,1,{FIRST},DS,1,,,"{SECRET} never ends\n')
    assert "discharge.csv cannot be read as CSV" in refused(folder)


def test_notes_of_other_stays_are_refused(tmp_path):
    content = tables()
    content["note/discharge"] = [NOTE, note(BERTA, BARE, 5, SECRET)]
    assert "holds no discharge summary of a coded admission" in refused(save(tmp_path / "m", content))


def test_the_same_stays_are_the_same_corpus_in_the_tables_of_either_release(tmp_path):
    synthetic.write(tmp_path / "three", notes=150, seed=2)
    names = {"ICD9_CODE": "icd_code"} | {name: name.lower() for name in ("SUBJECT_ID", "HADM_ID", "TEXT", "LONG_TITLE")}
    for name in mimic3.COLUMNS:
        table = pd.read_csv(tmp_path / "three" / f"{name}.csv.gz", dtype=str, keep_default_na=False)
        if name == "NOTEEVENTS":
            table = table[(table["CATEGORY"] == mimic3.SUMMARY) & (table["ISERROR"] != "1")]
            kinds = table["DESCRIPTION"].map({"Report": "DS", "Addendum": "AD"})
            table = table.assign(note_type=kinds, note_seq=table["ROW_ID"])
        table = table.rename(columns=names).assign(icd_version="9")
        for column, first in (("subject_id", 10_000_000), ("hadm_id", 20_000_000)):
            if column in table:
                table[column] = (table[column].astype(int) + first).astype(str)
        name = "discharge" if name == "NOTEEVENTS" else name.lower()
        table.to_csv(tmp_path / f"{name}.csv.gz", index=False, quoting=csv.QUOTE_NONNUMERIC)
    theirs, ours = mimic3.load(tmp_path / "three", generated=True), load(tmp_path, version=9)
    assert ours.notes["note"].astype(int).tolist() == (theirs.notes["note"].astype(int) + 20_000_000).tolist()
    for column in ("text", "codes"):
        assert ours.notes[column].tolist() == theirs.notes[column].tolist()
    assert ours.descriptions == theirs.descriptions
