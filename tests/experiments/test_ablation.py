"""The ablation: experiments from a grid file, what they share, and curves over the levels of one factor."""

import itertools
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import PROJECT
from made_up import experiments, invented_plan, invented_record

from shl_utils.experiments import ablation, tuning
from shl_utils.experiments import grid as grids
from shl_utils.experiments.ablation import REFERENCE
from shl_utils.method.losses import LOSSES
from shl_utils.parameters import check, training_parameters
from shl_utils.reporting import training_tables
from shl_utils.runs import parameter_file
from shl_utils.training import variants

PARAMS = PROJECT / "params"
SEEDS = "- loss: [bce, sh]\n  training_seed: [0, 1]\n- loss: [focal]\n  training_seed: "


def names(found):
    return [one.name for one in found]


def test_the_grid_of_the_demo_reuses_what_was_trained_alike():
    found = ablation.experiments("demo", check({}))
    places = {one.name: one.models[0].folder for one in found}
    assert len(places) == len({one.id for one in found}) == 4
    assert places["segments, sh_focal, filter"] == "."
    assert places["one model, bce, no filter"] == "reference"
    assert [one.name for one in found if one.id == REFERENCE] == ["one model, bce, no filter"]
    assert len(ablation.models(found)) == 2


def test_the_factorial_shares_models_between_what_is_only_measured_otherwise():
    found = ablation.experiments("factorial", check({}))
    assert len(found) == 4 * 2 * 3 * 2 + 2, "and two under beta R3"
    assert {len(one.models) for one in found} == {3}
    assert len(ablation.models(found)) == (4 * 2 * 2 + 2) * 3 - 2, "two are the run's own"
    models = {one.name: one.models for one in found}
    assert models["segments, sh, filter on test too"] == models["segments, sh, filter"]
    assert sum(one.comparable for one in found) == 4 * 2 * 2 + 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- los: [bce]", "unknown factor 'los', did you mean 'loss'?"),
        ("- processes: [1, 2]", "unknown factor 'processes'"),
        ("- loss: bce", "expected blocks of"),
        ("- loss: []", "expected blocks of"),
        ("- loss: [dice]", "got 'dice'"),
        ("- scoring: [mine]", "scoring: use one of union, oracle_routing, got 'mine'"),
        ("- max_tokens: [64]", "add `filter_labels: [none]`"),
        ("- lr_lora: [1e-3]", "write 1.0e-5"),
        ("- loss: [bce\n", "not valid YAML"),
        ("- loss: [bce]\n  tune: [0.1]", "expected settings"),
        ("- loss: [bce]\n  tune: [{lr_haed: 0.1}]", "'lr_haed' cannot be tuned, did you mean 'lr_head'?"),
        ("- loss: [bce]\n  tune: [{eta: 0.1}]", "'eta' cannot be tuned"),
        ("- loss: [bce]\n  tune: [{training_seed: 1}]", "'training_seed' cannot be tuned"),
        ("- loss: [bce]\n  tune: [{loss: bce}]", "loss is a factor of the same block"),
        ("- loss: [bce]\n  tune: [{lr_head: 7.0}]", "lr_head"),
        ("- loss: [bce]\n  tuen: [{lr_head: 0.1}]", "unknown factor 'tuen', did you mean 'tune'?"),
        ("- loss: [bce]\n  training_seed: [first]", "grid.yaml: training_seed"),
        # another number of seeds, and other ones, which cannot be paired
        (SEEDS + "[0, 1, 2]", "give all the same training_seed"),
        (SEEDS + "[2, 3]", "give all the same training_seed"),
    ],
)
def test_mistakes_in_a_grid_name_the_file(tmp_path, text, message):
    with pytest.raises(ValueError, match=r"grid\.yaml") as caught:
        experiments(tmp_path, text)
    assert message in str(caught.value)


@pytest.mark.parametrize("path", sorted(grids.FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_grid_of_the_project_can_be_run(path):
    files = sorted(file for file in PARAMS.rglob("*.yaml") if file.parent != grids.FOLDER)
    runs = [check(parameter_file.load(file)) for file in files]
    run = next((run for run in runs if path.stem == run.grid), check({}))
    found = ablation.experiments(path.stem, run)
    assert REFERENCE in [one.id for one in found]
    used = [v for one in tuning.trials(found) or found for v in one.models]
    known: dict[str, tuple] = {}
    for v in used:
        key = v.parameters.model_dump(
            include=(training_parameters(v.parameters) | {"encoder"}) - variants.inactive_parameters(v.parameters)
        )
        key |= v.parameters.model_dump(include={"filter_labels", "segmentation", "eta"})
        assert known.setdefault(v.folder, key) == key, "two models do not share a folder"


@pytest.mark.parametrize(
    "changed",
    [{}, {"initialization": "label_embedding", "loss": "sh"}],
)
@pytest.mark.parametrize("name", ["smoke", "losses", "factorial"])
def test_all_that_an_experiment_predicts_with_is_predicted(name, changed):
    """By `04_evaluate` or for the ablation."""
    parameters = check(changed | {"pooling": "attention"})
    found = [replace(one, options=one.options[:1]) for one in ablation.experiments(name, parameters)]
    used = {v.folder for one in found for v in one.models}
    held = {v.folder for v in (*ablation.models(found), *variants.compared(parameters))}
    assert used <= held


def test_experiments_are_paired_by_seed_whatever_their_order(tmp_path):
    """Blocks that repeat an experiment add their seeds."""
    text = "- loss: [sh]\n  training_seed: [1, 2]\n- loss: [sh, bce]\n  training_seed: [2, 0, 1]"
    for one in experiments(tmp_path, text):
        assert [v.parameters.training_seed for v in one.models] == [0, 1, 2]


def test_extensions_are_told_from_what_is_the_papers(tmp_path):
    text = "- segmentation: [none, eta]\n  filter_labels: [none]\n  undersampling: [prior_correction]\n"
    text += "- scoring: [oracle_routing]\n- pooling: [attention]\n- initialization: [label_embedding]"
    assert [one.name for one in experiments(tmp_path, text) if not one.extension] == [
        "one model, bce, no filter",
        "one model, sh_focal, no filter",
        "segments, sh_focal, filter, oracle routing",
    ]


def test_core_seconds_are_means_over_seeds(tmp_path):
    (_, one) = experiments(tmp_path, "- loss: [sh]\n  filter_labels: [none]\n  training_seed: [0, 1]")
    for seconds, model in zip((10, 20), one.models):
        for segment in ("0", "1"):
            invented_record(seconds=seconds).write(tmp_path / model.folder / "segments" / segment)
    assert ablation.core_seconds(tmp_path, [one]).to_dict() == {one.id: 30}


def test_gradients_are_means_over_epochs_segments_and_seeds(tmp_path):
    (_, one) = experiments(tmp_path, "- loss: [sh]\n  filter_labels: [none]\n  training_seed: [0, 1]")
    diverged = {"epoch": 1, "loss": None, "validation_ap": None}
    for seed, model in enumerate(one.models):
        epoch = {"epoch": 0, "loss": 1.0, "validation_ap": 0.5, "gradient_norm": 1.0 + seed, "clipped": 0.5 * seed}
        for segment in ("0", "1"):
            invented_record(history=[epoch, diverged]).write(tmp_path / model.folder / "segments" / segment)
    found = ablation.gradients(tmp_path, [one])
    assert found.loc[one.id].to_dict() == {"gradient_norm": 1.5, "clipped": 0.25}
    table = found.assign(row="a row")
    assert training_tables.gradients(table).loc["a row"].tolist() == ["1.5", "25%"]


def test_combinations_that_differ_in_nothing_with_an_effect_are_one_experiment(tmp_path):
    """gamma does nothing under bce, and a level may be the run's own."""
    text = "- filter_labels: [none]\n  loss: [bce]\n  gamma: [1.0, 2.0, 3.0]\n  training_seed: [0, 1]"
    _, one = experiments(tmp_path, text)
    assert one.name == "segments, bce, no filter"
    assert [v.parameters.training_seed for v in one.models] == [0, 1]
    found = experiments(tmp_path, "- eta: [0.5]\n- gamma: [2.0]\n- beta: [R1]")
    assert names(found) == ["one model, bce, no filter", "segments, sh_focal, filter"]


def test_settings_that_come_to_the_same_are_tried_once(tmp_path):
    text = "- loss: [bce, sh]\n  tune: [{beta: R1}, {beta: R3}, {gamma: 3.0}, {gamma: 1.0}]"
    _, plain, harmonic = experiments(tmp_path, text)
    assert len(plain.options) == 1
    assert [setting.beta for setting in harmonic.settings] == ["R1", "R3"]


MANY = "- loss: [bce, sh]\n  filter_labels: [none]\n  beta: [R1, R3]\n  negatives_per_positive: [1000.0]\n"
MANY += "  lr_lora: [1.0e-5]\n  filter_threshold: [0.3]\n"
MANY += "  gamma_negative: [2.0]\n  lora_rank: [8]"
COMMON = "negatives_per_positive 1000, lr_lora 1e-05"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "- gamma: [1.0, 3.0]\n  beta: [R2]",
            ["segments, sh_focal, filter, gamma 1, beta R2", "segments, sh_focal, filter, gamma 3, beta R2"],
        ),
        (
            MANY,
            [
                f"segments, bce, no filter, {COMMON}",
                f"segments, sh, no filter, {COMMON}",
                f"segments, sh, no filter, beta R3, {COMMON}",
            ],
        ),
        (
            "- encoder: [/home/me/a/enc, /home/me/b/enc]\n  filter_labels: [none]",
            [
                "segments, sh_focal, no filter, encoder enc (fe07)",
                "segments, sh_focal, no filter, encoder enc (f4e5)",
            ],
        ),
    ],
    ids=["other factors", "without effect", "two folders of one name"],
)
def test_a_name_holds_the_levels_with_an_effect_and_no_path(tmp_path, text, expected):
    reference, *found = experiments(tmp_path, text)
    assert names(found) == expected
    assert (reference.id, reference.name) == (REFERENCE, "one model, bce, no filter")
    assert len({one.id for one in found}) == len(found)


def test_an_id_is_made_of_what_it_is_and_survives_tuning(tmp_path):
    grid = "- loss: [sh]\n  filter_labels: [none]\n  eta: [1.0]"
    (_, one), (_, tuned) = (
        experiments(tmp_path, grid + more) for more in ("", "\n  tune: [{lr_head: 0.01}, {lr_head: 0.04}]")
    )
    assert one.id == tuned.id == experiments(tmp_path, f"- gamma: [3.0]\n{grid}")[2].id
    assert {trial.id for trial in tuning.trials([tuned])} == {tuned.id}


def test_under_oracle_routing_eta_counts_for_one_model_too(tmp_path):
    """It cuts the segments whose notes count, so its experiments differ; they share their model."""
    text = "- segmentation: [none]\n  scoring: [union, oracle_routing]\n  eta: [0.5, 1.0]"
    _, union, *routed = experiments(tmp_path, text)
    assert names(routed) == [
        "one model, sh_focal, filter, oracle routing",
        "one model, sh_focal, filter, oracle routing, eta 1",
    ]
    assert [one.parameters.eta for one in routed] == [0.5, 1.0]
    assert union.models == routed[0].models == routed[1].models


INACTIVE = {
    "gamma": [{"loss": loss} for loss in ("bce", "weighted_bce", "asymmetric", "two_way", "zlpr", "sh")],
    "beta": [{"loss": loss} for loss in LOSSES if loss not in ("sh", "sh_focal")] + [{"segmentation": "none"}],
    "max_positive_weight": [{"loss": loss} for loss in LOSSES if loss != "weighted_bce"],
    "gamma_negative": [{"loss": loss} for loss in LOSSES if loss != "asymmetric"],
    "negative_margin": [{"loss": loss} for loss in LOSSES if loss != "asymmetric"],
    "eta": [{"segmentation": "none"}],
    "filter_by": [{"filter_labels": "none"}],
    "filter_threshold": [{"filter_labels": "none"}],
    "negatives_per_positive": [{"segmentation": "none", "filter_labels": "none"}],
    "undersampling": [{"segmentation": "none", "filter_labels": "none"}],
}


@pytest.mark.parametrize("name", [n for n in grids.VARIED if n not in ("scoring", grids.SEED)])
def test_what_changes_nothing_by_hand(name):
    """For every factor of a grid, and every loss, segmentation and filter: only what INACTIVE says."""
    for loss, segmentation, labels in itertools.product(LOSSES, ("none", "eta"), ("none", "train", "all")):
        given = {"loss": loss, "segmentation": segmentation, "filter_labels": labels}
        expected = any(case.items() <= given.items() for case in INACTIVE.get(name, []))
        assert (name in variants.inactive_parameters(check(given))) == expected, given


@pytest.mark.parametrize("filtered", [False, True], ids=["no filter", "filter"])
@pytest.mark.parametrize("changed", [{"beta": "R2"}, {"beta": "R3"}, {"negatives_per_positive": 0.25}], ids=str)
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
    encoders = ["org/model", "org_model", "C:\\\\models\\\\a?", "/" + "long/" * 80, "mo\u0308del"]
    levels = ", ".join(f'"{name}"' for name in encoders)
    text = f"- encoder: [{levels}]\n  filter_labels: [none]\n  eta: [0.5, 1.0]"
    found = ablation.models(experiments(tmp_path, text))
    assert len(found) == 2 * len(encoders)
    for model in found:
        assert re.fullmatch("ablation/[0-9a-f]{10}", model.folder)
        assert set(model.settings) - {"eta"} == {"encoder", "filter_labels"}


def test_a_folder_is_the_same_in_every_process_and_says_what_it_is(tmp_path):
    """Before it is trained: where training stops, nobody has to guess."""
    (model,) = ablation.models(experiments(tmp_path, "- gamma: [3.0]\n  lora_rank: [2]"))
    assert model.folder == "ablation/68336d3fce"
    with pytest.raises(FileNotFoundError):
        ablation.complete(tmp_path, None, [model])
    assert json.loads((tmp_path / model.folder / "settings.json").read_text()) == {"gamma": 3.0, "lora_rank": 2}


@pytest.mark.parametrize("changed", ["max_tokens: [600]", "lora_layers: [7]", "encoder: [nowhere]"])
def test_what_no_encoder_does_is_said_before_any_training(tmp_path, changed):
    wanted = ablation.models(experiments(tmp_path, f"- filter_labels: [none]\n  {changed}"))
    with pytest.raises((ValueError, FileNotFoundError), match=r"max_tokens is 600|lora_layers is 7|'nowhere'"):
        ablation.complete(tmp_path / "run", None, wanted)
    assert not (tmp_path / "run").exists()


def test_an_initialization_is_named_and_the_reference_stays_plain(tmp_path):
    text = "- segmentation: [none]\n  loss: [bce]\n  filter_labels: [none]"
    plain, described = experiments(tmp_path, text, initialization="label_embedding")
    assert (plain.id, plain.name, plain.models[0].folder) == (REFERENCE, "one model, bce, no filter", "reference")
    assert described.name == "one model, bce, no filter, initialization label_embedding"


def test_one_seed_can_be_paired_with_several(tmp_path):
    text = "- segmentation: [none]\n  loss: [bce]\n  filter_labels: [none]\n"
    text += "- loss: [focal]\n  training_seed: [0, 1, 2]"
    assert [len(one.models) for one in experiments(tmp_path, text)] == [1, 3]
    assert experiments(tmp_path, "- scoring: [union]\n  training_seed: [0, 1000, 1000000]"), "no partner needs a seed"


def test_a_model_that_rows_share_has_the_name_of_the_first(tmp_path):
    """The filter on test labels trains nothing: its row has the models of the row before it."""
    path = tmp_path / "g.yaml"
    path.write_text("- segmentation: [eta]\n  loss: [sh]\n  filter_labels: [train, all]\n", encoding="utf-8")
    names = ablation.model_names(check({"grid": str(path)}))
    assert "segments, sh, filter, seed 0" in names.values()
    assert not [name for name in names.values() if "filter on test too" in name]
    assert names["reference"].startswith("one model, bce, no filter")
