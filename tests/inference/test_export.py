"""What is exported codes notes as the run did, by transformers and peft alone, and says what it is."""

import subprocess
import sys

import pandas as pd
import pytest

from shl_utils.data import corpus
from shl_utils.encoder import weight_files
from shl_utils.evaluation import predictions
from shl_utils.inference import export


@pytest.mark.long
def test_an_exported_folder_predicts_without_the_project(smoke, command, tmp_path):
    folder, target = smoke[0], tmp_path / "exported"
    done = command("export", folder, target)
    assert done.returncode == 0, done.stderr
    assert "shl_utils" not in (target / "predict.py").read_text()
    notes = corpus.read(folder)
    row = notes.rows("test")[0]
    (tmp_path / "note.txt").write_text(notes.notes["text"].iloc[row], encoding="utf-8")
    words = [
        sys.executable,
        target / "predict.py",
        tmp_path / "note.txt",
        weight_files.location(weight_files.MINILM),
    ]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=True)
    lines = [line.split(maxsplit=1) for line in done.stdout.replace("* ", "  ").splitlines()]
    ours = {text.split("  ")[0]: float(number) for number, text in lines}
    (theirs,) = predictions.read(folder / "predictions.parquet", notes).select([row])
    modelled = pd.read_parquet(folder / "segments.parquet")["code"]
    assert set(ours) == set(modelled)
    known = dict(zip(notes.codes["code"], theirs))
    assert [ours[code] for code in modelled] == pytest.approx([known[code] for code in modelled], abs=0.02)
    card = (target / "README.md").read_text()
    assert "| one model, bce, no filter |" in card
    assert "max_tokens 512" in card
    assert not [path for path in target.rglob("*") if path.suffix in (".pkl", ".bin", ".pt")]
    with pytest.raises(ValueError, match="exported is there already"):
        export.export(folder, target)
