"""Run folders: a stage stops when what it builds upon is missing, older, or of other parameters."""

import json
import shutil

import psutil
import pytest
import torch
from made_up import stage

from shl_utils.parameters import check
from shl_utils.runs import dependencies, locations, stages, stamps


@pytest.fixture
def notebook_copy(tmp_path, monkeypatch):
    """A notebook of which a copy counts as the project's: replaces a text in it that stands there once."""

    def replace(old, new):
        path = tmp_path / "notebooks" / "00_imbalance.ipynb"
        if not path.exists():
            shutil.copytree(stamps.NOTEBOOKS, path.parent)
            monkeypatch.setattr(stamps, "NOTEBOOKS", path.parent)
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")

    return replace


def test_a_run_of_a_version_with_other_parameters_is_named(tmp_path):
    stage("00_imbalance", tmp_path)
    path = tmp_path / "stages" / "00_imbalance.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"parameters": facts["parameters"] | {"gone": 1}}))
    with pytest.raises(ValueError, match=r"is a run of another version; run it again: unknown parameter 'gone'"):
        stages.finished(tmp_path, "00_imbalance")


def test_a_missing_stage_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no finished 00_imbalance: run 00_imbalance first"):
        stage("01_filter", tmp_path / "a b")
    stage("00_imbalance", tmp_path)
    (tmp_path / "00_imbalance.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"00_imbalance.txt is missing: run 00_imbalance first"):
        stage("01_filter", tmp_path)


def test_later_stages_inherit_earlier_parameters_and_refuse_others(tmp_path):
    stage("00_imbalance", tmp_path, depth=2)
    with pytest.raises(ValueError, match=r"made with depth=2 \(asked: 1\); put that back, run 00_imbalance again, or"):
        stage("01_filter", tmp_path, depth=1)
    stage("01_filter", tmp_path)
    assert stages.begin("02_segment", {"run": str(tmp_path)}).parameters.depth == 2


def test_a_stage_made_again_outdates_those_after_it_unless_it_is_the_same(tmp_path):
    assert stage("00_imbalance", tmp_path)["id"] == stage("00_imbalance", tmp_path)["id"]
    stage("01_filter", tmp_path)
    stage("00_imbalance", tmp_path, seed=1)
    with pytest.raises(ValueError, match=r"01_filter .* earlier state of the run: run 01_filter again"):
        stage("02_segment", tmp_path)


def test_is_done_knows_parameters_files_and_interruptions(tmp_path):
    asked = check({"run": str(tmp_path), "depth": 2})
    assert not stages.is_done("00_imbalance", asked)
    stage("00_imbalance", tmp_path, depth=2)
    assert stages.is_done("00_imbalance", asked)
    assert not stages.is_done("00_imbalance", check({"run": str(tmp_path)}))
    begun = stages.begin("00_imbalance", {"run": str(tmp_path), "depth": 2})
    assert stages.is_done("00_imbalance", asked), "what is begun again stands until something of it changes"
    begun.path("00_imbalance.txt").write_text("half")  # then killed
    assert not stages.is_done("00_imbalance", asked)
    assert stamps.states(tmp_path)["00_imbalance"].word == "altered"
    with pytest.raises(ValueError, match=r"is not as 00_imbalance left it: run 00_imbalance again"):
        stages.begin("01_filter", {"run": str(tmp_path)})


def test_placement_and_download_change_no_result(tmp_path):
    for name in stages.STAGES[:4]:
        stage(name, tmp_path, processes=1, **({"download": True} if name == "01_filter" else {}))
    assert stages.is_done("03_train", check({"run": str(tmp_path), "processes": 2}))
    assert stages.begin("04_evaluate", {"run": str(tmp_path), "processes": 2}).parameters.processes == 2


def test_provenance_says_what_made_what(tmp_path):
    stage("00_imbalance", tmp_path, seed=3)
    facts = json.loads((tmp_path / "provenance.json").read_text())
    assert facts["seed"] == 3
    assert facts["parameters"]["source"] == "openi"
    assert facts["stages"]["00_imbalance"]["seconds_of_last_attempt"] >= 0
    assert facts["stages"]["00_imbalance"]["peak_memory_mb"] > 10
    assert facts["stages"]["00_imbalance"]["versions"]["torch"].startswith("2.")
    assert {"cores", "gpus", "model"} <= set(facts["stages"]["00_imbalance"]["hardware"])


def test_a_folder_of_private_notes_is_for_its_owner_only(tmp_path):
    stages.begin("00_imbalance", {"run": str(tmp_path / "new")})
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    for source, mode in ({"source": "mimic3", "folder": "x"}, 0o700), ({}, 0o755):
        folder = tmp_path / f"{mode:o}"
        folder.mkdir()
        folder.chmod(0o755)
        stages.begin("00_imbalance", {"run": str(folder), **source})
        assert folder.stat().st_mode & 0o777 == mode


@pytest.mark.skipif(torch.cuda.is_available(), reason="fp16 is right on a GPU")
def test_what_cannot_be_trained_here_is_refused_before_anything_is_read(tmp_path):
    for wrong, remedy in ({"precision": "fp16"}, "needs a GPU"), ({"loss": "two_way", "processes": 2}, "processes: 1"):
        with pytest.raises(ValueError, match=remedy):
            stages.begin("00_imbalance", {"run": str(tmp_path / "new"), **wrong})
    assert not (tmp_path / "new").exists()


def test_a_stage_is_redone_when_the_code_of_its_notebook_changes(tmp_path, notebook_copy):
    parameters = check({"run": str(tmp_path / "run")})
    stages.begin("00_imbalance", {"run": parameters.run}).finish()
    for old, new, same in (
        ("# 0 · The long tail", "# 0 · Tails", True),
        ("min_notes = 3", "min_notes = 4", True),  # a parameter: the stamp knows its value
        ("notes.summary()", "notes.summary().T", False),
    ):
        notebook_copy(old, new)
        assert stages.is_done("00_imbalance", parameters) is same


def test_runs_do_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    before = locations.folder_of("x")
    monkeypatch.chdir(tmp_path)
    assert locations.folder_of("x") == before
    monkeypatch.setenv("SHL_RUNS", str(tmp_path))
    assert locations.folder_of("x") == tmp_path / "x"


def notebook(stage, folder, **values):
    """Variables of a notebook, and what its second cell gives."""
    return stages.open_run(stage, {"run": str(folder)} | values)


def test_before_a_finished_run_is_changed_it_is_said_once(tmp_path, capsys):
    for name in stages.STAGES[:3]:
        stage(name, tmp_path / "r", **({"eta": 0.5} if name == "02_segment" else {}))
    assert notebook("01_filter", tmp_path / "r").parameters.filter_threshold == 0.1
    with pytest.raises(ValueError, match=r"filter_threshold = 0.3 will outdate 01_filter, 02_segment") as caught:
        notebook("01_filter", tmp_path / "r", filter_threshold=0.3)
    assert 'run = "mine", based_on = "r"' in str(caught.value)
    assert len(caught.value._render_traceback_()) == 3
    assert notebook("01_filter", tmp_path / "r", filter_threshold=0.3).parameters.filter_threshold == 0.3
    assert all(stamps.states(tmp_path / "r")[name].done for name in stages.STAGES[:3]), "nothing has changed by it"
    notebook("01_filter", tmp_path / "r", filter_threshold=0.4, interactive=False)
    assert "filter_threshold = 0.4 will outdate" in capsys.readouterr().out
    notebook("02_segment", tmp_path / "r", eta=0.1)  # nothing stands behind it


def test_a_misuse_is_shown_in_a_few_lines(tmp_path):
    for values, said in (({"etta": 0.5}, "did you mean 'eta'"), ({}, "run 00_imbalance first")):
        with pytest.raises((ValueError, FileNotFoundError), match=said) as caught:
            notebook("02_segment", tmp_path / "r", **values)
        assert len(caught.value._render_traceback_()) == 1


def test_the_same_data_elsewhere_change_no_result(tmp_path):
    """A table that was moved: the stage is done again, what follows stands."""
    ids = []
    for name in ("a", "b"):
        (tmp_path / name).write_text("the same")
        values = {"run": str(tmp_path / "run"), "source": "table", "table": str(tmp_path / name)}
        ids.append(stages.begin("00_imbalance", values).finish(read=[tmp_path / name])["id"])
        asked = check(values)
        assert stages.is_done("00_imbalance", asked)
    assert ids[0] == ids[1]


def test_code_that_changes_while_a_stage_is_at_work_is_not_what_ran(tmp_path, notebook_copy, capsys):
    run = stages.begin("00_imbalance", {"run": str(tmp_path / "run")})
    notebook_copy("notes.summary()", "notes.summary().T")
    run.finish()
    assert "notebooks/00_imbalance.ipynb changed after this stage began" in capsys.readouterr().out
    assert stamps.states(tmp_path / "run")["00_imbalance"].word == "outdated"


def test_a_kernel_older_than_an_edit_is_to_be_restarted(monkeypatch, tmp_path):
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: 1.0)
    with pytest.raises(ValueError, match=r"changed after this kernel started: restart it"):
        notebook("00_imbalance", tmp_path / "r")


def test_a_copy_that_jupyterlab_runs_counts_as_the_notebook_unless_its_code_was_edited(tmp_path, monkeypatch):
    notebook = stamps.notebook("02_segment")
    text = notebook.read_text(encoding="utf-8")
    assert "(0.5, 2.0)" in text
    for name, edited in (("same", text), ("other", text.replace("(0.5, 2.0)", "(0.5, 3.0)"))):
        copy = tmp_path / name / notebook.name
        copy.parent.mkdir()
        copy.write_text(edited, encoding="utf-8")
        monkeypatch.setenv("JPY_SESSION_NAME", str(copy))
        changed = dependencies.changed(stages._trace("02_segment"), dependencies.trace_notebook(notebook))
        assert changed == ([] if name == "same" else ["notebooks/02_segment.ipynb"])
        assert stages._trace("01_filter") == dependencies.trace_notebook(stamps.notebook("01_filter"))
