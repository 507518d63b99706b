"""Codes for one note are those of the run, and what a sentence does is what the models say without it."""

import importlib.util
import json
import shutil
import subprocess
import sys

import pytest

from shl_utils.data import corpus
from shl_utils.encoder import weight_files
from shl_utils.evaluation import predictions
from shl_utils.inference import coding, export, render, sentence_audit
from shl_utils.runs import stages, stamps


@pytest.fixture(scope="module")
def finished(smoke, tmp_path_factory):
    """A copy of the finished run, its coder, and a test note with a predicted code and more than one sentence."""
    folder = tmp_path_factory.mktemp("finished") / "smoke"
    shutil.copytree(smoke[0], folder)
    coder, notes = coding.load(folder), corpus.read(folder)
    for row in notes.rows("test"):
        coded = coding.code(coder, notes.notes["text"].iloc[row])
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
    assert [text[first:end] for first, end in coding.sentences_of(text)] == found


def test_what_is_denied_is_asked_as_a_note_of_its_own(finished):
    coder = finished[1]
    heard = sentence_audit.denied(coder)
    assert len(heard), "some code is given where it is asserted"
    assert (heard["affirmed"] >= heard["threshold"]).all()
    first = heard.iloc[0]
    for column, no in (("affirmed", ""), ("negated", "no ")):
        alone = coding.code(coder, f"There is {no}{first['description'].lower()}.", sentences=False).codes
        given = alone.set_index("code").loc[first["code"], "probability"]
        assert first[column] == pytest.approx(given, abs=1e-3)


def test_what_is_said_twice_is_left_out_once_and_twice(finished):
    coder = finished[1]
    asserted = sentence_audit.denied(coder)
    table = sentence_audit.said_twice(coder, asserted)
    column = table.columns.item()
    surest = asserted.loc[asserted["affirmed"].idxmax()]
    assert column == f"probability of {surest['description'].lower()}"
    for text, probability in table[column].items():
        alone = coding.code(coder, text, sentences=False).codes.set_index("code")["probability"]
        assert probability == pytest.approx(alone[surest["code"]], abs=1e-3)
    assert [text.count(".") for text in table.index] == [3, 2, 2, 1]
    assert sentence_audit.said_twice(coder, asserted[:0]).empty


def test_probabilities_and_codes_are_those_of_the_run(finished):
    folder, _, notes, row, coded = finished
    (theirs,) = predictions.read(folder / "predictions.parquet", notes).select([row])
    ours = coded.codes.set_index("code").loc[notes.codes["code"]]
    assert ours["probability"].to_numpy() == pytest.approx(theirs, abs=2e-3)
    assert (ours["predicted"] == (ours["probability"] >= ours["threshold"])).all()
    assert coded.codes["probability"].is_monotonic_decreasing


def test_a_sentence_is_worth_what_the_models_say_without_it(finished):
    _, coder, notes, row, coded = finished
    text = notes.notes["text"].iloc[row][: coded.read]
    line = coded.codes[coded.codes["sentences"].str.len() > 1].iloc[0]
    for first, end, without in line["sentences"]:
        again = coding.code(coder, text[:first] + text[end:], sentences=False).codes.set_index("code")
        assert again.loc[line["code"], "probability"] == pytest.approx(without, abs=2e-3)
        assert without < line["probability"]
    assert [s[2] for s in line["sentences"]] == sorted(s[2] for s in line["sentences"])


def test_a_note_may_be_longer_than_what_the_models_read(finished):
    _, coder, notes, row, coded = finished
    text = notes.notes["text"].iloc[row]
    longer = coding.code(coder, text[: coded.read] + " and so on" * 5000, sentences=False)
    assert longer.read < len(text) + 5000
    assert "the models read its first" in render.text_of(longer, text + " and so on" * 5000, show=True)
    assert "MOST OF THE NOTE WAS NOT READ" in render.text_of(longer, text + " and so on" * 5000, show=True)
    assert "NOT READ" not in render.text_of(coded, text, show=True)
    with pytest.raises(ValueError, match="the note is blank"):
        coding.code(coder, " \n ")


def test_words_that_training_notes_lack_are_said(finished):
    _, coder, notes, row, coded = finished
    assert coded.unknown < 0.1
    first, second = sorted(word for word in coder.known if word.isalpha())[:2]
    german = f"Kein Nachweis eines {first}. Das Herz ist {second}."
    heard = coding.code(coder, german, sentences=False)
    assert heard.unknown == pytest.approx(6 / 8), "two of eight words are known"
    assert "75% OF THE WORDS ARE IN HARDLY ANY TRAINING NOTE" in render.text_of(heard, german, show=True)
    assert "TRAINING NOTE" not in render.text_of(coded, notes.notes["text"].iloc[row], show=True)


@pytest.mark.long
def test_the_command_reads_files_tables_and_its_input(finished, command, tmp_path):
    folder, _, notes, row, coded = finished
    text = notes.notes["text"].iloc[row]
    (tmp_path / "note.txt").write_text(text, encoding="utf-8")
    done = command("predict", folder, tmp_path / "note.txt")
    assert done.returncode == 0, done.stderr
    first, end, without = next(s for s in coded.codes["sentences"] if s)[0]
    assert f"{without:.2f} without: {text[first:end]}" in done.stdout
    lines = [json.dumps({"id": str(i), "text": text}) for i in range(2)]
    (tmp_path / "notes.jsonl").write_text("\n".join(lines), encoding="utf-8")
    done = command("predict", folder, tmp_path / "notes.jsonl", "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["note"] for line in found] == ["0", "1"]
    assert found[0]["codes"] == found[1]["codes"]
    assert len(found[0]["codes"]) == len(notes.codes)
    sentence = next(line["sentences"] for line in found[0]["codes"] if line["sentences"])[0]
    assert list(sentence) == ["start", "end", "probability_without"]
    assert (sentence["start"], sentence["end"]) == (first, end)
    piped = [sys.executable, "-m", "shl_utils.cli", "predict", str(folder), "-", "--quick"]
    done = subprocess.run(piped, input=" ", capture_output=True, text=True)
    assert done.returncode == 2
    assert "standard input: the note is blank" in done.stderr


HEADED = "Name:  A. B.   Unit No:   7\n\nAdmission Date:  [**2101-1-9**]\nService: MEDICINE\n\n"
UNSEEN = {
    "a byte order mark": lambda text: "\ufeff" + text,
    "marks within": lambda text: text.replace("\n", "\u200b\n\u200f").replace("e", "e\xad"),
    "Windows": lambda text: "\ufeff" + text.replace("\n", "\r\n"),
    "an old Mac": lambda text: text.replace("\n", "\r"),
    "hard blanks": lambda text: text.replace(" ", "\xa0"),
    "a null": lambda text: "\0" + text,
}


@pytest.fixture(scope="module")
def cleaned(finished, tmp_path_factory):
    """The run as if its notes had been cleaned, and its table had names and an encoding of its own."""
    folder = tmp_path_factory.mktemp("cleaned") / "smoke"
    shutil.copytree(finished[0], folder)
    stamp = folder / "stages" / "00_imbalance.json"
    said = stamp.read_text(encoding="utf-8").replace('"clean_text": []', '"clean_text": ["marks", "header"]')
    said = said.replace('"encoding": "utf-8"', '"encoding": "latin-1"')
    said = said.replace('"column_names": {}', '"column_names": {"id": "key", "text": "report"}')
    stamp.write_text(said, encoding="utf-8")
    return folder


def test_what_nobody_sees_changes_no_code(finished, cleaned, command, tmp_path):
    """In a table, in a file, and in the exported script, with the notes that training would have seen."""
    text = HEADED + finished[2].notes["text"].iloc[finished[3]]
    notes = {"as it is": text} | {name: change(text) for name, change in UNSEEN.items()}
    lines = [json.dumps({"id": name, "text": note}) for name, note in notes.items()]
    (tmp_path / "notes.jsonl").write_text("\n".join(lines), encoding="utf-8")
    done = command("predict", cleaned, tmp_path / "notes.jsonl", "--json", "--encoding", "utf-8")
    assert done.returncode == 0, done.stderr
    first, *others = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(others) == len(UNSEEN)
    for line in others:
        assert [code["probability"] for code in line["codes"]] == [code["probability"] for code in first["codes"]]
    script = exported(cleaned, tmp_path / "exported")
    place = str(weight_files.location(weight_files.MINILM))
    theirs = [script.probabilities(note, place) for note in notes.values()]
    assert all(found == theirs[0] for found in theirs)
    ours = {code["code"]: code["probability"] for code in first["codes"]}
    assert theirs[0] == pytest.approx({code: ours[code] for code in theirs[0]}, abs=0.02)
    assert script.probabilities(text.replace("Name:", "Who:"), place) != theirs[0], "a header matters"
    for data, message in (("Fièvre".encode("latin-1"), "is not utf-8: save it so"), (b" ", "is blank")):
        (tmp_path / "note.txt").write_bytes(data)
        with pytest.raises(SystemExit, match=message):
            script.main([str(tmp_path / "note.txt")])


def exported(folder, target):
    """The script of an exported run, as a module."""
    named = importlib.util.spec_from_file_location("exported_predict", export.export(folder, target) / "predict.py")
    script = importlib.util.module_from_spec(named)
    named.loader.exec_module(script)
    return script


@pytest.mark.long
def test_a_note_in_another_encoding_is_read_as_the_error_says(finished, command, tmp_path):
    folder = finished[0]
    for encoding, text in (("latin-1", "Fièvre."), ("cp1252", "“Fever”."), ("utf-16", "Fièvre.")):
        (tmp_path / "note.txt").write_bytes(text.encode(encoding))
        done = command("predict", folder, tmp_path / "note.txt", "--quick")
        assert done.returncode == 2
        remedy = f"--encoding {encoding}"
        assert f"note.txt is not utf-8: give `{remedy}`" in done.stderr
        assert command("predict", folder, tmp_path / "note.txt", "--quick", *remedy.split()).returncode == 0
    piped = [sys.executable, "-m", "shl_utils.cli", "predict", str(folder), "-", "--quick"]
    told = [subprocess.run([*piped, *more], input="Fièvre.".encode("latin-1"), capture_output=True)
             for more in ([], ["--encoding", "latin-1"])]  # fmt: skip
    assert b"standard input is not utf-8: give `--encoding latin-1`" in told[0].stderr
    assert [done.returncode for done in told] == [2, 0]
    done = command("predict", folder, tmp_path / "note.txt", "--encoding", "latin1x")
    assert "encoding 'latin1x' is unknown: use utf-8" in done.stderr


def test_a_table_is_read_as_the_runs_own(cleaned, finished, command, tmp_path):
    path = tmp_path / "notes.csv"
    path.write_bytes("key,report\n7,Fièvre.\n".encode("latin-1"))
    done = command("predict", cleaned, path, "--quick")
    assert done.stdout.startswith("7: "), done.stderr
    path.write_text("id,text\n8,Fever.\n")
    assert command("predict", cleaned, path, "--quick").stdout.startswith("8: "), "the usual names will do as well"
    path.write_text("number,text\n8,Fever.\n")
    assert "lacks the column id" in command("predict", cleaned, path, "--quick").stderr
    path.write_bytes("id,text\n7,Fièvre.\n".encode("latin-1"))
    done = command("predict", finished[0], path, "--quick")
    assert "line 2: not utf-8: give `--encoding`, such as latin-1" in done.stderr
    assert command("predict", finished[0], path, "--quick", "--encoding", "latin-1").returncode == 0


def test_what_is_not_there_is_named(finished, command, tmp_path):
    root = str(finished[0].parent)
    done = command("predict", "nosuch", tmp_path / "note.txt", SHL_RUNS=root)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "shl: no run nosuch; there are: smoke")
    done = command("predict", "smoke", tmp_path / "note.txt", SHL_RUNS=root)
    assert f"{tmp_path / 'note.txt'} is missing: give a file, or - for the input" in done.stderr
    done = command("predict", "smoke", tmp_path, SHL_RUNS=root)
    assert f"{tmp_path} is a folder: give a file" in done.stderr


def test_a_private_run_shows_places_instead_of_sentences(finished, command, tmp_path):
    folder, _, notes, row, _ = finished
    private = tmp_path / "private"
    shutil.copytree(folder, private)
    stamp = private / "stages" / "00_imbalance.json"
    stamp.write_text(stamp.read_text().replace('"private": false', '"private": true'))
    text = notes.notes["text"].iloc[row]
    (tmp_path / "note.txt").write_text(text, encoding="utf-8")
    done = command("predict", private, tmp_path / "note.txt")
    assert done.returncode == 0, done.stderr
    assert "without: characters" in done.stdout
    sentences = [text[first:end] for first, end in coding.sentences_of(text)]
    assert not [s for s in sentences if len(s) > 20 and s in done.stdout]


def test_what_is_missing_or_altered_is_named(finished, tmp_path):
    folder = tmp_path / "smoke"
    shutil.copytree(finished[0], folder)
    with (folder / "thresholds.parquet").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ValueError, match=r"thresholds.parquet is not as 04_evaluate left it"):
        coding.load(folder)
    (folder / "thresholds.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"thresholds.parquet is missing: run 04_evaluate first"):
        coding.load(folder)
    (folder / "stages" / "03_train.json").unlink()
    with pytest.raises(FileNotFoundError, match="has no finished 03_train"):
        stages.finished(folder, coding.STAGE)


def test_another_encoder_in_the_place_of_the_runs_own_is_refused(finished):
    folder = finished[0]
    path = stamps.path_of(folder, "01_filter")
    stamp = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(stamp | {"encoder_digest": "of other weights"}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"is not as .* used it: run `shl run` on its file again"):
        coding.load(folder)
    path.write_text(json.dumps(stamp), encoding="utf-8")
    assert coding.load(folder).nets
