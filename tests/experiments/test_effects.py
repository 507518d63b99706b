"""Effects of the factors of a grid, worked out by hand from metrics that are made up."""

import pytest
from made_up import experiments, invented

from shl_utils.experiments import ablation, effects
from shl_utils.parameters import check
from shl_utils.reporting import tables

BLOCK = "- loss: [bce, sh_focal]\n  segmentation: [none, eta]\n  filter_labels: [none, all]\n"


def test_a_grid_without_the_reference_compares_its_own_levels(tmp_path):
    text = "- segmentation: [eta]\n  loss: [focal, sh_focal]\n  filter_labels: [train]"
    found = experiments(tmp_path, text)
    measured = {one.id: invented(0.5 + 0.1 * i) for i, one in enumerate(found)}
    table = effects.on_average(measured, found)
    assert table.index.tolist() == ["sh_focal for focal (loss)"]
    assert table["micro_f1"].tolist() == pytest.approx([0.1])
    alone = experiments(tmp_path, "- loss: [sh]")
    assert tables.effects(effects.on_average(measured, alone)).empty


def test_blocks_of_other_factors_are_compared_where_only_one_differs(tmp_path):
    """What a block does not vary is as in the run; beta means nothing to BCE."""
    text = "- segmentation: [none, eta]\n  loss: [bce]\n  filter_labels: [none]\n"
    text += "- segmentation: [eta]\n  loss: [sh]\n  filter_labels: [none]\n  beta: [R3]\n"
    text += "- segmentation: [none]\n  loss: [bce]\n  filter_labels: [none]\n  pooling: [attention]\n  eta: [0.5]\n"
    found = experiments(tmp_path, text)
    table = effects.on_average({one.id: invented(f1) for one, f1 in zip(found, (0.5, 0.6, 0.8, 0.9))}, found)
    assert table["pairs"].tolist() == [1, 1, 1]
    expected = {"segments for one model": 0.1, "label attention for mean pooling": 0.4}
    expected["sh with beta R3 for bce (loss)"] = 0.2
    assert table["micro_f1"].to_dict() == pytest.approx(expected)


def test_what_comes_along_with_a_change_is_kept_apart(tmp_path):
    text = "- loss: [bce, sh]\n  beta: [R1, R3]\n"
    text += "  segmentation: [eta]\n  filter_labels: [none]"
    found = experiments(tmp_path, text)
    value = {("bce", "R1"): 0.5, ("bce", "R3"): 0.5, ("sh", "R1"): 0.3, ("sh", "R3"): 0.6}
    worth = {one.id: value[one.parameters.loss, one.parameters.beta] for one in found}
    table = effects.on_average({key: invented(f1) for key, f1 in worth.items()}, found)["micro_f1"]
    assert table["sh for bce (loss)"] == pytest.approx(-0.2)
    assert table["sh with beta R3 for bce (loss)"] == pytest.approx(0.1)
    assert table["R3 for R1 (beta)"] == pytest.approx(0.3)


def test_experiments_without_gradient_clipping_are_compared_with_their_like_alone():
    found = effects.pairs(ablation.experiments("gradient_clipping", check({})), "loss", "bce", "sh")
    assert len(found) == 4
    assert all(a.parameters.max_grad_norm == b.parameters.max_grad_norm for a, b in found)


@pytest.fixture
def factorial(tmp_path):
    """Experiments of a grid whose loss costs 0.1, segments bring 0.02, the filter 0.05, oracle routing 0.2; with the
    filter on them, segments bring 0.06 more."""
    found = experiments(tmp_path, BLOCK + "  scoring: [union, oracle_routing]")

    def value(one):
        loss, segments = one.choices["loss"] == "sh_focal", one.choices["segmentation"] == "eta"
        filtered, routed = one.choices["filter_labels"] == "all", one.choices["scoring"] == "oracle_routing"
        return 0.5 - 0.1 * loss + 0.02 * segments + 0.05 * filtered + 0.2 * routed + 0.06 * (segments and filtered)

    return found, {one.id: invented(value(one)) for one in found}


def test_effects_on_average_by_hand(factorial):
    found, measured = factorial
    table = effects.on_average(measured, found)
    assert table["factor"].tolist() == ["loss", "segmentation", "filter_labels", "scoring"]
    # segments: without the filter alone, since with it labels differ
    assert table["micro_f1"].tolist() == pytest.approx([-0.1, 0.02, 0.05 + 0.06 / 2, 0.2])
    assert table["comparable"].tolist() == [True, True, False, False]
    assert table["pairs"].tolist() == [2, 2, 8, 8]
    # the noise of all is the same, so nothing is left of it in a paired difference
    assert (table["micro_f1_high"] - table["micro_f1_low"]).max() == pytest.approx(0, abs=1e-9)
    assert tables.effects(table).index.tolist() == [
        "sh_focal for bce (loss)",
        "segments for one model",
        "(filter on test too for no filter)",
        "(oracle routing for union (scoring))",
    ]


def test_pairs_that_are_equal_by_construction_say_nothing_of_a_change(tmp_path):
    text = "- loss: [bce, sh]\n  segmentation: [none, eta]\n  filter_labels: [none]\n"
    found = experiments(tmp_path, text)
    value = {("bce", "none"): 0.5, ("sh", "none"): 0.5, ("bce", "eta"): 0.6, ("sh", "eta"): 0.4}
    measured = {one.id: invented(value[one.parameters.loss, one.parameters.segmentation]) for one in found}
    table = effects.on_average(measured, found)
    assert table.loc["sh for bce (loss)", ["pairs", "micro_f1"]].tolist() == pytest.approx([1, -0.2])
    assert len(effects.one_by_one(measured, found)) == 3
    assert effects.interactions(measured, found).empty, "what loss does in one model is known beforehand"
    alike = {one.id: invented(0.5) for one in found}
    assert effects.on_average(alike, found).loc["segments for one model", "pairs"] == 2, "a zero that was measured"


def test_interactions_by_hand(tmp_path):
    """The filter brings 0.05, and 0.08 less with the harmonic loss; segments bring 0.02 whatever the rest."""
    text = "- loss: [bce, sh_focal]\n  segmentation: [none, eta]\n  filter_labels: [none, train]\n"
    found = experiments(tmp_path, text)

    def value(one):
        loss, filtered = one.choices["loss"] == "sh_focal", one.choices["filter_labels"] == "train"
        segments = one.choices["segmentation"] == "eta"
        return 0.5 + 0.05 * filtered - 0.08 * (filtered and loss) + 0.02 * segments + 0.01 * loss

    table = effects.interactions({one.id: invented(value(one)) for one in found}, found)
    assert table["pairs"].tolist() == [2, 2, 2]
    assert table["micro_f1"].to_dict() == pytest.approx(
        {
            "sh_focal for bce (loss) × segments for one model": 0,
            "sh_focal for bce (loss) × filter for no filter": -0.08,
            "segments for one model × filter for no filter": 0,
        }
    )
    assert tables.effects(table)["pairs"].tolist() == [2, 2, 2]


def test_experiments_over_another_by_hand(factorial):
    found, measured = factorial
    table = effects.over(measured | {"linear": invented(0.45)}, found, "linear")
    assert table["micro_f1"].to_dict() == pytest.approx(
        {
            "one model, bce, no filter": 0.05,
            "segments, bce, no filter": 0.07,
            "one model, sh_focal, no filter": -0.05,
            "segments, sh_focal, no filter": -0.03,
        }
    )


def test_one_by_one_names_both_experiments():
    found = ablation.experiments("demo", check({}))
    names = {one.id: one.name for one in found}
    table = effects.one_by_one({one.id: invented(0.5) for one in found}, found)
    assert "segments, bce, filter -> segments, sh_focal, filter" in table.index
    assert (table["before"].map(names) + " -> " + table["after"].map(names)).tolist() == table.index.tolist()


def test_all_tables_are_saved_in_one(factorial):
    found, measured = factorial
    kinds = {"average": effects.on_average(measured, found), "single": effects.one_by_one(measured, found)}
    kinds |= {"over_linear": kinds["single"][:0]}
    kinds |= {"interactions": effects.interactions(measured, found)}
    saved = effects.combine(**kinds)
    assert saved["kind"].value_counts().to_dict() == {"average": 4, "single": 4, "interactions": 1}
    with pytest.raises(ValueError, match="give all of average, interactions, over_linear, single, not average"):
        effects.combine(average=kinds["average"])
