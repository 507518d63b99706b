"""What a plan gives its segments to train on: a corpus of nine notes by hand, seven of them for training."""

import dataclasses
import json

import numpy as np
import pytest
from made_up import invented_plan, invented_record
from scipy import sparse

from shl_utils.method import harmonic_weights
from shl_utils.method.losses import LOSSES
from shl_utils.parameters import check
from shl_utils.reporting import training_tables
from shl_utils.training import variants, worker

# codes a, b in segment 0; c in 1; d in 2; e has no training note
SEGMENTS = np.array([0, 0, 1, 2, -1])
LABELS = sparse.csr_array(
    np.array(
        [
            [0, 0, 0, 0, 1],  # e: for validation
            [1, 0, 0, 0, 0],  # a
            [0, 1, 1, 0, 0],  # b and c
            [0, 0, 1, 0, 0],  # c
            [0, 0, 1, 0, 0],  # c
            [0, 0, 1, 1, 0],  # c and d
            [0, 0, 0, 1, 0],  # d
            [0, 0, 0, 0, 0],  # nothing
            [1, 0, 0, 1, 0],  # a and d: for test
        ]
    )
)
TRAIN = np.arange(1, 8)
# segments 0, 1, 2 and no code at all, of the training notes
SOURCES = np.array(
    [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=bool
)
EDGES = ("minimum", "median", "maximum")


def plan(**settings):
    return invented_plan(LABELS, SEGMENTS, TRAIN, **settings)


@pytest.mark.parametrize("loss", ["sh", "sh_focal"])
@pytest.mark.parametrize("beta", ["R1", "R2", "R3"])
def test_training_notes_weigh_as_beta_says(loss, beta):
    asked = plan(loss=loss, beta=beta)
    for k in range(3):
        notes = asked.training_set(k)
        expected = harmonic_weights.weights(SOURCES, k, beta=beta)
        assert notes.weights[TRAIN].tolist() == pytest.approx(expected.tolist())
        assert notes.positives.tolist() == TRAIN[SOURCES[:, k]].tolist()
        assert notes.negatives.tolist() == TRAIN[~SOURCES[:, k]].tolist()


@pytest.mark.parametrize("loss", [name for name in LOSSES if not name.startswith("sh")])
def test_under_other_losses_all_notes_weigh_the_same(loss):
    weights = plan(loss=loss, beta="R3").training_set(0).weights
    assert weights.tolist() == [1] * LABELS.shape[0]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"loss": "bce"}, {}),
        ({"loss": "sh"}, {"weights": {"minimum": 0.6667, "median": 0.8333, "maximum": 2}}),
        ({"loss": "weighted_bce"}, {"positive": dict.fromkeys(EDGES, 6)}),
        ({"loss": "weighted_bce", "max_positive_weight": 4.0}, {"positive": dict.fromkeys(EDGES, 4)}),
        ({"loss": "class_balanced"}, {"code": dict.fromkeys(EDGES, 1)}),
        ({"loss": "ntr"}, {"bias": dict.fromkeys(EDGES, -0.08959)}),  # -0.05 log 6
        ({"loss": "r_bce"}, {"rarity": dict.fromkeys(EDGES, 1), "offset": 0.9}),
    ],
)
def test_what_a_loss_takes_from_the_training_notes_is_summed_up(asked, expected):
    # segment 0 has two codes of one note each, among seven notes
    assert plan(**asked).derived(0) == expected


def test_a_segment_without_negatives_has_no_weights_to_tell():
    alone = dataclasses.replace(plan(loss="sh"), labels=LABELS[:, :1], segments=SEGMENTS[:1], train=TRAIN[:1])
    assert alone.derived(0) == {}


def test_the_table_of_segments_shows_what_each_loss_took():
    took = {"weights": {"minimum": 0.6667, "median": 0.8333, "maximum": 2.0}, "offset": 0.9}
    table = training_tables.segments([invented_record(derived=took), invented_record(segment=1)])
    assert table["weight of a negative"].tolist() == ["0.667 / 0.833 / 2", ""]
    assert table["offset of R-BCE"].tolist() == ["0.9", ""]
    assert table["codes"].tolist() == [2, 2]
    assert table.index.tolist() == ["0", "1"]
    silent = [{"epoch": 0, "loss": None, "validation_ap": None}]
    alone = training_tables.segments([invented_record(), invented_record(segment=1, history=silent, frequency_ap=None)])
    named = ["validation_ap", "frequency_ap", "a negative stands for", "codes"]
    shown = [*training_tables.TRAINED, *named]
    assert list(alone.columns) == [name.replace("_", " ") for name in shown], "nothing taken"
    assert alone[["validation ap", "frequency ap"]].to_numpy().tolist() == [["0.250", "0.125"], ["", ""]]
    assert alone["a negative stands for"].iloc[0] == "1"


def test_the_table_of_segments_has_a_title_for_all_that_a_loss_can_take():
    taken = {key for name in LOSSES for key in plan(loss=name).derived(0)}
    assert taken == set(training_tables.LABELS)


def test_worker_processes_get_the_variants_that_were_asked_for():
    run, tuned = check({"initialization": "label_embedding", "eta": 0.7}), check({"column_names": {"text": "note"}})
    asked = [variants.main(run), variants.reference(run), variants.Variant("ablation/1", tuned)]
    plain = variants.VARIANTS.dump_python(asked, mode="json")
    assert variants.VARIANTS.validate_python(json.loads(json.dumps(plain))) == asked


def test_processes_share_the_largest_segments_first_and_read_features_once(tmp_path):
    wide, narrow = plan(loss="bce"), plan(loss="bce", max_tokens=64)
    twice = plan(loss="bce", epochs=4)
    due = [(one, k) for one in (wide, narrow, twice) for k in range(3)]
    ordered = worker._largest_first(tmp_path, due)
    assert sorted(map(id, (one for one, _ in ordered))) == sorted(map(id, (one for one, _ in due)))
    of_narrow = [i for i, (one, _) in enumerate(ordered) if one is narrow]
    assert of_narrow == [6, 7, 8], "after all those that read the other features"
    for part in (ordered[:6], ordered[6:]):
        notes = [one.notes_of(k) for one, k in part]
        assert notes == sorted(notes, reverse=True)
