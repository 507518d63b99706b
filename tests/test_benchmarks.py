"""What training costs: two ways measured for real, on few notes."""

import json
import os
import shutil

import numpy as np
import pytest
from conftest import PROJECT

from benchmarks import scaling, steps, trainer_baseline, training_cost
from shl_utils import runner
from shl_utils.data import corpus
from shl_utils.encoder import encoder, tokens
from shl_utils.parameters import check
from shl_utils.reporting import tables
from shl_utils.training import jobs, segment_record, variants, worker

pytestmark = pytest.mark.slow


@pytest.fixture
def place(small_run, tmp_path):
    source, parameters = small_run
    folder = tmp_path / "measured"
    shutil.copytree(source, folder)
    return folder, parameters.model_copy(update={"run": str(folder), "epochs": 1})


@pytest.fixture
def brief(monkeypatch):
    """Steps on a few notes, once."""
    monkeypatch.setattr(steps, "NOTES", 16)
    monkeypatch.setattr(steps, "ROUNDS", 1)


@pytest.mark.long
def test_both_ways_see_the_same_notes_and_are_measured_alike(place, monkeypatch):
    folder, parameters = place
    ways = [training_cost.WAYS[1], training_cost.WAYS[3]]
    path = training_cost.training(folder, parameters, ways, rates=[0.5], seeds=[0])
    found = json.loads(path.read_text())
    assert found["parameters"]["epochs"] == 1
    assert found["matrix_rate"] > 1e9
    theirs, ours = (found["trainings"][way.name(parameters)][0] for way in ways)
    assert ours["models"] == theirs["models"] > 1
    assert ours["notes_seen"] == theirs["notes_seen"] > 400
    their_work, our_work = (found["operations"][way.name(parameters)] for way in ways)
    assert our_work["flops"] < their_work["flops"], "the frozen layers run once per note, and forward only"
    for way, work in ((ours, our_work), (theirs, their_work)):
        assert way["seconds"] > 0
        assert way["predict_seconds"] > 0
        assert 50 < way["peak_memory_mb"] < 10_000
        assert 0 < way["validation_ranking"] < 1
        assert way["bytes"] > 4 * work["trainable_parameters"]
    trials = {json.loads(path.read_text())["runner"]: path.parent for path in (folder / "bench").glob("*/trial.json")}
    records = segment_record.read_all(trials["ours"] / "segments")
    assert our_work["trainable_parameters"] == sum(record.trainable_parameters for record in records)
    gain = found["gains"]["ours: segments, top 1"]
    assert gain["micro_f1"] == pytest.approx(ours["micro_f1"] - theirs["micro_f1"])
    assert gain["micro_f1_low"] <= gain["micro_f1"] <= gain["micro_f1_high"]
    table = tables.training_cost(found)
    assert float(table.loc["ours: segments, top 1", "x segments"]) == pytest.approx(
        ours["seconds"] / theirs["seconds"], abs=0.01
    )
    monkeypatch.setattr(training_cost, "_in_a_process", lambda *_: pytest.fail("this is measured"))
    training_cost.training(folder, parameters, ways, rates=[0.5], seeds=[0])
    assert json.loads(path.read_text())["trainings"] == found["trainings"]


def test_the_speed_of_steps_is_measured_beside_that_of_matrices(place, brief):
    folder, parameters = place
    lines = json.loads(steps.bench(folder, parameters).read_text())["steps"]
    assert {line["what"] for line in lines} == {"frozen layers", *(f"steps of {size}" for size in steps.SIZES)}
    assert {line["precision"] for line in lines} >= {"fp32"}
    for line in lines:
        assert line["notes_per_second"] > 0
        assert 0 < line["share"] < 1.5
        assert line["flops_per_note"] > 1e6


@pytest.mark.long
def test_a_training_that_stops_says_where_it_is_told_why(place):
    folder, parameters = place
    (folder / "filter.parquet").unlink()
    with pytest.raises(RuntimeError, match=r"ours: segments, top 1 stopped with exit code 1: .*log"):
        training_cost.training(folder, parameters, training_cost.WAYS[3:4], rates=[0.5], seeds=[0])


def test_the_learning_rate_is_chosen_on_validation_with_the_first_seed(place, monkeypatch):
    folder, parameters = place
    trained, ranking = [], {0.5: 0.7, 1.0: 0.9, 2.0: 0.8}

    def measured(_, place, own, way):
        rate = own.lr_lora / parameters.lr_lora
        assert own.lr_head / parameters.lr_head == pytest.approx(rate)
        trained.append((rate, own.training_seed))
        return {"seconds": 1.0, "validation_ranking": ranking[rate]}

    monkeypatch.setattr(training_cost, "_in_a_process", measured)
    monkeypatch.setattr(training_cost, "_operations", lambda *_: {})
    path = training_cost.training(folder, parameters, training_cost.WAYS[3:4], rates=[0.5, 1.0, 2.0], seeds=[3, 4])
    assert trained == [(0.5, 3), (1.0, 3), (2.0, 3), (1.0, 4)]
    assert json.loads(path.read_text())["rates"] == {"ours: segments, top 1": 1.0}


def test_codes_are_cut_into_as_many_segments_as_asked_or_the_next_fewer(place):
    folder, parameters = place
    ways = training_cost.segment_counts(folder, parameters, [1, 2, 3, 100])
    found = [way.segments for way in ways]
    assert found[:2] == [1, 2]
    assert found == sorted(set(found))
    assert found[-1] <= 100
    for way in ways:
        variant = variants.Variant("bench/one", way.parameters(parameters))
        variants.write_segments(folder, corpus.read(folder), [variant])
        assert variants.read_segments(folder, variant)["segment"].nunique() == way.segments
    assert ways[0].name(parameters) == "ours: 1 segment, top 1"


def test_memory_counts_what_a_process_holds():
    assert 50e6 < training_cost._memory(os.getpid()) < 20e9
    assert training_cost._memory(2**22 + 1) == 0, "a process that is gone holds nothing"


def test_trainer_gets_the_notes_of_an_epoch_with_their_weights(place):
    folder, parameters = place
    notes = corpus.read(folder)
    tokenizer, _ = encoder.load(parameters.encoder)
    seen = tokens.tokenize(tokenizer, notes.notes["text"], max_tokens=parameters.max_tokens)
    (plan,) = jobs.plan(folder, [variants.main(parameters)], notes)
    task = worker.task_of(seen, notes, plan, 0)
    rows, weights = task.notes.epoch(np.random.default_rng(0))
    lines = trainer_baseline.examples(task, rows, weights)
    assert [line["weights"] for line in lines] == weights.tolist()
    assert np.array_equal([line["labels"] for line in lines], task.labels[rows].toarray())
    texts = notes.notes["text"].to_numpy()[rows[:3]]
    asked = tokenizer(list(texts), truncation=True, max_length=parameters.max_tokens)["input_ids"]
    assert [line["input_ids"] for line in lines[:3]] == asked


@pytest.mark.long
def test_sizes_are_measured_on_every_step(tmp_path):
    parameters = check(runner.read(PROJECT / "params" / "sizes.yaml")[0] | {"max_tokens": 16, "chunk_tokens": 16})
    found = json.loads(scaling.bench(tmp_path, parameters, [100]).read_text())
    (line,) = found["notes"].values()
    steps = ("load", "00_imbalance", "01_filter", "02_segment", "03_train", "evaluate")
    assert all(line[f"{step} seconds"] > 0 and line[f"{step} peak_memory_mb"] > 100 for step in steps)
    assert 7 < line["csv_mb"] < 10, "100 discharge summaries of 9 kB, 3,800 other notes of 2 kB, titles of all codes"
