"""The corpus: what is dropped is counted, what cannot be used is refused."""

import numpy as np
import pandas as pd
import pytest
from made_up import invented_plan

from shl_utils.data import corpus, raw_corpus
from shl_utils.evaluation import label_metrics, linear_baseline, results
from shl_utils.parameters import check
from shl_utils.training import variants


def one(**values):
    return check({"min_notes": 1} | values)


def source(codes, texts=None, groups=None, split="", **values):
    """A source of these lists of codes. split: one of its own, such as "train train test"."""
    names = [f"n{i}" for i in range(len(codes))]
    notes = pd.DataFrame({"note": names, "group": groups or names, "text": texts or names, "codes": codes})
    notes = notes.assign(split=split.split()) if split else notes
    described = {code: code for row in codes for code in row}
    usual = {"name": "s", "notes": notes, "descriptions": described, "licence": "", "private": False}
    return raw_corpus.RawCorpus(**(usual | values))


def test_rare_codes_and_their_notes_are_dropped_and_counted():
    notes, left_out = corpus.build(source([["a"]] * 20 + [["b", "x"]] * 20 + [["rare"]]), check({"min_notes": 3}))
    assert notes.codes["code"].tolist() == ["a", "b", "x"]
    assert len(notes.notes) == 40
    assert left_out == {"codes with fewer than 3 notes": 1, "notes left without a code": 1}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (source([["a"]] * 20), "1 codes have at least 3 notes in s: at least two are needed"),
        (source([["a"], ["b"]] * 5, texts=["x"] * 9 + [" "]), "some notes are blank"),
        (source([["a"], ["b"]] * 5, descriptions={"a": "a"}), "1 codes lack a description, such as b"),
        (source([["a"]] * 3, split="train train train"), "a split needs train and test"),
        (source([["a"]] * 3, split="train dev test"), "a split needs train and test"),
        (source([["a"]] * 3, split="validation test test"), "a split needs train and test"),
        (
            source([["a", "b"]] * 3, texts=["same"] * 3),
            "3 notes leave too few for validation and test: .*a text.*of your own",
        ),
        (
            source([["a", "b"]] * 100, groups=["one patient"] * 90 + [f"patient {i}" for i in range(10)]),
            "100 notes leave too few for .*: what shares a group.* raise `min_notes`",
        ),
        (
            source([["a", "b"]] * 4 + [["x"], ["a"]], split="train train train train validation test"),
            "no coded note left: lower `min_notes`",
        ),
    ],
)
def test_a_source_that_cannot_be_used_is_refused_with_its_reason(given, message):
    with pytest.raises(ValueError, match=message):
        corpus.build(given, check({}))


def test_a_long_tail_of_ours_is_split_and_what_cannot_be_learned_is_counted():
    notes, _ = corpus.build(source([["a" if i % 2 else "b", f"own {i}"] for i in range(400)]), one())
    flaws = notes.flaws()
    assert 50 < flaws["codes without a training note"] == (notes.split != "train").sum() < 130
    assert flaws["groups in two splits"] == flaws["texts in two splits"] == 0


def test_a_repeated_note_is_named():
    twice = source([["a"], ["b"]] * 5)
    twice.notes.loc[1, "note"] = "n0"
    with pytest.raises(ValueError, match="note n0 occurs twice"):
        corpus.build(twice, check({}))


def test_a_main_model_that_is_the_reference_is_trained_once():
    same = check({"segmentation": "none", "loss": "bce", "filter_labels": "none"})
    assert [v.folder for v in variants.compared(same)] == ["."]
    assert [v.folder for v in variants.compared(check({}))] == [".", "reference"]


def test_a_published_split_is_kept_and_its_flaws_are_counted():
    texts = ["same  text", "b", "same text\n", "d", "e", "f"]
    groups = ["1", "2", "3", "4", "2", "6"]
    split = "train validation validation test test train"
    codes = [["a"], ["a"], ["a"], ["a", "x"], ["x"], ["b"]]
    notes, _ = corpus.build(source(codes, texts, groups, split), one())
    assert notes.split.tolist() == split.split()
    assert notes.flaws() == {"groups in two splits": 1, "texts in two splits": 1, "codes without a training note": 1}
    assert notes.codes["code"].tolist() == ["a", "b", "x"], "what cannot be learned still counts"


def test_validation_is_cut_from_published_training_notes_alone():
    split = " ".join(["train"] * 80 + ["test"] * 40)
    codes = [["a", f"own {i}"] if i % 2 else ["b", f"own {i}"] for i in range(120)]
    notes, _ = corpus.build(source(codes, split=split), one())
    assert (notes.notes["split"][80:] == "test").all()
    assert 10 <= len(notes.rows("validation")) <= 14
    assert notes.labels[notes.rows("validation")].sum(axis=0)[:2].min() >= 5, "stratified"
    assert corpus.build(source(codes, split=split), one())[0].split.tolist() == notes.split.tolist()


def japanese(symptoms):
    """Notes without a space, and with a number of their own, so that no two share what passes for a word."""
    clauses = {"fever": "発熱", "cough": "咳嗽", "rash": "発疹"}
    texts = [f"患者{i}号は{'と'.join(clauses[s] for s in row)}を{i}日間訴え来院。" for i, row in enumerate(symptoms)]
    split = (["train"] * 7 + ["validation"] + ["test"] * 2) * (len(symptoms) // 10)
    return corpus.build(source(symptoms, texts, split=" ".join(split)), one())[0]


def test_the_linear_model_reads_characters_where_a_script_has_no_spaces():
    notes = japanese([["fever"], ["cough"], ["cough", "rash"], ["rash", "fever"], ["rash"]] * 20)
    assert linear_baseline.terms(notes) == linear_baseline.CHARACTERS
    linear, _ = linear_baseline.tfidf_logistic(notes, linear_baseline.terms(notes))
    figures, _ = results.compare(notes, notes.labels, {"m": linear}, one(bootstrap_draws=100), reference="m")
    assert figures.loc["m", "micro_f1"] > 0.9


def test_the_linear_model_reads_words_where_most_notes_share_some():
    codes = [["asthma"], ["burn"]] * 20
    texts = [f"{codes[i][0] if i % 4 else ''} 発熱{i}" for i in range(40)]
    split = " ".join((["train"] * 6 + ["validation"] * 2 + ["test"] * 2) * 4)
    assert linear_baseline.terms(corpus.build(source(codes, texts, split=split), one())[0]) == linear_baseline.WORDS


def test_codes_without_a_training_note_go_through_every_stage():
    codes = [["asthma"], ["burn"]] * 20 + [["asthma", "burn"]] * 10 + [["asthma"], ["burn"]] * 5
    codes += [["asthma", "unseen"]] * 3
    texts = [f"{' '.join(row)} {i}" for i, row in enumerate(codes)]
    split = " ".join(["train"] * 40 + ["validation"] * 10 + ["test"] * 13)
    notes, _ = corpus.build(source(codes, texts, split=split), one())
    table = variants.segment_table(notes, notes.labels, segmentation="eta", eta=0.5)
    segments = variants.segment_of_code(table, notes)
    assert segments.tolist() == [0, 0, -1]
    assert variants.named_segments(segments).tolist() == ["0", "0", "no model"]
    drawn = invented_plan(notes.labels, segments, notes.rows("train"), loss="sh").training_set(0)
    assert np.isfinite(drawn.weights).all()
    linear, _ = linear_baseline.tfidf_logistic(notes, linear_baseline.terms(notes))
    assert (linear.probabilities[:, 2] == 0).all()
    gold = notes.labels
    figures, measured = results.compare(notes, gold, {"m": linear}, one(bootstrap_draws=100), reference="m")
    assert figures.loc["m", "codes_present"] == 3, "the unseen code is in the label universe"
    assert figures.loc["m", "macro_f1_present"] < 0.7
    bins = label_metrics.frequency_bin(notes.train_counts())
    by_bin = results.by_group(measured, bins)
    assert by_bin.loc[("m", "0"), ["positives", "micro_f1", "macro_f1_all"]].tolist() == [3, 0, 0]


def test_only_the_most_frequent_codes_stay_where_so_many_are_asked_for():
    given = source([["a"]] * 30 + [["b", "c"]] * 20 + [["c", "d"]] * 20)
    notes, left_out = corpus.build(given, check({"top_codes": 2}))
    assert notes.codes["code"].tolist() == ["a", "c"]
    assert left_out["codes that are not among the 2 most frequent"] == 2
    alike, _ = corpus.build(source([["b"]] * 20 + [["a"]] * 20 + [["c"]] * 20), check({"top_codes": 2}))
    assert alike.codes["code"].tolist() == ["a", "b"]


def test_a_split_from_files_is_kept_and_codes_are_counted_over_all_notes(tmp_path):
    splits = {"train": range(30), "validation": range(30, 40), "test": range(40, 50)}
    files = {split: str(tmp_path / split) for split in splits}
    for split, numbers in splits.items():
        (tmp_path / split).write_text("".join(f"n{i}\n" for i in numbers))
    given = source([["a"]] + [["a", "b"]] * 49 + [["c", "d"]] * 60)
    notes, left_out = corpus.build(given, check({"split_files": files}))
    assert notes.notes["split"].tolist() == ["train"] * 30 + ["validation"] * 10 + ["test"] * 10
    assert notes.codes["code"].tolist() == ["a", "b"]
    assert left_out["notes that the files of the split do not name"] == 60
    assert left_out["codes without a note in the files of the split"] == 2
    with pytest.raises(ValueError, match="one split has no coded note left"):
        corpus.build(given, check({"split_files": files, "top_codes": 2}))


def test_notes_that_all_have_all_codes_are_refused_with_a_remedy():
    given = source([["a", "b"]] * 40 + [["a", "b", "c"]] * 20)
    with pytest.raises(ValueError, match=r"every note has all 2 codes, .*: keep more codes \(`top_codes`"):
        corpus.build(given, check({"top_codes": 2}))
    corpus.build(given, check({"top_codes": 3}))


def test_a_shown_note_that_is_none_of_the_test_is_named_at_once():
    given = source([["a"], ["b"]] * 30)
    name = corpus.build(given, check({}))[0].notes.query("split == 'test'")["note"].iloc[0]
    corpus.build(given, check({"shown_note": name}))
    with pytest.raises(ValueError, match="shown_note is the id of no test note: leave it empty"):
        corpus.build(given, check({"shown_note": "nobody"}))


def test_fingerprints_tell_notes_splits_codes_and_labels_apart():
    given = source([["a"], ["b"]] * 30)
    first, _ = corpus.build(given, check({}))
    same, _ = corpus.build(source([["a"], ["b"]] * 30, texts=[f"other {i}" for i in range(60)]), check({}))
    split, _ = corpus.build(given, check({"seed": 1}))
    prints = [corpus.fingerprints(notes) for notes in (first, same, split)]
    assert prints[0] == prints[1]
    assert [name for name in prints[0] if prints[0][name] != prints[2][name]] == ["notes and split"]
    first.notes.at[0, "codes"] = ["a", "b"]
    changed = corpus.fingerprints(first)
    assert [name for name in changed if changed[name] != prints[0][name]] == ["labels"]


def test_notes_are_cleaned_before_anything_reads_them():
    given = source([["a"], ["b"]] * 30, texts=[f"[**{i}**] note {i}" for i in range(60)])
    notes, _ = corpus.build(given, check({"clean_text": ["marks"]}))
    assert not notes.notes["text"].str.contains("[", regex=False).any()
