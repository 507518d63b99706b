"""Where a segment's head starts: on values worked out by hand, and on real reports."""

import numpy as np
import pytest
from conftest import copy_run
from scipy.special import expit

from shl_utils.method.extensions import initialization
from shl_utils.training import launch, variants
from shl_utils.training.segment_record import SegmentRecord


def test_a_description_head_ranks_by_likeness():
    rng = np.random.default_rng(0)
    descriptions = np.eye(2, 8)
    notes = rng.normal(size=(400, 8))
    labels = (rng.random((400, 2)) < expit(notes[:, :2] * 2 - 2)).astype(float)
    prior = labels.mean(axis=0)
    weight, bias = initialization.description_head(notes, descriptions, labels, prior)
    logits = notes @ weight.T + bias
    assert np.corrcoef(logits[:, 0], notes[:, 0])[0, 1] == pytest.approx(1)
    # in units of the likeness's spread the labels were made with 2; the bias, held at the prior, holds it back
    assert 1.2 < weight[0, 0] * notes[:, 0].std() < 2
    assert logits.mean(axis=0) == pytest.approx(np.log(prior / (1 - prior)), abs=1e-6)


def test_descriptions_that_say_nothing_are_ignored():
    rng = np.random.default_rng(0)
    notes, labels = rng.normal(size=(2000, 8)), (rng.random((2000, 2)) < 0.3).astype(float)
    weight, bias = initialization.description_head(notes, np.eye(2, 8), labels, labels.mean(axis=0))
    assert abs(weight).max() < 0.15
    assert expit(bias) == pytest.approx(labels.mean(axis=0), abs=0.02)


@pytest.mark.long
def test_a_head_starts_from_the_descriptions_or_the_priors(small_run, tmp_path):
    _, parameters = copy_run(small_run, tmp_path)
    heads = set()
    for start in ("prior", "label_embedding"):
        asked = {"run": str(tmp_path), "epochs": 1, "initialization": start}
        launch.train(tmp_path, [variants.main(parameters.model_copy(update=asked))])
        heads.add((tmp_path / "segments" / "0" / "head.safetensors").read_bytes())
        assert np.isfinite(SegmentRecord.read(tmp_path / "segments" / "0").history[0]["loss"])
    assert len(heads) == 2, "the start changed nothing"
