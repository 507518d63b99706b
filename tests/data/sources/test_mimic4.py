"""The MIMIC-IV loader on small tables written here, in the columns and folders of the releases."""

import csv
from functools import partial

import pandas as pd
import pytest
import releases
from releases import ANNA, BERTA, EXPONENTS, FIRST, NOTE_4, OLD, SECOND, UNCODED, note_4, save, tables_4
from secrecy import SECRET

from shl_utils.data.sources import mimic3, mimic4, synthetic

load, refused = partial(releases.load, version=10), partial(releases.refused, version=10)


@pytest.mark.parametrize(("packed", "end"), [(False, "\n"), (True, "\n"), (False, "\r\n")])
def test_codes_of_one_version_meet_their_notes(tmp_path, packed, end):
    corpus = load(save(tmp_path / "m", tables_4(), packed=packed, end=end))
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
    corpus = load(save(tmp_path / "m", tables_4()), version=9)
    assert corpus.notes["note"].tolist() == [str(FIRST), str(OLD)]
    assert corpus.notes["codes"].tolist() == [["401.9"], ["00.10", "001.0", "E849.0", "V58.67"]]
    assert corpus.descriptions["E849.0"] == "Home accidents"
    assert corpus.descriptions["00.10"] == "Implantation of chemotherapeutic agent"


def test_tables_and_notes_lie_where_the_user_has_them(tmp_path):
    whole = save(tmp_path / "m", tables_4())
    apart = tmp_path / "notes"
    (whole / "note").rename(apart)
    assert "lacks discharge" in refused(whole, kind=FileNotFoundError)
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder: set `notes_folder`"):
        mimic4.load(whole, tmp_path / "nowhere", version=10)
    for folder, notes in ((whole, apart), (whole / "hosp", apart)):
        assert len(mimic4.load(folder, notes, version=10).notes) == 2


def test_a_release_without_this_version_says_what_to_set(tmp_path):
    content = tables_4()
    for name in ("diagnoses_icd", "procedures_icd"):
        content[f"hosp/{name}"] = [row for row in content[f"hosp/{name}"] if row[-1] != 9]
    assert "holds no code of ICD-9: set `icd_version`" in refused(save(tmp_path / "m", content), version=9)


@pytest.mark.parametrize("version", ["11", "9.0", "", "nan"])
def test_another_version_than_9_and_10_is_refused(tmp_path, version):
    content = tables_4()
    content["hosp/diagnoses_icd"][3][4] = version
    assert f"ICD_VERSION is {version!r}" in refused(save(tmp_path / "m", content))


def test_notes_of_other_stays_are_refused(tmp_path):
    content = tables_4()
    content["note/discharge"] = [NOTE_4, note_4(BERTA, UNCODED, 5, SECRET)]
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
