"""Published splits: what the files give, and what is wrong with them."""

import pandas as pd
import pytest

from shl_utils.data import published_split

NOTES = pd.DataFrame({"note": ["100001", "100002", "100003", "100004"], "text": list("abcd")})


def lists(folder, **splits):
    files = {split: str(folder / f"{split}_full_hadm_ids.csv") for split in splits}
    for split, ids in splits.items():
        (folder / f"{split}_full_hadm_ids.csv").write_text("".join(f"{i}\n" for i in ids))
    return files


def test_lists_of_admissions(tmp_path):
    files = lists(tmp_path, train=[100003, 100001], validation=[100002], test=[100004, 199999])
    found, counted = published_split.apply(NOTES, files)
    assert found["note"].tolist() == ["100001", "100002", "100003", "100004"]
    assert found["split"].tolist() == ["train", "validation", "train", "test"]
    assert list(counted.values()) == [0, 1]


@pytest.mark.parametrize("kind", ["feather", "parquet", "csv"])
def test_a_table_of_ids_and_splits(tmp_path, kind):
    table = pd.DataFrame({"_id": [100001, 100004, 100002], "split": ["train", "val", "test"]})
    path = tmp_path / f"splits.{kind}"
    {"feather": table.to_feather, "parquet": table.to_parquet, "csv": lambda p: table.to_csv(p, index=False)}[kind](
        path
    )
    found, counted = published_split.apply(NOTES, {"table": str(path)})
    assert dict(zip(found["note"], found["split"])) == {"100001": "train", "100002": "test", "100004": "validation"}
    assert list(counted.values()) == [1, 0]


def test_without_files_the_notes_stay_as_they_are():
    found, counted = published_split.apply(NOTES, {})
    assert found is NOTES
    assert counted == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("100001\n100001\n", "1 ids occur twice"),
        ("hadm_id,split\n100001,train\n", "line 1: one id is expected per line"),
    ],
)
def test_a_wrong_list_is_named(tmp_path, text, message):
    files = lists(tmp_path, train=[], test=[7])
    (tmp_path / "train_full_hadm_ids.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        published_split.apply(NOTES, files)


def test_a_list_of_another_release_is_refused_beside_right_ones(tmp_path):
    with pytest.raises(ValueError, match="no id of validation is that of a note"):
        published_split.apply(NOTES, lists(tmp_path, train=[100001], validation=[5, 6], test=[100002]))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"_id": [1], "split": ["holdout"]}, "1 rows have a split that is none of train"),
        ({"row": [1], "split": ["train"]}, "needs a column split, and one of _id.*found row, split"),
        ({"She was seen for": [1], "a fever": [2]}, "found none: does it have a header"),
        ({"_id": [], "split": []}, "split_files: .*s.parquet holds no rows"),
        ({"_id": [1], "part": ["train"]}, "needs a column split"),
    ],
)
def test_a_wrong_table_is_named(tmp_path, table, message):
    path = tmp_path / "s.parquet"
    pd.DataFrame(table).to_parquet(path)
    with pytest.raises(ValueError, match=message):
        published_split.apply(NOTES, {"table": str(path)})


def test_a_file_that_is_none_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.csv is missing"):
        published_split.apply(NOTES, {"table": str(tmp_path / "nowhere.csv")})
    for name, message in (("s.feather", "s.feather is cut short or damaged"), ("s.txt", "must end in .feather")):
        (tmp_path / name).write_bytes(b"\xff\xfe no table")
        with pytest.raises(ValueError, match=message):
            published_split.apply(NOTES, {"table": str(tmp_path / name)})
    (tmp_path / "s.csv").write_bytes("id,split\n1,train\nñ,test\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"line 3: not utf-8: convert it from its encoding, such as latin-1"):
        published_split.apply(NOTES, {"table": str(tmp_path / "s.csv")})
    with pytest.raises(ValueError, match="is no text of ids"):
        published_split.apply(NOTES, {"train": str(tmp_path / "s.txt"), "test": str(tmp_path / "s.txt")})


@pytest.mark.parametrize("name", ["100001.0", "1.00001E+05", "100,001", "100001\ufeff"])
@pytest.mark.parametrize("kind", ["lists", "table"])
def test_ids_that_another_program_changed_are_named(tmp_path, kind, name):
    ids = [name, "100002", "100003"]
    if kind == "lists":
        if "," in name:
            pytest.skip("a comma in a list is named as such")
        files = lists(tmp_path, train=ids[:2], test=ids[2:])
    else:
        files = {"table": str(tmp_path / "s.csv")}
        pd.DataFrame({"id": ids, "split": ["train", "train", "test"]}).to_csv(files["table"], index=False)
    with pytest.raises(ValueError, match=r"split_files: an id in .* write ids as the notes do"):
        published_split.apply(NOTES, files)


def test_ids_that_lost_their_zeros_are_named(tmp_path):
    notes = pd.DataFrame({"note": ["007", "008", "100"]})
    with pytest.raises(ValueError, match="has lost zeros, the note's has not"):
        published_split.apply(notes, lists(tmp_path, train=[7, 100], test=[8]))


def test_a_table_of_ids_as_numbers_is_named(tmp_path):
    table = pd.DataFrame({"_id": [100001, 100004, None], "split": ["train", "val", "test"]})
    table.to_feather(tmp_path / "s.feather")
    with pytest.raises(ValueError, match=r"ends in .0, the note's has not"):
        published_split.apply(NOTES, {"table": str(tmp_path / "s.feather")})


def test_quoted_ids_are_read(tmp_path):
    found, _ = published_split.apply(NOTES, lists(tmp_path, train=['"100001"'], test=["'100002'"]))
    assert found["note"].tolist() == ["100001", "100002"]
