"""A run's models as a folder of their own, for those who have transformers and peft but not this project."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from shl_utils import cleaning, model, runs, standalone, tables, variants
from shl_utils.encoder import MINILM
from shl_utils.one_note import FILES, STAGE
from shl_utils.parameters import Parameters

HUB = {MINILM: f"sentence-transformers/{MINILM}"}  # what the hub calls an encoder that comes from a package here
CARD = """# Medical codes for notes like those of {source}

{n} LoRA adapters on {encoder}, each with a head for codes of like frequency: segments of the tail, after Ray et al.,
2023, arXiv 2310.04595, in the reading of the project shl {version}. A research artefact, not for decisions on patients.

`python predict.py note.txt` prints the codes of a note, those at or above their thresholds with a star. It needs
transformers, peft and safetensors, and reads the first {max_tokens} tokens of a note.

Notes it was trained on: {licence}.{private}

Micro- and macro-F1 on the run's test notes, with 95% bootstrap intervals:

| model | micro-F1 | macro-F1 |
|---|---|---|
{figures}

The first is the one in this folder. Thresholds were chosen on validation notes (`threshold: {threshold}`).

What differs from the project's defaults: {parameters}.
"""
PRIVATE = " These notes are not public, and their terms may forbid to hand on models trained on them: ask first."


def export(folder: Path, target: Path) -> Path:
    """Write the main models of the finished run in `folder` to the new folder `target`: an adapter and a head a
    segment, `codes.csv`, `about.json`, `predict.py` and a model card. No note's text goes with them.

    FileNotFoundError or ValueError name a file of the run that is missing or altered, or a target that is there.
    """
    parameters, facts = runs.finished(folder, STAGE, *FILES, "metrics.json")
    if target.exists():
        raise ValueError(f"{target} is there already: give the name of a new folder")
    partial = target.with_name(target.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    segments = variants.read_segments(folder, variants.main(parameters))
    parts = {}
    for k in range(segments["segment"].max() + 1):
        place = folder / "segments" / str(k)
        (partial / f"segment-{k}").mkdir(parents=True)
        for name in model.FILES:
            shutil.copy(place / name, partial / f"segment-{k}" / name)
        parts[f"segment-{k}"] = json.loads((place / "segment.json").read_text(encoding="utf-8"))["codes"]
    encoder = HUB.get(parameters.encoder, parameters.encoder)
    about = {"encoder": encoder, "max_tokens": parameters.max_tokens, "segments": parts}
    runs.write_json(
        partial / "about.json", about | {"plain": cleaning.PLAIN, "blanked": cleaning.patterns(parameters.clean_text)}
    )
    limits = pd.read_parquet(folder / "thresholds.parquet").set_index("code")[parameters.threshold].rename("threshold")
    codes = pd.read_parquet(folder / "codes.parquet").merge(limits, left_on="code", right_index=True)
    codes.merge(segments[["code", "segment"]], on="code", how="left").to_csv(partial / "codes.csv", index=False)
    shutil.copy(standalone.__file__, partial / "predict.py")
    (partial / "README.md").write_text(_card(folder, parameters, facts, encoder, len(parts)), encoding="utf-8")
    partial.rename(target)
    return target


def _card(folder: Path, parameters: Parameters, facts: dict[str, Any], encoder: str, n: int) -> str:
    models = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["models"]
    told = {name: f"{value!r}" for name, value in parameters.model_dump(exclude_defaults=True).items()}
    hidden = {
        "run",
        "folder",
        "table",
        "descriptions",
        "rendezvous",
        "notes_folder",
        "split_files",
    }  # places on this machine
    return CARD.format(
        source=parameters.source,
        n=n,
        encoder=encoder,
        version=facts["version"],
        max_tokens=parameters.max_tokens,
        licence=facts["licence"],
        private=PRIVATE if facts["private"] else "",
        figures="\n".join(
            f"| {name} | {tables.interval(row, 'micro_f1')} | {tables.interval(row, 'macro_f1_present')} |"
            for name, row in models.items()
        ),
        threshold=parameters.threshold,
        parameters=", ".join(f"{k} {v}" for k, v in told.items() if k not in hidden) or "nothing",
    )
