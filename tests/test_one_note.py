"""Codes for one note are those of the run, and what a sentence does is what the models say without it."""

import json
import shutil
import subprocess
import sys

import pytest
from conftest import shl

from shl_utils import corpus, one_note, predictions, runs, sentence_audit, told

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(smoke, tmp_path_factory):
    """A copy of the finished run, its coder, and a test note with a predicted code and more than one sentence."""
    folder = tmp_path_factory.mktemp("finished") / "smoke"
    shutil.copytree(smoke[0], folder)
    coder, notes = one_note.load(folder), corpus.read(folder)
    for row in notes.rows("test"):
        coded = one_note.code(coder, notes.notes["text"].iloc[row])
        if coded.codes["sentences"].str.len().max() > 1:
            return folder, coder, notes, row, coded
    raise AssertionError("no test note has a code that sentences draw")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Clear lungs. No acute disease.", ["Clear lungs.", "No acute disease."]),
        ("  dose 2.5 mg; stable\n\nplan:\n home ", ["dose 2.5 mg;", "stable", "plan:", "home"]),
        ("one", ["one"]),
        ("Why?!  Because", ["Why?!", "Because"]),
    ],
)
def test_sentences_by_hand(text, found):
    assert [text[first:behind] for first, behind in one_note.sentences_of(text)] == found


def test_what_is_denied_is_asked_as_a_note_of_its_own(finished):
    coder = finished[1]
    heard = sentence_audit.denied(coder)
    assert len(heard), "some code is given where it is asserted"
    assert (heard["said"] >= heard["threshold"]).all()
    first = heard.iloc[0]
    for column, no in (("said", ""), ("denied", "no ")):
        alone = one_note.code(coder, f"There is {no}{first['description'].lower()}.", sentences=False).codes
        given = alone.set_index("code").loc[first["code"], "probability"]
        assert first[column] == pytest.approx(given, abs=1e-3)


def test_probabilities_and_codes_are_those_of_the_run(finished):
    folder, _, notes, row, coded = finished
    (theirs,) = predictions.read(folder / "predictions.parquet", notes).of([row])
    ours = coded.codes.set_index("code").loc[notes.codes["code"]]
    assert ours["probability"].to_numpy() == pytest.approx(theirs, abs=2e-3)
    assert (ours["predicted"] == (ours["probability"] >= ours["threshold"])).all()
    assert coded.codes["probability"].is_monotonic_decreasing


def test_a_sentence_is_worth_what_the_models_say_without_it(finished):
    _, coder, notes, row, coded = finished
    text = notes.notes["text"].iloc[row][: coded.read]
    line = coded.codes[coded.codes["sentences"].str.len() > 1].iloc[0]
    for first, behind, without in line["sentences"]:
        again = one_note.code(coder, text[:first] + text[behind:], sentences=False).codes.set_index("code")
        assert again.loc[line["code"], "probability"] == pytest.approx(without, abs=2e-3)
        assert without < line["probability"]
    assert [s[2] for s in line["sentences"]] == sorted(s[2] for s in line["sentences"])


def test_a_note_may_be_longer_than_what_the_models_read(finished):
    _, coder, notes, row, coded = finished
    text = notes.notes["text"].iloc[row]
    longer = one_note.code(coder, text[: coded.read] + " and so on" * 5000, sentences=False)
    assert longer.read < len(text) + 5000
    assert "the models read its first" in told.text_of(longer, text + " and so on" * 5000, show=True)
    with pytest.raises(ValueError, match="the note is blank"):
        one_note.code(coder, " \n ")


def test_the_command_reads_files_tables_and_its_input(finished, tmp_path):
    folder, _, notes, row, coded = finished
    text = notes.notes["text"].iloc[row]
    (tmp_path / "note.txt").write_text(text, encoding="utf-8")
    done = shl("predict", folder, tmp_path / "note.txt")
    assert done.returncode == 0, done.stderr
    first, behind, without = next(s for s in coded.codes["sentences"] if s)[0]
    assert f"{without:.2f} without: {text[first:behind]}" in done.stdout
    lines = [json.dumps({"id": str(i), "text": text}) for i in range(2)]
    (tmp_path / "notes.jsonl").write_text("\n".join(lines), encoding="utf-8")
    done = shl("predict", folder, tmp_path / "notes.jsonl", "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["note"] for line in found] == ["0", "1"]
    assert found[0]["codes"] == found[1]["codes"]
    assert len(found[0]["codes"]) == len(notes.codes)
    command = [sys.executable, "-m", "shl_utils.cli", "predict", str(folder), "-", "--quick"]
    done = subprocess.run(command, input=" ", capture_output=True, text=True)
    assert done.returncode == 2
    assert "standard input: the note is blank" in done.stderr


def test_a_private_run_shows_places_instead_ofsentences(finished, tmp_path):
    folder, _, notes, row, _ = finished
    private = tmp_path / "private"
    shutil.copytree(folder, private)
    stamp = private / "stages" / "00_imbalance.json"
    stamp.write_text(stamp.read_text().replace('"private": false', '"private": true'))
    text = notes.notes["text"].iloc[row]
    (tmp_path / "note.txt").write_text(text, encoding="utf-8")
    done = shl("predict", private, tmp_path / "note.txt")
    assert done.returncode == 0, done.stderr
    assert "without: characters" in done.stdout
    sentences = [text[first:behind] for first, behind in one_note.sentences_of(text)]
    assert not [s for s in sentences if len(s) > 20 and s in done.stdout]


def test_what_is_missing_or_altered_is_named(finished, tmp_path):
    folder = tmp_path / "smoke"
    shutil.copytree(finished[0], folder)
    with (folder / "thresholds.parquet").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ValueError, match=r"thresholds.parquet is not as the run left it"):
        one_note.load(folder)
    (folder / "thresholds.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"thresholds.parquet is missing: run 04_evaluate first"):
        one_note.load(folder)
    (folder / "stages" / "03_train.json").unlink()
    with pytest.raises(FileNotFoundError, match="has no finished 03_train"):
        runs.finished(folder, one_note.STAGE)
