"""Export of a run's models to a folder of their own, usable with transformers and peft but without this project."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from shl_utils.data import cleaning
from shl_utils.encoder import weight_files
from shl_utils.encoder.weight_files import PUBLISHED
from shl_utils.inference import predict_template
from shl_utils.inference.coding import STAGE
from shl_utils.parameters import PATHS, PLACEMENT, Parameters, owned_by
from shl_utils.reporting import formats
from shl_utils.runs import stages, stamps, storage
from shl_utils.training import segment_model, variants
from shl_utils.training.segment_record import SegmentRecord

HUB = {name: f"sentence-transformers/{name}" for name in PUBLISHED}  # names on the hub
CARD = """# Medical codes for notes like those of {source}

{n} LoRA adapters on {encoder}{digest}, each with a head for codes of like frequency: segments of the tail, after Ray et
al., 2023, arXiv 2310.04595, in the reading of the project shl {version}. A research artefact, not for decisions on
patients.

`python predict.py note.txt{argument}` prints the codes of a note, those at or above their thresholds with a star. It
needs transformers, peft and safetensors, and reads the first {max_tokens} tokens of a note.

Notes it was trained on: {licence}.{private}

Micro- and macro-F1 on the run's test notes, with 95% bootstrap intervals:

| model | micro-F1 | macro-F1 |
|---|---|---|
{metrics}

The first is the one in this folder. Thresholds were chosen on validation notes (`threshold: {threshold}`).

What differs from the project's defaults: {parameters}.
"""
DIGEST = " (a folder that is on no hub; the digest of its content is {}, by `shl_utils.encoder.weight_files.digest`)"
PRIVATE = " These notes are not public, and their terms may forbid to hand on models trained on them: ask first."


def export(folder: Path, target: Path) -> Path:
    """Write the main models of the finished run in `folder` to the new folder `target`, and return it.

    It gets one adapter and head per segment, `codes.csv`, `about.json`, `predict.py` and a model card. It contains no
    text of a note and no path of this machine: an encoder in a folder is given by its name and digest.
    FileNotFoundError or ValueError name a file of the run that is missing or altered; ValueError if `target` exists.
    """
    parameters, facts = stages.finished(folder, STAGE)
    if target.exists():
        raise ValueError(f"{target} is there already: give the name of a new folder")
    with storage.atomic(target) as partial:
        segments = variants.read_segments(folder, variants.main(parameters))
        known, parts = _encoder(parameters.encoder), {}
        for k in range(segments["segment"].max() + 1):
            place = folder / "segments" / str(k)
            (partial / f"segment-{k}").mkdir(parents=True)
            for name in segment_model.FILES:
                shutil.copy(place / name, partial / f"segment-{k}" / name)
            config = json.loads((place / "adapter_config.json").read_text(encoding="utf-8"))
            base = {"base_model_name_or_path": known["encoder"] or None}
            storage.write_json(partial / f"segment-{k}" / "adapter_config.json", config | base)
            parts[f"segment-{k}"] = SegmentRecord.read(place).codes
        about = known | {"max_tokens": parameters.max_tokens, "segments": parts}
        about |= {"plain": cleaning.PLAIN, "blanked": cleaning.patterns(parameters.clean_text)}
        storage.write_json(partial / "about.json", about)
        rules = pd.read_parquet(folder / "thresholds.parquet").set_index("code")
        limits = rules[parameters.threshold].rename("threshold")
        codes = pd.read_parquet(folder / "codes.parquet").merge(limits, left_on="code", right_index=True)
        codes.merge(segments[["code", "segment"]], on="code", how="left").to_csv(partial / "codes.csv", index=False)
        shutil.copy(predict_template.__file__, partial / "predict.py")
        (partial / "README.md").write_text(_card(folder, parameters, facts, known, len(parts)), encoding="utf-8")
    return target


def _encoder(name: str) -> dict[str, str]:
    """`encoder`: its name on the hub; "" if it is a local folder, which `folder` and `digest` then identify."""
    path = Path(name)
    if name in HUB or not (path.is_dir() or path.is_absolute() or name.startswith(".")):
        return {"encoder": HUB.get(name, name)}
    return {"encoder": "", "folder": path.resolve().name, "digest": weight_files.digest(name)}


def _card(folder: Path, parameters: Parameters, facts: dict[str, Any], known: dict[str, str], n: int) -> str:
    models = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["models"]
    # the parameters that made these models, without paths and placement on this machine
    named = {name for stage in stamps.up_to(STAGE) for name in owned_by(stage)} - {*PATHS, *PLACEMENT}
    differs = parameters.model_dump(exclude_defaults=True, include=named)
    return CARD.format(
        source=parameters.source,
        n=n,
        encoder=known["encoder"] or known["folder"],
        digest="" if known["encoder"] else DIGEST.format(known["digest"]),
        argument="" if known["encoder"] else " ENCODER",
        version=facts["version"],
        max_tokens=parameters.max_tokens,
        licence=facts["licence"],
        private=PRIVATE if facts["private"] else "",
        metrics="\n".join(
            f"| {name} | {formats.interval(row, 'micro_f1')} | {formats.interval(row, 'macro_f1_present')} |"
            for name, row in models.items()
        ),
        threshold=parameters.threshold,
        parameters=", ".join(f"{name} {value!r}" for name, value in differs.items()) or "nothing",
    )
