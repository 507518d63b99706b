"""A run held against what was published of it."""

import json

import pytest
from conftest import PROJECT

from shl_utils.publication import reproduction
from shl_utils.publication.reproduction import OUTSIDE, SAME, WITHIN

pytestmark = pytest.mark.slow
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


def test_another_score_lies_within_the_interval_or_outside(changed):
    def edit(run):
        first, second = run["tables"]["ablation"][:2]
        first |= {"micro_f1": first["micro_f1"] + 0.001, "micro_f1_low": 0.0, "micro_f1_high": 1.0}
        second |= {"micro_f1": 0.999, "micro_f1_low": 0.998, "micro_f1_high": 1.0}

    changed(edit)
    table = reproduction.compare(FILE)
    assert table["micro_f1_verdict"].tolist()[:2] == [WITHIN, OUTSIDE]
    assert not reproduction.agrees(table)
    assert reproduction.shown(table)["micro published"].iloc[1] == "99.9 [99.8, 100.0]"


def test_what_was_made_otherwise_or_not_published_is_refused(changed, tmp_path):
    changed(lambda run: run["parameters"].update(epochs=9))
    with pytest.raises(ValueError, match=r"smoke\.yaml: .*small\.json was made with other parameters: epochs"):
        reproduction.compare(FILE)
    changed(lambda run: run.update(file="params/other.yaml"))
    with pytest.raises(ValueError, match=r"nothing was published of it; there is params/other\.yaml"):
        reproduction.compare(FILE)
