"""The user's own file: read as text in three formats, and every mistake named without a word of a note."""

import json
import re
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import secrecy
import yaml
from secrecy import SECRET

from shl_utils.data import corpus, sources, splitting
from shl_utils.data.sources import custom_table
from shl_utils.evaluation import label_metrics, resampling, results
from shl_utils.evaluation.predictions import Predictions
from shl_utils.parameters import check
from shl_utils.training import variants

ROWS = [
    {"id": "007", "text": f'"{SECRET}", he said,\nleft.', "codes": ["038.9", "0010", "038.9"]},
    {"id": "2", "text": "発熱。 Ωμέγα, ñandú", "codes": ["250.00"]},
    {"id": "3", "text": "שלום 😀", "codes": ["Ä 1", "0010"]},
]


def save(path, rows):
    """The rows in the format that the name asks for; CSV with lists joined by semicolons."""
    if path.suffix == ".csv":
        joined = [{k: ";".join(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows]
        pd.DataFrame(joined).to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def load(path, **values):
    usual = {"column_names": {}, "separator": ";", "encoding": "utf-8", "descriptions": None}
    return custom_table.load(path, **(usual | values))


def refused(path, **values):
    """The message of the error, which names the file."""
    message = secrecy.refused(lambda: load(path, **values))
    assert re.search(r"encoding|\.(csv|jsonl|parquet|xlsx)", message)
    return message


def with_column(name, cells):
    """ROWS with these cells in a column; ... leaves the cell as it is."""
    return [row if cell is ... else row | {name: cell} for row, cell in zip(ROWS, cells)]


@pytest.fixture(params=[".csv", ".jsonl", ".parquet"])
def path(request, tmp_path):
    return tmp_path / f"notes{request.param}"


def test_codes_and_texts_are_kept_as_they_are(path):
    found = load(save(path, ROWS))
    assert found.notes.columns.tolist() == ["note", "group", "text", "codes"]
    assert found.notes["note"].tolist() == found.notes["group"].tolist() == ["007", "2", "3"]
    assert found.notes["text"].tolist() == [row["text"] for row in ROWS]
    assert found.notes["codes"].tolist() == [["0010", "038.9"], ["250.00"], ["0010", "Ä 1"]]
    assert found.descriptions == {"0010": "0010", "038.9": "038.9", "250.00": "250.00", "Ä 1": "Ä 1"}
    assert found.dropped == {custom_table.UNDESCRIBED: 4, custom_table.REPEATED: 1}


def test_own_names_group_split_and_descriptions(path, tmp_path):
    rows = [
        {"key": i, "report": f"text {i}", "icd": f"a| b{i % 2} ", "patient": i // 2, "split": split, "more": 1.5}
        for i, split in enumerate(["train", "train", "validation", "test"])
    ]
    described = save(
        tmp_path / "d.csv", [{"code": "a", "description": "asthma, allergic"}, {"code": "z", "description": ""}]
    )
    names = {"id": "key", "text": "report", "codes": "icd", "group": "patient"}
    found = load(save(path, rows), column_names=names, separator="|", descriptions=described)
    assert found.notes["note"].tolist() == ["0", "1", "2", "3"]
    assert found.notes["group"].tolist() == ["0", "0", "1", "1"]
    assert found.notes["split"].tolist() == ["train", "train", "validation", "test"]
    assert found.notes["codes"][3] == ["a", "b1"]
    assert found.descriptions == {"a": "asthma, allergic", "b0": "b0", "b1": "b1"}
    assert found.dropped == {custom_table.UNDESCRIBED: 2}


@pytest.fixture
def described():
    words = [["sepsis", "cholera", "sepsis"], ["diabetes"], ["", "cholera"]]
    return [row | {"description": cell} for row, cell in zip(ROWS, words)]


def test_descriptions_beside_the_codes_are_theirs(path, described):
    found = load(save(path, described))
    assert found.descriptions == {"038.9": "sepsis", "0010": "cholera", "250.00": "diabetes", "Ä 1": "Ä 1"}
    assert found.dropped == {custom_table.UNDESCRIBED: 1, custom_table.REPEATED: 1}
    renamed = [{"title" if name == "description" else name: cell for name, cell in row.items()} for row in described]
    assert load(save(path, renamed)).dropped[custom_table.UNDESCRIBED] == 4, "a column of another name is left alone"
    assert load(path, column_names={"description": "title"}).descriptions == found.descriptions


def test_empty_cells_of_descriptions_and_separators_at_their_end_are_no_descriptions(path, tmp_path, described):
    described[0]["description"] = []
    found = load(save(path, described))
    assert found.descriptions["0010"] == "cholera"
    assert found.descriptions["038.9"] == "038.9"
    ends = tmp_path / "ends.csv"
    ends.write_text("id,text,codes,description\n1,one,a;b;,A;B\n2,two,c;d,;D;\n3,three,e;;f,E;;F\n4,four,g;h,G;\n")
    assert load(ends).descriptions == {"a": "A", "b": "B", "c": "c", "d": "D", "e": "E", "f": "F", "g": "G", "h": "h"}


UNEQUAL = "row 1, column description: as many descriptions as codes are needed, in the same order"


@pytest.mark.parametrize(
    ("row", "description", "message"),
    [
        (0, ["sepsis", SECRET], f"{UNEQUAL}.*rename the column"),
        (0, ["a", "b", "c", SECRET], f"{UNEQUAL}.*rename the column"),
        (0, [SECRET], f"{UNEQUAL}.*rename the column"),
        (2, ["", SECRET], "row 3, column description: a code has another in row 1: describe it the same way"),
        (0, ["sepsis", "cholera", SECRET], "row 1, column description: a code has another in row 1"),
    ],
)
def test_descriptions_that_do_not_fit_their_codes_are_named(path, described, row, description, message):
    described[row]["description"] = description
    assert re.search(message, refused(save(path, described)))


@pytest.mark.parametrize("description", [7, [7], {"a": "b"}])
def test_descriptions_that_are_no_text_are_refused(tmp_path, described, description):
    described[1]["description"] = description
    message = refused(save(tmp_path / "n.jsonl", described))
    assert "row 2, column description: descriptions must be text, or lists of text: rename" in message


def test_descriptions_in_two_places_are_refused(path, tmp_path, described):
    more = save(tmp_path / "d.csv", [{"code": "0010", "description": "cholera"}])
    message = refused(save(path, described), descriptions=more)
    assert "has a column description, and `descriptions` names a file: leave `descriptions` out, or rename" in message


def test_through_parameters_to_a_built_corpus(path, tmp_path):
    rows = [{"id": f"n{i}", "text": f"note {i}", "codes": ["a", "b"] if i % 3 else ["0010"]} for i in range(60)]
    parameters = check({"source": "table", "table": str(save(path, rows))})
    notes, left_out = corpus.build(sources.load(parameters, tmp_path), parameters)
    assert notes.codes["code"].tolist() == ["0010", "a", "b"]
    assert left_out[custom_table.UNDESCRIBED] == 3
    assert not any(notes.flaws().values())
    corpus.write(notes, tmp_path)
    assert corpus.read(tmp_path).notes["text"].tolist() == notes.notes["text"].tolist()


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        ("text", [..., " \n", ...], "row 2, column text: it is empty"),
        ("text", [..., "\ufeff\u200b", ...], "row 2, column text: it is empty"),
        ("text", [..., "nan", ...], "row 2, column text: a missing text; it is empty"),
        ("id", [..., ..., ""], "row 3, column id: it is empty"),
        ("id", [..., ..., "2"], "column id has '2' in rows 2, 3"),
        (
            "id",
            [f"{SECRET} had fever and a long cough, at last"] * 3,
            "column id has the same value in rows 1, 2, 3; 2 rep",
        ),
        ("codes", [..., [], ...], "row 2, column codes: it is empty"),
        ("codes", [..., ["4019.0"], ...], "row 2, column codes: a code looks read as a number"),
        ("codes", [["4.01E+03"], ..., ...], "row 1, column codes: a code looks read as a number"),
        ("codes", [..., ..., ["0010", "NaN"]], "row 3, column codes: a code looks read as a number"),
        ("codes", [["0.0"], ["1.0"], ["2.0"]], "row 1 and 2 more"),
        ("codes", [["a"]] * 3, "one code only in column codes"),
        ("split", ["train", "dev", "test"], "row 2, column split: use train, validation, test"),
        ("split", ["train", "", "test"], "row 2, column split: it is empty"),
    ],
)
def test_bad_cells_are_named_by_row_and_column(path, column, cells, message):
    found = refused(save(path, with_column(column, cells)))
    assert message in found
    assert path.name in found


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([[401.9], [250.0], [38.0]], "row 1 and 2 more, column codes: codes must be text"),
        ([4019, 25000, 10], "row 1 and 2 more, column codes: codes must be text"),
        ([["a", None], ["b"], ["c"]], "row 1, column codes: codes must be text"),
        ([["a"], None, ["c"]], "row 2, column codes: it is empty"),
        ([[str(row["codes"])] for row in ROWS], "row 1 and 2 more, column codes: a list that cannot be read"),
    ],
)
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_codes_that_are_no_text_are_refused(tmp_path, kind, codes, message):
    assert message in refused(save(tmp_path / f"n.{kind}", with_column("codes", codes)))


def test_codes_that_look_like_numbers_are_read(path):
    real = [["401.0", "038.9"], ["3E03329", "V58.67"], ["250.0", "00.10", "E879.0"]]
    assert len(load(save(path, with_column("codes", real))).descriptions) == 7


def test_a_missing_column_is_named_with_near_names(path):
    rows = [{"id": row["id"], "texts": row["text"], "codes": row["codes"]} for row in ROWS]
    message = refused(save(path, rows))
    assert "lacks the column text (found id, texts, codes): say in `column_names`" in message
    assert "lacks the column patient" in refused(save(path, ROWS), column_names={"group": "patient"})


def test_latin_1_names_the_encoding_and_is_read_with_it(tmp_path):
    path = tmp_path / "n.csv"
    path.write_bytes(f"id,text,codes\n1,{SECRET},a\n2,{SECRET} niño,b\n".encode("latin-1"))
    message = refused(path)
    assert "line 3: not utf-8: set `encoding`, such as latin-1" in message
    assert load(path, encoding="latin-1").notes["text"][1] == f"{SECRET} niño"
    assert "utf-16: set `encoding`" in refused(path, encoding="utf-16"), "no byte order mark"
    for no_encoding in ("latin1x", "base64"):
        assert f"encoding '{no_encoding}' is unknown" in refused(path, encoding=no_encoding)
    lines = tmp_path / "n.jsonl"
    lines.write_bytes('{"id": "1", "text": "niño", "codes": ["a", "b"]}'.encode("latin-1"))
    assert "set `encoding`" in refused(lines)
    assert load(lines, encoding="cp1252").notes["text"][0] == "niño"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'id,text,codes\n1,one,a\n2,"{SECRET}', "row 2, near line 3: unexpected end of data: the file is cut short"),
        (f"id,text,codes\n1,one,a\n2,{SECRET}", "row 2, near line 3: 2 columns, the header has 3"),
        (f"id,text,codes\n1,{SECRET}, who left,a\n", "row 1, near line 2: 4 columns, the header has 3"),
        ("id,text,codes\n", "holds no rows"),
        ("", "holds no rows"),
        ("id,text,codes,text\n1,one,a,two\n", "two columns have the same name"),
        (f"1,{SECRET},4019\n2,other,4019\n", "none of these: does the file have a header"),
        (f'id,text,codes\n1,"he said \\"no\\", {SECRET}",a\n2,x,b\n', "quotes have a backslash before them: write"),
        (f"id,text,codes,description\n1,one,a;b,A;B\n2,two,c;;d,C;{SECRET};D\n", "row 2, column description: as many"),
    ],
)
def test_broken_csv_is_named(tmp_path, text, message):
    path = tmp_path / "n.csv"
    path.write_text(text)
    assert message in refused(path)


@pytest.mark.parametrize("line", [f'{{"id": "3", "text": "{SECRET}', f'["{SECRET}"]', f'"{SECRET}"'])
def test_broken_json_lines_are_named_by_row_and_a_field_that_one_lacks_is_empty(tmp_path, line):
    path = save(tmp_path / "n.jsonl", [ROWS[0], {"id": "2", "codes": ["a"]}])
    assert "row 2, column text: it is empty" in refused(path)
    with path.open("a") as file:
        file.write("\n" + line)
    assert "row 3 is no JSON object" in refused(path)


def test_broken_parquet_is_named(tmp_path):
    path = save(tmp_path / "n.parquet", ROWS)
    path.write_bytes(path.read_bytes()[:-20])
    assert "n.parquet is cut short or damaged" in refused(path)
    cells = pa.array([f"{SECRET} niño".encode("latin-1")]).cast(pa.string(), safe=False)
    pq.write_table(pa.table({"id": ["1"], "text": cells, "codes": [["a", "b"]]}), path)
    assert "holds text that is not utf-8, as Parquet has it: write it again" in refused(path)


def test_a_wrong_file_of_descriptions_and_lost_zeros_are_named(tmp_path):
    path = save(tmp_path / "n.csv", ROWS)
    wrong = save(tmp_path / "d.csv", [{"code": "a", "title": "b"}])
    assert "d.csv lacks the column description (found code, title): rename it" in refused(path, descriptions=wrong)
    twice = save(tmp_path / "t.jsonl", [{"code": "a", "description": "b"}] * 2)
    assert "t.jsonl: column code has 'a' in rows 1, 2" in refused(path, descriptions=twice)
    whole = save(tmp_path / "w.csv", [{"code": "016.53", "description": "x"}, {"code": "A1", "description": "y"}])
    lost = written(tmp_path / "lost.csv", ["A1;16.53", "A1"])
    what = "1 codes have no description there, and have one with zeros before them"
    assert what in refused(lost, descriptions=whole)


A1 = [["A1", "B2"], ["B2"], ["A1", "C3"], ["A1", "B2", "C3"], ["C3"]] * 4
WORDS = [["Pleural effusion", "Opacity/lung"], ["Opacity/lung"], ["Fractures, Bone", "Opacity/lung/base"]] * 6


def written(path, codes, **more):
    """A table whose cells of codes are these."""
    rows = [{"id": f"n{i}", "text": f"{SECRET} {i}", "codes": cell} | more for i, cell in enumerate(codes)]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    "write",
    [str, json.dumps, lambda row: str(tuple(row)), lambda row: str(np.array(row)), lambda row: f" {row}\n"],
    ids=["Python", "JSON", "tuples", "numpy", "blanks around"],
)
@pytest.mark.parametrize("codes", [A1, WORDS, [["Crohn's disease"], ['said "x"', "a\\d"]] * 9])
def test_lists_written_as_text_are_lists(tmp_path, write, codes):
    found = load(written(tmp_path / "n.csv", map(write, codes)))
    assert found.notes["codes"].tolist() == [sorted(row) for row in codes]


def test_lists_written_as_text_hold_descriptions_too(tmp_path):
    path = written(tmp_path / "n.csv", [str(row) for row in A1])
    rows = pd.read_csv(path).assign(description=[str([f"words, {code}" for code in row]) for row in A1])
    rows.to_csv(path, index=False)
    assert load(path).descriptions == {code: f"words, {code}" for code in ("A1", "B2", "C3")}


@pytest.mark.parametrize(
    "separator", [",", "|", "\t", "\n", "/", " ", "；", "，", "、", "+", "&", "\\t", "\\n", "#", "||", ", "]
)
@pytest.mark.parametrize("codes", [A1, [["Asthma", "COPD"], ["COPD"], ["Asthma"], ["COPD", "Fever"], ["Fever"]] * 4])
def test_another_separator_is_named_and_the_remedy_works(tmp_path, separator, codes):
    if separator == " " and codes is not A1:
        pytest.skip("these may be words of one code")
    path = written(tmp_path / "n.csv", map(separator.join, codes))
    message = refused(path)
    assert "row 1 and" in message
    remedy = re.search(r"set `(separator: .*)`; a code that holds it is written in a list", message)[1]
    assert load(path, **yaml.safe_load(remedy)).notes["codes"].tolist() == [sorted(row) for row in codes]


@pytest.mark.parametrize(
    ("cells", "separator", "message"),
    [
        (["250, 401", "401, 038", "250, 038"] * 5, ";", "row 1 and 14 more, column codes: codes look separated by"),
        (["250 and 401", "401 and 038", "250 and 038"] * 5, ";", "row 1 and 14 more, column codes: codes look sep"),
        ([*map(";".join, A1), "A1,C3"], ";", f"row {len(A1) + 1}, column codes: codes look separated by ','"),
        ([*map("\t".join, A1)], r"\t", r'set `separator: "\t"`'),  # as YAML reads it without quotes
        ([(";" if i % 2 else ",").join(row) for i, row in enumerate(A1)], ";", "write one of them in all rows"),
        ([(";" if i % 2 else ",").join(row) for i, row in enumerate(A1)], ",", "write one of them in all rows"),
    ],
)
def test_separators_that_differ_from_the_parameter_are_named(tmp_path, cells, separator, message):
    assert yaml.safe_load(r"separator: \t") == {"separator": r"\t"}
    assert message in refused(written(tmp_path / "n.csv", cells), separator=separator)


@pytest.mark.parametrize(
    "row", ["{A1,B2}", "{'A1': 1}", "{'A1', 'B2'}", "[A1, B2]", "[A1;B2]", "['A1', nan]", "array(['A1'], dtype=object)",
            "set()", "'A1'", '"A1";"B2"', "('A1')", "['A1' ... 'B2']", "[A1|B2]"]
)  # fmt: skip
def test_what_looks_like_a_list_and_is_none_is_named(tmp_path, row):
    path = written(tmp_path / "n.csv", ["A1;B2", row if row != "set()" else "frozenset({'A1'})", "B2"])
    assert "row 2, column codes: a list that cannot be read: write codes with `separator`" in refused(path)


@pytest.mark.parametrize(
    "codes",
    [
        [
            "Opacity/lung",
            "Opacity/lung/base",
            "Calcified Granuloma/lung",
            "Fractures, Bone",
            "Bone Diseases, Metabolic",
        ],
        ["E11.9", "A00-A09", "8480-6", "401.9", "99.55", "3E03329", "V58.67", "0010", "2160-0"],
        ["38.93", "93.90", "96.04", "04.6", "96.72", "39.95"],
        ["Type 2 diabetes", "Heart failure", "acute heart failure", "Pain, chest", "Crohn's disease", "(R) lung"],
        ["[X]Depression", "Depression [severe]", "HIV+", "HIV-", "C++", "A1 antitrypsin", "T2 N0 M0"],
        ["money-fx", "palm-oil", "l-cattle", "nat-gas"],
        ["糖尿病", "高血压", "Ä 1", "Übelkeit und Erbrechen"],
        ["Nausea and vomiting", "vomiting", "pain and Nausea"],
        ["A17.0+G01*", "C81/C96", "I10 (HTN)", "50%", "p<0.05"],
    ],
)
@pytest.mark.parametrize("several", [1, 2])
def test_codes_that_hold_signs_are_left_alone(tmp_path, codes, several):
    rows = [[codes[(i + j) % len(codes)] for j in range(several)] for i in range(40)]
    found = load(written(tmp_path / "n.csv", map(";".join, rows)))
    assert sorted(found.descriptions) == sorted(codes)


def test_codes_meant_with_another_separator_are_given_as_lists(tmp_path):
    codes = ["Asthma/COPD", "Asthma", "COPD/Asthma", "COPD"] * 5
    message = refused(written(tmp_path / "n.csv", codes))
    assert 'set `separator: "/"`; a code that holds it is written in a list' in message
    found = load(written(tmp_path / "n.csv", [json.dumps([code]) for code in codes]))
    assert sorted(found.descriptions) == sorted(set(codes))


def test_one_column_per_code_is_named(tmp_path):
    path = tmp_path / "n.csv"
    path.write_text("id,text,A1,B2\na,w,0,1\nb,x,1,1\nc,y,0,0\nd,z,1,0\n")
    assert "lacks the column codes" in refused(path)
    assert "columns of 0 and 1 are not read: join the names" in refused(path)
    assert "column A1: columns of 0 and 1 are not read" in refused(path, column_names={"codes": "A1"})


@pytest.mark.parametrize("code", ["401,9", "1,00E+10", "2-Jan", "#NAME?", "2024-01-02 00:00:00", "#N/A"])
def test_codes_that_a_spreadsheet_changed_are_refused(tmp_path, code):
    path = written(tmp_path / "n.csv", ["A1;B2", code, "B2"])
    assert "row 2, column codes: a code looks read as a number or date" in refused(path)


@pytest.mark.parametrize("mark", ["\u200b", "\xa0", "\ufeff", " ", "\x00", "\xad"])
def test_unseen_marks_make_no_other_code_id_or_patient(tmp_path, mark):
    codes = ["A 1", f"A 1;B2{mark}"] * 3
    ends = [mark * (i % 2) for i in range(6)]
    rows = [{"id": f"{mark}{i}", "text": "x", "codes": codes[i], "group": f"p{ends[i]}"} for i in range(6)]
    found = load(save(tmp_path / "n.jsonl", rows))
    assert sorted(found.descriptions) == ["A 1", "B2"]
    assert found.notes["note"].tolist() == [str(i) for i in range(6)]
    assert found.notes["group"].nunique() == 1


@pytest.mark.parametrize("other", ["e11.9", "E119", "E11 .9", "Ｅ11.9", "E11-9", "E11‑9"])
def test_a_code_in_two_spellings_is_counted_and_shown(tmp_path, other):
    found = load(written(tmp_path / "n.csv", ["E11.9;B2", f"{other};B2", "C3"]))
    (reason,) = [reason for reason in found.dropped if "only spelling tells apart" in reason]
    assert found.dropped[reason] == 2
    assert (other in reason) is (" " not in other), "what has blanks may be a note"
    assert "write them alike" in reason


def test_a_description_in_another_spelling_is_counted_and_a_long_code_not_shown(tmp_path):
    described = save(tmp_path / "d.csv", [{"code": "e119", "description": "diabetes"}])
    found = load(written(tmp_path / "n.csv", ["E11.9;B2", "C3"]), descriptions=described)
    assert found.dropped["codes without description that have one in another spelling: write them alike"] == 1
    found = load(written(tmp_path / "n.csv", [f"{SECRET} came with fever", f"{SECRET} came. with fever"]))
    assert [reason for reason in found.dropped if "only spelling tells apart" in reason]
    assert not [reason for reason in found.dropped if SECRET in reason], "it may be a note"


HALF = "\ud83d"


@pytest.mark.parametrize("column", ["id", "text", "codes", "group", "description"])
def test_half_a_character_is_named(tmp_path, column):
    rows = [
        {"id": str(i), "text": "x", "codes": [f"A{i % 2}"], "group": "g", "description": [f"d{i % 2}"]}
        for i in range(4)
    ]
    cell = rows[2][column]
    rows[2][column] = [HALF] if isinstance(cell, list) else cell + HALF
    path = tmp_path / "n.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    message = refused(path)
    assert f"row 3, column {column}: it holds half a character" in message
    assert message.encode()


@pytest.mark.parametrize(
    ("ids", "row"), [(["1", "2.0", "3"], 2), (["1.00001E+5", "x", "y"], 1), (["a", "nan", "b"], 2)]
)
@pytest.mark.parametrize("column", ["id", "group"])
def test_ids_and_patients_read_as_numbers_are_refused(tmp_path, column, ids, row):
    rows = [{"id": f"n{i}", "text": "x", "codes": "A;B", "group": "p"} | {column: cell} for i, cell in enumerate(ids)]
    assert f"row {row}, column {column}: read as a number by another program" in refused(save(tmp_path / "n.csv", rows))


def test_tables_of_european_spreadsheets_are_read(tmp_path):
    path = tmp_path / "n.csv"
    for text in (
        'id;text;codes\n1;one, two;"a;b"\n2;x;b\n',
        'sep=;\nid;text;codes\n1;one, two;"a;b"\n2;x;b\n',
        'sep=,\r\nid,text,codes\r\n1,"one, two",a;b\r\n2,x,b\r\n',
        "id\ttext\tcodes\n1\tone, two\ta;b\n2\tx\tb\n",
        '\n,,\nid,text\u200b,\xa0codes\n1,"one, two",a;b\n2,x,b\n',
        "id|text|codes\n1|one, two|a;b\n2|x|b\n",
        'id,text,codes,,\n1,"one, two",a;b,,\n2,x,b,,\n,,,,\n',
        'id,text,codes\n1,"one, two",a;b,,\n2,x,b,\n',
    ):
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
        found = load(path).notes
        assert found["text"].tolist() == ["one, two", "x"]
        assert found["codes"].tolist() == [["a", "b"], ["b"]]
    path.write_bytes('\ufeffid,text,codes\r\n1,"one\r\nmore",a\r\n\r\n2,two,b\r\n'.encode())
    assert load(path).notes["text"].tolist() == ["one\r\nmore", "two"]


def test_the_encoding_that_is_named_is_the_one(tmp_path):
    path = tmp_path / "n.csv"
    texts = (("cp1252", "“no”"), ("utf-16", "ñ"), ("utf-16-le", "no"), ("utf-16-be", "no"), ("latin-1", "ñ"))
    for encoding, text in texts:
        path.write_bytes(f"id,text,codes\n1,{text},a\n2,x,b\n".encode(encoding))
        assert f"set `encoding`, such as {encoding}" in refused(path)
        assert load(path, encoding=encoding).notes["text"][0] == text


def test_a_note_longer_than_csv_allows_at_first(tmp_path):
    rows = [row | {"text": "long " * 100_000} for row in ROWS]
    assert load(save(tmp_path / "n.csv", rows)).notes["text"].str.len().min() == 500_000


def test_fifty_thousand_codes_are_read_in_seconds(path):
    lists = [[f"{c:05d}" for c in range(5 * i, 5 * i + 10)] for i in range(10_000)]
    save(path, [{"id": str(i), "text": f"note {i}", "codes": codes} for i, codes in enumerate(lists)])
    started = time.process_time()
    found = load(path)
    assert time.process_time() - started < 10
    assert len(found.descriptions) == 50_005
    assert "00001" in found.descriptions


@pytest.fixture(scope="module")
def fifty_thousand(tmp_path_factory):
    """Parameters and a corpus of 50,020 codes with two notes each, or one, and two that every second note has."""
    folder = tmp_path_factory.mktemp("many")
    lists = [[f"{c:05d}" for c in range(20 * i, 20 * i + 40)] + [f"common {i % 2}"] for i in range(2500)]
    rows = [{"id": str(i), "text": f"note {i}", "codes": codes} for i, codes in enumerate(lists)]
    path = save(folder / "n.parquet", rows)
    parameters = check({"source": "table", "table": str(path), "min_notes": 1, "filter_labels": "none"})
    return parameters, corpus.build(sources.load(parameters, folder), parameters)[0]


def test_fifty_thousand_codes_leave_each_split_its_notes(fifty_thousand):
    parameters, notes = fifty_thousand
    assert len(notes.codes) == 50_022
    assert splitting.short(notes.split, validation=parameters.validation_share, test=parameters.test_share) == []
    counts = notes.train_counts()
    assert counts[notes.labels.sum(axis=0) > 1].all(), "a code with two notes can be learned"
    assert 0 < (counts == 0).sum() <= 40
    assert (label_metrics.frequency_bin(counts) == "0").sum() == (counts == 0).sum()


def test_fifty_thousand_codes_are_cut_decided_and_measured(fifty_thousand):
    parameters, notes = fifty_thousand
    table = variants.segment_table(notes, notes.labels, segmentation="eta", eta=parameters.eta)
    segments = variants.segment_of_code(table, notes)
    assert np.unique(segments).tolist() == [-1, 0, 1]
    rows = np.concatenate([notes.rows("validation"), notes.rows("test")])
    scores = np.random.default_rng(0).random((len(rows), len(segments)), dtype=np.float32) / 2
    good = Predictions(rows, (scores + notes.labels[rows].toarray() / 2) * (segments >= 0), segments)
    limits = results.choose_thresholds(notes, notes.labels, good, parameters.model_copy(update={"threshold": "global"}))
    assert 0.45 < np.median(limits) < 0.55
    truth, found = results.test_truth(notes, notes.labels), results.binarize(notes, good, limits)
    assert label_metrics.scores(truth, found)["micro_f1"] > 0.97
    drawn = resampling.bootstrap(truth, found, resampling.resamples(*truth.shape, times=20, seed=0))
    assert (drawn["macro_f1_present"] > 0.9).all()
    chance = (scores[-len(truth) :] > 0.499).astype(np.int8)
    assert resampling.permutation_test(truth, [chance], [found], times=100, seed=0)["micro_f1"] < 0.05
