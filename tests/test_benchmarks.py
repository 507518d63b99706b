"""What training costs: two ways measured for real, on few notes."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import PROJECT

from benchmarks import scaling, steps, trainer_baseline, training_cost
from shl_utils import runner
from shl_utils.data import corpus
from shl_utils.encoder import encoder, tokens
from shl_utils.evaluation import cost, disk
from shl_utils.parameters import check
from shl_utils.reporting import cost_tables
from shl_utils.training import jobs, segment_record, variants, worker


@pytest.fixture
def place(small_run, tmp_path):
    source, parameters = small_run
    folder = tmp_path / "measured"
    shutil.copytree(source, folder)
    return folder, parameters.model_copy(update={"run": str(folder), "epochs": 1})


OURS = training_cost.WAYS[3]


@pytest.mark.long
def test_both_ways_see_the_same_notes_and_are_measured_alike(place, monkeypatch):
    folder, parameters = place
    parameters = parameters.model_copy(update={"max_tokens": 16, "chunk_tokens": 16})
    ways = [training_cost.BASE, OURS]
    path = training_cost.bench(folder, parameters, ways, factors=[0.5], seeds=[0])
    found = json.loads(path.read_text())
    assert found["parameters"]["epochs"] == 1
    assert found["matrix_rate"] > 1e9
    theirs, ours = (found["ways"][way.key] for way in ways)
    assert ours["flops"] < theirs["flops"], "the frozen layers run once per note, and forward only"
    lines = [way["trainings"][0] for way in (theirs, ours)]
    assert lines[0]["models"] == lines[1]["models"] > 1
    assert lines[0]["notes_seen"] == lines[1]["notes_seen"] > 400
    for way, line in zip((theirs, ours), lines):
        assert line["seconds"] > 0
        assert line["predict_seconds"] > 0
        assert 50 < line["peak_memory_mb"] < 10_000
        assert 0 < line["validation_ranking"] < 1
        assert line["bytes"] > 4 * way["trainable_parameters"]
    records = segment_record.read_all(folder / "bench" / f"{OURS.key}-0.5-0" / "segments")
    assert ours["trainable_parameters"] == sum(record.trainable_parameters for record in records)
    gain = ours["gain"]
    assert gain["micro_f1"] == pytest.approx(lines[1]["micro_f1"] - lines[0]["micro_f1"])
    assert gain["micro_f1_low"] <= gain["micro_f1"] <= gain["micro_f1_high"]
    shown = float(cost_tables.training(found).loc["ours: segments, top 1", "x segments"])
    assert shown == pytest.approx(lines[1]["seconds"] / lines[0]["seconds"], abs=0.01)
    monkeypatch.setattr(training_cost, "_in_a_process", lambda *_: pytest.fail("this is measured"))
    disk.clean(folder)
    training_cost.bench(folder, parameters, ways, factors=[0.5], seeds=[0])
    assert json.loads(path.read_text())["ways"] == found["ways"]


def test_the_speed_of_steps_is_measured_beside_that_of_matrices(place, monkeypatch):
    folder, parameters = place
    monkeypatch.setattr(steps, "NOTES", 16)
    monkeypatch.setattr(steps, "ROUNDS", 1)
    for layers, first in ((1, {"frozen layers"}), (-1, set())):
        found = json.loads(steps.bench(folder, parameters.model_copy(update={"lora_layers": layers})).read_text())
        assert {line["what"] for line in found["steps"]} == first | {f"steps of {size}" for size in steps.SIZES}
        assert {line["precision"] for line in found["steps"]} >= {"fp32"}
        for line in found["steps"]:
            assert line["notes_per_second"] > 0
            assert 0 < line["share"] < 1.5
            assert line["flops_per_note"] > 1e6
        assert len(cost_tables.steps(found)) == len(found["steps"])
    assert cost_tables.conditions(found).loc["encoder", ""] == parameters.encoder


@pytest.mark.long
def test_a_training_that_stops_says_where_it_is_told_why(place):
    folder, parameters = place
    (folder / "corpus.parquet").write_bytes(b"")
    with pytest.raises(RuntimeError, match=r"ours: segments, top 1 stopped with exit code 1: .*log"):
        training_cost.bench(folder, parameters, [OURS], factors=[0.5], seeds=[0])


@pytest.fixture
def ranked(monkeypatch):
    """Trainings that only say how validation would rank them, by factor; returns (way, factor, seed) of each."""
    trained, ranking = [], {0.5: 0.7, 1.0: 0.9, 2.0: 0.8}

    def measured(_, place, way, parameters, factor, seed):
        own = way.parameters(parameters, factor, seed)
        assert own.training_seed == seed
        assert (own.lr_lora, own.lr_head) == pytest.approx((factor * parameters.lr_lora, factor * parameters.lr_head))
        trained.append((way.name, factor, seed))
        return {"seconds": 1.0, "validation_ranking": ranking[factor]}

    monkeypatch.setattr(training_cost, "_in_a_process", measured)
    monkeypatch.setattr(training_cost, "_operations", lambda *_: {"flops": 1.0, "trainable_parameters": 1})
    return trained


def test_the_learning_rate_is_chosen_on_validation_with_the_files_seed(place, ranked):
    folder, parameters = place
    path = training_cost.bench(folder, parameters, [OURS], factors=[0.5, 1.0, 2.0], seeds=[3, 3, 4])
    assert [line[1:] for line in ranked] == [(0.5, 0), (1.0, 0), (2.0, 0), (1.0, 3), (1.0, 4)]
    training_cost.bench(folder, parameters, [OURS], factors=[0.5], seeds=[5])
    assert ranked[-1][1:] == (1.0, 5), "what was chosen before still stands"
    way = json.loads(path.read_text())["ways"][OURS.key]
    assert way["factor"] == 1.0
    assert cost.at_chosen_rates(way).index.tolist() == [0, 3, 4, 5]


def test_what_was_measured_on_other_notes_is_measured_anew(place, ranked, capsys):
    folder, parameters = place
    for _ in range(2):
        training_cost.bench(folder, parameters, [OURS], factors=[1.0], seeds=[0])
        assert len(ranked) == 1
    table = pd.read_parquet(folder / "codes.parquet")
    table.assign(description=table["description"] + ".").to_parquet(folder / "codes.parquet")
    path = training_cost.bench(folder, parameters, [OURS], factors=[1.0], seeds=[0])
    assert len(ranked) == 2
    assert "measured anew, since these differ: data" in capsys.readouterr().out
    assert path.with_suffix(".old.json").exists()


def test_a_bench_that_cannot_be_is_refused_at_once(place, ranked):
    folder, parameters = place
    with pytest.raises(ValueError, match=r"ours: segments, top 1: lr_head: .* less than or equal to 1"):
        training_cost.bench(folder, parameters, [OURS], factors=[1.0, 100.0], seeds=[0])
    whole = parameters.model_copy(update={"segmentation": "none"})
    with pytest.raises(ValueError, match="set `segmentation: eta`"):
        training_cost.bench(folder, whole, [OURS], factors=[1.0], seeds=[0])
    assert ranked == []


def test_codes_are_cut_into_as_many_segments_as_asked_or_the_next_fewer(place):
    folder, parameters = place
    ways = training_cost.segment_counts(folder, parameters, [1, 2, 3, 100])
    found = [way.segments for way in ways]
    assert found[:2] == [1, 2]
    assert found == sorted(set(found))
    assert found[-1] <= 100
    for way in ways:
        variant = variants.Variant("bench/one", way.parameters(parameters, 1.0, 0))
        variants.write_segments(folder, corpus.read(folder), [variant])
        assert variants.read_segments(folder, variant)["segment"].nunique() == way.segments
    assert ways[0].name == "ours: 1 segment, top 1"
    own = variants.read_segments(folder, variants.main(parameters))["segment"].nunique()
    (same,) = training_cost.segment_counts(folder, parameters, [own])
    assert same.changes["eta"] == parameters.eta


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


def test_trainer_has_our_warm_up_and_batches_of_similar_length(place):
    folder, parameters = place
    parameters = parameters.model_copy(update=training_cost.ALL_LAYERS)
    notes = corpus.read(folder)
    tokenizer, base = encoder.load(parameters.encoder)
    seen = tokens.tokenize(tokenizer, notes.notes["text"], max_tokens=256)
    (plan,) = jobs.plan(folder, [variants.main(parameters)], notes)
    task = worker.task_of(seen, notes, plan, plan.n - 1)
    net = worker.fresh(base, task.prior(), parameters)
    ready = trainer_baseline.trainer(net, task, parameters, tokenizer, folder=folder, precision="fp32")
    assert ready.args.get_warmup_steps(200) == 200 * parameters.warmup_share
    tokens_seen = torch.cat([batch["attention_mask"].flatten() for batch in ready.get_train_dataloader()])
    assert tokens_seen.float().mean() > 0.8, "the rest is padding"
    rows = notes.rows("test")
    torch.nn.init.normal_(net.head.weight)
    with torch.inference_mode():
        alone = np.concatenate([net.eval()(*seen.pad(rows[i : i + 1])).sigmoid().numpy() for i in range(len(rows))])
    assert np.ptp(alone, axis=0).max() > 0.1
    assert trainer_baseline.predict(ready, task, rows) == pytest.approx(alone, abs=1e-4), "each note has its own"


@pytest.mark.long
def test_sizes_are_measured_on_every_step(tmp_path):
    parameters = check(runner.read(PROJECT / "params" / "sizes.yaml")[0] | {"max_tokens": 16, "chunk_tokens": 16})
    found = json.loads(scaling.bench(tmp_path, parameters, [100]).read_text())
    (line,) = found["notes"].values()
    steps = ("load", "00_imbalance", "01_filter", "02_segment", "03_train", "evaluate")
    assert all(line[f"{step} seconds"] > 0 and line[f"{step} peak_memory_mb"] > 100 for step in steps)
    assert 7 < line["csv_mb"] < 10, "100 discharge summaries of 9 kB, 3,800 other notes of 2 kB, titles of all codes"
