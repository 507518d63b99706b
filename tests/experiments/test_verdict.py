"""Verdicts read off made-up results whose answer is known."""

import pandas as pd
import pytest

from shl_utils.evaluation import results
from shl_utils.experiments import verdict
from shl_utils.reporting import plots, tables
from shl_utils.runs import stages, storage

FILTER = "The filter on training labels helps"
FOUND = {
    "With beta R1, the whole method beats one BCE model": (-0.1, -0.12, -0.08),
    "Segments beat one model": (0.02, 0.01, 0.03),
    FILTER: (0.01, -0.01, 0.03),
    "In segments, its weights alone beat BCE": (float("nan"),) * 3,
}


def write(folder, *, beta="R1", failed=0):
    folder.mkdir(parents=True, exist_ok=True)
    storage.write_json(folder / "provenance.json", {"parameters": {"beta": beta}})
    lines = [
        {"claim": claim, "papers": True, "comparable": claim != FILTER, "measured": "a row", "metric": metric}
        for claim in FOUND
        for metric in results.HEADLINE_METRICS
    ]
    ends = pd.DataFrame([FOUND[line["claim"]] for line in lines], columns=["gain", "low", "high"])
    pd.DataFrame(lines).join(ends).to_parquet(folder / "claims.parquet")
    table = {"row": ["unified bce, no filter", "segmented sh_focal, no filter"], "failed": [0, failed]}
    pd.DataFrame(table).to_parquet(folder / "ablation.parquet")
    return folder


def test_a_verdict_is_where_the_interval_lies(tmp_path):
    found = verdict.judge_run(write(tmp_path))
    said = found.groupby(level=0, sort=False)["verdict"].unique().map(list)
    assert said.to_dict() == dict(zip(FOUND, (["no"], ["yes"], ["inconclusive"], ["not tested"])))


def test_runs_stand_side_by_side(tmp_path):
    folders = {name: write(tmp_path / name, beta=beta) for name, beta in (("first", "R1"), ("second", "R3"))}
    lines = verdict.judge_runs(folders)
    shown = tables.verdict(lines)
    said = shown[shown["micro"] != "not tested"]
    assert said.index.get_level_values("run").tolist() == ["first (R1)", "second (R3)"] * 3
    whole = shown.loc["With beta R1, the whole method beats one BCE model"]
    assert whole["micro"].tolist() == ["no, -10.0 [-12.0, -8.0]"] * 2
    _, axes = plots.plt.subplots(1, 2)
    drawn = plots.verdict(lines[lines["verdict"] != "not tested"], axes)[0].get_yticklabels()
    assert [label.get_text() for label in drawn] == [*list(FOUND)[:2], f"({FILTER})"], "one that is not comparable"


def test_a_claim_that_no_run_tested_stands_once_and_says_so(tmp_path):
    lines = verdict.judge_runs({name: write(tmp_path / name) for name in ("first", "second")})
    shown = tables.verdict(lines).reset_index().groupby("claim", sort=False)
    assert list(shown.groups) == [claim if claim != FILTER else f"({claim})" for claim in FOUND], "in their order"
    weights = shown.get_group("In segments, its weights alone beat BCE")
    assert weights[["run", "micro", "macro"]].to_numpy().tolist() == [["none", "not tested", "not tested"]]


def test_two_runs_of_one_name_are_refused(tmp_path):
    names = [str(tmp_path / "a" / "demo"), str(tmp_path / "b" / "demo")]
    with pytest.raises(ValueError, match="2 runs are called demo: rename the folder of one"):
        verdict.run_folders(names)
    assert list(verdict.run_folders([names[0], names[0], "other"])) == ["demo", "other"]


def test_experiments_with_failed_trainings_are_named_by_run(tmp_path):
    folders = {"first": write(tmp_path / "first", failed=3), "second": write(tmp_path / "second")}
    found = verdict.failed(folders)
    assert found.to_numpy().tolist() == [["first", "segmented sh_focal, no filter", 3]]


@pytest.mark.parametrize("name", verdict.FILES)
def test_a_run_without_an_ablation_is_named_and_so_is_one_of_another_version(tmp_path, name):
    (write(tmp_path) / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name} is missing: run 05_ablate of that run first"):
        verdict.judge_runs({"run": tmp_path})


def test_the_data_of_each_run_are_named_by_their_fingerprints(tmp_path):
    stage = stages.begin("00_imbalance", {"run": str(tmp_path / "r")})
    stage.path("x").write_text("x")
    stage.finish("x", fingerprints={"codes": "abc", "labels": "def"})
    assert verdict.measured_on({"r": tmp_path / "r"}) == {"measured on": "r: codes abc, labels def"}
