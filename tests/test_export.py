"""What is exported codes notes as the run did, by transformers and peft alone, and says what it is."""

import subprocess
import sys

import pandas as pd
import pytest
from conftest import shl

from shl_utils import corpus, encoder, export, predictions

pytestmark = pytest.mark.slow


def test_an_exported_folder_predicts_without_the_project(smoke, tmp_path):
    folder, target = smoke[0], tmp_path / "exported"
    done = shl("export", folder, target)
    assert done.returncode == 0, done.stderr
    assert "shl_utils" not in (target / "predict.py").read_text()
    notes = corpus.read(folder)
    row = notes.rows("test")[0]
    (tmp_path / "note.txt").write_text(notes.notes["text"].iloc[row], encoding="utf-8")
    command = [sys.executable, target / "predict.py", tmp_path / "note.txt", encoder.location(encoder.MINILM)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    lines = [line.split(maxsplit=1) for line in done.stdout.replace("* ", "  ").splitlines()]
    ours = {text.split("  ")[0]: float(number) for number, text in lines}
    (theirs,) = predictions.read(folder / "predictions.parquet", notes).of([row])
    modelled = pd.read_parquet(folder / "segments.parquet")["code"]
    assert set(ours) == set(modelled)
    known = dict(zip(notes.codes["code"], theirs))
    assert [ours[code] for code in modelled] == pytest.approx([known[code] for code in modelled], abs=0.02)
    card = (target / "README.md").read_text()
    assert "| unified bce, no filter |" in card
    assert "max_tokens 512" in card
    assert not [path for path in target.rglob("*") if path.suffix in (".pkl", ".bin", ".pt")]
    with pytest.raises(ValueError, match="exported is there already"):
        export.export(folder, target)
