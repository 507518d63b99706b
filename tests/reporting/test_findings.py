"""What sentences say of tables."""

import numpy as np
import pandas as pd
from made_up import invented_record
from test_plots import gained

from shl_utils.reporting import findings


def test_the_lessons_sentences_are_computed():
    counts = np.array([1, 2, 9, 10, 78])
    assert findings.summarize_tail(counts, 0.9789) == (
        "Of 5 codes, 3 have fewer than 10 training notes; they make 12% of the assignments. The most frequent tenth "
        "makes 78%. A model that never predicts a code is right on 97.9% of the pairs."
    )
    own, random = np.array([0.1, 0.3, 0.5, 0.7]), np.array([0.0, 0.1, 0.2, 0.4])
    said = findings.summarize_filter(own, random)
    assert "the former is more alike to its note in 78% of the cases" in said, "12.5 of 16 pairs, a tie counts half"
    index = pd.MultiIndex.from_product([["a", "b"], ["1 to 4", "5 to 9", "10 to 49"]])
    by_bin = pd.DataFrame({"micro_f1": [0.1, 0.9, 0.7, 0.2, 0.1, 0.6], "positives": [3, 4, 50] * 2}, index)
    assert findings.summarize_bins(by_bin) == (
        "The best micro-F1 of codes with 1 to 4 training notes (3 positives): b, 20.0; with 10 to 49 training notes "
        "(50 positives): a, 70.0."
    )
    assert "(3 positives): no model, 0.0" in findings.summarize_bins(by_bin.assign(micro_f1=0.0))
    table = pd.DataFrame({"segment": [0, 0, 1], "train_count": [3, 4, 1363]})
    said = findings.summarize_segments(table)
    assert said.startswith("2 segments: from 2 codes of 3 to 4 training notes to 1 code of 1,363 training notes.")
    assert "has 454 times the notes of the rarest" in said
    assert findings.summarize_segments(table[:2]).startswith("One segment of 2 codes")
    records = [invented_record(best_epoch=None), invented_record(segment=1)]
    assert findings.summarize_training(records) == (
        "On validation the segment of the rarest codes reached nothing, the segment of the most frequent codes "
        "reached an average precision of 0.25 in epoch 1."
    )


def test_a_sentence_counts_rows_by_their_intervals():
    comparable = {"a": (0.02, 0.01, 0.03, True), "b": (-0.1, -0.2, -0.05, True), "c": (0.1, -0.1, 0.2, True)}
    table = gained(**comparable, d=(1, 1, 1, False))
    table[["micro_f1_p", "macro_f1_present_p"]] = [[0.01, 0.01], [0.01, 0.2], [0.3, 0.3], [None, None]]
    text = findings.summarize_gains(table)
    assert text.startswith("Of 3 comparable rows ")
    assert "in micro-F1 1 gain, 1 lose, 0 are equivalent, 1 inconclusive" in text
    assert text.endswith("in macro-F1 1 gain, 0 lose, 0 are equivalent, 2 inconclusive."), "of one p disagrees"
    assert findings.summarize_gains(table[:0]).startswith("The grid has no other row")
    assert findings.summarize_row(table, "b") == "b: -10.0 [-20.0, -5.0] micro-F1, -10.0 [-20.0, -5.0] macro-F1."


def test_a_sentence_counts_claims_by_their_verdicts():
    claims = ["Segments beat one model", "In segments, its weights alone beat BCE", "(Scoring lifts F1)"]
    said = ["gains", "loses", "not tested", "not tested", "gains", "gains"]
    lines = pd.DataFrame({"metric": ["micro_f1", "macro_f1_present"] * 3, "verdict": said, "run": "a (R1)", "mark": ""})
    lines.index = [claim for claim in claims for _ in range(2)]
    lines["comparable"] = [True] * 4 + [False] * 2
    text = findings.summarize_verdicts(lines)
    assert text.startswith(
        "Of the comparisons that ask for the paper's claims, 1 were tested: in micro-F1 1 gain, 0 lose, "
    )
    counts = "in macro-F1 0 gain, 1 lose, 0 are equivalent, 0 inconclusive. "
    assert counts in text, "what is not the paper's does not count"
    assert "in macro-F1 0 gain, 0 lose, 0 are equivalent, 1 inconclusive" in findings.summarize_verdicts(
        lines.assign(mark=["", "†", "", "", "", ""])
    )
    assert text.endswith("All but the primary comparison are exploratory.")
    again = findings.summarize_verdicts(pd.concat([lines, lines.assign(run="b (R3)")]))
    assert again.startswith(
        "Of the comparisons that ask for the paper's claims in 2 runs, each counted, 1 were tested: in micro-F1 2 gain"
    )


def test_the_primary_comparison_is_said_first_with_its_verdicts():
    ends = {"gain": [-0.1, 0.0], "low": [-0.2, -0.1], "high": [-0.05, 0.1]}
    lines = pd.DataFrame(ends | {"metric": ["micro_f1", "macro_f1_present"], "verdict": ["loses", "inconclusive"]})
    lines = lines.set_axis(["It beats one BCE model"] * 2).assign(run="a (R1)", primary=True, mark=["†", ""])
    assert findings.summarize_primary(lines) == (
        "The study's primary comparison, *It beats one BCE model* (a (R1)): "
        "micro-F1 loses, -10.0 [-20.0, -5.0] †; macro-F1 inconclusive, +0.0 [-10.0, +10.0]."
    )
    assert (
        findings.summarize_primary(lines.assign(primary=False)) == "No run here tested the study's primary comparison."
    )


def test_the_filter_is_judged_by_pairs_of_rows():
    table = pd.DataFrame({"false_positives": [137.0, 162.0, 150.0, 130.0]}, index=list("abcd"))
    said = findings.summarize_errors(table, [("a", "b"), ("c", "d")])
    assert "with it: 2. In 1 of them there are fewer false positives with it; on average 146 in place of 144." in said
    assert findings.summarize_errors(table, []) == "The grid has no row with and without the filter."
