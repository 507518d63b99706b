"""The ablation: rows from a grid file, what is shared between them, and effects worked out by hand."""

import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
from made_up import invented, invented_plan, invented_record
from scipy import sparse

from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import results
from shl_utils.experiments import ablation, effects, measure, tuning
from shl_utils.experiments import grid as grids
from shl_utils.method import losses
from shl_utils.parameters import check, training_parameters
from shl_utils.reporting import plots, tables
from shl_utils.training import variants

BLOCK = "- loss: [bce, sh_focal]\n  segmentation: [none, eta]\n  filter_labels: [none, all]\n"


def grid(tmp_path, text):
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    return str(path)


def test_the_grid_of_the_demo_reuses_what_was_trained_alike():
    rows = ablation.rows("demo", check({}))
    places = {row.name: row.trained[0].folder for row in rows}
    assert len(places) == 8
    assert places["segmented sh_focal, filter"] == "."
    assert places["unified bce, no filter"] == "reference"
    assert len(ablation.models(rows)) == 6
    assert len(ablation.models(ablation.rows("demo", check({"ablation_epochs": 1})))) == 8


def test_the_factorial_shares_models_between_what_is_only_measured_otherwise():
    rows = ablation.rows("factorial", check({"ablation_epochs": 1}))
    assert len(rows) == 4 * 2 * 3 * 2
    assert {len(row.trained) for row in rows} == {3}
    assert len(ablation.models(rows)) == 4 * 2 * 2 * 3
    by_name = {row.name: row for row in rows}
    assert by_name["segmented sh, filter on test too"].trained == by_name["segmented sh, filter"].trained
    assert sum(row.comparable for row in rows) == 4 * 2 * 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- los: [bce]", "unknown factor 'los', did you mean 'loss'?"),
        ("- processes: [1, 2]", "unknown factor 'processes'"),
        ("- loss: bce", "expected blocks of"),
        ("- loss: []", "expected blocks of"),
        ("- loss: [dice]", "got 'dice'"),
        ("- scoring: [mine]", "scoring: use one of union, oracle_routing, stacked"),
        ("- max_tokens: [64]", "add `filter_labels: [none]`"),
        ("- lr_lora: [1e-3]", "write 1.0e-5"),
        ("- loss: [bce\n", "not valid YAML"),
    ],
)
def test_mistakes_in_a_grid_name_the_file(tmp_path, text, message):
    with pytest.raises(ValueError, match=r"grid\.yaml") as caught:
        ablation.rows(grid(tmp_path, text), check({}))
    assert message in str(caught.value)


def test_a_missing_grid_is_named():
    with pytest.raises(FileNotFoundError, match=r"grids/none_such.yaml is missing"):
        ablation.rows("none_such", check({}))


def test_other_factors_stand_in_the_name(tmp_path):
    rows = ablation.rows(grid(tmp_path, "- gamma: [1.0, 3.0]\n  beta: [R2]"), check({}))
    assert [row.name for row in rows] == [
        results.BASE,
        "segmented sh_focal, filter, gamma 1, beta R2",
        "segmented sh_focal, filter, gamma 3, beta R2",
    ]
    assert [row.trained[0].parameters.gamma for row in rows] == [2.0, 1.0, 3.0]


@pytest.mark.parametrize("path", sorted(grids.FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_grid_of_the_project_can_be_run(path):
    rows = ablation.rows(path.stem, check({}))
    assert results.BASE in [row.name for row in rows]
    used = [v for row in tuning.trials(rows) or rows for v in (*row.trained, *row.partners)]
    known: dict[str, tuple] = {}
    for v in variants.with_origins(used) + used:
        key = v.parameters.model_dump(
            include=training_parameters(v.parameters) | {"encoder"} - variants.inactive_parameters(v.parameters)
        )
        key |= v.parameters.model_dump(include={"filter_labels", "segmentation", "eta"})
        assert known.setdefault(v.folder, key) == key, "two models do not share a folder"


@pytest.mark.parametrize(
    "changed",
    [{}, {"initialization": "label_embedding+warm_start"}, {"initialization": "label_embedding", "loss": "sh"}],
)
@pytest.mark.parametrize("name", ["smoke", "extensions", "sources"])
def test_all_that_a_row_predicts_with_is_predicted(name, changed):
    """By `04_evaluate` or for the ablation."""
    parameters = check(changed | {"pooling": "attention"})
    rows = ablation.rows(name, parameters)
    used = {v.folder for row in rows for v in (*row.trained, *row.partners)}
    held = {v.folder for v in (*ablation.models(rows), *variants.compared(parameters))}
    assert used <= held


def test_rows_are_paired_by_seed_whatever_their_order(tmp_path):
    text = "- loss: [sh]\n  training_seed: [1, 2]\n- loss: [sh, bce]\n  training_seed: [2, 0, 1]"
    for row in ablation.rows(grid(tmp_path, text), check({})):
        assert [v.parameters.training_seed for v in row.trained] == [0, 1, 2]


def test_what_is_ours_is_told_apart(tmp_path):
    text = "- loss: [bce, sh]\n  max_negative_weight: [1.0]\n- scoring: [stacked, oracle_routing]\n"
    text += "- pooling: [attention]\n- initialization: [warm_start]"
    found = {row.name: row.ours for row in ablation.rows(grid(tmp_path, text), check({}))}
    assert [name for name, ours in found.items() if not ours] == [
        results.BASE,
        "segmented bce, filter",
        "segmented sh_focal, filter, oracle routing",
    ]


def test_what_joining_takes_counts_too(tmp_path):
    text = "- loss: [bce, sh]\n  segmentation: [none]\n  filter_labels: [none]\n  scoring: [union, stacked]\n"
    text += "  initialization: [label_embedding]\n  training_seed: [0, 1]"
    rows = ablation.rows(grid(tmp_path, text), check({}))[1:]
    for v in {v.folder: v for row in rows for v in (*row.trained, *row.partners)}.values():
        seconds = 10 if v.parameters.loss == "bce" else 1
        invented_record(seconds=seconds).write(tmp_path / v.folder / "segments" / "0")
    assert ablation.core_seconds(tmp_path, rows).tolist() == [10, 20, 1, 11]


def test_single_factors_are_curves_over_their_levels(tmp_path):
    rows = ablation.rows(grid(tmp_path, "- eta: [0.5, 1.0]\n- gamma: [2.0, 3.0]"), check({}))
    table = pd.DataFrame({"micro_f1": range(len(rows))}, index=[row.name for row in rows])
    curves = measure.one_factor(table, rows)
    assert curves["eta"]["level"].tolist() == [0.5, 1.0]
    assert curves["eta"]["micro_f1"].tolist() == [1, 2], "after the base"
    assert curves["gamma"]["micro_f1"].tolist() == [1, 3], "the run's own level is the same row"
    held = ablation.rows(grid(tmp_path, "- filter_by: [cosine]\n  filter_threshold: [0.2, 0.3]"), check({}))
    assert list(measure.one_factor(pd.DataFrame(index=[row.name for row in held]), held)) == [
        "filter_threshold (filter_by cosine)"
    ]
    bare = ablation.rows(grid(tmp_path, "- training_seed: [0, 1]"), check({}))
    assert measure.one_factor(pd.DataFrame(index=[row.name for row in bare]), bare) == {}, "no factor, no curve"
    assert rows[1].trained[0].folder == ".", "the level that the run itself has is not trained again"


def test_a_curve_runs_in_the_order_of_the_grid_and_leaves_out_what_changes_nothing(tmp_path):
    text = "- eta: [0.1, 0.5, 1.0]\n- gamma: [3.0, 2.0]\n- loss: [bce, sh]\n  beta: [R2, R1]"
    rows = ablation.rows(grid(tmp_path, text), check({}))
    curves = measure.one_factor(pd.DataFrame(index=[row.name for row in rows]), rows)
    assert {name: curve["level"].tolist() for name, curve in curves.items()} == {
        "eta": [0.1, 0.5, 1.0],
        "gamma": [3.0, 2.0],
        "beta (loss sh)": ["R2", "R1"],
    }


def test_levels_of_a_curve_are_drawn_and_told(tmp_path):
    rows = ablation.rows(grid(tmp_path, "- eta: [0.5, 1.0]\n- gamma: [3.0]"), check({}))
    measured = {row.name: invented(0.5 + 0.1 * i) for i, row in enumerate(rows)}
    figure = {"map": 0.5, "comparable": True, "seeds": 1}
    lines = {}
    for name, found in measured.items():
        lines[name] = dict(figure)
        for part in results.HEADLINE_METRICS:
            value = found.points[part]
            lines[name] |= {part: value, f"{part}_low": value - 0.1, f"{part}_high": value + 0.1}
            lines[name] |= {f"{part}_gain{end}": value - 0.5 for end in ("", "_low", "_high")}
    table = pd.DataFrame(lines).T
    curves = measure.one_factor(table, rows)
    shown = tables.sensitivity(measure.together(curves))
    assert shown.index.tolist() == ["eta", "eta", "gamma"]
    assert shown["level"].tolist() == ["0.5", "1", "3"]
    assert shown["micro-F1"].iloc[2] == "80.0 [70.0, 90.0]"
    panels = [ax for ax in plots.sensitivity(curves, table.loc[results.BASE]).axes if ax.get_visible()]
    assert [ax.get_xlabel() for ax in panels] == ["eta", "gamma"]


def test_rows_that_come_to_the_same_are_one(tmp_path):
    """gamma does nothing under bce, and a level may be the run's own."""
    text = "- filter_labels: [none]\n  loss: [bce]\n  gamma: [1.0, 2.0, 3.0]\n  training_seed: [0, 1]"
    _, row = ablation.rows(grid(tmp_path, text), check({}))
    assert row.name == "segmented bce, no filter"
    assert [v.parameters.training_seed for v in row.trained] == [0, 1]
    own = ablation.rows(grid(tmp_path, "- eta: [0.5]\n- gamma: [2.0]\n- beta: [R1]"), check({"ablation_epochs": 1}))
    assert [row.name for row in own] == [results.BASE, "segmented sh_focal, filter"]


def test_settings_that_come_to_the_same_are_tried_once(tmp_path):
    text = "- loss: [bce, sh]\n  tune: [{beta: R1}, {beta: R3}, {gamma: 3.0}, {gamma: 1.0}]"
    _, plain, harmonic = ablation.rows(grid(tmp_path, text), check({}))
    assert len(plain.options) == 1
    assert [setting.beta for setting in harmonic.settings] == ["R1", "R3"]


def test_a_name_says_only_what_counts(tmp_path):
    text = "- loss: [bce, sh]\n  filter_labels: [none]\n  beta: [R1, R3]\n  negatives_per_positive: [1000.0]\n"
    text += "  lr_lora: [1.0e-5]\n  filter_threshold: [0.3]\n  max_negative_weight: [0.0, 2.5]\n"
    text += "  warm_start_lr_factor: [0.1]\n  lora_rank: [8]"
    _, *rows = ablation.rows(grid(tmp_path, text), check({}))
    assert [row.name for row in rows] == [
        "segmented bce, no filter, negatives_per_positive 1000, lr_lora 1e-05",
        "segmented sh, no filter, negatives_per_positive 1000, lr_lora 1e-05",
        "segmented sh, no filter, negatives_per_positive 1000, lr_lora 1e-05, max_negative_weight 2.5",
        "segmented sh, no filter, beta R3, negatives_per_positive 1000, lr_lora 1e-05",
        "segmented sh, no filter, beta R3, negatives_per_positive 1000, lr_lora 1e-05, max_negative_weight 2.5",
    ]


def test_a_name_tells_two_folders_apart_and_holds_no_path(tmp_path):
    text = "- encoder: [/home/me/a/enc, /home/me/b/enc]\n  filter_labels: [none]"
    _, *rows = ablation.rows(grid(tmp_path, text), check({}))
    assert [row.name for row in rows] == [
        "segmented sh_focal, no filter, encoder enc (fe07)",
        "segmented sh_focal, no filter, encoder enc (f4e5)",
    ]


def test_under_oracle_routing_eta_counts_for_one_model_too(tmp_path):
    """It cuts the segments whose notes count, so its rows differ; they share their model."""
    text = "- segmentation: [none]\n  scoring: [union, oracle_routing]\n  eta: [0.5, 1.0]"
    _, union, *own = ablation.rows(grid(tmp_path, text), check({}))
    assert [row.name for row in own] == [
        "unified sh_focal, filter, oracle routing",
        "unified sh_focal, filter, oracle routing, eta 1",
    ]
    assert [row.parameters.eta for row in own] == [0.5, 1.0]
    assert union.trained == own[0].trained == own[1].trained


MOOT = {
    "gamma": [{"loss": loss} for loss in ("bce", "weighted_bce", "asymmetric", "two_way", "zlpr", "sh")],
    "beta": [{"loss": loss} for loss in losses.NAMES if loss not in ("sh", "sh_focal")] + [{"segmentation": "none"}],
    "max_negative_weight": [{"loss": loss} for loss in losses.NAMES if loss not in ("sh", "sh_focal")]
    + [{"segmentation": "none", "filter_labels": "none"}],
    "max_positive_weight": [{"loss": loss} for loss in losses.NAMES if loss != "weighted_bce"],
    "gamma_negative": [{"loss": loss} for loss in losses.NAMES if loss != "asymmetric"],
    "negative_margin": [{"loss": loss} for loss in losses.NAMES if loss != "asymmetric"],
    "warm_start_lr_factor": [{"initialization": "prior"}, {"initialization": "label_embedding"}],
    "eta": [{"segmentation": "none"}],
    "filter_by": [{"filter_labels": "none"}],
    "filter_threshold": [{"filter_labels": "none"}],
    "negatives_per_positive": [{"segmentation": "none", "filter_labels": "none"}],
}


@pytest.mark.parametrize("name", [n for n in grids.VARIED if n not in ("scoring", grids.SEED)])
def test_what_changes_nothing_by_hand(name):
    """For every factor of a grid, and every loss, segmentation, filter and initialization: moot where MOOT says so."""
    for loss, segmentation, labels, initialization in itertools.product(
        losses.NAMES,
        ("none", "eta"),
        ("none", "train", "all"),
        ("prior", "label_embedding", "warm_start", "label_embedding+warm_start"),
    ):
        asked = {"loss": loss, "segmentation": segmentation, "filter_labels": labels}
        asked |= {"initialization": initialization}
        expected = any(case.items() <= asked.items() for case in MOOT.get(name, []))
        assert (name in variants.inactive_parameters(check(asked))) == expected, asked


@pytest.mark.parametrize("filtered", [False, True], ids=["no filter", "filter"])
@pytest.mark.parametrize(
    "changed", [{"beta": "R2"}, {"beta": "R3"}, {"max_negative_weight": 0.3}, {"negatives_per_positive": 0.25}], ids=str
)
def test_what_changes_nothing_in_one_model_gives_the_same_notes_and_weights(changed, filtered):
    """Readings agree where one segment leaves one source of negatives; without a filter there are none at all."""
    labels = np.tile(np.eye(4, dtype=np.float32), (3, 1))
    labels[::3] *= not filtered

    def drawn(**settings):
        plan = invented_plan(labels, np.zeros(4, dtype=int), np.arange(12), loss="sh", min_steps=0, **settings)
        return [part.tolist() for part in plan.training_set(0).epoch(np.random.default_rng(0))]

    assert (drawn() == drawn(**changed)) == (not filtered or "beta" in changed)


def test_folders_are_ids_whatever_the_values_hold(tmp_path):
    """Two that differ anywhere have two folders, a value of any length or script is no part of a name."""
    names = ["org/model", "org_model", "C:\\\\models\\\\a?", "/" + "long/" * 80, "mo\u0308del"]
    levels = ", ".join(f'"{name}"' for name in names)
    rows = ablation.rows(
        grid(tmp_path, f"- encoder: [{levels}]\n  filter_labels: [none]\n  eta: [0.5, 1.0]"), check({})
    )
    found = ablation.models(rows)
    assert len(found) == 2 * len(names)
    for model in found:
        assert re.fullmatch("ablation/[0-9a-f]{10}", model.folder)
        assert set(model.settings) - {"eta"} == {"encoder", "filter_labels"}


def test_a_folder_is_the_same_in_every_process_and_says_what_it_is(tmp_path):
    """Before it is trained: where training stops, nobody has to guess."""
    (model,) = ablation.models(ablation.rows(grid(tmp_path, "- gamma: [3.0]\n  lora_rank: [2]"), check({})))
    assert model.folder == "ablation/68336d3fce"
    with pytest.raises(FileNotFoundError):
        ablation.complete(tmp_path, None, [model])
    assert json.loads((tmp_path / model.folder / "settings.json").read_text()) == {"gamma": 3.0, "lora_rank": 2}


@pytest.mark.parametrize("changed", ["max_tokens: [600]", "lora_layers: [7]", "encoder: [nowhere]"])
def test_what_no_encoder_does_is_said_before_any_row_is_trained(tmp_path, changed):
    wanted = ablation.models(ablation.rows(grid(tmp_path, f"- filter_labels: [none]\n  {changed}"), check({})))
    with pytest.raises((ValueError, FileNotFoundError), match=r"max_tokens is 600|lora_layers is 7|'nowhere'"):
        ablation.complete(tmp_path / "run", None, wanted)
    assert not (tmp_path / "run").exists()


def test_blocks_that_repeat_a_row_add_their_seeds(tmp_path):
    text = "- loss: [sh]\n  training_seed: [0, 1]\n- loss: [sh]\n  training_seed: [1, 2]"
    base, row = ablation.rows(grid(tmp_path, text), check({}))
    assert [v.parameters.training_seed for v in row.trained] == [0, 1, 2]
    assert [v.parameters.training_seed for v in base.trained] == [0, 1, 2]


def test_a_start_of_ours_is_named_and_the_base_stays_plain(tmp_path):
    asked = check({"initialization": "warm_start"})
    rows = ablation.rows(grid(tmp_path, "- segmentation: [none]\n  loss: [bce]\n  filter_labels: [none]"), asked)
    assert [row.name for row in rows] == [results.BASE, results.BASE + ", initialization warm_start"]
    assert rows[0].trained[0].folder == "reference"
    assert rows[1].trained[0].origin.folder == "reference"


def test_what_a_row_starts_from_is_like_it_and_trained_too(tmp_path):
    text = "- lora_rank: [2]\n  initialization: [warm_start, label_embedding+warm_start]\n  training_seed: [0, 1]"
    _, *rows = ablation.rows(grid(tmp_path, text), check({}))
    for row, initialization in zip(rows, ("prior", "label_embedding")):
        for seed, model in enumerate(row.trained):
            asked = model.origin.parameters
            assert (asked.loss, asked.segmentation, asked.filter_labels) == ("bce", "none", "none")
            assert asked.initialization == initialization
            assert (asked.lora_rank, asked.training_seed) == (2, seed)
            assert model.origin.folder in {found.folder for found in ablation.models(rows)}


def test_a_row_is_joined_with_a_unified_model_of_a_seed_of_its_own(tmp_path):
    text = "- loss: [bce, sh]\n  segmentation: [none]\n  filter_labels: [none]\n  scoring: [stacked]\n"
    text += "  initialization: [label_embedding]\n  training_seed: [0, 1, 2]"
    _, plain, other = rows = ablation.rows(grid(tmp_path, text), check({}))
    like = [v.parameters.model_copy(update={"training_seed": 0}) for v in plain.partners]
    assert like == [plain.trained[0].parameters] * 3
    assert other.partners == plain.partners
    used = [v.folder for row in rows for v in row.trained]
    assert not {v.folder for v in plain.partners} & set(used)
    assert {v.folder for v in plain.partners} <= {v.folder for v in ablation.models([other])}


@pytest.mark.parametrize("more", ["[0, 1, 2]", "[2, 3]"], ids=["another number", "other ones"])
def test_seeds_that_cannot_be_paired_are_refused_before_they_are_trained(tmp_path, more):
    text = f"- loss: [bce, sh]\n  training_seed: [0, 1]\n- loss: [focal]\n  training_seed: {more}"
    with pytest.raises(ValueError, match=r"grid.yaml: .* seeds and .*: give all the same training_seed"):
        ablation.rows(grid(tmp_path, text), check({}))


def test_one_seed_can_be_paired_with_several(tmp_path):
    text = "- segmentation: [none]\n  loss: [bce]\n  filter_labels: [none]\n"
    text += "- loss: [focal]\n  training_seed: [0, 1, 2]"
    assert [len(row.trained) for row in ablation.rows(grid(tmp_path, text), check({}))] == [1, 3]


@pytest.mark.parametrize("seeds", ["1000000", "0, 1000"], ids=["too high", "its own partner"])
def test_seeds_that_leave_none_for_a_partner_are_refused_at_once(tmp_path, seeds):
    text = f"- scoring: [{{}}]\n  training_seed: [{seeds}]"
    ablation.rows(grid(tmp_path, text.format("union")), check({}))
    with pytest.raises(ValueError, match="training_seed"):
        ablation.rows(grid(tmp_path, text.format("stacked")), check({}))


def test_a_seed_that_is_no_number_names_the_file(tmp_path):
    with pytest.raises(ValueError, match=r"grid\.yaml: training_seed"):
        ablation.rows(grid(tmp_path, "- scoring: [stacked]\n  training_seed: [first]"), check({}))


def test_a_grid_without_the_base_compares_its_own_levels(tmp_path):
    text = "- segmentation: [eta]\n  loss: [focal, sh_focal]\n  filter_labels: [train]"
    rows = ablation.rows(grid(tmp_path, text), check({}))
    measured = {row.name: invented(0.5 + 0.1 * i) for i, row in enumerate(rows)}
    table = effects.on_average(measured, rows)
    assert table.index.tolist() == ["sh_focal for focal (loss)"]
    assert table["micro_f1"].tolist() == pytest.approx([0.1])
    alone = ablation.rows(grid(tmp_path, "- loss: [sh]"), check({}))
    assert tables.effects(effects.on_average(measured, alone)).empty


def test_blocks_of_other_factors_are_compared_where_only_one_differs(tmp_path):
    """What a block does not vary is as in the run; a cap means nothing to BCE."""
    text = "- segmentation: [none, eta]\n  loss: [bce]\n  filter_labels: [none]\n"
    text += "- segmentation: [eta]\n  loss: [sh]\n  filter_labels: [none]\n  max_negative_weight: [1.0]\n"
    text += "- segmentation: [none]\n  loss: [bce]\n  filter_labels: [none]\n  pooling: [attention]\n  eta: [0.5]\n"
    rows = ablation.rows(grid(tmp_path, text), check({}))
    values = {"unified": 0.5, "segmented bce": 0.6, "segmented sh": 0.8, "pooling": 0.9}
    measured = {row.name: invented(next(v for part, v in reversed(values.items()) if part in row.name)) for row in rows}
    table = effects.on_average(measured, rows)
    assert table["pairs"].tolist() == [1, 1, 1]
    found = {"eta for none (segmentation)": 0.1, "attention for mean (pooling)": 0.4}
    found["sh with max_negative_weight 1 for bce (loss)"] = 0.2
    assert table["micro_f1"].to_dict() == pytest.approx(found)


def test_what_comes_along_with_a_change_is_kept_apart(tmp_path):
    text = "- loss: [bce, sh]\n  max_negative_weight: [0.0, 1.0]\n  scoring: [union, stacked]\n"
    text += "  segmentation: [eta]\n  filter_labels: [none]"
    rows = ablation.rows(grid(tmp_path, text), check({}))
    value = {("bce", 0.0): 0.5, ("bce", 1.0): 0.5, ("sh", 0.0): 0.3, ("sh", 1.0): 0.6}
    worth = {row.name: value[row.parameters.loss, row.parameters.max_negative_weight] for row in rows}
    measured = {row.name: invented(worth[row.name] + 0.01 * (row.scoring == "stacked")) for row in rows}
    table = effects.on_average(measured, rows)["micro_f1"]
    assert table["sh for bce (loss)"] == pytest.approx(-0.2)
    assert table["sh with max_negative_weight 1 for bce (loss)"] == pytest.approx(0.1)
    assert table["stacked for union (scoring)"] == pytest.approx(0.01), "never capped against not"
    assert table["1 for 0 (max_negative_weight)"] == pytest.approx(0.3)


def test_rows_without_a_cut_of_the_gradients_are_compared_with_their_like_alone():
    found = effects.pairs(ablation.rows("gradient_clipping", check({})), "loss", "bce", "sh")
    assert len(found) == 4
    assert all(a.parameters.max_grad_norm == b.parameters.max_grad_norm for a, b in found)


def test_seeds_widen_the_interval_as_far_as_they_differ():
    truth = np.eye(40, dtype=np.int8)
    good, bad = truth.copy(), np.zeros_like(truth)
    found = results.measured_on(truth, [good, good, bad], check({"bootstrap_draws": 4000}))
    # the mean of 1, 1, 0 has variance s^2 / 3 with s^2 = 1/3
    assert found.samples["micro_f1"].std() == pytest.approx(1 / 3, rel=0.1)


@pytest.fixture
def factorial(tmp_path):
    """Rows of a grid whose loss costs 0.1, segments bring 0.02, the filter 0.05, oracle routing 0.2; with the filter on
    them, segments bring 0.06 more."""
    rows = ablation.rows(grid(tmp_path, BLOCK + "  scoring: [union, oracle_routing]"), check({}))

    def value(row):
        loss, segments = row.choices["loss"] == "sh_focal", row.choices["segmentation"] == "eta"
        filtered, own = row.choices["filter_labels"] == "all", row.choices["scoring"] == "oracle_routing"
        return 0.5 - 0.1 * loss + 0.02 * segments + 0.05 * filtered + 0.2 * own + 0.06 * (segments and filtered)

    return rows, {row.name: invented(value(row)) for row in rows}


def test_effects_on_average_by_hand(factorial):
    rows, measured = factorial
    table = effects.on_average(measured, rows)
    assert table.loc["sh_focal for bce (loss)", "micro_f1"] == pytest.approx(-0.1)
    assert table.loc["eta for none (segmentation)", "micro_f1"] == pytest.approx(0.02), "comparable rows have no filter"
    assert table.loc["(all for none (filter_labels))", "micro_f1"] == pytest.approx(0.05 + 0.06 / 2)
    assert table["pairs"].tolist() == [2, 2, 8, 8]
    # the rows' noise is the same, so nothing is left of it in a paired difference
    assert (table["micro_f1_high"] - table["micro_f1_low"]).max() == pytest.approx(0, abs=1e-9)


def test_shares_by_hand_add_up_to_the_gain(factorial):
    rows, measured = factorial
    parts = effects.shares(measured, rows, loss="sh_focal")["micro_f1"]
    assert parts["loss: sh_focal"] == pytest.approx(-0.1)
    assert parts["scoring: oracle routing"] == pytest.approx(0.2)
    assert parts["segmentation: eta"] == pytest.approx(0.02 + 0.03), "an interaction is shared half and half"
    assert parts["filter_labels: all"] == pytest.approx(0.05 + 0.03)
    assert parts["all together"] == pytest.approx(0.23) == parts.iloc[:-1].sum()


def test_shares_need_all_rows_between(factorial):
    rows, measured = factorial
    assert effects.shares(measured, rows[:-1], loss="sh_focal").empty
    assert effects.shares(measured, ablation.rows("demo", check({})), loss="sh_focal").empty


def test_rows_over_another_by_hand(factorial):
    rows, measured = factorial
    table = effects.over(measured | {"linear": invented(0.45)}, rows, "linear")
    assert table["micro_f1"].to_dict() == pytest.approx(
        {
            "unified bce, no filter": 0.05,
            "segmented bce, no filter": 0.07,
            "unified sh_focal, no filter": -0.05,
            "segmented sh_focal, no filter": -0.03,
        }
    )


def test_one_by_one_names_both_rows(tmp_path):
    rows = ablation.rows("demo", check({}))
    table = effects.one_by_one({row.name: invented(0.5) for row in rows}, rows)
    assert "segmented bce, filter -> segmented sh_focal, filter" in table.index


def test_own_notes_are_those_with_a_code_of_the_segment():
    # counts 4, 4, 1: codes 0 and 1 are one segment, code 2 another
    labels = [["a", "b"], ["a", "b"], ["a", "b"], ["a", "b", "c"]]
    notes = pd.DataFrame({"note": list("1234"), "group": list("1234"), "split": "train", "text": "", "codes": labels})
    corpus = Corpus(notes, pd.DataFrame({"code": list("abc"), "description": list("abc")}))
    mask = measure.oracle_mask(corpus, corpus.labels, check({}), rows=np.arange(4))
    assert mask.tolist() == [[True, True, False]] * 3 + [[True, True, True]]
    gold = sparse.csr_array(np.array([[0, 1, 0], [1, 1, 0], [1, 1, 0], [1, 0, 1]], dtype=np.float32))
    assert measure.oracle_mask(corpus, gold, check({}), rows=np.array([0]))[0].tolist() == [True, True, False]


def test_tables_are_readable():
    line = {"comparable": True, "core_seconds": 12.4, "map": 0.55, "failed": 0}
    for figure in results.HEADLINE_METRICS:
        line |= {figure: 0.5, f"{figure}_low": 0.4, f"{figure}_high": 0.61, f"{figure}_sd": 0.012, f"{figure}_p": 0.03}
        line |= {f"{figure}_gain": -0.1, f"{figure}_gain_low": -0.2, f"{figure}_gain_high": 0.05}
    base = line | {f"{figure}_p": np.nan for figure in results.HEADLINE_METRICS} | {"micro_f1_sd": np.nan}
    shown = tables.ablation(pd.DataFrame({results.BASE: base, "other": line | {"comparable": False}}).T.infer_objects())
    assert shown.loc["(other)", "micro-F1"] == "50.0 [40.0, 61.0] ±1.2"
    assert shown.loc["(other)", "micro gain"] == "-10.0 [-20.0, +5.0] p 0.030"
    assert shown.loc[results.BASE, ["micro-F1", "micro gain", "core seconds"]].tolist() == [
        "50.0 [40.0, 61.0]",
        "",
        "12",
    ]
