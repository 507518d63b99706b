"""What the loaders of MIMIC-III and MIMIC-IV share, on small tables in the form of either."""

import gzip

import pytest
import releases
from releases import FIRST, SECOND, refused, save
from secrecy import SECRET

from shl_utils.data.sources import mimic3, mimic4

TABLES = {3: releases.tables_3, 9: releases.tables_4, 10: releases.tables_4}
WITH_STAYS = [(3, table) for table in ("DIAGNOSES_ICD", "PROCEDURES_ICD", "ADMISSIONS")]
WITH_STAYS += [(version, f"hosp/{table.lower()}") for version in (9, 10) for _, table in WITH_STAYS]
NOTES = {3: "NOTEEVENTS", 9: "note/discharge", 10: "note/discharge"}


def position(rows, column):
    return [name.upper() for name in rows[0]].index(column)


@pytest.mark.parametrize(
    ("version", "name"), [*((3, name) for name in mimic3.COLUMNS), *((10, name) for name in mimic4.COLUMNS)]
)
def test_an_empty_table_is_named(tmp_path, version, name):
    content = {n: rows[:1] if n.split("/")[-1] == name else rows for n, rows in TABLES[version]().items()}
    assert f"{name}.csv holds no rows" in refused(save(tmp_path / "m", content), version)


@pytest.mark.parametrize(
    ("version", "row", "value"),
    [
        (3, [100_000, 7], "100000"),
        (3, [100100, 10_000_032], "10000032"),
        (3, ["A7", 7], "A7"),
        (10, [FIRST, 100_001], "100001"),
        (10, [100_002, 10_000_032], "100002"),
    ],
)
def test_identifiers_that_the_release_does_not_give_out_are_refused(tmp_path, version, row, value):
    content = TABLES[version]()
    name = "ADMISSIONS" if version == 3 else "hosp/admissions"
    for column, cell in zip(("HADM_ID", "SUBJECT_ID"), row):
        content[name][1][position(content[name], column)] = cell
    message = refused(save(tmp_path / "m", content), version)
    assert f"{name.split('/')[-1]}.csv: " in message
    assert f"'{value}' is not from" in message
    assert "no codes" not in message


@pytest.mark.parametrize("value", [f"{SECOND}.0", "2.5742920E7", "25,742,920", f"'{SECOND}", "nan"])
@pytest.mark.parametrize(("version", "table"), WITH_STAYS)
def test_an_identifier_changed_in_one_row_is_named(tmp_path, version, table, value):
    content = TABLES[version]()
    value = value if version > 3 else value.replace(str(SECOND), "100100")
    row = list(content[table][1])
    row[position(content[table], "HADM_ID")] = value
    if "icd_version" in content[table][0]:
        row[-1] = version
    content[table].append(row)
    message = refused(save(tmp_path / "m", content), version)
    assert f"{table.split('/')[-1]}.csv: HADM_ID" in message
    assert repr(value) in message


@pytest.mark.parametrize(
    ("version", "column", "value"),
    [
        *((3, "HADM_ID", value) for value in ("100100.0", "1.001E+05", "100,100", "'100100", "nan", "1e5")),
        *((3, "ISERROR", value) for value in ("1.0", "True", "true", "t", "Y", "0.0", "False", "nan", "2")),
        *((3, "ROW_ID", value) for value in ("4.0", "1,004", "nan")),
        *((3, "CHARTDATE", value) for value in ("1/2/2150", "02.01.2150", "2-Jan-50", "54789.0")),
        *((3, "CHARTTIME", value) for value in ("1/2/2150 8:00", "nan")),
        *((v, "HADM_ID", value) for value in (f"{SECOND}.0", "2.5742920E7", "25,742,920", "nan") for v in (9, 10)),
        *((10, "NOTE_SEQ", value) for value in ("1.0", "1e0", "nan")),
    ],
)
def test_what_a_spreadsheet_changed_in_one_row_of_notes_is_named(tmp_path, version, column, value):
    content = TABLES[version]()
    name = NOTES[version]
    content[name].append(list(content[name][1]))
    content[name][-1][position(content[name], column)] = value
    message = refused(save(tmp_path / "m", content), version)
    assert f"{name.split('/')[-1]}.csv: {column} is in 1 rows not as the release has it" in message
    assert "download it again" in message


@pytest.mark.parametrize(
    ("version", "code"),
    [
        *((3, code) for code in ("4019.0", "1.0E+3", "nan", "10", "401.9", "'4019", "4,019", "40 19")),
        *((9, code) for code in ("4019.0", "1.0E+3", "nan")),
    ],
)
def test_codes_taken_for_numbers_are_refused_with_an_example(tmp_path, version, code):
    content = TABLES[version]()
    name = "DIAGNOSES_ICD" if version == 3 else "hosp/diagnoses_icd"
    column = "ICD9_CODE" if version == 3 else "ICD_CODE"
    place = position(content[name], column)
    content[name] = [row for row in content[name] if not str(row[place]).startswith("0")]
    [row for row in content[name] if version == 3 or row[-1] == version][-1][place] = code
    message = refused(save(tmp_path / "m", content), version)
    assert f"{name.split('/')[-1]}.csv: {column} looks read as a number" in message
    assert (repr(code.upper()) in message) is (" " not in code), "what has blanks may be a note"


@pytest.mark.parametrize(
    ("version", "harm"),
    [
        (3, f'1,1,100100,"{SECRET} never ends\n'),
        (3, f"1,1,100100,{SECRET}\n"),
        (3, f"1,1,{SECRET}{',x' * 11}\n"),
        (10, f'x,1,{FIRST},DS,1,,,"{SECRET} never ends\n'),
    ],
)
def test_broken_csv_is_named_without_a_word_of_the_note(tmp_path, version, harm):
    folder = save(tmp_path / "m", TABLES[version]())
    with (folder / f"{NOTES[version]}.csv").open("a") as file:
        file.write(harm)
    assert f"{NOTES[version].split('/')[-1]}.csv cannot be read as CSV" in refused(folder, version)


@pytest.mark.parametrize("cut", ["half", "checksum", "plain"])
def test_damaged_gzip_is_named(tmp_path, cut):
    folder = save(tmp_path / "m", TABLES[3](), packed=True)
    path = folder / "NOTEEVENTS.csv.gz"
    data = bytearray(path.read_bytes())
    if cut == "checksum":
        data[-6] ^= 255
    path.write_bytes({"half": data[: len(data) // 2], "checksum": data, "plain": b"no gzip at all"}[cut])
    message = refused(folder)
    assert "NOTEEVENTS.csv.gz is cut short or damaged" in message
    assert "SHA256SUMS.txt" in message


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("table", ["NOTEEVENTS", "D_ICD_DIAGNOSES"])
def test_another_encoding_is_named_without_a_word_of_the_note(tmp_path, table, packed):
    content = TABLES[3]()
    text = f"niño {SECRET}"
    content[table].append(releases.note_3(4, 100102, text) if table == "NOTEEVENTS" else [3, "V5867", "x", "Ménière"])
    path = save(tmp_path / "m", content, packed=packed) / f"{table}.csv{'.gz' * packed}"
    data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    data = data.decode("utf-8").encode("latin-1")
    path.write_bytes(gzip.compress(data) if packed else data)
    assert f"{path} is not utf-8, as PhysioNet ships it" in refused(path.parent)
