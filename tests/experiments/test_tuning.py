"""Settings chosen on validation: from predictions made up so that the right choice is known."""

import dataclasses

import numpy as np
import pytest
from made_up import invented_record

from shl_utils.data import corpus
from shl_utils.evaluation import predictions, results
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


def grid(tmp_path, text=GRID):
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    return str(path)


def test_every_row_tries_every_setting_with_the_first_seed(tmp_path):
    rows = ablation.rows(grid(tmp_path), check({}))
    trials = tuning.trials(rows)
    assert len(trials) == 4 * 3
    models = ablation.models(trials)
    assert len(models) == 2 * 3, "rows that are only scored otherwise share their trials"
    assert {v.parameters.training_seed for v in models} == {0}
    assert sorted(v.parameters.lr_head for v in models) == [0.01, 0.01, 0.02, 0.02, 0.04, 0.04]


def test_what_joint_rows_are_joined_with_has_no_trials(tmp_path):
    stacked = GRID.replace("oracle_routing", "stacked").replace("lr_head: 4.0e-2", "pooling: attention")
    rows = ablation.rows(grid(tmp_path, stacked), check({}))
    assert {v.parameters.training_seed for v in ablation.models(tuning.trials(rows))} == {0}


def test_a_row_cannot_be_measured_before_its_setting_is_chosen(tmp_path):
    rows = ablation.rows(grid(tmp_path), check({}))
    with pytest.raises(ValueError, match="segmented focal, no filter: one of 3 settings is to be chosen first"):
        ablation.models(rows)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tune: [0.1]", "expected settings"),
        ("tune: [{lr_haed: 0.1}]", "'lr_haed' cannot be tuned, did you mean 'lr_head'?"),
        ("tune: [{eta: 0.1}]", "'eta' cannot be tuned"),
        ("tune: [{training_seed: 1}]", "'training_seed' cannot be tuned"),
        ("tune: [{loss: bce}]", "loss is a factor of the same block"),
        ("tune: [{lr_head: 7.0}]", "lr_head"),
        ("tuen: [{lr_head: 0.1}]", "unknown factor 'tuen', did you mean 'tune'?"),
    ],
)
def test_mistakes_name_the_file(tmp_path, line, message):
    with pytest.raises(ValueError, match=r"grid\.yaml") as caught:
        ablation.rows(grid(tmp_path, f"- loss: [bce]\n  {line}"), check({}))
    assert message in str(caught.value)


def test_one_row_with_two_lists_of_settings_is_refused(tmp_path):
    text = "- loss: [bce]\n  tune: [{lr_head: 0.01}]\n- loss: [bce]\n  tune: [{lr_head: 0.02}]"
    with pytest.raises(ValueError, match="two blocks of the grid hold this row"):
        ablation.rows(grid(tmp_path, text), check({}))


@pytest.mark.slow
def test_the_setting_that_ranks_validation_best_is_chosen_whatever_it_does_on_test(small_run, tmp_path):
    source, parameters = small_run
    for name in ("corpus.parquet", "codes.parquet", "filter.parquet"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    notes = corpus.read(tmp_path)
    rows = ablation.rows(grid(tmp_path), parameters)
    for place, seconds in zip(ablation.models(tuning.trials(rows)), range(1, 7)):
        good = place.parameters.lr_head == (0.02 if place.parameters.loss == "focal" else 0.04)
        predictions.write(invented(notes, good), notes, tmp_path / place.folder / "predictions.parquet")
        invented_record(seconds=seconds, threads=2).write(tmp_path / place.folder / "segments" / "0")
    chosen, table = tuning.choose(tmp_path, notes, rows)
    found = {row.name: [v.parameters.lr_head for v in row.trained] for row in chosen}
    assert found[results.BASE] == [parameters.lr_head] * 2
    for scoring in ("", ", oracle routing"):
        assert found["segmented focal, no filter" + scoring] == [0.02, 0.02], "the other seed follows the first"
        assert found["segmented sh_focal, no filter" + scoring] == [0.04, 0.04]
    assert len(table) == 6
    assert table["chosen"].sum() == 2
    assert table.loc[table["chosen"], "figure"].tolist() == [1.0, 1.0]
    assert table["setting"][1] == "gamma 1, lr_head 0.02"
    assert table["core_seconds"].tolist() == [2, 4, 6, 8, 10, 12]
    assert tables.tuning(table)["core seconds"].tolist() == ["12", "30"], "the budget stands beside what it bought"


def invented(notes, good):
    """Right on validation and wrong on test, or the other way round."""
    rows = np.concatenate([notes.rows("validation"), notes.rows("test")])
    right = np.repeat([good, not good], [len(notes.rows("validation")), len(notes.rows("test"))])[:, None]
    truth = notes.labels[rows].toarray() > 0
    return Predictions(rows, np.where(right, truth, ~truth).astype(np.float32), np.zeros(truth.shape[1], dtype=int))


def test_without_anything_to_tune_rows_stay_as_they_are():
    rows = ablation.rows("demo", check({}))
    assert tuning.trials(rows) == []
    chosen, table = tuning.choose(None, None, rows)
    assert chosen == rows
    assert table.empty
    assert dataclasses.asdict(chosen[0])["settings"]
