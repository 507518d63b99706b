"""Text of notes is found wherever it was copied to, and nothing else is taken for it."""

import json

import pandas as pd
import pytest
from conftest import PROJECT

from shl_utils.data import leak_scan, sources
from shl_utils.parameters import check

NOTE = "The patient was seen for a large left pleural effusion on Tuesday. Übelkeit, no fever; discharged home."
PART = "seen for a large left pleural effusion on Tuesday"


SVG = json.dumps({"svg": "".join(f"<text>{word}</text>" for word in PART.split())})
FRAMES = (
    f'<script type="application/json">{SVG.replace("<", chr(92) + "u003c").replace(">", chr(92) + "u003e")}</script>'
)


@pytest.fixture
def run(tmp_path):
    """A folder with a corpus of two notes."""
    folder = tmp_path / "runs" / "r"
    (folder / "stages").mkdir(parents=True)
    pd.DataFrame({"note": ["1", "2"], "text": [NOTE, "Short."]}).to_parquet(folder / "corpus.parquet")
    title = "Acute on chronic systolic congestive heart failure with preserved function of one"
    pd.DataFrame({"code": ["x"], "description": [title]}).to_parquet(folder / "codes.parquet")
    return folder


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.txt", f"before {PART} behind"),
        ("a.py", f"# {PART.upper().replace(' ', chr(10))}"),
        ("report.html", f"<p>{PART.replace('large', '<mark>large</mark>')}</p>"),
        ("frames.html", FRAMES),
        ("n.ipynb", json.dumps({"cells": [{"outputs": [{"text": [PART[:20], PART[20:]]}]}]})),
        ("m.json", json.dumps({"text": NOTE})),
        ("broken.json", f"{{ {NOTE}"),
        ("latin.txt", NOTE.encode("latin-1")),
        ("wide.txt", NOTE.encode("utf-16")),
        ("lines.jsonl", "\n".join(json.dumps({"text": text}) for text in ("x", NOTE.replace(" ", "\n")))),
        ("shown.ipynb", json.dumps({"text": f"WBC < 1.0, {PART}, SBP > 180"})),
        ("corpus.parquet.txt", NOTE),
    ],
)
def test_text_is_found(run, tmp_path, name, content):
    path = tmp_path / "out" / name
    path.parent.mkdir()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (leak,) = leak_scan.find_leaks([tmp_path / "out"], [run])
    assert (leak.file, leak.run, leak.notes) == (path, run, 1)
    assert leak.shingles >= 1


def test_a_corpus_that_was_copied_elsewhere_is_found(run, tmp_path):
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "corpus.parquet").write_bytes((run / "corpus.parquet").read_bytes())
    (leak,) = leak_scan.find_leaks([tmp_path], [run])
    assert leak.file == tmp_path / "share" / "corpus.parquet"


@pytest.mark.parametrize("table", [{"words": [NOTE]}, {"words": [[PART, "x"]]}, pd.DataFrame({"n": 1}, index=[NOTE])])
def test_text_in_a_table_is_found(run, tmp_path, table):
    pd.DataFrame(table).to_parquet(tmp_path / "t.parquet")
    assert leak_scan.find_leaks([tmp_path / "t.parquet"], [run])


def test_fewer_words_descriptions_and_pictures_are_no_text_of_a_note(run, tmp_path):
    title = pd.read_parquet(run / "codes.parquet")["description"][0]
    notes = pd.DataFrame({"note": ["1"], "text": [f"{NOTE} {title}"]})
    notes.to_parquet(run / "corpus.parquet")
    (tmp_path / "a.txt").write_text(f"{title} seen for a large left pleural effusion")
    (tmp_path / "b.bin").write_bytes(b"\x00" + PART.encode())
    assert leak_scan.find_leaks([tmp_path / "a.txt", tmp_path / "b.bin"], [run]) == []


def test_the_command_names_files_and_says_it_by_its_exit_code(run, command, tmp_path):
    path = tmp_path / "log.txt"
    path.write_text(NOTE)
    done = command("scan", path, SHL_RUNS=str(run.parent))
    assert done.returncode == 1
    assert f"{path}: " in done.stdout
    assert "pleural" not in done.stdout
    assert command("scan", run, SHL_RUNS=str(run.parent)).returncode == 0
    assert command("scan", tmp_path / "nowhere", SHL_RUNS=str(run.parent)).returncode == 2
    assert "there is no run below" in command("scan", path, SHL_RUNS=str(tmp_path / "none")).stderr
    (run.parent / "bare" / "stages").mkdir(parents=True)
    assert command("scan", run, SHL_RUNS=str(run.parent)).returncode == 0
    assert "bare has no corpus" in command("scan", path, "--runs", "bare", SHL_RUNS=str(run.parent)).stderr
    assert command("status", SHL_RUNS=str(tmp_path / "none")).returncode == 2


def test_nothing_that_is_committed_holds_text_of_the_open_reports(tmp_path):
    source = sources.load(check({}), tmp_path)
    source.notes[["note", "text"]].to_parquet(tmp_path / "corpus.parquet")
    descriptions = pd.Series(source.descriptions, name="description")
    descriptions.rename_axis("code").reset_index().to_parquet(tmp_path / "codes.parquet")
    kept = [
        PROJECT / name
        for name in ("README.md", "NOTICE", "docs", "notebooks", "params", "shl_utils", "tests", "workflow")
    ]
    assert leak_scan.find_leaks(kept, [tmp_path]) == []
