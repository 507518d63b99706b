"""CodiEsp: counts of the real corpus, descriptions of codes old and new, and every way a folder can be wrong."""

import pytest

from shl_utils.data import corpus
from shl_utils.data.sources import codiesp
from shl_utils.parameters import check

RETIRED = "code retired before 2024, described by its last title"
SHARED = "code without a title, described by the words that the titles below it share"


@pytest.fixture(scope="module")
def real(open_data):
    return codiesp.load(open_data / "codiesp", language="english", code_set="diagnoses")


def write(folder, *, train=None, dev=None, codes="c1-1\tn44.8\nc1-1\tZ20.818\n", language="text_files_en"):
    for name, texts in (("train", train or {"c1-1": "one", "c2-1": "two"}), ("dev", dev or {"c1-2": "three"})):
        (folder / name / language).mkdir(parents=True)
        for case, text in texts.items():
            (folder / name / language / f"{case}.txt").write_text(text, encoding="utf-8")
    (folder / "train" / "trainD.tsv").write_text(codes, encoding="utf-8")
    (folder / "dev" / "devD.tsv").write_text("c1-2\tn44.8", encoding="utf-8")
    return folder


def load(folder, **values):
    return codiesp.load(folder, **({"language": "english", "code_set": "diagnoses"} | values))


def test_counts_of_the_real_corpus(real):
    assert real.notes["split"].value_counts().to_dict() == {"train": 500, "test": 250}
    assert len(real.descriptions) == 2194
    assert len({code for row in real.notes["codes"][real.notes["split"] == "train"] for code in row}) == 1767
    assert real.notes["codes"].str.len().sum() == 5639 + 2677
    assert real.dropped == {RETIRED: 53, SHARED: 250}
    assert real.notes["group"].nunique() < len(real.notes), "an article may hold several cases"


def test_built_corpus_keeps_dev_as_test_and_every_code(real):
    notes, left_out = corpus.build(real, check({"min_notes": 1}))
    assert len(notes.rows("test")) == 250
    assert len(notes.rows("validation")) == pytest.approx(75, abs=5)
    assert len(notes.codes) == 2194
    assert left_out["notes left without a code"] == 0
    flaws = notes.flaws()
    assert (flaws["groups in two splits"], flaws["texts in two splits"]) == (15, 0)
    assert flaws["codes without a training note"] == (notes.train_counts() == 0).sum() > 2194 - 1767
    assert abs(notes.summary().loc["validation", "codes per note"] - 11.3) < 1.5, "validation is like the rest"


def test_procedures_both_sets_and_the_original(open_data, real):
    folder = open_data / "codiesp"
    procedures = load(folder, code_set="procedures")
    assert procedures.notes["split"].value_counts().to_dict() == {"train": 435, "test": 222}
    assert procedures.dropped["case without a code of procedures"] == 93
    assert len(procedures.descriptions) == 727
    both = load(folder, code_set="both", language="spanish")
    assert set(both.descriptions) == set(real.descriptions) | set(procedures.descriptions)
    assert not set(real.descriptions) & set(procedures.descriptions)
    text = both.notes.set_index("note")["text"]
    assert text["S0004-06142005000700014-1"] != real.notes.set_index("note")["text"]["S0004-06142005000700014-1"]
    assert text.str.contains(" de ").mean() > 0.99
    assert all(text and text != code for code, text in both.descriptions.items()), "none is described by itself"
    assert max(len(text.split()) for text in both.descriptions.values()) < 50


@pytest.mark.parametrize(
    ("code", "words", "how"),
    [
        ("A00.0", "Cholera due to Vibrio cholerae 01, biovar cholerae", ""),
        ("I10", "Essential (primary) hypertension", ""),
        ("BW03ZZZ", "Plain Radiography of Chest", ""),
        ("A04.7", "Enterocolitis due to Clostridium difficile", RETIRED),
        ("C50.9", "Malignant neoplasm of unspecified site of breast", SHARED),
        ("S02.5XX", "Fracture of tooth (traumatic)", SHARED),
        ("T81.4XX", "Infection following a procedure", SHARED),
        ("J11.0", "Influenza due to unidentified influenza virus with pneumonia", SHARED),
        ("F50", "Eating disorder, unspecified", SHARED),  # no word in common: the most general title
        ("0DTJ", "Resection of Appendix", SHARED),
        ("5A1D00Z", "Performance of Urinary Filtration, Hours Per Day", SHARED),  # retired: what is left above it
        ("ZZZ.9", "ZZZ.9", "code unknown to ICD-10, described by itself"),
    ],
)
def test_descriptions(code, words, how):
    assert codiesp.describe(code) == (words, how)


def test_a_small_folder_in_the_same_layout(tmp_path):
    found = load(write(tmp_path / "final_dataset_v3_to_publish", train={"c1-1": "Ñandú, 37 °C, 発熱", "c2-1": "two"}))
    assert found.notes["note"].tolist() == ["c1-1", "c1-2"]
    assert found.notes["group"].tolist() == ["c1", "c1"]
    assert found.notes["codes"].tolist() == [["N44.8", "Z20.818"], ["N44.8"]]
    assert found.notes["text"][0] == "Ñandú, 37 °C, 発熱"
    assert found.dropped == {"case without a code of diagnoses": 1}
    assert load(tmp_path).notes.equals(found.notes), "the folder above is as good"


def test_with_test_codes_dev_is_validation(tmp_path):
    folder = write(tmp_path / "later version")
    (folder / "test" / "text_files_en").mkdir(parents=True)
    (folder / "test" / "text_files_en" / "c9-1.txt").write_text("four", encoding="utf-8")
    (folder / "test" / "testD.tsv").write_text("c9-1\tn44.8\n", encoding="utf-8")
    found = load(folder)
    assert dict(zip(found.notes["note"], found.notes["split"])) == {
        "c1-1": "train",
        "c1-2": "validation",
        "c9-1": "test",
    }


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ("c1-1\tn44.8\nc1-1", "trainD.tsv, line 2: not a case, a tab and a code"),
        ("c1-1\tn44.8\tx", "line 1: not a case, a tab and a code"),
        ("c1-1\t\n", "line 1: not a case, a tab and a code"),
        ("c1-1\tn44.8\nc7-1\tn44.8", "line 2: case c7-1 has no text in text_files_en"),
    ],
)
def test_damaged_codes_are_named_by_line(tmp_path, codes, message):
    with pytest.raises(ValueError, match=message):
        load(write(tmp_path, codes=codes))


def test_blank_and_recoded_texts_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"c2-1.txt is empty"):
        load(write(tmp_path / "blank", train={"c1-1": "one", "c2-1": " \n"}))
    folder = write(tmp_path / "latin")
    (folder / "train" / "text_files_en" / "c1-1.txt").write_bytes("niño".encode("latin-1"))
    with pytest.raises(ValueError, match=r"c1-1.txt is not UTF-8 text"):
        load(folder)


def test_missing_parts_say_where_to_get_them(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere does not hold train/ and dev/.*zenodo"):
        load(tmp_path / "nowhere")
    folder = write(tmp_path / "m")
    with pytest.raises(FileNotFoundError, match=r"text_files holds no .txt file.*zenodo"):
        load(folder, language="spanish")
    with pytest.raises(FileNotFoundError, match=r"trainP.tsv is missing.*zenodo"):
        load(folder, code_set="both")


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    folder = write(tmp_path, codes="\ufeffc1-1\tn44.8\r\nc2-1\tc56\r\n")
    assert load(folder).notes["codes"].tolist() == [["N44.8"], ["C56"], ["N44.8"]]
