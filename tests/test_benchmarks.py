"""What training costs: two ways measured for real, on few notes."""

import json
import os
import shutil

import numpy as np
import pytest
from conftest import PROJECT

from benchmarks import scaling, trainer_baseline, training_cost
from shl_utils import runner
from shl_utils.data import corpus
from shl_utils.encoder import encoder, tokens
from shl_utils.parameters import check
from shl_utils.training import jobs, segment_record, variants, worker

pytestmark = pytest.mark.slow


@pytest.fixture
def place(small_run, tmp_path):
    source, parameters = small_run
    folder = tmp_path / "measured"
    shutil.copytree(source, folder)
    return folder, parameters.model_copy(update={"run": str(folder), "epochs": 1})


@pytest.mark.long
def test_both_ways_see_the_same_notes_and_are_measured_alike(place):
    folder, parameters = place
    path = training_cost.training(folder, parameters, rate=0.5, only=(1, 6))
    found = json.loads(path.read_text())
    assert found["parameters"]["epochs"] == 1
    assert found["matrix"]["fp32"] > 1e9
    theirs, ours = found["ways"]["Trainer: segments, all layers"], found["ways"]["ours: segments, top 1"]
    assert ours["models"] == theirs["models"] > 1
    assert ours["notes_seen"] == theirs["notes_seen"] > 400
    assert ours["flops"] < theirs["flops"], "the frozen layers run once per note, and forward only"
    for way in (ours, theirs):
        assert way["seconds"] > 0
        assert way["predict_seconds"] > 0
        assert 50 < way["peak_memory_mb"] < 10_000
        assert 0 < way["validation_ranking"] < 1
        assert way["bytes"] > 4 * way["trainable_parameters"]
    records = segment_record.read_all(folder / "bench" / "6" / "segments")
    assert ours["trainable_parameters"] == sum(record.trainable_parameters for record in records)


@pytest.mark.long
def test_a_way_that_stops_says_where_it_is_told_why(place):
    folder, parameters = place
    (folder / "filter.parquet").unlink()
    with pytest.raises(RuntimeError, match=r"ours: segments, top 1 stopped with exit code 1: .*log"):
        training_cost.training(folder, parameters, rate=0.5, only=(6,))


def test_a_way_or_a_rate_that_is_none_is_refused(place):
    folder, parameters = place
    for wrong in ({"rate": 0.5, "only": [7]}, {"rate": 0.0}):
        with pytest.raises(ValueError, match="ways are numbered 0 to 6, a rate is above 0"):
            training_cost.training(folder, parameters, **wrong)


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
