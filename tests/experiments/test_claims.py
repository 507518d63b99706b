"""The paper's claims and verdicts, from experiments whose metrics are made up."""

import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT
from made_up import experiments, invented

from shl_utils import runner
from shl_utils.evaluation import results
from shl_utils.evaluation.linear_baseline import LINEAR
from shl_utils.experiments import ablation, claims
from shl_utils.parameters import check
from shl_utils.reporting import plots, tables
from shl_utils.runs import stages

METHOD = "- loss: [bce, sh, sh_focal]\n  segmentation: [none, eta]\n  filter_labels: [none, train, all]\n"
METHOD += "  scoring: [union, oracle_routing]\n"


def value(one):
    """Segments bring 0.02, each filter 0.05, oracle routing 0.2; in segments, sh costs 0.1 and focusing 0.04 more."""
    here = one.parameters
    segmented = here.segmentation == "eta"
    loss = {"sh": -0.1, "sh_focal": -0.14}.get(here.loss, 0) * segmented
    filtered = {"none": 0, "train": 0.05, "all": 0.1}[here.filter_labels]
    return 0.5 + 0.02 * segmented + loss + filtered + 0.2 * (one.scoring == "oracle_routing")


def table_of(found, run, worth=value):
    measured = {one.id: invented(worth(one)) for one in found} | {LINEAR: invented(0.4)}
    table = claims.measure(measured, found, run)
    assert len(table) == 2 * table["claim"].nunique()
    return table


def measure(tmp_path, text, worth=value, **changed):
    """Claim to its gain, NaN where it was not tested, and to what it was measured by."""
    table = table_of(experiments(tmp_path, text, **changed), check(changed), worth)
    table = table[table["metric"] == "micro_f1"].set_index("claim")
    assert (table["gain"].isna() == (table["measured"] == claims.NO_ROWS)).all()
    return table["gain"], table["measured"]


def test_claims_by_hand(tmp_path):
    gain, measured_by = measure(tmp_path, METHOD)
    known = {
        "With beta R1, the whole method beats one BCE model": 0.02 - 0.14 + 0.05,
        "With beta R1, the method without its filter beats one BCE model": 0.02 - 0.14,
        "With beta R1, the whole method beats a linear model": 0.43 - 0.4,
        "With beta R1, the method without its filter beats a linear model": 0.38 - 0.4,
        "Segments beat one model": 0.02 - (0.1 + 0.14) / 3,
        "In segments, the harmonic loss beats BCE": -0.14,
        "In segments, its weights alone beat BCE": -0.1,
        "The filter on training labels helps": 0.05,
        "Filtering the test labels too lifts F1": 0.05,
        "Oracle routing of notes to segments lifts F1": 0.2,
        "With both, the method beats one BCE model": 0.02 - 0.14 + 0.1 + 0.2,
    }
    assert gain.dropna().to_dict() == pytest.approx(known)
    assert measured_by["With beta R1, the whole method beats one BCE model"] == "segments, sh_focal, filter"
    assert measured_by["In segments, its weights alone beat BCE"] == "sh for bce (loss), 2 pairs"


def test_the_order_of_levels_in_a_grid_does_not_matter(tmp_path):
    turned = METHOD.replace("bce, sh, sh_focal", "sh_focal, bce, sh").replace("none, eta", "eta, none")
    turned = turned.replace("none, train, all", "all, train, none")
    turned = turned.replace("union, oracle_routing", "oracle_routing, union")
    assert measure(tmp_path, turned)[0].to_dict() == pytest.approx(measure(tmp_path, METHOD)[0].to_dict(), nan_ok=True)


def test_an_experiment_under_another_beta_speaks_for_that_beta_alone(tmp_path):
    text = "- loss: [sh_focal]\n  filter_labels: [none, train]\n  beta: [R3]\n- filter_labels: [train]\n"
    gain, measured_by = measure(tmp_path, text)
    assert measured_by["With beta R3, the whole method beats one BCE model"] == "segments, sh_focal, filter, beta R3"
    assert gain["With beta R1, the whole method beats one BCE model"] == pytest.approx(-0.07)
    assert np.isnan(gain["The filter on training labels helps"]), "R1 has no experiment without the filter"
    gain, _ = measure(tmp_path, text, beta="R3")
    assert gain["The filter on training labels helps"] == pytest.approx(0.05)
    assert gain["With beta R3, the method without its filter beats one BCE model"] == pytest.approx(-0.12)
    assert np.isnan(gain["With beta R1, the whole method beats one BCE model"])


def test_an_experiment_with_something_else_unlike_the_run_is_not_the_method(tmp_path):
    gain, _ = measure(tmp_path, "- loss: [sh_focal]\n  gamma: [1.0]\n")
    assert gain.isna().all()
    gain, _ = measure(tmp_path, "- loss: [sh_focal]\n  gamma: [1.0]\n", gamma=1.0)
    assert gain["With beta R1, the whole method beats one BCE model"] == pytest.approx(-0.07)


def test_a_run_of_a_loss_that_is_not_the_papers_tests_no_beta(tmp_path):
    gain, _ = measure(tmp_path, METHOD, loss="bce")
    assert gain[[claim.startswith("With beta R") for claim in gain.index]].isna().all()
    assert np.isnan(gain["In segments, the harmonic loss beats BCE"])
    assert gain["In segments, its weights alone beat BCE"] == pytest.approx(-0.1)


def test_extensions_do_not_speak_for_the_paper(tmp_path):
    ours = "- loss: [bce, sh]\n  segmentation: [none, eta]\n  filter_labels: [none]\n  pooling: [attention]\n"
    gain, _ = measure(tmp_path, METHOD + ours, lambda one: value(one) + one.extension * (one.parameters.loss == "sh"))
    assert gain["In segments, its weights alone beat BCE"] == pytest.approx(-0.1)
    assert gain["Segments beat one model"] == pytest.approx(0.02 - (0.1 + 0.14) / 3)


def test_every_claim_is_tested_by_a_grid_of_the_project():
    tested, run = set(), check({"lora_layers": -1, "lora_targets": "attention"})
    for name in ("factorial", "study"):
        table = table_of(ablation.experiments(name, run), run)
        tested |= set(table.loc[table["gain"].notna(), "claim"])
    assert tested == set(table["claim"])
    kinds = table.drop_duplicates("claim").groupby("comparable")["claim"].count()
    assert kinds.to_dict() == {False: 3, True: 12}


FILTER = "The filter on training labels helps"
FOUND = {
    "With beta R1, the whole method beats one BCE model": (-0.1, -0.12, -0.08),
    "Segments beat one model": (0.02, 0.01, 0.03),
    FILTER: (0.005, -0.01, 0.025),
    "In segments, its weights alone beat BCE": (float("nan"),) * 3,
}


def write(folder, *, failed=0):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"claim": claim, "comparable": claim != FILTER, "primary": False, "measured": "a row"} | {"metric": metric}
        for claim in FOUND
        for metric in results.HEADLINE_METRICS
    ]
    ends = pd.DataFrame([FOUND[line["claim"]] for line in lines], columns=["gain", "low", "high"])
    pd.DataFrame(lines).join(ends).to_parquet(folder / "claims.parquet")
    table = {"row": ["one model, bce, no filter", "segments, sh_focal, no filter"], "failed": [0, failed]}
    pd.DataFrame(table).to_parquet(folder / "ablation.parquet")
    return folder


def test_a_verdict_is_where_the_interval_lies(tmp_path):
    found = claims.judge_run(write(tmp_path))
    said = found.groupby(level=0, sort=False)["verdict"].unique().map(list)
    assert said.to_dict() == dict(zip(FOUND, (["loses"], ["gains"], ["inconclusive", "equivalent"], ["not tested"])))


def test_a_claim_on_a_row_whose_p_disagrees_has_a_mark(tmp_path):
    lines = pd.read_parquet(write(tmp_path) / "claims.parquet").set_index("claim")
    rows = pd.DataFrame({"row": ["a row", "another"], "micro_f1_p": 0.2, "macro_f1_present_p": 0.01})
    first = lines.index == next(iter(FOUND))  # it loses, by its interval
    found = claims.judged(lines, rows.assign(micro_f1_gain=-0.1, macro_f1_present_gain=-0.1))
    assert found.loc[first, ["metric", "mark"]].to_numpy().tolist() == [["micro_f1", "†"], ["macro_f1_present", ""]]
    assert not found.loc[~first, "mark"].any(), "their gains are not the row's"
    shown = tables.verdict(found.assign(run="a"))
    assert shown.iloc[0].tolist() == ["loses, -10.0 [-12.0, -8.0] †", "loses, -10.0 [-12.0, -8.0]"]
    assert "†" in tables.verdict_definitions(found)
    assert "†" not in tables.verdict_definitions(found[~first])


@pytest.fixture
def finished(monkeypatch):
    """Every run counts as finished; that in `second` has beta R3."""
    monkeypatch.setattr(
        claims.stages, "finished", lambda folder, _: (check({"beta": "R3" if folder.name == "second" else "R1"}), {})
    )


@pytest.mark.usefixtures("finished")
def test_runs_stand_side_by_side(tmp_path):
    folders = {name: write(tmp_path / name) for name in ("first", "second")}
    lines = claims.judge_runs(folders)
    shown = tables.verdict(lines)
    said = shown[shown["micro"] != "not tested"]
    assert said.index.get_level_values("run").tolist() == ["first (R1)", "second (R3)"] * 3
    whole = shown.loc["With beta R1, the whole method beats one BCE model"]
    assert whole["micro"].tolist() == ["loses, -10.0 [-12.0, -8.0]"] * 2
    assert tables.verdict(lines[:0]).empty
    _, axes = plots.plt.subplots(1, 2)
    drawn = plots.verdict(lines[lines["verdict"] != "not tested"], axes)[0].get_yticklabels()
    assert [label.get_text().replace("\n", " ") for label in drawn] == [*list(FOUND)[:2], f"({FILTER})"], (
        "one that is not comparable"
    )


@pytest.mark.usefixtures("finished")
def test_a_claim_that_no_run_tested_stands_once_and_says_so(tmp_path):
    lines = claims.judge_runs({name: write(tmp_path / name) for name in ("first", "second")})
    shown = tables.verdict(lines).reset_index().groupby("claim", sort=False)
    assert list(shown.groups) == [claim if claim != FILTER else f"({claim})" for claim in FOUND], "in their order"
    weights = shown.get_group("In segments, its weights alone beat BCE")
    assert weights[["run", "micro", "macro"]].to_numpy().tolist() == [["none", "not tested", "not tested"]]


def test_two_runs_of_one_name_are_refused(tmp_path):
    names = [str(tmp_path / "a" / "demo"), str(tmp_path / "b" / "demo")]
    with pytest.raises(ValueError, match="2 runs are called demo: rename the folder of one"):
        claims.run_folders(names)
    assert list(claims.run_folders([names[0], names[0], "other"])) == ["demo", "other"]


def test_experiments_with_failed_trainings_are_named_by_run(tmp_path):
    folders = {"first": write(tmp_path / "first", failed=3), "second": write(tmp_path / "second")}
    found = claims.failed(folders)
    assert found.to_numpy().tolist() == [["first", "segments, sh_focal, no filter", 3]]


def test_a_run_without_an_ablation_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="00_imbalance"):
        claims.judge_runs({"run": write(tmp_path)})


def test_the_data_of_each_run_are_named_by_their_fingerprints(tmp_path):
    stage = stages.begin("00_imbalance", {"run": str(tmp_path / "r")})
    stage.path("x").write_text("x")
    stage.finish("x", fingerprints={"codes": "abc", "labels": "def"})
    assert claims.fingerprints({"r": tmp_path / "r"}) == {"r": {"codes": "abc", "labels": "def"}}


def test_the_study_tests_its_primary_comparison_and_tunes_all_of_its_rows():
    run = runner.read(PROJECT / "params" / "study" / "openi_101.yaml")[1]
    found = ablation.experiments("study", run)
    lines = table_of(found, run, lambda one: 0.5 + 0.01 * found.index(one))
    primary = lines[lines["primary"]]
    assert set(primary["claim"]) == {"With beta R1, the method without its filter beats one BCE model"}
    assert set(primary["measured"]) == {"segments, sh_focal, no filter"}
    assert primary["gain"].notna().all()
    assert {len(one.models) for one in found if one.name in ("one model, bce, no filter", *primary["measured"])} == {3}
    tuned = ablation.experiments("study_tuning", runner.read(PROJECT / "params" / "study" / "tuning.yaml")[1])
    filtered_bce = {"loss": "bce", "filter_labels": "train"}
    like_another = [one.id for one in found if one.levels(filtered_bce) == filtered_bce]
    assert len(like_another) == 2, "they take the rates of the same rows without the filter"
    assert [one.id for one in tuned] == [one.id for one in found if one.id not in like_another]
    other = table_of(found, run.model_copy(update={"loss": "sh"}))
    assert not other["primary"].any(), "another loss than the study's"
