"""The cache of features: what fails to load leaves nothing."""

import pytest

from shl_utils.encoder import encoder, feature_cache
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
