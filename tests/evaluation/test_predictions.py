"""Predictions are kept as long as the models that made them, and no longer."""

import numpy as np
import pandas as pd
import pytest

from shl_utils.data import corpus
from shl_utils.data.corpus import Corpus
from shl_utils.encoder import feature_cache, frozen_layers
from shl_utils.evaluation import predictions
from shl_utils.parameters import check
from shl_utils.training import segment_model, variants

PARAMETERS = check({"max_tokens": 16, "chunk_tokens": 8, "precision": "fp32", "filter_labels": "none"})


@pytest.fixture
def notes(tmp_path):
    splits = ["train", "train", "validation", "validation", "test", "test"]
    names = [str(i) for i in range(len(splits))]
    table = pd.DataFrame({"note": names, "group": names, "split": splits, "text": "clear lungs", "codes": [["a"]] * 6})
    whole = Corpus(table, pd.DataFrame({"code": ["a", "b"], "description": ["a", "b"]}))
    corpus.write(whole, tmp_path)
    return whole


@pytest.fixture
def saved(notes, tmp_path):
    """Save an untrained model of code a for a variant, which says `prior` whatever the note."""
    encoder, _ = feature_cache.FeatureCache(tmp_path, notes.notes["text"]).features(PARAMETERS)

    def save(variant, prior):
        _, top, layers = frozen_layers.split_encoder(encoder, PARAMETERS)
        asked = {"pooling": "mean", "rank": 1, "targets": "attention", "layers": layers, "name": PARAMETERS.encoder}
        fresh = segment_model.create(top, np.array([prior]), **asked)
        fresh.head.weight.data.zero_()
        segment_model.save(fresh, tmp_path / variant.folder / "segments" / "0")

    return save


def test_predictions_are_made_again_for_a_changed_model_and_for_no_other(notes, saved, tmp_path):
    wanted = [variants.main(PARAMETERS), variants.reference(PARAMETERS)]
    variants.write_segments(tmp_path, notes, wanted)
    paths = [tmp_path / v.folder / "predictions.parquet" for v in wanted]
    for variant in wanted:
        saved(variant, 0.2)
    predictions.keep(tmp_path, wanted, notes)
    made = [path.stat().st_mtime_ns for path in paths]
    predictions.keep(tmp_path, wanted, notes)
    assert [path.stat().st_mtime_ns for path in paths] == made, "nothing has changed"
    saved(wanted[1], 0.7)
    predictions.keep(tmp_path, wanted, notes)
    assert paths[0].stat().st_mtime_ns == made[0]
    for variant, prior in zip(wanted, (0.2, 0.7)):
        found = predictions.read_variant(tmp_path, variant, notes)
        assert found.rows.tolist() == [2, 3, 4, 5]
        assert found.probabilities == pytest.approx(np.array([[prior, 0]] * 4), rel=1e-4), "code b has no model"
