"""Where a segment's model starts: descriptions on values worked out by hand, the unified model on real reports."""

import numpy as np
import pytest
from safetensors.torch import load_file
from scipy.special import expit

from shl_utils.data import corpus
from shl_utils.encoder import encoder, feature_cache, frozen_layers
from shl_utils.method.extensions import initialization
from shl_utils.runs import mixed_precision
from shl_utils.training import launch, segment_model, variants
from shl_utils.training.segment_model import create
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


@pytest.fixture
def fresh_run(small_run, tmp_path):
    """A run folder of its own with the same corpus, labels and segments, and its parameters, one epoch long."""
    source, parameters = small_run
    for name in ("corpus.parquet", "codes.parquet", "filter.parquet", "segments.parquet"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    return tmp_path, parameters.model_copy(update={"run": str(tmp_path), "epochs": 1})


@pytest.mark.long
def test_a_segment_starts_as_the_unified_model(fresh_run):
    folder, parameters = fresh_run
    # side by side too, what is started from comes first
    asked = {"initialization": "warm_start", "pooling": "attention", "parallel_models": 2}
    parameters = parameters.model_copy(update=asked)
    notes = corpus.read(folder)
    wanted = variants.compared(parameters)
    variants.write_segments(folder, notes, wanted[1:])
    launch.train(folder, wanted)  # the reference is trained first, though it stands last
    unified = folder / "reference" / "segments" / "0"
    base, seen = feature_cache.FeatureCache(folder, notes.notes["text"]).features(parameters)
    rows = notes.rows("test")
    known, codes = (SegmentRecord.read(place).codes for place in (unified, folder / "segments" / "0"))
    _, top, layers = frozen_layers.split_encoder(base, parameters)
    net = create(top, np.full(len(codes), 0.1), pooling="attention", rank=8, targets="all", layers=layers, name="x")
    initialization.from_unified(net, unified, known, codes)
    asked = {"device": mixed_precision.device(), "dtype": encoder.torch.float32}
    ours = segment_model.predict(net.to(mixed_precision.device()), seen, rows, **asked)
    top = frozen_layers.split_encoder(base, parameters).trainable
    whole = segment_model.predict(segment_model.load(top, unified).to(mixed_precision.device()), seen, rows, **asked)
    assert ours == pytest.approx(whole[:, [known.index(code) for code in codes]], abs=1e-5)
    with pytest.raises(ValueError, match="lacks 1 codes, such as none"):
        initialization.from_unified(net, unified, known, ["none"])


@pytest.mark.long
def test_it_goes_on_at_a_share_of_the_learning_rates(fresh_run):
    folder, parameters = fresh_run
    moved = {}
    for factor in (1e-6, 0.5):
        asked = {"initialization": "warm_start", "warm_start_lr_factor": factor}
        wanted = variants.compared(parameters.model_copy(update=asked))
        variants.write_segments(folder, corpus.read(folder), wanted[1:])
        launch.train(folder, wanted)
        unified, own = folder / "reference" / "segments" / "0", folder / "segments" / "0"
        codes = [SegmentRecord.read(place).codes for place in (unified, own)]
        heads = [load_file(place / "head.safetensors")["weight"] for place in (unified, own)]
        moved[factor] = (heads[1] - heads[0][[codes[0].index(code) for code in codes[1]]]).abs().max().item()
    assert moved[1e-6] < 1e-4 < 1e-2 < moved[0.5]


@pytest.mark.long
def test_description_start_trains(fresh_run):
    folder, parameters = fresh_run
    heads = {}
    notes = corpus.read(folder)
    for start in ("prior", "label_embedding", "label_embedding+warm_start"):
        models = variants.with_origins([variants.main(parameters.model_copy(update={"initialization": start}))])
        variants.write_segments(folder, notes, models[1:])
        launch.train(folder, models)
        heads[start] = (folder / "segments" / "0" / "head.safetensors").read_bytes()
        assert np.isfinite(SegmentRecord.read(folder / "segments" / "0").history[0]["loss"])
    assert len(set(heads.values())) == 3, "the start changed nothing"
    origin = SegmentRecord.read(folder / "origin" / "segments" / "0")
    assert origin.codes == corpus.read(folder).codes["code"].tolist(), "it starts from a model of all codes"
