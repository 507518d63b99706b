"""Small tables as people have them go through all stages, or stop in the first with a remedy."""

import json
import random

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import shl

from shl_utils.evaluation import filter_audit, label_metrics, results
from shl_utils.experiments import label_check
from shl_utils.parameters import STAGES, check

WORDS = ("swollen ankle", "cough and wheeze", "blurred vision", "broken wrist", "fever with chills", "skin rash")
CODES = ("A10", "B20", "C30", "D40", "E50", "F60")
TINY = {"source": "table", "table": "notes.csv", "private": False, "max_tokens": 16, "chunk_tokens": 16, "epochs": 1}
TINY |= {"min_steps": 0, "grid": "smoke", "bootstrap_draws": 100, "audited_notes": 2, "eta": 2.0}


def notes(n, *, most=3, codes=CODES):
    """Of n people, each with one to `most` codes, in words; the codes as pandas writes a list."""
    rng = random.Random(0)
    rows = []
    for i in range(n):
        own = sorted(rng.sample(range(len(codes)), rng.randint(1, most)))
        said = " ".join(f"There is {WORDS[j]}." for j in own)
        rows.append({"id": f"n{i}", "text": f"Visit {i}. {said}", "codes": [codes[j] for j in own]})
    return rows


def bare():
    """Chinese notes, codes without descriptions that resemble nothing, lists as pandas writes them."""
    return [row | {"text": f"肺尿感染显热 {i}，体高院转。"} for i, row in enumerate(notes(45))], {}


def everything():
    """A published split: all test notes and all training notes have every code, and the test is one note."""
    rows = notes(40, most=2)
    for i, row in enumerate(rows):
        row["split"] = "train" if i < 30 else "validation" if i < 39 else "test"
        row["codes"] = list(CODES) if row["split"] != "validation" else row["codes"]
    return rows, {"filter_labels": "none"}


def alike():
    """A private table of one text, two codes and one segment; codes that differ in their spelling alone."""
    rows = [row | {"text": "The same in all."} for row in notes(40, most=1, codes=("E11.9", "e119"))]
    for i, row in enumerate(rows):
        row["split"] = ("train", "train", "validation", "test")[i % 4]
    return rows, {"private": True, "segmentation": "none", "loss": "bce"}


@pytest.mark.long
@pytest.mark.parametrize(("made", "until"), [(bare, "08_one_note"), (everything, "05_ablate"), (alike, "04_evaluate")])
def test_a_table_goes_through_the_stages(tmp_path, monkeypatch, made, until):
    rows, values = made()
    pd.DataFrame(rows).to_csv(tmp_path / "notes.csv", index=False)
    run = tmp_path / "run"
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(TINY | {"run": str(run)} | values), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = shl("run", "x.yaml", "--until", until)
    assert done.returncode == 0, done.stderr
    facts = json.loads((run / "provenance.json").read_text(encoding="utf-8"))["stages"]
    assert set(facts) == set(STAGES[: STAGES.index(until) + 1])
    left_out = facts["00_imbalance"]["left_out"]
    assert left_out["code without description, described by itself"] == len({c for row in rows for c in row["codes"]})
    if made is alike:
        assert left_out[
            "codes that only spelling tells apart, such as E11.9 and e119: if they are one, write them alike"
        ]


def test_what_the_lesson_expects_is_said_where_data_are_otherwise():
    truth = np.array([[1, 0], [1, 1]])
    assert label_metrics.warn_of_full(label_metrics.trivial_baselines(truth)) == ""
    said = label_metrics.warn_of_full(label_metrics.trivial_baselines(np.ones((3, 2), int)))
    assert "every validation note has every code" in said
    near, far = np.array([0.5, 0.6]), np.array([0.1, 0.2])
    assert filter_audit.warn_of_chance(near, far, check({})) == ""
    assert "Set `filter_labels: none`, or give descriptions" in filter_audit.warn_of_chance(far, near, check({}))
    assert "which is off" in filter_audit.warn_of_chance(far, near, check({"filter_labels": "none"}))


def test_a_filter_that_leaves_a_side_no_label_stops_before_training():
    similarity = pd.DataFrame({"note": [0, 1, 2, 3], "code": [0, 1, 0, 1], "similarity": [0.5, 0.6, 0.1, 0.7]})
    split = np.array(["train", "train", "validation", "test"])
    with pytest.raises(ValueError, match=r"of the run leaves no label in validation: lower `filter_threshold`, or set"):
        label_check.refuse_bare(similarity, split, check({"filter_labels": "all"}))
    with pytest.raises(ValueError, match=r"of row .*, filter on test too leaves no label in validation"):
        label_check.refuse_bare(similarity, split, check({"grid": "factorial"}))
    label_check.refuse_bare(similarity, split, check({}))


def test_an_interval_that_misses_its_estimate_is_said():
    table = pd.DataFrame({"micro_f1": [0.5, 0.9], "micro_f1_low": [0.4, 0.4], "micro_f1_high": [0.6, 0.8]}, ["a", "b"])
    assert "The interval of b does not hold its estimate" in results.warn_of_few(table)
    assert results.warn_of_few(table[:1]) == ""
