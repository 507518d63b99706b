"""Progress as lines of a file, which `shl run` draws its bars from."""

import json
import time

import pytest

from shl_utils import progress


@pytest.fixture
def events(tmp_path, monkeypatch):
    path = tmp_path / "progress.jsonl"
    monkeypatch.setenv(progress.VARIABLE, str(path))
    monkeypatch.setattr(progress, "EVERY", 0.01)
    return lambda: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_item_moves_the_bar(events):
    assert list(progress.over("abc", "letters")) == list("abc")
    assert {event["total"] for event in events()} == {3}
    assert [event["done"] for event in events()][-2:] == [3, 3]
    assert events()[-1]["closed"]


def test_a_step_that_knows_its_share_moves_the_bar_as_soon_as_it_does(events):
    shares = iter([-1.0, -1.0, 40.5, 40.5, 30.0])
    with progress.watched(lambda: next(shares, 90.0), "read"):
        while events()[-1]["done"] < 90:
            time.sleep(0.01)
    done = [event["done"] for event in events()]
    assert done == sorted(done)
    assert done[0] == 0
    assert {40, 90} <= set(done)
    assert events()[-1]["closed"]


def test_a_failing_step_closes_its_bar(events):
    with pytest.raises(OSError, match="gone"), progress.watched(lambda: 10.0, "read"):
        raise OSError("gone")
    assert events()[-1]["closed"]
