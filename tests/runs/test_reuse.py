"""What a run takes over from another, and what a stage that is made anew leaves of its earlier attempt."""

import pytest
from made_up import stage

from shl_utils.runs import reuse, stages, stamps


def test_a_run_takes_over_what_another_has_finished(tmp_path):
    base, new = tmp_path / "base", tmp_path / "new"
    for name in stages.STAGES[:2]:
        stage(name, base, **({"depth": 2} if name == "00_imbalance" else {}))
    (base / "trunk").mkdir()
    (base / "trunk" / "states").write_text("of the trunk")
    begun = stages.begin("02_segment", {"run": str(new), "based_on": str(base)})
    assert begun.parameters.depth == 2
    assert [stamps.states(new)[name].done for name in stages.STAGES[:3]] == [True, True, False]
    assert (new / "trunk" / "states").read_text() == "of the trunk"
    (new / "00_imbalance.txt").write_text("changed")
    assert stamps.states(base)["01_filter"].done, "what is taken over is a copy"


def test_leftovers_of_an_interrupted_attempt_make_way_for_what_is_taken_over(tmp_path):
    base, new = tmp_path / "base", tmp_path / "new"
    for name in stages.STAGES[:3]:
        stage(name, base)
    stages.begin("03_train", {"run": str(new), "based_on": str(base)})
    (new / "segments" / "5").mkdir(parents=True)
    (new / "segments" / "5" / "head").write_text("half")
    trained = stages.begin("03_train", {"run": str(base)})
    (base / "segments" / "0").mkdir(parents=True)
    (base / "segments" / "0" / "head").write_text("trained")
    trained.finish("segments")
    stages.begin("04_evaluate", {"run": str(new), "based_on": str(base)})
    assert [path.name for path in (new / "segments").iterdir()] == ["0"]


def test_only_what_agrees_is_taken_over(tmp_path):
    base = tmp_path / "base"
    for name in stages.STAGES[:2]:
        stage(name, base, **({"depth": 2} if name == "00_imbalance" else {}))
    with pytest.raises(ValueError, match=r"of base cannot be taken over, it was made with depth = 2: run 00_"):
        stages.begin("02_segment", {"run": str(tmp_path / "new"), "based_on": str(base), "depth": 1})
    (base / "01_filter.txt").write_text("altered")
    with pytest.raises(ValueError, match=r"cannot be taken over, it is altered \(01_filter.txt not as it was left"):
        stages.begin("02_segment", {"run": str(tmp_path / "new"), "based_on": str(base)})
    for nowhere in (base, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match=r"based_on is .*: name another run"):
            stages.begin("02_segment", {"run": str(base), "based_on": str(nowhere)})


def test_what_is_forced_leaves_nothing_behind(tmp_path):
    for name in stages.STAGES[:4]:
        stage(name, tmp_path)
    (tmp_path / "reference" / "segments" / "0").mkdir(parents=True)
    reuse.forget(tmp_path, "03_train")
    assert not (tmp_path / "03_train.txt").exists()
    assert not (tmp_path / "reference" / "segments").exists()
    assert stamps.states(tmp_path)["03_train"].word == "not run"
    assert stamps.states(tmp_path)["02_segment"].done


def test_private_notes_are_taken_over_into_a_closed_folder(tmp_path):
    base, new = tmp_path / "base", tmp_path / "new"
    run = stages.begin("00_imbalance", {"run": str(base), "source": "mimic3", "folder": "x"})
    run.path("notes").write_text("private")
    run.path("notes").chmod(0o600)
    run.finish("notes", private=True)
    new.mkdir(mode=0o755)
    assert reuse.take_over(base, new, "00_imbalance", {}) == ""
    assert new.stat().st_mode & 0o777 == 0o700
    assert (new / "notes").stat().st_mode & 0o777 == 0o600


def test_what_another_stage_has_made_stays_where_one_is_forced(tmp_path):
    for name in stages.STAGES[:5]:
        stage(name, tmp_path)
    made = tmp_path / "reference" / "segments" / "0"
    made.mkdir(parents=True)
    (made / "head").write_text("of 03")
    stages.begin("03_train", {"run": str(tmp_path)}).finish("reference/segments")
    stages.begin("04_evaluate", {"run": str(tmp_path)}).finish()
    stages.begin("05_ablate", {"run": str(tmp_path)}).finish("reference")
    reuse.forget(tmp_path, "05_ablate")
    assert (made / "head").exists()
    reuse.forget(tmp_path, "03_train")
    assert not made.exists()
