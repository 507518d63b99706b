"""The rule that says when segments help."""

import json

import pandas as pd
import pytest
from conftest import PROJECT

from shl_utils.evaluation.linear_baseline import LINEAR
from shl_utils.publication import segment_rule


def judged(**lines):
    return pd.DataFrame(lines, index=["share", "verdict"]).T


MADE = {"openi_top20": (0.2, "gains"), "openi": (0.4, "gains"), "openi_depth2": (0.5, "inconclusive")}
MADE |= {"synthetic": (0.8, "loses"), "codiesp": (0.9, "loses")}


@pytest.mark.parametrize(
    ("others", "right", "judgement"),
    [
        ({"reuters": (0.1, "gains"), "x": (0.7, "loses"), "y": (0.9, "equivalent")}, "2 gain or lose, 2", "it holds"),
        ({"reuters": (0.1, "gains"), "x": (0.5, "loses")}, "2 gain or lose, 1", "it does not hold"),
        ({"reuters": (0.1, "gains"), "x": (0.5, "inconclusive")}, "1 gain or lose, 1", "it is not tested"),
    ],
)
def test_the_cut_lies_halfway_and_others_test_it(others, right, judgement):
    text = segment_rule.said(judged(**MADE, **others))
    assert "The cut is at 60% of shared notes" in text
    assert f"Of {len(others)} other corpora {right} of them as the cut says: {judgement}." in text


def test_no_rule_is_made_of_an_overlap_or_of_one_side():
    text = segment_rule.said(judged(**MADE | {"openi_top20": (0.3, "loses")}))
    assert text == "There is no rule: segments gain at up to 40% of shared notes, and lose from 30%."
    text = segment_rule.said(judged(openi=(0.4, "gains"), codiesp=(0.9, "equivalent"), reuters=(0.9, "loses")))
    assert text == "There is no rule: of 2 corpora segments gain on 1 and lose on 0."


def test_every_corpus_has_a_line_with_its_facts_and_gains(published, results_folder):
    (run,) = published["runs"].values()
    rows = run["tables"]["ablation"]
    kept = [next(row for row in rows if row["reference"])]
    kept += [next(row for row in rows if row["comparable"] and not row["reference"]), rows[-1]]
    assert rows[-1]["id"] == LINEAR
    files = sorted((PROJECT / "params" / "corpora").glob("*.yaml"))
    runs = {path.stem: json.loads(json.dumps(run)) for path in files}
    for number, (name, one) in enumerate(runs.items()):
        one["file"], one["tables"]["ablation"] = f"params/corpora/{name}.yaml", kept
        one["described"]["share of shared notes"] = 1 - number / 10
    (results_folder / "small.json").write_text(json.dumps({"runs": {"openi": runs["openi"]}}))
    with pytest.raises(ValueError, match=r"the rule is of all corpora, and codiesp, .* have no results"):
        segment_rule.rule()
    (results_folder / "small.json").write_text(json.dumps({"runs": runs}))
    table = segment_rule.table()
    assert list(table.index) == [path.stem for path in files][::-1], "fewest shared notes first"
    assert table.loc["openi", "rule"] == "made"
    assert table.loc["reuters", "rule"] == "tested"
    assert table["micro gain"].str.startswith(f"{100 * kept[1]['micro_f1_gain']:+.1f} [").all()
    assert segment_rule.rule().startswith("There is no rule")
    runs["openi"]["tables"]["ablation"] = rows
    (results_folder / "small.json").write_text(json.dumps({"runs": runs}))
    with pytest.raises(ValueError, match=r"corpora/openi\.yaml has \d rows beside one model"):
        segment_rule.table()
