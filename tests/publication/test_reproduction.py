"""A run held against what was published of it."""

import json
import shutil

import pytest
from conftest import PROJECT

from shl_utils.publication import reproduction, results_file
from shl_utils.publication.reproduction import FAR, NEAR, SAME
from shl_utils.runs import stamps

FILE = PROJECT / "params" / "smoke.yaml"


@pytest.fixture
def changed(results_folder, published):
    """Writes the published file anew, with a function of its run applied."""

    def change(edit):
        (run,) = published["runs"].values()
        edit(run)
        (results_folder / "small.json").write_text(json.dumps(published))

    return change


def test_a_run_agrees_with_itself(published):
    table = reproduction.compare(FILE)
    lines = [line for run in published["runs"].values() for line in run["tables"]["ablation"]]
    assert list(table.index) == [line["row"] for line in lines]
    assert (table[["micro_f1_verdict", "macro_f1_present_verdict"]] == SAME).all(axis=None)
    assert reproduction.agrees(table)


def test_another_score_or_gain_is_near_or_far_off(changed):
    def edit(run):
        first, second = run["tables"]["ablation"][:2]
        first |= {"micro_f1": first["micro_f1"] + 0.009, "macro_f1_present": first["macro_f1_present"] - 0.031}
        second |= {"micro_f1_gain": second["micro_f1_gain"] + 0.011}

    changed(edit)
    table = reproduction.compare(FILE)
    assert table["micro_f1_verdict"].tolist()[:3] == [NEAR, FAR, SAME]
    assert table["macro_f1_present_verdict"].iloc[0] == FAR
    assert not reproduction.agrees(table)
    changed(lambda run: run["tables"]["ablation"][1].update(id="other"))
    table = reproduction.compare(FILE)
    assert table["micro_f1_verdict"].iloc[[1, -1]].tolist() == [FAR, FAR], "a row that was not published, and its like"
    shown = reproduction.shown(table)
    assert shown["micro published"].iloc[1] == shown["micro here"].iloc[-1] == "none"


def test_an_outdated_run_is_neither_checked_nor_published(published, tmp_path, smoke, monkeypatch):
    shutil.copytree(smoke[0], tmp_path / "smoke")
    monkeypatch.setenv("SHL_RUNS", str(tmp_path))
    path = stamps.path_of(tmp_path / "smoke", "03_train")
    stamp = json.loads(path.read_text())
    path.write_text(json.dumps(stamp | {"code": stamp["code"] | {next(iter(stamp["code"])): "another"}}))
    for use in (reproduction.compare, results_file.record):
        with pytest.raises(ValueError, match=r"03_train is outdated \(.* changed\): shl run .*smoke\.yaml"):
            use(FILE)


def test_what_was_made_otherwise_or_not_published_is_refused(changed, tmp_path):
    changed(lambda run: run["parameters"].update(epochs=9))
    with pytest.raises(ValueError, match=r"smoke\.yaml: .*small\.json was made with other parameters: epochs"):
        reproduction.compare(FILE)
    changed(lambda run: run.update(file="params/other.yaml"))
    with pytest.raises(ValueError, match=r"nothing was published of it; there is params/other\.yaml"):
        reproduction.compare(FILE)
