"""Pages that are filled from files of results."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from conftest import PROJECT
from matplotlib import pyplot as plt

from shl_utils.data import leak_scan
from shl_utils.experiments.ablation import REFERENCE
from shl_utils.parameters import STAGES, Parameters
from shl_utils.publication import code_tables, page_parts, pages, results_file


def test_the_projects_pages_say_what_its_results_say(command):
    done = command("docs", "--check")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}: shl docs fills and draws them"
    filled = [page for page in pages.all_pages() if pages.PLACE.search(page.read_text(encoding="utf-8"))]
    assert PROJECT / "docs" / "cost.md" in filled


def test_a_table_and_a_cell_of_it_are_filled_and_then_stay(results_folder, tmp_path):
    text = (
        "A <!-- bench: steps ; steps of 4 ; notes per second -->?<!-- end --> b.\n\n<!-- bench: steps --><!-- end -->"
    )
    filled = pages.rendered(text, tmp_path / "page.md")
    assert "A <!-- bench: steps ; steps of 4 ; notes per second -->13<!-- end --> b." in filled
    assert "| steps of 4 | fp32 | 13 | 1.00 | 50% |" in filled
    assert pages.rendered(filled, tmp_path / "page.md") == filled


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("benches: steps", "benches.json is missing, did you mean 'bench'"),
        ("all: grid", "no part 'grid', did you mean 'grids'"),
        ("all: grids ; nowhere ; rows", "no 'nowhere'"),
        ("bench: stepps", "no part 'stepps', did you mean 'steps'"),
        ("bench: steps ; steps of 4", "give a row and a column, or neither"),
        ("bench: gains", "'runs'"),
        ("bench: notice ; a ; b", "'runs'"),
        ("bench: steps ; steps of 5 ; notes per second", "no 'steps of 5', did you mean 'steps of 4'"),
        ("bench: steps ; steps of 4 ; note per second", "no 'note per second', did you mean 'notes per second'"),
    ],
)
def test_a_place_that_names_nothing_is_refused_with_its_page(results_folder, tmp_path, place, message):
    with pytest.raises(ValueError, match=rf"page\.md: <!-- .*{message}"):
        pages.rendered(f"A <!-- {place} --><!-- end -->", tmp_path / "page.md")


def test_a_number_does_not_end_its_paragraph(results_folder, tmp_path):
    cell = "<!-- bench: steps ; steps of 4 ; notes per second --><!-- end -->"
    with pytest.raises(ValueError, match=r"page\.md: <!-- bench: .* opens a line: put a word before it"):
        pages.rendered(f"Some\n  {cell} notes.", tmp_path / "page.md")


def test_a_forgotten_end_loses_no_prose(results_folder, tmp_path):
    text = "<!-- bench: steps --> prose <!-- bench: steps --><!-- end -->"
    with pytest.raises(ValueError, match="1 places have no `<!-- end -->`"):
        pages.rendered(text, tmp_path / "page.md")


def test_a_published_file_fills_a_page_and_holds_no_text_of_a_note(smoke, results_folder, published, tmp_path):
    assert leak_scan.find_leaks([results_folder], [smoke[0]]) == []
    assert str(smoke[0].parent) not in (results_folder / "small.json").read_text()
    assert results_file.outdated(published) == []
    table = pd.read_parquet(smoke[0] / "ablation.parquet").set_index("id")
    assert page_parts.ablation(published)["micro_f1"].tolist() == pytest.approx(table["micro_f1"].tolist())
    parts = ("notice", "made with", "primary", "gains", "verdicts", "changes", "tuning")
    parts += ("precision and recall", "seconds", "gradients", "weights", "pairs", "by frequency")
    text = pages.rendered("".join(f"<!-- small: {part} --><!-- end -->" for part in parts), tmp_path / "page.md")
    assert "No run here tested the study's primary comparison." in text
    assert f"| {table.loc[REFERENCE, 'row']} | {100 * table.loc[REFERENCE, 'micro_f1']:.1f} |" in text
    assert "| command | shl run params/smoke.yaml |" in text
    assert "Old" not in text
    assert page_parts.seconds(published).index.tolist() == [*STAGES, "all"]
    assert "No row was tuned." in text
    with pytest.raises(ValueError, match="nothing is published of synthetic"):
        page_parts.published(published)


def test_a_weight_is_the_harmonic_one_times_what_a_drawn_note_stands_for():
    epochs = [{"loss": 1.0, "gradient_norm": 2.0, "clipped": 0.5}, {"loss": None, "gradient_norm": None}]
    segment = {"segment": 0, "codes": 3, "positives": 125, "negatives": 2568, "negatives_per_pass": 125}
    segment |= {"stands_for": 20.544, "history": epochs, "derived": {"weights": {"maximum": 1.603}}}
    line = page_parts.weights({"runs": {"x": {"trained": [segment]}}}).loc["0"]
    assert line["negatives drawn"] == "125 of 2,568"
    assert line["largest weight"] == "32.9", "1.603 x 20.544"
    assert line["clipped"] == "50%"
    diverged = segment | {"negatives": 0, "stands_for": 0.0, "history": epochs[1:]}
    line = page_parts.weights({"runs": {"x": {"trained": [diverged]}}}).loc["0"]
    assert line[["one stands for", "largest weight", "clipped"]].tolist() == ["", "", ""]


def test_results_that_would_come_out_otherwise_today_say_so(published):
    (run,) = published["runs"].values()
    run["parameters"]["warm_start_lr_factor"] = 0.25
    assert results_file.outdated(published) == [], "it is gone, and at this value it changed nothing"
    run["parameters"]["warm_start_lr_factor"] = 0.5
    run["parameters"]["epochs"] += 1
    run["grids"]["grid"] = "another"
    assert results_file.outdated(published) == ["params/smoke: epochs, warm_start_lr_factor, grid"]
    assert page_parts.notice(published).startswith(
        "**Old**: made with other parameters than today's (params/smoke: epochs, warm_start_lr_factor"
    )
    run["file"] = "params/gone.yaml"
    assert results_file.outdated(published) == ["params/smoke: params/gone.yaml is gone"]


def test_a_picture_belongs_to_its_file(results_folder, published, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "picture_of", lambda path: tmp_path / "docs" / f"{path.stem}.svg")
    page, others = tmp_path / "page.md", plt.get_fignums()
    page.write_text("<!-- small: picture --><!-- end -->")
    monkeypatch.setattr(pages, "all_pages", lambda: [page])
    assert pages.old_pictures() == [results_folder / "small.json"]
    pages.draw(results_folder / "small.json")
    assert pages.old_pictures() == []
    assert "](docs/small.svg)" in pages.rendered(page.read_text(), page)
    assert plt.get_fignums() == others
    (results_folder / "small.json").write_text(json.dumps(published))
    assert pages.old_pictures() == [results_folder / "small.json"], "the file has changed"


def test_runs_on_several_splits_are_pooled(published):
    (run,) = published["runs"].values()
    other = json.loads(json.dumps(run))
    other["parameters"]["seed"] += 1
    assert page_parts._test_to_train({"runs": {"a": run}}) == run["notes"]["test"] / run["notes"]["train"] < 1
    for line in other["tables"]["ablation"]:
        line["micro_f1_gain"] = (line["micro_f1_gain"] or 0) + 0.02 * (not line["reference"])
    found = {"runs": {"a": run, "b": other}}
    assert page_parts.conditions(found).loc["splits", ""].startswith("2, seed ")
    one, pooled = page_parts.ablation({"runs": {"a": run}}), page_parts.ablation(found)
    key = one.index[~one["reference"].astype(bool)][-1]
    assert pooled.loc[key, "micro_f1_gain"] == pytest.approx(one.loc[key, "micro_f1_gain"] + 0.01)
    assert len(page_parts.gains(found)) == len(page_parts.gains({"runs": {"a": run}}))
    assert not page_parts.changes(found).empty
    assert not page_parts.pairs(found).empty
    assert not page_parts.verdicts(found).empty
    for part in (run, other):
        next(line for line in part["claims"] if line["primary"])["measured"] = one.loc[key, "row"]
    by_split = page_parts.by_split(found)
    assert list(by_split.index) == [f"split {part['parameters']['seed']}" for part in (run, other)]
    gains = by_split["micro: gain"].str.extract(r"^(\S+) ")[0].astype(float)
    assert gains.diff().iloc[1] == pytest.approx(2, abs=0.11), "one was lifted by 0.02"
    assert by_split.iloc[0]["micro: one BCE model"].startswith(f"{100 * one.loc[REFERENCE, 'micro_f1']:.1f} [")


def test_what_cannot_be_published_is_refused(smoke, results_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("SHL_RUNS", str(smoke[0].parent))
    text = (PROJECT / "params" / "smoke.yaml").read_text()
    (tmp_path / "edited.yaml").write_text(f"{text}\nmin_positives: 9\n")
    with pytest.raises(ValueError, match=r"edited\.yaml was edited after its run \(min_positives\)"):
        results_file.publish("x", [tmp_path / "edited.yaml"])
    (tmp_path / "none.yaml").write_text(text.replace("run: smoke", "run: none"))
    with pytest.raises(FileNotFoundError, match=r"none: 00_imbalance is not run: shl run .*none\.yaml"):
        results_file.publish("x", [tmp_path / "none.yaml"])
    (tmp_path / "grid.yaml").write_text(text.replace("grid: smoke", "grid: demo"))
    with pytest.raises(ValueError, match=r"grid.yaml was edited after its run \(grid\)"):
        results_file.publish("x", [tmp_path / "grid.yaml"])
    (tmp_path / "same.yaml").write_text(text)
    with pytest.raises(ValueError, match="two have the same test notes"):
        results_file.publish("x", [PROJECT / "params" / "smoke.yaml", tmp_path / "same.yaml"])
    with pytest.raises(ValueError, match="x y: use letters"):
        results_file.publish("x y", [PROJECT / "params" / "smoke.yaml"])
    with pytest.raises(ValueError, match="holds what a bench measured"):
        results_file.publish("bench", [PROJECT / "params" / "smoke.yaml"])
    assert list(results_folder.glob("x*")) == []


def test_what_was_published_of_other_files_stays(smoke, results_folder, published, monkeypatch):
    monkeypatch.setenv("SHL_RUNS", str(smoke[0].parent))
    (run,) = published["runs"].values()
    gone = {"seed": 9, **results_file.GONE, "ablation_epochs": 1}  # of a version that had more parameters
    elsewhere = run | {"test_notes": "others", "parameters": run["parameters"] | gone}
    (results_folder / "two.json").write_text(json.dumps({"runs": {"params/z": elsewhere}}))
    monkeypatch.chdir(PROJECT / "params")
    target = results_file.publish("two", [Path("smoke.yaml")])
    found = json.loads(target.read_text())["runs"]
    assert list(found) == ["params/smoke", "params/z"]
    assert found["params/z"] == elsewhere
    (results_folder / "two.json").write_text(json.dumps({"runs": {"params/z": run | {"grids": {}}}}))
    with pytest.raises(ValueError, match=r"take another name, or delete \S*two\.json"):
        results_file.publish("two", [PROJECT / "params" / "smoke.yaml"])


def test_every_parameter_file_and_grid_is_listed_with_what_it_says():
    assert set(code_tables.parameters().index) == set(Parameters.model_fields)
    assert code_tables.parameters().loc["eta", ["notebook", "default"]].tolist() == ["02_segment", "`0.5`"]
    assert len(code_tables.grids()) == len(list((PROJECT / "params" / "grids").glob("*.yaml")))
    for table in (code_tables.grids(), code_tables.runs()):
        assert (table["what"].str.len() > 20).all(), "each begins with a comment"
    assert code_tables.runs().loc["`study/openi_101.yaml`", ["source", "grid"]].tolist() == ["openi", "study"]


def test_splits_whose_rows_have_other_names_are_not_pooled(published, results_folder, tmp_path):
    path = results_folder / "small.json"
    (run,) = published["runs"].values()
    run["tables"]["ablation"][0]["row"] = "unified bce"
    path.write_text(json.dumps(published))
    again = tmp_path / "again.yaml"
    again.write_text((PROJECT / "params" / "smoke.yaml").read_text())
    with pytest.raises(ValueError, match="have other names of rows or claims, by revisions"):
        results_file.publish("small", [again])


def test_a_pooled_gain_can_be_made_by_hand_as_the_page_on_reviewing_says(monkeypatch, capsys):
    (code,) = re.findall(
        r"```python\n(.*?)```", (PROJECT / "docs" / "reviewing.md").read_text(encoding="utf-8"), re.DOTALL
    )
    monkeypatch.chdir(PROJECT)
    exec(code, {})
    mean, half = map(float, capsys.readouterr().out.split())
    found = json.loads((PROJECT / "results" / "openi.json").read_text(encoding="utf-8"))
    row = page_parts.ablation(found).set_index("row").loc["segments, sh_focal, no filter"]
    assert mean == pytest.approx(row["micro_f1_gain"])
    assert half == pytest.approx(row["micro_f1_gain_high"] - row["micro_f1_gain"], rel=1e-6)
