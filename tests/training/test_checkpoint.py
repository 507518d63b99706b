"""A training that goes on from where it stood behind an epoch ends as if it had never stopped."""

import numpy as np
import pytest
import torch

from shl_utils.training.checkpoint import TrainingState, trainable_weights


def course(scaler=None):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    net[0].bias.requires_grad_(False)
    groups = [{"params": net[0].weight, "lr": 0.01}, {"params": net[2].parameters(), "lr": 0.1}]
    optimizer = torch.optim.AdamW(groups, fused=scaler is None)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 40)
    return TrainingState(net, optimizer, schedule, np.random.default_rng(0), scaler, trainable_weights(net))


def epoch(at: TrainingState, score: float) -> None:
    for _ in range(10):
        inputs = torch.tensor(at.rng.normal(size=(3, 6)), dtype=torch.float32)
        loss = at.net(inputs).square().mean()
        if at.scaler:
            at.scaler.scale(loss).backward()
            at.scaler.step(at.optimizer)
            at.scaler.update()
        else:
            loss.backward()
            at.optimizer.step()
        at.optimizer.zero_grad()
        at.schedule.step()
    at.add({"loss": loss.item()}, score, trainable_weights(at.net))


SCORES = [0.5, 0.7, float("nan"), 0.6]


@pytest.mark.parametrize("stop", [1, 2, 3])
@pytest.mark.parametrize("scaled", [False, True])
def test_what_goes_on_ends_like_what_never_stopped(tmp_path, stop, scaled):
    make = lambda: course(torch.amp.GradScaler("cpu", growth_interval=7) if scaled else None)  # noqa: E731
    whole, first, rest = make(), make(), make()
    for score in SCORES:
        epoch(whole, score)
    for score in SCORES[:stop]:
        epoch(first, score)
    first.save(tmp_path / "0.epoch", "key", seconds=2.0)
    rest.resume(tmp_path / "0.epoch", "key")
    assert len(rest.history) == stop
    assert rest.seconds == 2.0
    for score in SCORES[stop:]:
        epoch(rest, score)
    assert rest.history == whole.history
    assert (rest.best, rest.best_score) == (whole.best, whole.best_score) == (2, 0.7)
    for name, values in trainable_weights(whole.net).items():
        assert torch.equal(values, trainable_weights(rest.net)[name])
        assert torch.equal(whole.best_weights[name], rest.best_weights[name])
    if scaled:
        assert rest.scaler.get_scale() == whole.scaler.get_scale() > 65536


def test_what_was_made_from_something_else_is_not_gone_on_from(tmp_path):
    first, other = course(), course()
    epoch(first, 0.5)
    first.save(tmp_path / "0.epoch", "key", seconds=1.0)
    other.resume(tmp_path / "0.epoch", "another key")
    other.resume(tmp_path / "1.epoch", "key")
    assert other.history == []
    assert all(torch.equal(v, trainable_weights(course().net)[n]) for n, v in trainable_weights(other.net).items())
