"""Verdicts read off made-up results whose answer is known."""

import json

import pandas as pd
import pytest

from shl_utils import ablation, figures, tables, verdict
from shl_utils.parameters import check


def line(value, low, high, *, suffix=""):
    ends = {"": value, "_low": low, "_high": high}
    return {f"{figure}{suffix}{end}": x for figure in verdict.FIGURES for end, x in ends.items()}


def write(folder, *, loss="sh_focal", reading="R1", failed=0):
    folder.mkdir(exist_ok=True)
    made_with = {"parameters": {"loss": loss, "reading": reading}}
    (folder / "provenance.json").write_text(json.dumps(made_with), encoding="utf-8")
    row = {"row": f"segmented {loss}, filter"} | line(-0.1, -0.12, -0.08, suffix="_gain")
    bare = {"row": f"segmented {loss}, no filter"} | line(0.1, 0.08, 0.12, suffix="_gain")
    easy = {"row": f"segmented {loss}, filter on test too, own notes"} | line(0.04, 0.02, 0.06, suffix="_gain")
    pd.DataFrame([row, bare, easy]).assign(failed=[0, failed, 0]).to_parquet(folder / "ablation.parquet")
    changes = {"eta for none (segmentation)": (0.02, 0.01, 0.03), "train for none (filter_labels)": (0.01, -0.01, 0.03)}
    lines = [{"kind": "paper", "change": change} | line(*values) for change, values in changes.items()]
    lines += [{"kind": "single", "change": "eta for none (segmentation)"} | line(9, 9, 9)]
    lines += [{"kind": "over_linear", "change": f"segmented {loss}, no filter"} | line(0.3, 0.2, 0.4)]
    pd.DataFrame(lines).to_parquet(folder / "effects.parquet")
    return folder


def test_a_verdict_is_where_the_interval_lies(tmp_path):
    found = verdict.of_run(write(tmp_path))
    said = found.groupby(level=0)["verdict"].unique().map(list)
    assert said["Read as R1, the whole method beats one BCE model"] == ["no"]
    assert said["Read as R1, without its filter, it beats one BCE model"] == ["yes"]
    assert said["Read as R1, without its filter, it beats a linear model"] == ["yes"]
    assert said["Read as R1, the whole method beats a linear model"] == ["not tested"]
    assert said["Segments beat one model"] == ["yes"]
    assert said["The filter on training labels helps"] == ["not settled"]
    assert said["The harmonic loss beats BCE"] == ["not tested"]
    assert said["(With both, the method beats one BCE model)"] == ["yes"]
    assert len(found) == 2 * found.index.nunique()


def test_the_whole_method_is_that_of_the_run(tmp_path):
    found = verdict.of_run(write(tmp_path, loss="sh", reading="R3"))
    assert (
        found.loc["Read as R3, the whole method beats one BCE model", "measured"].tolist()
        == ["segmented sh, filter"] * 2
    )
    assert found.loc["Read as R3, the whole method beats one BCE model", "verdict"].tolist() == ["no"] * 2
    assert found.loc["Read as R1, the whole method beats one BCE model", "verdict"].tolist() == ["not tested"] * 2


def test_runs_stand_side_by_side(tmp_path):
    folders = {name: write(tmp_path / name) for name in ("first", "second")}
    lines = verdict.several(folders)
    shown = tables.verdict(lines)
    said = shown[shown["micro"] != "not tested"]
    assert said.index.get_level_values("run").tolist() == ["first (R1)", "second (R1)"] * 6
    whole = shown.loc["Read as R1, the whole method beats one BCE model"]
    assert whole["micro"].tolist() == ["no, -10.0 [-12.0, -8.0]"] * 2
    _, axes = figures.plt.subplots(1, 2)
    assert len(figures.verdict(lines[lines["verdict"] != "not tested"], axes)[0].get_yticks()) == 6


def test_a_claim_that_no_run_tested_stands_once_and_says_so(tmp_path):
    lines = verdict.several({name: write(tmp_path / name) for name in ("first", "second")})
    shown = tables.verdict(lines).reset_index().groupby("claim", sort=False)
    assert list(shown.groups) == list(lines.index.unique()), "every claim, in its order"
    weights = shown.get_group("Its weights alone beat BCE")
    assert weights[["run", "micro", "macro"]].to_numpy().tolist() == [["none", "not tested", "not tested"]]


def test_effects_of_another_version_are_refused(tmp_path):
    effects = pd.read_parquet(write(tmp_path) / "effects.parquet")
    effects.assign(kind="on average").to_parquet(tmp_path / "effects.parquet")
    with pytest.raises(ValueError, match="run 05_ablate of that run again"):
        verdict.of_run(tmp_path)


def test_an_ablation_that_did_not_look_for_failures_is_refused(tmp_path):
    table = pd.read_parquet(write(tmp_path) / "ablation.parquet")
    table.drop(columns="failed").to_parquet(tmp_path / "ablation.parquet")
    with pytest.raises(ValueError, match="run 05_ablate of that run again"):
        verdict.of_run(tmp_path)


def test_rows_with_trainings_that_failed_are_named_by_run(tmp_path):
    folders = {"first": write(tmp_path / "first", failed=3), "second": write(tmp_path / "second")}
    found = verdict.failed(folders)
    assert found.to_numpy().tolist() == [["first", "segmented sh_focal, no filter", 3]]


def test_a_run_without_an_ablation_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"ablation\.parquet is missing: run 05_ablate of that run first"):
        verdict.of_run(tmp_path)


def test_every_claim_about_a_row_names_one_of_a_grid():
    rows = {row.name for name in ("factorial", "sources") for row in ablation.rows(name, check({}))}
    claims = verdict._claims("sh_focal", "R1")
    asked = {row for source, row in claims.values() if source in ("row", "over_linear")}
    assert asked <= rows
