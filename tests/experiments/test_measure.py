"""An ablation's figures, from predictions made up so that they can be worked out beside it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score

from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import label_metrics, predictions, resampling, results, score_metrics
from shl_utils.evaluation.predictions import Predictions
from shl_utils.experiments import ablation, measure
from shl_utils.parameters import check
from shl_utils.reporting import tables

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
PARAMETERS = check({"threshold": "half", "bootstrap_draws": 200})  # at a half, what is predicted can be seen
OWN = "unified bce, no filter, oracle routing"


def corpus_of(**labels):
    """Notes of the three splits, each a word of one-letter codes; a and b are as frequent in training, c is rare."""
    words = [(side, word) for side in ("train", "validation", "test") for word in labels[side].split()]
    sides, codes = zip(*words)
    names = [str(i) for i in range(len(words))]
    notes = pd.DataFrame({"note": names, "group": names, "split": sides, "text": "", "codes": [list(w) for w in codes]})
    return Corpus(notes, pd.DataFrame({"code": list("abc"), "description": list("abc")}))


def grid(tmp_path, text):
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    return ablation.rows(str(path), PARAMETERS)


def keep(folder, corpus, row, seed, probabilities):
    """The row's model of this seed says this of validation and test notes."""
    rows = np.concatenate([corpus.rows("validation"), corpus.rows("test")])
    found = Predictions(rows, probabilities.astype(np.float32), np.zeros(3, dtype=int))
    predictions.write(found, corpus, folder / row.trained[seed].folder / "predictions.parquet")
    return found.select(corpus.rows("test"))


@pytest.fixture
def ablated(tmp_path):
    """Corpus, rows, what is said of the test by row and seed, and the ablation's own figures of it."""
    corpus = corpus_of(train="ab ab ab abc", validation="a b c", test="a b ab abc c bc a b ab ac " * 6)
    rows = grid(tmp_path, GRID)
    rng, said = np.random.default_rng(0), {}
    truth = corpus.labels[4:].toarray()  # of all that is predicted, validation first
    for i, row in enumerate(rows):
        for seed in (0, 1):
            wrong = rng.random(truth.shape) < 0.1 + 0.01 * i
            noise = 0.4 * rng.random(truth.shape)
            if row.name != OWN:  # that one shares the models of another row
                said[row.name, seed] = keep(tmp_path, corpus, row, seed, abs(wrong - truth) * 0.6 + noise)
    measured = {row.name: measure.measure(tmp_path, corpus, row) for row in rows}
    table = results.table(measured, times=300, seed=0)
    return corpus, rows, said, measured, table


def test_points_are_means_over_seeds(ablated):
    corpus, rows, said, measured, table = ablated
    truth = corpus.labels[corpus.rows("test")].toarray().astype(int)
    for row in rows:
        if row.name != OWN:
            parts = [said[row.name, seed] for seed in (0, 1)]
            for average, figure in (("micro", "micro_f1"), ("macro", "macro_f1_present")):
                values = [f1_score(truth, part >= 0.5, average=average) for part in parts]
                assert measured[row.name].seeds[figure] == pytest.approx(values)
                assert table.loc[row.name, figure] == pytest.approx(np.mean(values))
                assert table.loc[row.name, f"{figure}_sd"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
            ranked = np.mean([average_precision_score(truth, part) for part in parts])
            assert table.loc[row.name, "map"] == pytest.approx(ranked)


def test_p_is_that_of_a_permutation_test_against_the_base_corrected_by_holm(ablated):
    corpus, rows, said, _, table = ablated
    truth = corpus.labels[corpus.rows("test")].toarray().astype(int)
    decided = {key: (value >= 0.5).astype(int) for key, value in said.items()}
    tested = {}
    for row in rows:
        if row.name not in (results.BASE, OWN):
            first, second = ([decided[name, seed] for seed in (0, 1)] for name in (results.BASE, row.name))
            tested[row.name] = resampling.permutation_test(truth, first, second, times=300, seed=0)
    assert len(tested) == 5
    assert any(p["micro_f1"] != p["macro_f1_present"] for p in tested.values()), "two families"
    for figure in results.HEADLINE_METRICS:
        raw = {name: p[figure] for name, p in tested.items()}
        expected = resampling.holm(raw)
        assert any(expected[name] > raw[name] for name in raw), "the correction changes something here"
        assert table[f"{figure}_p"].dropna().to_dict() == pytest.approx(expected)


def test_a_row_that_is_not_comparable_has_no_p_and_counts_for_none(ablated):
    _, _, _, _, table = ablated
    for figure in results.HEADLINE_METRICS:
        assert table.index[table[f"{figure}_p"].isna()].tolist() == [results.BASE, OWN]
    assert not table.loc[OWN, "comparable"]


def test_intervals_are_the_middle_95_percent_of_the_draws(ablated):
    _, _, _, measured, table = ablated
    for name, found in measured.items():
        for figure in results.HEADLINE_METRICS:
            draws, base = found.samples[figure], measured[results.BASE].samples[figure]
            ends = np.quantile(draws, [0.025, 0.975])
            assert table.loc[name, [f"{figure}_low", f"{figure}_high"]].tolist() == pytest.approx(ends)
            gain = np.quantile(draws - base, [0.025, 0.975])
            assert table.loc[name, [f"{figure}_gain_low", f"{figure}_gain_high"]].tolist() == pytest.approx(gain)
            assert table.loc[name, f"{figure}_gain"] == table.loc[name, figure] - table.loc[results.BASE, figure]
    assert resampling.interval(np.arange(1001)) == (25, 975)


def test_what_is_shown_is_defined_below_it_by_the_package_itself(ablated, tmp_path):
    _, _, _, _, table = ablated
    table = table.assign(core_seconds=1.0, failed=1)
    told = tables.definitions(table, times=300)
    assert "over the 5 comparable rows, micro and macro each by itself, so none is below 5/301 = 0.017" in told["p"]
    assert table[[f"{figure}_p" for figure in results.HEADLINE_METRICS]].min().min() >= 5 / 301
    assert label_metrics.DEFINITIONS["macro_f1_present"] in told["macro"]
    assert told["mAP"] == score_metrics.DEFINITIONS["map"]
    shown = tables.ablation(table)
    tables.write_markdown(tmp_path / "t.md", shown, definitions=told)
    rows, below = (tmp_path / "t.md").read_text(encoding="utf-8").split("\n\n")
    assert below.splitlines() == [f"- {name}: {text}" for name, text in told.items()]
    for name in told.keys() - {"[low, high]", "(row)"}:
        assert name in rows, "a definition of something that is not there"


def test_p_cannot_be_said_to_be_above_1(ablated):
    table = pd.concat([ablated[4]] * 100, ignore_index=True)
    assert "500/101 = 1.000" in results.definition_of_p(table, times=100)


def test_a_linear_model_stands_in_for_a_row_with_its_own_predictions(ablated, tmp_path):
    corpus, rows, _, measured, _ = ablated
    tested = np.concatenate([corpus.rows("validation"), corpus.rows("test")])
    right = Predictions(tested, corpus.labels[tested].toarray(), np.zeros(3, dtype=int))
    linear = measure.measure(tmp_path, corpus, rows[0], right)
    assert (linear.points["micro_f1"], linear.points["map"], len(linear.predicted)) == (1, 1, 1)
    table = results.table(measured | {"linear": linear}, times=300, seed=0)
    assert table.loc["linear", "micro_f1_p"] < 0.05, "it is comparable, one against several seeds"


def test_scored_on_own_notes_a_segment_is_silent_elsewhere_by_hand(tmp_path):
    corpus = corpus_of(train="ab ab ab abc", validation="abc", test="a b c ac")
    union, own = grid(tmp_path, "- scoring: [union, oracle_routing]\n  loss: [bce]\n  filter_labels: [none]")[1:]
    keep(tmp_path, corpus, union, 0, np.full((5, 3), 0.9))
    # all 12 pairs are predicted, 5 are right; a and b are one segment, which is silent on the note of c alone, and c is
    # silent on those of a alone and b alone: 8 are left, 5 still right
    for row, said in ((union, 12), (own, 8)):
        found = measure.measure(tmp_path, corpus, row)
        assert found.predicted[0].sum() == said
        assert found.points["micro_f1"] == pytest.approx(2 * 5 / (5 + said))
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


def test_a_code_that_only_the_partner_knows_is_a_segment_of_its_own():
    corpus = corpus_of(train="ab ab ab abc", validation="abc", test="a b c ac")
    probabilities = np.full((5, 3), 0.5)
    found = Predictions(np.arange(4, 9), probabilities * [1, 1, 0], np.array([0, 1, -1]))
    partner = Predictions(np.arange(4, 9), probabilities, np.zeros(3, dtype=int))
    joined = measure.stack(corpus, corpus.labels, found, partner)
    assert joined.segments.tolist() == [0, 1, 2]
    assert joined.probabilities[:, 2] == pytest.approx(0.5)
    nobody = replace(partner, segments=np.array([0, 0, -1]))
    assert measure.stack(corpus, corpus.labels, found, nobody).segments.tolist() == [0, 1, -1]


def test_a_bin_of_all_codes_has_the_figures_of_the_table(ablated):
    *_, measured, table = ablated
    whole = results.gains_by_frequency(measured, np.full(3, 60), PARAMETERS).set_index("row")
    assert set(whole["bin"]) == {"50-99"}
    for found, known in {"micro_f1": "", "gain": "_gain", "low": "_gain_low", "high": "_gain_high"}.items():
        assert whole[found].tolist() == pytest.approx(table.loc[whole.index, f"micro_f1{known}"].tolist())


def test_bins_part_codes_by_frequency(ablated):
    corpus, _, said, measured, _ = ablated
    lines = results.gains_by_frequency(measured, np.array([60, 70, 2]), PARAMETERS)
    truth = corpus.labels[corpus.rows("test")].toarray().astype(int)
    for name, codes in {"1-4": [2], "50-99": [0, 1]}.items():
        part = lines[lines["bin"] == name].set_index("row")
        for row in part.index.drop(OWN):
            hits = [said[row, seed][:, codes] >= 0.5 for seed in (0, 1)]
            # of a single code scikit-learn would take the column for two classes
            expected = np.mean([f1_score(truth[:, codes].ravel(), hit.ravel()) for hit in hits])
            assert part.loc[row, "micro_f1"] == pytest.approx(expected)
        assert set(part["codes"]) == {len(codes)}
        assert set(part["positives"]) == {truth[:, codes].sum()}
    shown = tables.by_frequency(lines)
    assert list(shown.columns) == ["1-4 (1 codes, 24 labels)", "50-99 (2 codes, 72 labels)"]
    assert shown.loc[results.BASE].str.fullmatch(r"[\d.]+").all(), "the base has no gain over itself"
