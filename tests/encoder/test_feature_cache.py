"""The cache of features: what fails to load leaves nothing, and states take the disk that they may."""

import pytest
import torch

from shl_utils.encoder import encoder, feature_cache, forward_pass
from shl_utils.parameters import check


def test_after_a_failure_the_features_are_loaded_again(tmp_path, monkeypatch):
    (tmp_path / "corpus.parquet").write_bytes(b"")
    cache = feature_cache.FeatureCache(tmp_path, ["fever", "cough"])
    parameters = check({"max_tokens": 8, "chunk_tokens": 8, "precision": "fp32"})

    def stopped(*_, **__):
        raise RuntimeError("no memory")

    first = cache.features(parameters)[1]
    with monkeypatch.context() as patch:
        patch.setattr(encoder, "load", stopped)
        with pytest.raises(RuntimeError, match="no memory"):
            cache.features(parameters.model_copy(update={"lora_layers": 1}))
    again = cache.features(parameters)[1]
    assert again.flat.equal(first.flat)


@pytest.fixture
def notes(tmp_path):
    (tmp_path / "corpus.parquet").write_bytes(b"")
    return feature_cache.FeatureCache(tmp_path, ["fever and cough", "a calcified nodule"])


@pytest.mark.parametrize(("precision", "kept"), [("fp32", torch.float16), ("bf16", torch.bfloat16)])
def test_states_are_kept_in_16_bits_and_computed_as_asked(notes, precision, kept):
    parameters = check({"precision": precision, "lora_layers": 1})
    model, seen = notes.features(parameters)
    assert seen.flat.dtype == kept
    path = feature_cache.path_of(notes.folder, parameters)
    assert path.stat().st_size < 2 * seen.flat.numel() + 1_000
    whole, tokens = notes.features(check({"precision": precision, "lora_layers": -1}))
    by = {"device": "cpu", "dtype": {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]}
    top = feature_cache.frozen_layers.split_encoder(model, parameters).trainable
    error = forward_pass.embed(top, seen, **by) - forward_pass.embed(whole, tokens, **by)
    assert abs(error).max() < {"fp32": 2e-4, "bf16": 5e-3}[precision]


def test_states_that_need_more_disk_than_they_may_are_not_computed(notes, monkeypatch):
    monkeypatch.setattr(forward_pass, "encode", lambda *_, **__: pytest.fail("time is spent"))
    with pytest.raises(ValueError, match=r"states_gb is 1e-06, but the states .* need 0\.0 GB .* lower max_tokens"):
        notes.features(check({"states_gb": 1e-6}))


def test_states_beyond_16_bits_are_no_silent_infinity(notes, monkeypatch):
    large = forward_pass.hidden_states
    monkeypatch.setattr(forward_pass, "hidden_states", lambda *a: large(*a) * 1e6)
    monkeypatch.setattr(feature_cache.frozen_layers, "_equal_whole", lambda *_: True)
    with pytest.raises(ValueError, match=r"no finite torch\.float16: set `precision: bf16`"):
        notes.features(check({"precision": "fp32"}))
    assert not list((notes.folder / "trunk").glob("*-1.safetensors"))
    notes.features(check({"precision": "bf16"}))
