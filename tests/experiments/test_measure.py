"""An ablation's metrics, from predictions made up so that they can be worked out beside it."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_up import experiments
from sklearn.metrics import average_precision_score, f1_score

from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import label_metrics, measurement, predictions, resampling, results, score_metrics
from shl_utils.evaluation.linear_baseline import LINEAR
from shl_utils.evaluation.predictions import Predictions
from shl_utils.experiments import measure
from shl_utils.experiments.ablation import REFERENCE
from shl_utils.parameters import check
from shl_utils.reporting import formats, tables

GRID = """
- loss: [bce, focal, class_balanced]
  segmentation: [none, eta]
  filter_labels: [none]
  training_seed: [0, 1]
- loss: [bce]
  segmentation: [none]
  filter_labels: [none]
  scoring: [oracle_routing]
  training_seed: [0, 1]
"""
CHANGED = {"threshold": "half", "bootstrap_draws": 200}  # at a half, what is predicted can be seen
PARAMETERS = check(CHANGED)
TABLE = {"times": 300, "seed": 0, "reference": REFERENCE}


def corpus_of(**labels):
    """Notes of the three splits, each a word of one-letter codes; a and b are as frequent in training, c is rare."""
    words = [(side, word) for side in ("train", "validation", "test") for word in labels[side].split()]
    sides, codes = zip(*words)
    names = [str(i) for i in range(len(words))]
    notes = pd.DataFrame({"note": names, "group": names, "split": sides, "text": "", "codes": [list(w) for w in codes]})
    return Corpus(notes, pd.DataFrame({"code": list("abc"), "description": list("abc")}))


def keep(folder, corpus, one, seed, probabilities):
    """The experiment's model of this seed says this of validation and test notes."""
    rows = corpus.rows("validation", "test")
    found = Predictions(rows, probabilities.astype(np.float32), np.zeros(3, dtype=int))
    predictions.write(found, corpus, folder / one.models[seed].folder / "predictions.parquet")
    return found.select(corpus.rows("test"))


@pytest.fixture
def ablated(tmp_path):
    """corpus; truth: of the test, (notes, codes). found: experiments. probabilities: of the test by id, one per seed,
    without those of `routed`, which shares its models; measured and table: what is made of them."""
    corpus = corpus_of(train="ab ab ab abc", validation="a b c", test="a b ab abc c bc a b ab ac " * 6)
    found = experiments(tmp_path, GRID, **CHANGED)
    rng, probabilities = np.random.default_rng(0), {}
    truth = corpus.labels[4:].toarray()  # of all that is predicted, validation first
    for i, one in enumerate(found):
        for seed in (0, 1):
            wrong = rng.random(truth.shape) < 0.1 + 0.01 * i
            noise = 0.4 * rng.random(truth.shape)
            if one.scoring == "union":
                said = keep(tmp_path, corpus, one, seed, abs(wrong - truth) * 0.6 + noise)
                probabilities.setdefault(one.id, []).append(said)
    measured = {one.id: measure.measure(tmp_path, corpus, one) for one in found}
    (routed,) = (one.id for one in found if one.scoring == "oracle_routing")
    truth = corpus.labels[corpus.rows("test")].toarray().astype(int)
    made = {"probabilities": probabilities, "measured": measured, "table": results.table(measured, **TABLE)}
    return SimpleNamespace(corpus=corpus, truth=truth, found=found, routed=routed, **made)


def test_points_are_means_over_seeds(ablated):
    table, truth = ablated.table, ablated.truth
    assert table["row"].tolist() == [one.name for one in ablated.found]
    for key, parts in ablated.probabilities.items():
        for average, metric in (("micro", "micro_f1"), ("macro", "macro_f1_present")):
            values = [f1_score(truth, part >= 0.5, average=average) for part in parts]
            assert ablated.measured[key].seeds[metric] == pytest.approx(values)
            assert table.loc[key, metric] == pytest.approx(np.mean(values))
            assert table.loc[key, f"{metric}_sd"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
        ranked = np.mean([average_precision_score(truth, part) for part in parts])
        assert table.loc[key, "map"] == pytest.approx(ranked)


def test_p_is_that_of_a_permutation_test_against_the_reference_corrected_by_holm(ablated):
    decided = {key: [(part >= 0.5).astype(int) for part in parts] for key, parts in ablated.probabilities.items()}
    base = decided.pop(REFERENCE)
    tested = {
        key: resampling.permutation_test(ablated.truth, base, other, times=300, seed=0)
        for key, other in decided.items()
    }
    assert len(tested) == 5
    assert any(p["micro_f1"] != p["macro_f1_present"] for p in tested.values()), "two families"
    for metric in results.HEADLINE_METRICS:
        raw = {key: p[metric] for key, p in tested.items()}
        expected = resampling.holm(raw)
        assert any(expected[key] > raw[key] for key in raw), "the correction changes something here"
        # what is not comparable has no p and counts for none
        assert ablated.table[f"{metric}_p"].dropna().to_dict() == pytest.approx(raw)
        assert ablated.table[f"{metric}_p_holm"].dropna().to_dict() == pytest.approx(expected)
    assert ablated.table.index[~ablated.table["comparable"]].tolist() == [ablated.routed]


def test_intervals_are_the_middle_95_percent_of_the_draws(ablated):
    table, base = ablated.table, ablated.measured[REFERENCE]
    for key, found in ablated.measured.items():
        for metric in results.HEADLINE_METRICS:
            ends = np.quantile(found.samples[metric], [0.025, 0.975])
            assert table.loc[key, [f"{metric}_low", f"{metric}_high"]].tolist() == pytest.approx(ends)
            gain = np.quantile(found.samples[metric] - base.samples[metric], [0.025, 0.975])
            assert table.loc[key, [f"{metric}_gain_low", f"{metric}_gain_high"]].tolist() == pytest.approx(gain)
            assert table.loc[key, f"{metric}_gain"] == found.points[metric] - base.points[metric]
    assert resampling.interval(np.arange(1001)) == (25, 975)


def test_seeds_widen_the_interval_as_far_as_they_differ():
    truth = np.eye(40, dtype=np.int8)
    good, bad = truth.copy(), np.zeros_like(truth)
    found = measurement.measure(truth, [good, good, bad], check({"bootstrap_draws": 4000}), patients=np.arange(40))
    # the mean of 1, 1, 0 has variance s^2 / 3 with s^2 = 1/3
    assert found.samples["micro_f1"].std() == pytest.approx(1 / 3, rel=0.1)


def test_what_is_shown_is_defined_below_it_by_the_package_itself(ablated, tmp_path):
    table = ablated.table.assign(core_seconds=1.0, failed=1)
    definitions = tables.definitions(table, times=300)
    assert "over the 5 rows that have one, micro and macro each by itself" in definitions["p"]
    assert table[[f"{metric}_p_holm" for metric in results.HEADLINE_METRICS]].min().min() >= 5 / 301
    assert label_metrics.DEFINITIONS["macro_f1_present"] in definitions["macro"]
    assert definitions["mAP"] == score_metrics.DEFINITIONS["map"]
    assert definitions["gain"].startswith("over one model, bce, no filter, paired")
    formats.write_markdown(tmp_path / "t.md", tables.ablation(table), definitions=definitions)
    rows, below = (tmp_path / "t.md").read_text(encoding="utf-8").split("\n\n")
    assert below.splitlines() == [f"- {name}: {text}" for name, text in definitions.items()]
    for name in definitions.keys() - {"[low, high]", "(row)"}:
        assert name in rows, "a definition of something that is not there"


def test_a_linear_model_stands_in_for_an_experiment_with_its_own_predictions(ablated, tmp_path):
    corpus = ablated.corpus
    tested = corpus.rows("validation", "test")
    right = Predictions(tested, corpus.labels[tested].toarray(), np.zeros(3, dtype=int))
    linear = measure.measure(tmp_path, corpus, ablated.found[0], right)
    assert (linear.points["micro_f1"], linear.points["map"], len(linear.predicted)) == (1, 1, 1)
    table = results.table(ablated.measured | {"linear": linear}, **TABLE)
    assert table.loc["linear", "row"] == LINEAR
    assert table.loc["linear", "micro_f1_p"] < 0.05, "it is comparable, one against several seeds"


def test_under_oracle_routing_a_segment_is_silent_elsewhere_by_hand(tmp_path):
    corpus = corpus_of(train="ab ab ab abc", validation="abc", test="a b c ac")
    text = "- scoring: [union, oracle_routing]\n  loss: [bce]\n  filter_labels: [none]"
    _, union, routed = experiments(tmp_path, text, **CHANGED)
    keep(tmp_path, corpus, union, 0, np.full((5, 3), 0.9))
    # all 12 pairs are predicted, 5 are right; a and b are one segment, which is silent on the note of c alone, and c is
    # silent on those of a alone and b alone: 8 are left, 5 still right
    for one, n in ((union, 12), (routed, 8)):
        found = measure.measure(tmp_path, corpus, one)
        assert found.predicted[0].sum() == n
        assert found.points["micro_f1"] == pytest.approx(2 * 5 / (5 + n))
    whole = Predictions(np.arange(5, 9), np.full((4, 3), 0.9), np.zeros(3, dtype=int))
    silenced = measure.route_by_oracle(corpus, corpus.labels, whole, PARAMETERS)
    assert (silenced.probabilities > 0).tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1], [1, 1, 1]]


@pytest.mark.parametrize(("other", "covered"), [(0.0, 0.79), (1.0, 0.93)], ids=["seeds alone", "as much other noise"])
def test_intervals_over_three_seeds_are_a_little_narrow(other, covered):
    rng, n, hits = np.random.default_rng(0), 3, 0
    weights = resampling.seed_weights(n, times=1000, seed=1)
    for _ in range(2000):
        noise = other / n**0.5 * rng.normal(size=1001)
        draws = weights @ rng.normal(size=n) + noise[0] + noise[1:]
        low, high = resampling.interval(draws)
        hits += low <= 0 <= high
    assert hits / 2000 == pytest.approx(covered, abs=0.02)


def test_a_bin_of_all_codes_has_the_metrics_of_the_table(ablated):
    whole = results.gains_by_frequency(ablated.measured, np.full(3, 60), PARAMETERS, reference=REFERENCE)
    assert set(whole["bin"]) == {"50-99"}
    assert whole["row"].tolist() == ablated.table["row"].tolist()
    for column, known in {"micro_f1": "", "gain": "_gain", "low": "_gain_low", "high": "_gain_high"}.items():
        assert whole[column].tolist() == pytest.approx(ablated.table.loc[whole["id"], f"micro_f1{known}"].tolist())


def test_bins_part_codes_by_frequency(ablated):
    lines = results.gains_by_frequency(ablated.measured, np.array([60, 70, 2]), PARAMETERS, reference=REFERENCE)
    for name, codes in {"1-4": [2], "50-99": [0, 1]}.items():
        part = lines[lines["bin"] == name].set_index("id")
        for key, parts in ablated.probabilities.items():
            # of a single code scikit-learn would take the column for two classes
            expected = np.mean([f1_score(ablated.truth[:, codes].ravel(), (p >= 0.5)[:, codes].ravel()) for p in parts])
            assert part.loc[key, "micro_f1"] == pytest.approx(expected)
        assert set(part["codes"]) == {len(codes)}
        assert set(part["positives"]) == {ablated.truth[:, codes].sum()}
    shown = tables.by_frequency(lines)
    assert list(shown.columns) == ["1-4 (1 codes, 24 labels)", "50-99 (2 codes, 72 labels)"]
    assert shown.loc["one model, bce, no filter"].str.fullmatch(r"[\d.]+").all(), "no gain over itself"
    others = shown.drop(index="one model, bce, no filter").stack()
    assert others.str.fullmatch(r"[\d.]+, [+-][\d.]+ \[[+-][\d.]+, [+-][\d.]+\]").all()
