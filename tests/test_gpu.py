"""What only a GPU can show: fp16 with gradient scaling for real, and models side by side on one card."""

import json
import shutil

import pytest
import torch

from shl_utils.data import corpus
from shl_utils.evaluation import predictions
from shl_utils.method.score_counts import curve
from shl_utils.runs import mixed_precision
from shl_utils.training import launch, variants, worker
from shl_utils.training.sampling import n_batches

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]


@pytest.fixture
def place(small_run, tmp_path):
    source, parameters = small_run
    folder = tmp_path / "on a card"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("segments", "trunk", "reference"))
    return folder, parameters.model_copy(update={"run": str(folder), "precision": "auto"})


def trained(folder, parameters):
    main = variants.main(parameters)
    launch.train(folder, [main])
    facts = [json.loads(path.read_text()) for path in sorted((folder / "segments").glob("*/segment.json"))]
    notes = corpus.read(folder)
    rows = notes.rows("validation")
    found = next(predictions.compute(folder, [main]))
    return facts, curve(notes.labels[rows].toarray(), found.select(rows)).average_precision


def test_fp16_learns_what_float32_learns(place):
    folder, parameters = place
    assert mixed_precision.resolve("auto") == "fp16"
    facts, half = trained(folder, parameters)
    assert {(fact["device"], fact["precision"]) for fact in facts} == {("cuda", "fp16")}
    assert sum(fact["skipped_steps"] for fact in facts) == 0
    shutil.rmtree(folder / "segments")
    facts, full = trained(folder, parameters.model_copy(update={"precision": "fp32"}))
    assert {fact["precision"] for fact in facts} == {"fp32"}
    assert half == pytest.approx(full, abs=0.02)


def test_steps_that_overflow_are_skipped_counted_and_do_not_move_the_schedule(place, monkeypatch):
    folder, parameters = place
    monkeypatch.setattr(worker, "SCALE", 2.0**36)
    facts, _ = trained(folder, parameters.model_copy(update={"epochs": 4}))
    for fact in facts:
        notes = fact["passes_per_epoch"] * (fact["positives"] + fact["negatives_per_pass"])
        assert 0 < fact["skipped_steps"] <= 4 * n_batches(notes, size=parameters.batch_size)
    assert any(fact["history"][-1]["loss"] < fact["history"][0]["loss"] for fact in facts), "the later steps were taken"


def test_models_side_by_side_on_one_card_are_those_in_turn(place):
    folder, parameters = place
    one, _ = trained(folder, parameters)
    shutil.rmtree(folder / "segments")
    two, _ = trained(folder, parameters.model_copy(update={"parallel_models": 2}))
    for a, b in zip(one, two, strict=True):
        assert b["history"][-1]["loss"] == pytest.approx(a["history"][-1]["loss"], rel=2e-2)


def test_more_processes_than_cards_are_refused(place):
    _, parameters = place
    wrong = parameters.model_copy(update={"processes": torch.cuda.device_count() + 1})
    with pytest.raises(ValueError, match="or `parallel_models` for small models side by side on one"):
        mixed_precision.check(wrong)
