"""The generated notes: the same each time, readable by the loader of MIMIC-III, and true to their truth."""

import gzip
import os
from collections import Counter

import pytest

from shl_utils.data.sources import synthetic, synthetic_text
from shl_utils.data.sources.synthetic_text import TRUNCATION_WORDS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("generated") / "s300"


@pytest.fixture(scope="module")
def corpus(folder):
    return synthetic.load(folder, notes=300, seed=0)


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    return synthetic.load(tmp_path_factory.mktemp("generated") / "s4000", notes=4_000, seed=1)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def frequencies(corpus):
    return Counter(code for codes in corpus.notes["codes"] for code in codes)


def test_every_note_comes_through_the_loader_and_codes_are_of_every_kind(corpus):
    assert len(corpus.notes) == 300
    assert corpus.name == "synthetic"
    assert set(corpus.dropped) == {"Discharge summary row marked as an error"}
    assert corpus.notes["group"].nunique() < 300
    assert 55 <= len(corpus.descriptions) <= 65
    assert all(code != title for code, title in corpus.descriptions.items())
    assert set(frequencies(corpus)) == set(corpus.descriptions)
    starts = [code.split(".")[0] for code in corpus.descriptions]
    assert {"E", "V"} <= {start[0] for start in starts}
    assert any(len(start) == 2 for start in starts), "procedures"
    assert any(start.startswith("0") and len(start) == 3 for start in starts)


def test_truth_has_every_assignment_once(corpus):
    given = corpus.notes.explode("codes")[["note", "codes"]].itertuples(index=False, name=None)
    assert sorted(given) == sorted(zip(corpus.truth["note"], corpus.truth["code"]))


@pytest.mark.parametrize("name", ["corpus", "larger"])
def test_evidence_is_where_the_truth_says(name, request):
    corpus = request.getfixturevalue(name)
    texts = dict(zip(corpus.notes["note"], corpus.notes["text"]))
    for note, code, evidence in corpus.truth.itertuples(index=False):
        words = texts[note].lower().split()
        early, late = (" ".join(part) for part in (words[:TRUNCATION_WORDS], words[TRUNCATION_WORDS:]))
        wordings = synthetic_text.paraphrases(corpus.descriptions[code])
        assert any(form in early for form in wordings) == (evidence == "present")
        if evidence != "present":
            assert any(form in late for form in wordings) == (evidence == "beyond")


def test_shares_of_noise_are_those_asked_for(larger):
    shares = larger.truth["evidence"].value_counts(normalize=True)
    assert shares["missing"] == pytest.approx(synthetic_text.MISSING, abs=0.01)
    assert shares["beyond"] == pytest.approx(synthetic_text.BEYOND, abs=0.015)


def test_notes_are_short_but_for_evidence_beyond(corpus):
    beyond = set(corpus.truth.loc[corpus.truth["evidence"] == "beyond", "note"])
    words = corpus.notes.set_index("note")["text"].str.split().str.len()
    assert (words.drop(beyond) < 200).all()
    assert (words[sorted(beyond)] > TRUNCATION_WORDS).all()


def test_the_tail_is_long(corpus, larger):
    small, large = (sorted(frequencies(c).values()) for c in (corpus, larger))
    assert small[-1] / small[0] >= 50
    assert large[-1] / large[0] == pytest.approx(synthetic.HEAD_TO_TAIL, rel=0.35)  # the tail is a small whole number
    assert len(large) > 10 * len(small)


def test_codes_of_a_topic_come_together(larger):
    # The commonest codes lie in one topic each and in most others too: the rarer ones show the topics.
    rarer = {code for code, notes in frequencies(larger).items() if 10 <= notes <= 40}
    pairs = Counter()
    for codes in larger.notes["codes"]:
        pairs.update((a, b) for a in codes for b in codes if a < b and {a, b} <= rarer)
    by_chance = 40 * 40 / len(larger.notes)
    assert sum(together > 10 * by_chance for together in pairs.values()) >= 20


def test_notes_name_codes_that_they_do_not_have(corpus):
    denied = corpus.notes["text"].str.contains("no evidence of|denied|negative for")
    family = corpus.notes["text"].str.contains("Mother had|Father was|sibling")
    assert denied.mean() > 0.5
    assert family.mean() > 0.5


def test_tables_hold_what_a_loader_must_pass_over(folder, corpus):
    with gzip.open(folder / "NOTEEVENTS.csv.gz", "rt") as file:
        text = file.read()
    assert '"Nursing"' in text
    assert '"Addendum"' in text
    assert not corpus.notes["text"].str.contains("Night:|Wrong patient").any()


def test_a_full_table_says_the_same_of_the_codes_in_as_much_text_as_mimic_has(tmp_path):
    full = synthetic.load(tmp_path / "full", notes=100, seed=0, full=True)
    assert full.notes["text"].str.split().str.len().between(synthetic.MIMIC_WORDS, synthetic.MIMIC_WORDS + 30).all()
    with gzip.open(tmp_path / "full" / "NOTEEVENTS.csv.gz", "rt") as file:
        rows = sum("Report" in line for line in file)
    assert rows == pytest.approx(100 * (synthetic.MIMIC_ROWS + 1), rel=0.03)
    evidence = full.truth.merge(full.notes, on="note").itertuples(index=False)
    for row in evidence:
        early = " ".join(row.text.lower().split()[:TRUNCATION_WORDS])
        said = any(words in early for words in synthetic_text.paraphrases(full.descriptions[row.code]))
        assert said == (row.evidence == "present")
    with pytest.raises(ValueError, match="holds something else"):
        synthetic.write(tmp_path / "full", notes=100, seed=0)


def test_same_arguments_same_bytes(folder, corpus, tmp_path):
    synthetic.write(tmp_path / "again", notes=300, seed=0)
    synthetic.write(tmp_path / "other", notes=300, seed=1)
    assert contents(tmp_path / "again") == contents(folder)
    assert contents(tmp_path / "other")["EVIDENCE.csv"] != contents(folder)["EVIDENCE.csv"]
    assert sorted(os.listdir(tmp_path)) == ["again", "other"]


def test_tables_are_written_once_and_never_over_others(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    synthetic.write(folder, notes=100, seed=0)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    synthetic.write(folder, notes=100, seed=0)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    with pytest.raises(ValueError, match="holds something else"):
        synthetic.write(folder, notes=100, seed=1)
    (folder / "NOTEEVENTS.csv.gz").unlink()
    with pytest.raises(ValueError, match="holds something else"):
        synthetic.write(folder, notes=100, seed=0)


def test_too_few_notes_and_a_folder_of_other_tables_are_refused(tmp_path):
    with pytest.raises(ValueError, match="100 or more"):
        synthetic.write(tmp_path / "s", notes=99, seed=0)
    assert not list(tmp_path.iterdir())
    (tmp_path / "NOTEEVENTS.csv.gz").write_bytes(b"kept")
    with pytest.raises(ValueError, match="choose another folder"):
        synthetic.load(tmp_path, notes=100, seed=0)
    assert contents(tmp_path) == {"NOTEEVENTS.csv.gz": b"kept"}


@pytest.mark.parametrize(
    "title", ["Cholera, unspecified", "Ménière's disease, unspecified", "Other", "Acute myocardial infarction"]
)
def test_paraphrases_are_plain_and_end_with_the_title(title):
    wordings = synthetic_text.paraphrases(title)
    assert len(set(wordings)) == len(wordings)
    assert wordings[-1] == title.lower().replace(",", "").replace("'s", "")
    assert all(form and form == " ".join(form.split()).lower() for form in wordings)
