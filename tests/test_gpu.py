"""What only a GPU can show: fp16 with gradient scaling for real, and models side by side on one card."""

import shutil

import pytest
import torch

from shl_utils.data import corpus
from shl_utils.evaluation import predictions
from shl_utils.method.score_counts import curve
from shl_utils.runs import mixed_precision
from shl_utils.training import launch, variants, worker
from shl_utils.training.sampling import n_batches

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture
def place(small_run, tmp_path):
    source, parameters = small_run
    folder = tmp_path / "on a card"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("segments", "trunk", "reference"))
    return folder, parameters.model_copy(update={"run": str(folder), "precision": "auto"})


def trained(folder, parameters):
    main = variants.main(parameters)
    launch.train(folder, [main])
    records = variants.read_records(folder, main)
    notes = corpus.read(folder)
    rows = notes.rows("validation")
    found = next(predictions.compute(folder, [main]))
    return records, curve(notes.labels[rows].toarray(), found.select(rows)).average_precision


def test_fp16_learns_what_float32_learns(place):
    folder, parameters = place
    assert mixed_precision.resolve("auto") == "fp16"
    records, half = trained(folder, parameters)
    assert {(record.device, record.precision) for record in records} == {("cuda", "fp16")}
    assert sum(record.skipped_steps for record in records) == 0
    shutil.rmtree(folder / "segments")
    records, full = trained(folder, parameters.model_copy(update={"precision": "fp32"}))
    assert {record.precision for record in records} == {"fp32"}
    assert half == pytest.approx(full, abs=0.02)


def test_steps_that_overflow_are_skipped_counted_and_do_not_move_the_schedule(place, monkeypatch):
    folder, parameters = place
    monkeypatch.setattr(worker, "SCALE", 2.0**36)
    records, _ = trained(folder, parameters.model_copy(update={"epochs": 4}))
    for record in records:
        notes = record.passes_per_epoch * (record.positives + record.negatives_per_pass)
        assert 0 < record.skipped_steps <= 4 * n_batches(notes, size=parameters.batch_size)
    assert any(r.history[-1]["loss"] < r.history[0]["loss"] for r in records), "the later steps were taken"


def test_models_side_by_side_on_one_card_are_those_in_turn(place):
    folder, parameters = place
    one, _ = trained(folder, parameters)
    shutil.rmtree(folder / "segments")
    two, _ = trained(folder, parameters.model_copy(update={"parallel_models": 2}))
    for a, b in zip(one, two, strict=True):
        assert b.history[-1]["loss"] == pytest.approx(a.history[-1]["loss"], rel=2e-2)


def test_more_processes_than_cards_are_refused(place):
    _, parameters = place
    wrong = parameters.model_copy(update={"processes": torch.cuda.device_count() + 1})
    with pytest.raises(ValueError, match="or `parallel_models` for small models side by side on one"):
        mixed_precision.check(wrong)
