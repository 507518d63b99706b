"""Settings chosen on validation: from predictions made up so that the right choice is known."""

import numpy as np
import pytest
from conftest import copy_run
from made_up import experiments, invented_record

from shl_utils.data import corpus
from shl_utils.evaluation import predictions
from shl_utils.evaluation.predictions import Predictions
from shl_utils.experiments import ablation, tuning
from shl_utils.parameters import check
from shl_utils.reporting import tables

GRID = """
- segmentation: [eta]
  filter_labels: [none]
  loss: [focal, sh_focal]
  scoring: [union, oracle_routing]
  training_seed: [0, 1]
  tune:
  - {lr_head: 1.0e-2}
  - {lr_head: 2.0e-2, gamma: 1.0}
  - {lr_head: 4.0e-2}
"""


def test_every_experiment_tries_every_setting_with_the_first_seed(tmp_path):
    found = experiments(tmp_path, GRID)
    trials = tuning.trials(found)
    assert len(trials) == 4 * 3
    models = ablation.models(trials)
    assert len(models) == 2 * 3, "those that are only scored otherwise share their trials"
    assert {v.parameters.training_seed for v in models} == {0}
    assert sorted(v.parameters.lr_head for v in models) == [0.01, 0.01, 0.02, 0.02, 0.04, 0.04]


def test_an_experiment_cannot_be_measured_before_its_setting_is_chosen(tmp_path):
    found = experiments(tmp_path, GRID)
    with pytest.raises(ValueError, match="segments, focal, no filter: one of 3 settings is to be chosen first"):
        ablation.models(found)


def test_one_experiment_with_two_lists_of_settings_is_refused(tmp_path):
    text = "- loss: [bce]\n  tune: [{lr_head: 0.01}]\n- loss: [bce]\n  tune: [{lr_head: 0.02}]"
    with pytest.raises(ValueError, match="two blocks of the grid hold this row"):
        experiments(tmp_path, text)


def test_the_setting_that_ranks_validation_best_is_chosen_whatever_it_does_on_test(small_run, tmp_path):
    _, parameters = copy_run(small_run, tmp_path)
    notes = corpus.read(tmp_path)
    found = experiments(tmp_path, GRID, **parameters.model_dump())
    for place, seconds in zip(ablation.models(tuning.trials(found)), range(1, 7)):
        good = place.parameters.lr_head == (0.02 if place.parameters.loss == "focal" else 0.04)
        predictions.write(invented(notes, good), notes, tmp_path / place.folder / "predictions.parquet")
        invented_record(seconds=seconds, threads=2).write(tmp_path / place.folder / "segments" / "0")
    chosen, table = tuning.choose(tmp_path, notes, found)
    rates = {one.name: [v.parameters.lr_head for v in one.models] for one in chosen}
    assert rates["one model, bce, no filter"] == [parameters.lr_head] * 2
    for scoring in ("", ", oracle routing"):
        assert rates["segments, focal, no filter" + scoring] == [0.02, 0.02], "the other seed follows the first"
        assert rates["segments, sh_focal, no filter" + scoring] == [0.04, 0.04]
    assert len(table) == 6
    assert table["chosen"].sum() == 2
    assert table.loc[table["chosen"], "validation_score"].tolist() == [1.0, 1.0]
    assert table["setting"][1] == "gamma 1, lr_head 0.02"
    assert table["core_seconds"].tolist() == [2, 4, 6, 8, 10, 12]
    assert tables.tuning(table)["core seconds"].tolist() == ["12", "30"], "the budget stands beside what it bought"


def invented(notes, good):
    """Right on validation and wrong on test, or the other way round."""
    rows = np.concatenate([notes.rows("validation"), notes.rows("test")])
    right = np.repeat([good, not good], [len(notes.rows("validation")), len(notes.rows("test"))])[:, None]
    truth = notes.labels[rows].toarray() > 0
    return Predictions(rows, np.where(right, truth, ~truth).astype(np.float32), np.zeros(truth.shape[1], dtype=int))


def test_without_anything_to_tune_experiments_stay_as_they_are():
    found = ablation.experiments("demo", check({}))
    assert tuning.trials(found) == []
    chosen, table = tuning.choose(None, None, found)
    assert chosen == found
    assert table.empty
