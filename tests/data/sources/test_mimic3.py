"""The MIMIC-III loader on small tables written here, and its code handling on the open demo."""

import re

import pytest
from releases import CODE_3, NOTE_3, TITLE_3, note_3, refused, save, tables_3
from secrecy import SECRET

from shl_utils.data.sources import mimic, mimic3, physionet


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("lower", [False, True])
def test_codes_and_notes_meet(tmp_path, packed, lower):
    corpus = mimic3.load(save(tmp_path / "m", tables_3(), packed=packed, lower=lower))
    assert corpus.notes.columns.tolist() == ["note", "group", "text", "codes"]
    assert corpus.notes["note"].tolist() == ["100100", "100101", "100102"]
    assert corpus.notes["group"].tolist() == ["7", "7", "8"]
    assert corpus.notes["text"][0] == f'She said "no",\n{SECRET} left.'
    assert corpus.notes["codes"].tolist() == [["00.10", "001.0"], ["E879.0"], ["V58.67"]]
    assert corpus.descriptions["001.0"] == "Cholera"
    assert corpus.descriptions["00.10"] == "Implantation"
    assert corpus.descriptions["V58.67"] == "V58.67"
    assert "1.5.0" in corpus.licence
    assert corpus.counts.loc["DIAGNOSES_ICD"].tolist() == [651_047, 5]
    assert corpus.counts.loc["notes"].tolist() == [52_723, 3]
    assert corpus.dropped == {
        "diagnosis without a code or an admission": 1,
        "code repeated in its admission": 1,
        "code without description, described by itself": 1,
    }


def test_windows_line_ends_are_read(tmp_path):
    folder = save(tmp_path / "m", tables_3())
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(mimic3.load(folder).notes) == 3


def test_addenda_follow_the_report_in_order_and_nothing_else_joins(tmp_path):
    content = tables_3()
    content["NOTEEVENTS"] = [
        NOTE_3,
        note_3(1, 100100, "late addendum", day="2150-01-09", kind="Addendum"),
        note_3(10, 100100, "tenth addendum", day="2150-01-03", kind="Addendum"),
        note_3(9, 100100, "ninth addendum", day="2150-01-03", kind="Addendum"),
        note_3(11, 100100, "timed addendum", day="2150-01-03", time="2150-01-03 08:00:00", kind="Addendum"),
        note_3(20, 100100, "second report", day="2150-01-05"),
        note_3(21, 100100, "first report"),
        note_3(22, 100100, "night", category="Nursing"),
        note_3(23, 100100, "wrong patient", error="1"),
        note_3(24, 100101, "second stay"),
        note_3(25, 100102, " \n\t "),
        note_3(26, 100999, "of nobody"),
        note_3(27, "", "of no stay"),
    ]
    corpus = mimic3.load(save(tmp_path / "m", content))
    order = ["first report", "second report", "ninth addendum", "tenth addendum", "timed addendum", "late addendum"]
    assert corpus.notes["text"].tolist() == ["\n".join(order), "second stay"]
    for reason in (
        "Discharge summary row marked as an error",
        "Discharge summary row without an admission",
        "note of an admission that ADMISSIONS lacks",
        "blank note",
    ):
        assert corpus.dropped[reason] == 1


def test_notes_without_codes_and_codes_without_notes_are_counted(tmp_path):
    content = tables_3()
    content["DIAGNOSES_ICD"].pop()
    content["NOTEEVENTS"].pop(2)
    corpus = mimic3.load(save(tmp_path / "m", content))
    assert corpus.notes["note"].tolist() == ["100100"]
    assert corpus.dropped["note without codes"] == 1
    assert corpus.dropped["admission with codes, without a discharge summary"] == 1


def test_missing_folder_and_tables_are_named(tmp_path):
    assert "nowhere" in refused(tmp_path / "nowhere", kind=FileNotFoundError)
    content = tables_3()
    del content["ADMISSIONS"], content["PROCEDURES_ICD"]
    message = refused(save(tmp_path / "m", content), kind=FileNotFoundError)
    assert "ADMISSIONS, PROCEDURES_ICD" in message
    assert "physionet.org" in message


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"DIAGNOSES_ICD": [[*CODE_3[:-1], "ICD_CODE"], [1, 7, 100100, 1, "0010"]]},
            "DIAGNOSES_ICD.csv lacks the column ICD9_CODE.*ICD_CODE",
        ),
        ({"NOTEEVENTS": [note_3(1, 100100, f"text,{SECRET},category"), note_3(2, 100100, "text")]}, "no header"),
        (
            {"D_ICD_DIAGNOSES": [TITLE_3, [1, "00845", "", "A"]], "D_ICD_PROCEDURES": [TITLE_3, [1, "0011", "", "B"]]},
            "4 of 4 codes of the notes are in no table of descriptions",
        ),
        (
            {"NOTEEVENTS": [NOTE_3, note_3(1, 100100, SECRET, category="Nursing")]},
            "no row of CATEGORY 'Discharge summary'",
        ),
        (
            {"DIAGNOSES_ICD": [CODE_3, *([k, 7, 100100, k, str(10_000 + k)] for k in range(physionet.MANY_CODES))]},
            "leading zeros",
        ),
    ],
    ids=["another column", "no header", "two releases", "no discharge summary", "no leading zero"],
)
def test_tables_that_cannot_be_those_of_the_release_are_refused(tmp_path, changed, message):
    assert re.search(message, refused(save(tmp_path / "m", tables_3() | changed)))


def test_bytes_that_are_no_text_are_named(tmp_path):
    path = save(tmp_path / "m", tables_3()) / "NOTEEVENTS.csv"
    path.write_bytes(path.read_bytes().replace(b"second", b"second \xff\xfe" + SECRET.encode()))
    assert f"{path} is not utf-8" in refused(path.parent)


def test_accents_and_a_note_of_several_megabytes_are_read(tmp_path):
    content = tables_3()
    content["NOTEEVENTS"][2][-1] = "niño, 発熱"
    content["NOTEEVENTS"][3][-1] = "fever " * 500_000
    texts = mimic3.load(save(tmp_path / "m", content)).notes["text"]
    assert texts[1:].tolist() == ["niño, 発熱", "fever " * 500_000]


@pytest.mark.parametrize("error", ["", "0", " 1", "1"])
def test_marks_of_errors_are_taken_as_the_release_has_them(tmp_path, error):
    content = tables_3()
    content["NOTEEVENTS"].append(note_3(4, 100101, "in error", error=error))
    texts = mimic3.load(save(tmp_path / "m", content)).notes["text"]
    assert any("in error" in text for text in texts) is ("1" not in error)


@pytest.mark.parametrize(
    ("table", "whole", "lost"), [("DIAGNOSES_ICD", "01653", "1653"), ("PROCEDURES_ICD", "0010", "10")]
)
def test_a_zero_lost_in_one_row_is_told_by_the_titles(tmp_path, table, whole, lost):
    content = tables_3()
    titles = {"DIAGNOSES_ICD": "D_ICD_DIAGNOSES", "PROCEDURES_ICD": "D_ICD_PROCEDURES"}[table]
    content[titles].append([9, whole, "x", "A title"])
    content["D_ICD_DIAGNOSES"].append([8, "V5867", "x", "Another"])
    content[table].append([9, 7, 100100, 4, whole])
    save(tmp_path / "m", content)
    mimic3.load(tmp_path / "m")
    content[table].append([9, 7, 100101, 4, lost])
    message = refused(save(tmp_path / "m", content))
    assert f"{table}.csv: 1 codes without a title have one with zeros before them, like {lost!r}" in message


@pytest.mark.parametrize(
    "rows",
    [(b'"x"\r\n', b'"y"\n', b'"Zebulon Quackenbush"\r\n'), (b'"Zebulon Quackenbush said \\"no\\", x"\n',)],
    ids=["line ends", "backslashes"],
)
def test_line_ends_of_two_kinds_and_backslashes_are_named(tmp_path, rows):
    path = save(tmp_path / "m", tables_3()) / "NOTEEVENTS.csv"
    start = b"4,1,100100,2150-01-02,,,Discharge summary,Report,,,"
    path.write_bytes(path.read_bytes() + b"".join(start + row for row in rows))
    assert "a quote is not closed, has a backslash before it, or lines end in two ways" in refused(path.parent)


def test_what_macos_and_spreadsheets_leave_beside_the_tables_is_no_table(tmp_path):
    folder = save(tmp_path / "m", tables_3())
    for name in ("._NOTEEVENTS.csv", ".DS_Store", "~$ADMISSIONS.csv", "._ADMISSIONS.csv.gz"):
        (folder / name).write_bytes(b"\x00\x05")
    (folder / "ADMISSIONS.csv.gz").mkdir()  # as some unpack it
    assert len(mimic3.load(folder).notes) == 3


def test_notes_that_do_not_fit_into_memory_stay_in_the_runs_folder(tmp_path):
    folder, run = save(tmp_path / "m", tables_3()), tmp_path / "run"
    run.mkdir()
    with physionet.open_tables([folder], mimic3.COLUMNS, mimic3.DOWNLOAD, spill=run) as tables:
        (kept,) = run.glob("*.part")
        assert tables.db.execute("SELECT current_setting('temp_directory')").fetchone() == (str(kept),)
    assert not any(run.iterdir())


def test_codes_of_the_open_demo(open_data):
    folder = open_data / "mimic3_demo_tables"
    if not folder.is_dir():
        pytest.skip("the tables of the open MIMIC-III demo are not there")
    named = {name: mimic3.COLUMNS[name] for name in ("DIAGNOSES_ICD", "PROCEDURES_ICD")}  # it has no notes
    with physionet.open_tables([folder], named, mimic3.DOWNLOAD) as tables:
        codes = mimic.read_codes(tables, version=9)
    assert codes.shape == (2247, 2)  # 1,761 diagnoses and 506 procedures, of which 20 repeat
    assert tables.dropped == {"code repeated in its admission": 20}
    assert codes["note"].nunique() == 129
    has = codes.groupby("note")["code"].agg(set)
    assert {"995.91", "038.19", "E879.1", "V09.0"} <= has["142345"]
    assert {"96.6", "04.6"} <= set(codes["code"])
    assert codes["code"].str.fullmatch(r"\d{3}(\.\d{1,2})?|V\d\d(\.\d{1,2})?|E\d{3}(\.\d)?|\d\d\.\d{1,2}").all()
