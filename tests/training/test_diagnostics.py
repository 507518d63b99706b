"""A training that failed is named, and one that went well is not."""

import numpy as np
import pandas as pd
import pytest
from made_up import invented_record
from scipy import sparse

from shl_utils.evaluation import results
from shl_utils.parameters import check
from shl_utils.reporting import tables
from shl_utils.training import diagnostics, loop, variants
from shl_utils.training.sampling import TrainingSet


def trained(losses, reached, *, blind=0.3, segment=0):
    history = [{"epoch": i, "loss": loss, "validation_ap": ap} for i, (loss, ap) in enumerate(zip(losses, reached))]
    return invented_record(segment=segment, history=history, frequency_ap=blind)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (trained([0.9, 0.5], [0.4, 0.6]), ""),
        (trained([0.9, 1.0, 0.8], [0.4, 0.6, 0.6]), ""),
        (trained([0.7, 0.9, 0.8], [0.5, 0.7, 0.7]), diagnostics.NO_FALL),
        (trained([0.7, 0.7], [0.5, 0.7]), diagnostics.NO_FALL),
        (trained([0.7], [0.5]), ""),
        (trained([0.9, 0.5], [0.1, 0.3]), diagnostics.BLIND),
        (trained([0.9, 0.5], [0.1, 0.31]), ""),
        (trained([0.9, 0.5], [None, None], blind=None), ""),
        (trained([0.9, None], [0.4, None]), diagnostics.DIVERGED),
    ],
)
def test_a_training_fails_where_it_diverges_or_the_loss_never_falls_or_frequencies_are_as_good(found, expected):
    assert diagnostics.why(found) == expected


def test_failures_are_found_in_all_segments_of_the_models(tmp_path):
    good, flat = trained([0.9, 0.5], [0.4, 0.6]), trained([0.5, 0.6], [0.4, 0.6])
    for segment, found in ((2, good), (10, trained([0.9, 0.5], [0.1, 0.2], segment=10))):
        found.write(tmp_path / "segments" / str(segment))
    flat.write(tmp_path / variants.REFERENCE / "segments" / "0")
    models = [variants.main(check({})), variants.reference(check({}))]
    found = diagnostics.failed_segments(tmp_path, models)
    assert found.to_numpy().tolist() == [[".", 10, diagnostics.BLIND], [variants.REFERENCE, 0, diagnostics.NO_FALL]]
    assert list(diagnostics.failed_segments(tmp_path / "none", models).columns) == list(found.columns)


def test_frequencies_reach_the_average_precision_of_a_model_that_reads_nothing():
    labels = sparse.csr_array(np.array([[1, 0], [1, 0], [1, 1], [0, 0], [1, 0], [0, 1]], dtype=np.float32))
    # of the training notes 0 to 3, three have code 0 and one has code 1; notes 4 and 5 are validation
    notes = TrainingSet(np.array([0, 1, 2]), np.array([3]), np.ones(6), ratio=1.0)
    task = loop.Task(None, labels, notes, np.array([4, 5]), loss=None, epochs=1, seed=0)
    # both pairs of code 0 rank before both of code 1: precision 1/2 at recall 1/2, then 2/4 at recall 1
    assert task.frequency_ap() == pytest.approx(0.5 * 1 / 2 + 0.5 * 2 / 4)
    silent = loop.Task(None, labels, notes, np.array([3]), loss=None, epochs=1, seed=0)
    assert silent.frequency_ap() is None


def test_the_ablation_counts_the_failures_of_a_row_only_if_there_are_any():
    ends = {f"{f}{end}": 0.5 for f in results.HEADLINE_METRICS for end in ("", "_low", "_high", "_sd", "_p", "_p_holm")}
    ends |= {f"{f}_gain{end}": 0.1 for f in results.HEADLINE_METRICS for end in ("", "_low", "_high")}
    line = ends | {"comparable": True, "seeds": 1, "core_seconds": 1.0, "map": 0.5}
    rows = [
        line | {"row": "base", "reference": True, "failed": 0},
        line | {"row": "other", "reference": False, "failed": 2},
    ]
    table = pd.DataFrame(rows)
    assert tables.ablation(table)["failed trainings"].tolist() == [0, 2]
    assert "failed trainings" in tables.definitions(table, times=100)
    assert "failed trainings" not in tables.ablation(table.assign(failed=0))
    assert "failed trainings" not in tables.definitions(table.assign(failed=0), times=100)
