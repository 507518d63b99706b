"""The MIMIC-III loader on small tables written here, and its code handling on the open demo."""

import csv
import gzip
import traceback

import pytest

from shl_utils.data.sources import mimic, mimic3, physionet

SECRET = "Zebulon Quackenbush"
NOTE = ["ROW_ID", "SUBJECT_ID", "HADM_ID", "CHARTDATE", "CHARTTIME", "STORETIME", "CATEGORY", "DESCRIPTION"]
NOTE += ["CGID", "ISERROR", "TEXT"]
CODE = ["ROW_ID", "SUBJECT_ID", "HADM_ID", "SEQ_NUM", "ICD9_CODE"]
TITLE = ["ROW_ID", "ICD9_CODE", "SHORT_TITLE", "LONG_TITLE"]


def note(row, hadm, text, *, day="2150-01-02", time="", category="Discharge summary", kind="Report", error=""):
    return [row, 1, hadm, day, time, "", category, kind, "", error, text]


def tables():
    return {
        "ADMISSIONS": [["ROW_ID", "SUBJECT_ID", "HADM_ID"], [1, 7, 100100], [2, 7, 100101], [3, 8, 100102]],
        "D_ICD_DIAGNOSES": [TITLE, [1, "0010", "Ch", "Cholera"], [2, "E8790", "Ca", "Cardiac cath"]],
        "D_ICD_PROCEDURES": [TITLE, [1, "0010", "Im", "Implantation"]],
        "DIAGNOSES_ICD": [
            CODE,
            [1, 7, 100100, 1, "0010"],
            [2, 7, 100100, 2, "0010"],
            [3, 7, 100100, 3, ""],
            [4, 7, 100101, 1, "E8790"],
            [5, 8, 100102, 1, "V5867"],
        ],
        "PROCEDURES_ICD": [CODE, [1, 7, 100100, 1, "0010"]],
        "NOTEEVENTS": [
            NOTE,
            note(1, 100100, f'She said "no",\n{SECRET} left.'),
            note(2, 100101, "second"),
            note(3, 100102, "x"),
        ],
    }


def save(folder, content, *, packed=False, lower=False):
    folder.mkdir(exist_ok=True)
    for name, rows in content.items():
        rows = [[str(cell).lower() for cell in rows[0]], *rows[1:]] if lower else rows
        path = folder / ((name.lower() if lower else name) + (".csv.gz" if packed else ".csv"))
        with (gzip.open if packed else open)(path, "wt", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    return folder


def refused(folder, kind=ValueError):
    """The message of the error; no text of a note may be in it, nor in what is chained to it."""
    with pytest.raises(kind) as caught:
        mimic3.load(folder)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None or SECRET not in str(caught.value.__context__)
    return str(caught.value)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("lower", [False, True])
def test_codes_and_notes_meet(tmp_path, packed, lower):
    corpus = mimic3.load(save(tmp_path / "m", tables(), packed=packed, lower=lower))
    assert corpus.notes.columns.tolist() == ["note", "group", "text", "codes"]
    assert corpus.notes["note"].tolist() == ["100100", "100101", "100102"]
    assert corpus.notes["group"].tolist() == ["7", "7", "8"]
    assert corpus.notes["text"][0] == f'She said "no",\n{SECRET} left.'
    assert corpus.notes["codes"].tolist() == [["00.10", "001.0"], ["E879.0"], ["V58.67"]]
    assert corpus.descriptions["001.0"] == "Cholera"
    assert corpus.descriptions["00.10"] == "Implantation"
    assert corpus.descriptions["V58.67"] == "V58.67"
    assert corpus.private
    assert "1.5.0" in corpus.licence
    assert corpus.counts.loc["DIAGNOSES_ICD"].tolist() == [651_047, 5]
    assert corpus.counts.loc["notes"].tolist() == [52_723, 3]
    assert corpus.dropped == {
        "diagnosis without a code or an admission": 1,
        "code repeated in its admission": 1,
        "code without description, described by itself": 1,
    }


def test_windows_line_ends_are_read(tmp_path):
    folder = save(tmp_path / "m", tables())
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(mimic3.load(folder).notes) == 3


def test_addenda_follow_the_report_in_order_and_nothing_else_joins(tmp_path):
    content = tables()
    content["NOTEEVENTS"] = [
        NOTE,
        note(1, 100100, "late addendum", day="2150-01-09", kind="Addendum"),
        note(10, 100100, "tenth addendum", day="2150-01-03", kind="Addendum"),
        note(9, 100100, "ninth addendum", day="2150-01-03", kind="Addendum"),
        note(11, 100100, "timed addendum", day="2150-01-03", time="2150-01-03 08:00:00", kind="Addendum"),
        note(20, 100100, "second report", day="2150-01-05"),
        note(21, 100100, "first report"),
        note(22, 100100, "night", category="Nursing"),
        note(23, 100100, "wrong patient", error="1"),
        note(24, 100101, "second stay"),
        note(25, 100102, " \n\t "),
        note(26, 100999, "of nobody"),
        note(27, "", "of no stay"),
    ]
    corpus = mimic3.load(save(tmp_path / "m", content))
    order = [
        "first report",
        "second report",
        "ninth addendum",
        "tenth addendum",
        "timed addendum",
        "late addendum",
    ]
    assert corpus.notes["text"].tolist() == ["\n".join(order), "second stay"]
    for reason in (
        "Discharge summary row marked as an error",
        "Discharge summary row without an admission",
        "note of an admission that ADMISSIONS lacks",
        "blank note",
    ):
        assert corpus.dropped[reason] == 1


def test_notes_without_codes_and_codes_without_notes_are_counted(tmp_path):
    content = tables()
    content["DIAGNOSES_ICD"].pop()
    content["NOTEEVENTS"].pop(2)
    corpus = mimic3.load(save(tmp_path / "m", content))
    assert corpus.notes["note"].tolist() == ["100100"]
    assert corpus.dropped["note without codes"] == 1
    assert corpus.dropped["admission with codes, without a discharge summary"] == 1


def test_missing_folder_and_tables_are_named(tmp_path):
    assert "nowhere" in refused(tmp_path / "nowhere", FileNotFoundError)
    content = tables()
    del content["ADMISSIONS"], content["PROCEDURES_ICD"]
    message = refused(save(tmp_path / "m", content), FileNotFoundError)
    assert "ADMISSIONS, PROCEDURES_ICD" in message
    assert "physionet.org" in message


@pytest.mark.parametrize("name", list(mimic3.COLUMNS))
def test_empty_table_is_named(tmp_path, name):
    content = tables()
    content[name] = content[name][:1]
    message = refused(save(tmp_path / "m", content))
    assert f"{name}.csv holds no rows" in message


def test_missing_column_is_named_with_those_found(tmp_path):
    content = tables()
    content["DIAGNOSES_ICD"][0] = ["ROW_ID", "SUBJECT_ID", "HADM_ID", "SEQ_NUM", "ICD_CODE"]
    message = refused(save(tmp_path / "m", content))
    assert "DIAGNOSES_ICD.csv lacks the column ICD9_CODE" in message
    assert "ICD_CODE" in message


def test_a_table_without_header_shows_nothing_of_its_first_line(tmp_path):
    content = tables()
    content["NOTEEVENTS"] = [note(1, 100100, f"text,{SECRET},category"), note(2, 100100, "text")]
    assert "no header" in refused(save(tmp_path / "m", content))


@pytest.mark.parametrize(("column", "value"), [(1, 100_000), (2, 10_000_032), (1, "A7")])
def test_identifiers_that_mimic_iii_does_not_give_out_are_refused(tmp_path, column, value):
    content = tables()
    content["ADMISSIONS"][1][3 - column] = value
    message = refused(save(tmp_path / "m", content))
    assert "ADMISSIONS.csv: " in message
    assert f"{str(value)!r} is not from" in message
    assert "no codes" not in message


def test_tables_of_two_releases_are_refused(tmp_path):
    content = tables()
    content["D_ICD_DIAGNOSES"] = [TITLE, [1, "00845", "x", "Another"]]
    content["D_ICD_PROCEDURES"] = [TITLE, [1, "0011", "x", "Another"]]
    assert "4 of 4 codes of the notes are in no table of descriptions" in refused(save(tmp_path / "m", content))


def test_no_discharge_summary_is_an_error(tmp_path):
    content = tables()
    content["NOTEEVENTS"] = [NOTE, note(1, 100100, SECRET, category="Nursing")]
    assert "no row of CATEGORY 'Discharge summary'" in refused(save(tmp_path / "m", content))


@pytest.mark.parametrize("cut", ["half", "checksum", "plain"])
def test_damaged_gzip_is_named(tmp_path, cut):
    folder = save(tmp_path / "m", tables(), packed=True)
    path = folder / "NOTEEVENTS.csv.gz"
    data = bytearray(path.read_bytes())
    if cut == "checksum":
        data[-6] ^= 255
    path.write_bytes({"half": data[: len(data) // 2], "checksum": data, "plain": b"no gzip at all"}[cut])
    message = refused(folder)
    assert "NOTEEVENTS.csv.gz is cut short or damaged" in message
    assert "SHA256SUMS.txt" in message


@pytest.mark.parametrize(
    "harm", [f'1,1,100100,"{SECRET} never ends\n', f"1,1,100100,{SECRET}\n", f"1,1,{SECRET}{',x' * 11}\n"]
)
def test_broken_csv_is_named_without_a_word_of_the_note(tmp_path, harm):
    folder = save(tmp_path / "m", tables())
    with (folder / "NOTEEVENTS.csv").open("a") as file:
        file.write(harm)
    assert "NOTEEVENTS.csv cannot be read as CSV" in refused(folder)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("table", ["NOTEEVENTS", "D_ICD_DIAGNOSES"])
def test_another_encoding_is_named_without_a_word_of_the_note(tmp_path, table, packed):
    content = tables()
    content[table].append(note(4, 100102, f"niño {SECRET}") if table == "NOTEEVENTS" else [3, "V5867", "x", "Ménière"])
    path = save(tmp_path / "m", content, packed=packed) / f"{table}.csv{'.gz' * packed}"
    data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    data = data.decode("utf-8").encode("latin-1")
    path.write_bytes(gzip.compress(data) if packed else data)
    assert f"{path} is not utf-8, as PhysioNet ships it" in refused(path.parent)


def test_bytes_that_are_no_text_are_named(tmp_path):
    path = save(tmp_path / "m", tables()) / "NOTEEVENTS.csv"
    path.write_bytes(path.read_bytes().replace(b"second", b"second \xff\xfe" + SECRET.encode()))
    assert f"{path} is not utf-8" in refused(path.parent)


def test_accents_in_utf_8_are_read(tmp_path):
    content = tables()
    content["NOTEEVENTS"][2][-1] = "niño, 発熱"
    assert mimic3.load(save(tmp_path / "m", content)).notes["text"][1] == "niño, 発熱"


@pytest.mark.parametrize("code", ["4019.0", "1.0E+3", "nan", "10"])
def test_codes_taken_for_numbers_are_refused_with_an_example(tmp_path, code):
    content = tables()
    content["DIAGNOSES_ICD"] = [CODE, [1, 7, 100100, 1, code], [2, 7, 100101, 1, "4280"]]
    message = refused(save(tmp_path / "m", content))
    assert "DIAGNOSES_ICD.csv: ICD9_CODE looks read as a number" in message
    assert repr(code.upper()) in message


def test_many_codes_without_a_leading_zero_are_refused(tmp_path):
    content = tables()
    content["DIAGNOSES_ICD"] = [CODE, *([k, 7, 100100, k, str(10_000 + k)] for k in range(physionet.MANY_CODES))]
    assert "leading zeros" in refused(save(tmp_path / "m", content))


def test_admissions_taken_for_numbers_are_refused(tmp_path):
    content = tables()
    content["NOTEEVENTS"].append(note(4, "100100.0", SECRET))
    assert "HADM_ID is in 1 rows not as the release has it" in refused(save(tmp_path / "m", content))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *((NOTE.index("HADM_ID"), value) for value in ("100100.0", "1.001E+05", "100,100", "'100100", "nan", "1e5")),
        *((NOTE.index("ISERROR"), value) for value in ("1.0", "True", "true", "t", "Y", "0.0", "False", "nan", "2")),
        *((NOTE.index("ROW_ID"), value) for value in ("4.0", "1,004", "nan")),
        *((NOTE.index("CHARTDATE"), value) for value in ("1/2/2150", "02.01.2150", "2-Jan-50", "54789.0")),
        *((NOTE.index("CHARTTIME"), value) for value in ("1/2/2150 8:00", "nan")),
    ],
)
def test_what_a_spreadsheet_changed_in_one_row_is_named(tmp_path, column, value):
    content = tables()
    content["NOTEEVENTS"].append(note(4, 100100, SECRET))
    content["NOTEEVENTS"][-1][column] = value
    message = refused(save(tmp_path / "m", content))
    assert f"NOTEEVENTS.csv: {NOTE[column]} is in 1 rows not as the release has it" in message
    assert "download it again" in message


@pytest.mark.parametrize("error", ["", "0", " 1", "1"])
def test_marks_of_errors_are_taken_as_the_release_has_them(tmp_path, error):
    content = tables()
    content["NOTEEVENTS"].append(note(4, 100101, "in error", error=error))
    texts = mimic3.load(save(tmp_path / "m", content)).notes["text"]
    assert any("in error" in text for text in texts) is ("1" not in error)


@pytest.mark.parametrize("value", ["100100.0", "1.001E+05", "100,100", "'100100", "nan"])
@pytest.mark.parametrize("table", ["DIAGNOSES_ICD", "PROCEDURES_ICD", "ADMISSIONS"])
def test_an_identifier_changed_in_one_row_is_named(tmp_path, table, value):
    content = tables()
    content[table].append([9, 7, value, 1, "0010"][: len(content[table][0])])
    message = refused(save(tmp_path / "m", content))
    assert f"{table}.csv: HADM_ID" in message
    assert repr(value) in message


@pytest.mark.parametrize("code", ["401.9", "'4019", "4,019", "40 19"])
def test_codes_of_another_form_are_refused(tmp_path, code):
    content = tables()
    content["DIAGNOSES_ICD"].append([9, 7, 100100, 4, code])
    assert "DIAGNOSES_ICD.csv: ICD9_CODE looks read as a number" in refused(save(tmp_path / "m", content))


@pytest.mark.parametrize(
    ("table", "whole", "lost"), [("DIAGNOSES_ICD", "01653", "1653"), ("PROCEDURES_ICD", "0010", "10")]
)
def test_a_zero_lost_in_one_row_is_told_by_the_titles(tmp_path, table, whole, lost):
    content = tables()
    titles = {"DIAGNOSES_ICD": "D_ICD_DIAGNOSES", "PROCEDURES_ICD": "D_ICD_PROCEDURES"}[table]
    content[titles].append([9, whole, "x", "A title"])
    content["D_ICD_DIAGNOSES"].append([8, "V5867", "x", "Another"])
    content[table].append([9, 7, 100100, 4, whole])
    save(tmp_path / "m", content)
    mimic3.load(tmp_path / "m")
    content[table].append([9, 7, 100101, 4, lost])
    message = refused(save(tmp_path / "m", content))
    assert f"{table}.csv: 1 codes without a title have one with zeros before them, like {lost!r}" in message


def test_a_note_of_several_megabytes_is_read(tmp_path):
    content = tables()
    content["NOTEEVENTS"].append(note(4, 100101, "fever " * 500_000))
    assert mimic3.load(save(tmp_path / "m", content)).notes["text"].str.len().max() > 3_000_000


@pytest.mark.parametrize(
    "rows",
    [(b'"x"\r\n', b'"y"\n', b'"Zebulon Quackenbush"\r\n'), (b'"Zebulon Quackenbush said \\"no\\", x"\n',)],
    ids=["line ends", "backslashes"],
)
def test_line_ends_of_two_kinds_and_backslashes_are_named(tmp_path, rows):
    path = save(tmp_path / "m", tables()) / "NOTEEVENTS.csv"
    start = b"4,1,100100,2150-01-02,,,Discharge summary,Report,,,"
    path.write_bytes(path.read_bytes() + b"".join(start + row for row in rows))
    assert "a quote is not closed, has a backslash before it, or lines end in two ways" in refused(path.parent)


def test_what_macos_and_spreadsheets_leave_beside_the_tables_is_no_table(tmp_path):
    folder = save(tmp_path / "m", tables())
    for name in ("._NOTEEVENTS.csv", ".DS_Store", "~$ADMISSIONS.csv", "._ADMISSIONS.csv.gz"):
        (folder / name).write_bytes(b"\x00\x05")
    (folder / "ADMISSIONS.csv.gz").mkdir()  # as some unpack it
    assert len(mimic3.load(folder).notes) == 3


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
