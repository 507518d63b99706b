"""Runs side by side."""

import json
import re
import shutil

import pandas as pd
import pytest
from conftest import PROJECT, shl

from shl_utils.evaluation import linear_baseline
from shl_utils.experiments import compare
from shl_utils.parameters import STAGES
from shl_utils.runs import stamps, storage


@pytest.fixture(scope="module")
def other(smoke, tmp_path_factory):
    """The finished run again, with thresholds for each code: its folder, and what the command said."""
    root = tmp_path_factory.mktemp("others")
    shutil.copytree(smoke[0], root / "smoke")
    text = (PROJECT / "params" / "smoke.yaml").read_text()
    (root / "labels.yaml").write_text(re.sub("run: .*", "run: labels\nbased_on: smoke\nthreshold: per_code", text))
    done = shl("run", root / "labels.yaml", "--until", "04_evaluate", SHL_RUNS=str(root))
    assert done.returncode == 0, done.stderr
    return root, done.stdout


@pytest.mark.long
def test_a_run_based_on_another_does_only_what_differs_and_stands_beside_it(other):
    other, said = other
    assert [line for line in said.splitlines() if ": taken over from smoke" in line] == [
        f"{stage}: taken over from smoke" for stage in STAGES[:4]
    ]
    assert "04_evaluate: not taken over from smoke, it was made with threshold = 'global'" in said
    head = "segments/0/head.safetensors"
    assert (other / "labels" / head).read_bytes() == (other / "smoke" / head).read_bytes()
    assert stamps.states(other / "smoke")["08_one_note"].done
    found = compare.compare_runs([other / "smoke", other / "labels"])
    table = found.table.set_index("row")
    names = list(table.index)
    assert names[0] == "segments, sh_focal, filter (smoke)"
    assert f"{linear_baseline.LINEAR} (smoke)" in names
    assert f"{linear_baseline.LINEAR} (labels)" in names
    for run in ("smoke", "labels"):
        models = json.loads((other / run / "metrics.json").read_text())["models"]
        for name, row in models.items():
            for metric in ("micro_f1", "micro_f1_low", "macro_f1_present", "macro_f1_present_high", "map"):
                assert table.loc[f"{name} ({run})", metric] == pytest.approx(row[metric], abs=1e-9)
    gain = found.table["micro_f1"] - found.table["micro_f1"].iloc[0]
    assert found.table["micro_f1_gain"].to_numpy() == pytest.approx(gain.to_numpy())
    assert found.settings.to_dict("index") == {"threshold": {"smoke": "global", "labels": "per_code"}}


def test_runs_that_differ_in_their_seed_alone_are_one_row_and_the_same_models_count_once(smoke, tmp_path):
    for name in ("seed", "again"):
        shutil.copytree(smoke[0], tmp_path / name)
    stamp = tmp_path / "seed" / "stages" / "03_train.json"
    stamp.write_text(stamp.read_text().replace('"training_seed": 0', '"training_seed": 1'))
    found = compare.compare_runs([smoke[0], tmp_path / "again", tmp_path / "seed"])
    assert list(found.table["seeds"]) == [2, 2, 1]
    assert "(smoke, seed)" in found.table["row"].iloc[0]
    assert found.table["micro_f1_sd"].iloc[0] == 0
    cost = found.table.set_index("row")["core_seconds"]
    lines = stamps.read(smoke[0], "03_train")["core_seconds"]
    assert cost.iloc[0] == pytest.approx(lines["."]), "the mean over seeds, as in 05_ablate"
    assert cost.isna().tolist() == [name.startswith(linear_baseline.LINEAR) for name in cost.index]


def changed(smoke, folder, change):
    """A copy of the run with another corpus, which its stamps know."""
    shutil.copytree(smoke[0], folder)
    notes = change(pd.read_parquet(folder / "corpus.parquet"))
    notes.to_parquet(folder / "corpus.parquet", index=False)
    with pytest.raises(ValueError, match=r"corpus.parquet is not as 00_imbalance left it"):
        compare.compare_runs([smoke[0], folder])
    stamp = folder / "stages" / "00_imbalance.json"
    digests = storage.digest(smoke[0] / "corpus.parquet"), storage.digest(folder / "corpus.parquet")
    stamp.write_text(stamp.read_text().replace(*digests))
    return folder


def test_notes_in_another_order_are_paired_all_the_same(smoke, tmp_path):
    other = changed(smoke, tmp_path / "other", lambda notes: notes.iloc[::-1])
    found = compare.compare_runs([smoke[0], other])
    assert list(found.table["seeds"]) == [1, 1, 1]
    other = compare._load(other)
    first = compare._load(smoke[0])
    order = first.corpus.notes["note"].iloc[first.corpus.rows("test")]
    for mine, theirs in zip(compare._models(first, order).values(), compare._models(other, order).values()):
        assert (mine.truth == theirs.truth).all()
        assert (mine.predicted == theirs.predicted).all()


def test_altered_predictions_are_named(smoke, tmp_path):
    shutil.copytree(smoke[0], tmp_path / "altered")
    with (tmp_path / "altered" / "tfidf" / "predictions.parquet").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ValueError, match=r"tfidf/predictions.parquet is not as 04_evaluate left it"):
        compare.compare_runs([smoke[0], tmp_path / "altered"])


def test_other_data_is_refused(smoke, command, tmp_path):
    def swap(notes):
        first, second = (notes.index[notes["split"] == side][0] for side in ("validation", "test"))
        notes.loc[[first, second], "split"] = ["test", "validation"]
        return notes

    other = changed(smoke, tmp_path / "changed", swap)
    done = command("compare", smoke[0], other)
    assert done.returncode == 2
    assert "changed has other notes and split than smoke: no difference can be told" in done.stderr


@pytest.mark.long
def test_the_command_writes_what_it_shows(other, command, tmp_path):
    runs = {"SHL_RUNS": str(other[0])}
    done = command("compare", "smoke", "labels", "--out", tmp_path / "out" / "side", **runs)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "side.md").read_text()
    assert text.splitlines()[2] in done.stdout
    told = json.loads((tmp_path / "out" / "side.json").read_text())
    assert len(told["models"]) == 6
    missing = command("compare", "smoke", "nothing", **runs)
    assert missing.returncode == 2
    assert missing.stderr == "shl: no run nothing; there are: labels, smoke\n"
