"""What is exported codes notes as the run did, by transformers and peft alone, and says what it is."""

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from conftest import PROJECT, shl
from safetensors.torch import load_file, save_file

from shl_utils.data import corpus
from shl_utils.encoder import weight_files
from shl_utils.evaluation import predictions
from shl_utils.inference import coding, export
from shl_utils.runs import stamps

pytestmark = pytest.mark.slow


@pytest.mark.long
def test_an_exported_folder_predicts_without_the_project(smoke, tmp_path):
    folder, target = smoke[0], tmp_path / "exported"
    done = shl("export", folder, target)
    assert done.returncode == 0, done.stderr
    assert "shl_utils" not in (target / "predict.py").read_text()
    notes = corpus.read(folder)
    row = notes.rows("test")[0]
    (tmp_path / "note.txt").write_text(notes.notes["text"].iloc[row], encoding="utf-8")
    command = [
        sys.executable,
        target / "predict.py",
        tmp_path / "note.txt",
        weight_files.location(weight_files.MINILM),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
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


@pytest.mark.long
def test_an_encoder_that_is_a_folder_is_told_without_its_path_and_counts_by_its_content(tmp_path):
    """Not as it is, nor as JSON or Windows would write it; a folder is told by its name and its content."""
    place = tmp_path / "kept \u00e4 here"
    shutil.copytree(weight_files.location(weight_files.MINILM), place / "own-encoder")
    (place / "grid.yaml").write_text((PROJECT / "params" / "grids" / "smoke.yaml").read_text())
    asked = {"run": str(place / "run"), "encoder": str(place / "own-encoder"), "grid": str(place / "grid.yaml")}
    asked |= {"source": "synthetic", "synthetic_notes": 100, "epochs": 1, "min_steps": 0, "max_tokens": 16}
    asked |= {"chunk_tokens": 16}
    (place / "own.yaml").write_text(yaml.safe_dump(asked, allow_unicode=True), encoding="utf-8")
    done = shl("run", place / "own.yaml", "--until", "04_evaluate")
    assert done.returncode == 0, done.stderr
    target = export.export(place / "run", tmp_path / "exported")
    digest = weight_files.digest(asked["encoder"])
    for path in (path for path in target.rglob("*") if path.is_file()):
        text = path.read_bytes().decode("utf-8", errors="replace")
        for form in (str(tmp_path), str(tmp_path).replace("/", "\\"), json.dumps(str(place))[1:-1], place.name):
            assert form not in text, path
    card = (target / "README.md").read_text(encoding="utf-8")
    assert f"own-encoder (a folder that is on no hub; the digest of its content is {digest}" in card
    (tmp_path / "note.txt").write_text("fever")
    command = [sys.executable, target / "predict.py", tmp_path / "note.txt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"name the folder of the encoder after the note: own-encoder, whose digest is {digest}\n"
    done = subprocess.run([*command, asked["encoder"]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    weights = load_file(place / "own-encoder" / "model.safetensors")
    name = next(name for name in weights if name.endswith("layer.5.output.dense.weight"))
    weights[name] = weights[name].flip(0).contiguous()
    save_file(weights, place / "own-encoder" / "model.safetensors", metadata={"format": "pt"})
    found = stamps.states(place / "run")
    assert found["00_imbalance"].done
    assert str(found["01_filter"]) == f"outdated ({place / 'own-encoder' / 'model.safetensors'} changed)"
    with pytest.raises(ValueError, match=r"is not as .* used it"):
        coding.load(place / "run")
