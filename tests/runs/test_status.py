"""How far a run is, said to people and to machines."""

import json

import pytest

from shl_utils.parameters import STAGES
from shl_utils.runs import locations, stages, stamps, status, storage


def finish(stage, folder):
    run = stages.begin(stage, {"run": str(folder)})
    run.path(f"{stage}.txt").write_text(stage)
    run.finish(f"{stage}.txt", fingerprints={"codes": "abc"})


@pytest.fixture
def folder(tmp_path):
    """Three stages done, the fourth failed."""
    for stage in STAGES[:3]:
        finish(stage, tmp_path / "r")
    status.note_failure(tmp_path / "r", STAGES[3], "ValueError: <no> & more\nat length")
    return tmp_path / "r"


def states(folder):
    return [line["state"] for line in status.summarize(folder)["stages"]]


def test_every_stage_has_its_state(folder):
    told = status.summarize(folder)
    assert states(folder) == ["done"] * 3 + ["failed"] + ["not run"] * (len(STAGES) - 4)
    assert told["stages"][3]["error"].startswith("ValueError: <no>")
    assert told["stages"][0]["peak_memory_mb"] > 0
    assert (told["run"], told["done"], told["fingerprints"]) == ("r", False, {"codes": "abc"})
    assert status.summarize(folder, until=STAGES[2])["done"]
    assert json.loads(json.dumps(told)) == told


def test_what_changed_is_told_from_what_was_never_run(folder):
    (folder / f"{STAGES[1]}.txt").write_text("by hand")
    assert states(folder)[:4] == ["done", "altered", "outdated", "failed"]
    (folder / f"{STAGES[0]}.txt").unlink()
    assert states(folder)[:3] == ["altered", "altered", "outdated"]


def test_a_failure_is_forgotten_once_the_stage_is_done(folder):
    (folder / status.FAILED).write_text((folder / status.FAILED).read_text().replace("202", "199"))
    finish(STAGES[3], folder)
    assert states(folder)[:5] == ["done"] * 4 + ["not run"]
    (folder / f"{STAGES[0]}.txt").write_text("by hand")
    assert states(folder)[3] == "outdated"


def test_a_notebook_whose_writing_was_cut_short_shows_nothing(folder):
    path = folder / "notebooks" / f"{STAGES[0]}.ipynb"
    path.parent.mkdir()
    path.write_text("")
    assert not stamps.is_shown(folder, STAGES[0])


def test_what_a_bench_runs_is_no_run_of_its_own(folder, command, monkeypatch):
    (folder / "bench" / "sizes" / "1000" / "run" / "stages").mkdir(parents=True)
    monkeypatch.setenv("SHL_RUNS", str(folder.parent))
    assert [run["run"] for run in json.loads(command("status", "--json").stdout)] == ["r"]


def test_metrics_of_an_earlier_state_are_left_out(folder):
    row = dict.fromkeys(status.METRICS, 0.5)
    storage.write_json(folder / "metrics.json", {"models": {"m": row}})
    assert status.summarize(folder)["metrics"] == {}
    for stage in STAGES[3:5]:
        finish(stage, folder)
    assert status.summarize(folder)["metrics"] == {"m": row}


def test_a_changed_input_outdates_what_was_made_of_it(tmp_path):
    (tmp_path / "notes.csv").write_text("a")
    run = stages.begin(STAGES[0], {"run": str(tmp_path / "r")})
    run.path("x").write_text("x")
    run.finish("x", read=[tmp_path / "notes.csv"])
    assert stamps.states(tmp_path / "r")[STAGES[0]].done
    (tmp_path / "notes.csv").write_text("b")
    state = stamps.states(tmp_path / "r")[STAGES[0]]
    assert (state.word, state.why) == ("outdated", f"{tmp_path / 'notes.csv'} changed")


def test_a_run_that_was_not_begun_has_no_stage(tmp_path):
    assert set(states(tmp_path)) == {"not run"}
    assert status.table([status.summarize(tmp_path)]) == f"{tmp_path.name}: 00_imbalance: not run"


def test_two_commands_do_not_work_on_one_run(tmp_path):
    with (
        locations.exclusive_run(tmp_path / "r"),
        pytest.raises(ValueError, match="r is in use by another"),
        locations.exclusive_run(tmp_path / "r"),
    ):
        pass
    with locations.exclusive_run(tmp_path / "r"):
        pass
