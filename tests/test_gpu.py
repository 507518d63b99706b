"""What only a GPU can show: fp16 with gradient scaling for real, and models side by side on one card."""

import json
import shutil

import numpy as np
import pytest
import torch

from shl_utils import corpus, launch, plans, precision, predictions, training, variants, worker
from shl_utils import features as prepared
from shl_utils.curves import curve

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
    return facts, curve(notes.labels[rows].toarray(), found.of(rows)).average_precision


def test_fp16_learns_what_float32_learns(place):
    folder, parameters = place
    assert precision.resolve("auto") == "fp16"
    facts, half = trained(folder, parameters)
    assert {(fact["device"], fact["precision"]) for fact in facts} == {("cuda", "fp16")}
    assert all(fact["best_epoch"] is not None for fact in facts)
    shutil.rmtree(folder / "segments")
    facts, full = trained(folder, parameters.model_copy(update={"precision": "fp32"}))
    assert {fact["precision"] for fact in facts} == {"fp32"}
    assert half == pytest.approx(full, abs=0.03)


def test_the_scale_of_the_gradient_is_at_work_and_skipped_steps_do_not_move_the_schedule(place):
    folder, parameters = place
    notes, main = corpus.read(folder), variants.main(parameters)
    base, seen = prepared.Prepared(folder, notes.notes["text"]).of(parameters)
    plan = next(plans.of(folder, [main], notes))
    task = worker.task_of(seen, notes, plan, plan.n - 1)
    accelerator = worker.accelerator_for("fp16", world=1)
    accelerator.scaler._init_scale = 2.0**36  # the first steps overflow
    net = worker.fresh(base, task.prior(), parameters).to(accelerator.device)
    optimizer = training.optimizer_of(net, parameters, fused=False)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    model, optimizer = accelerator.prepare(net, optimizer)
    before = {name: p.detach().clone() for name, p in net.named_parameters() if p.requires_grad}
    steps = -(-task.notes.size // parameters.batch_size)
    rng = np.random.default_rng(0)
    training._epoch(model, task, parameters, accelerator, optimizer, schedule, rng, lambda n: None)
    assert accelerator.scaler.get_scale() < 2.0**36
    assert 0 < schedule.last_epoch < steps, "some steps were skipped, not all"
    after = {name: p for name, p in net.named_parameters() if p.requires_grad}
    assert all(p.isfinite().all() for p in after.values())
    assert any(not torch.equal(p, before[name]) for name, p in after.items())


def test_models_side_by_side_on_one_card_are_those_in_turn(place):
    folder, parameters = place
    one, _ = trained(folder, parameters)
    shutil.rmtree(folder / "segments")
    two, _ = trained(folder, parameters.model_copy(update={"at_once": 2}))
    for a, b in zip(one, two, strict=True):
        assert b["history"][-1]["loss"] == pytest.approx(a["history"][-1]["loss"], rel=2e-2)


def test_more_processes_than_cards_are_refused(place):
    _, parameters = place
    wrong = parameters.model_copy(update={"processes": torch.cuda.device_count() + 1})
    with pytest.raises(ValueError, match="or `at_once` for small models side by side on one"):
        precision.check(wrong)
