"""What finished runs found, as one file in `results/` that is committed: `shl publish`. It holds no text of a note.

The runs of one file differ in their split alone.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from shl_utils.evaluation import cost
from shl_utils.experiments import claims, grid
from shl_utils.parameters import PATHS, PLACEMENT, STAGES, Parameters, check, owned_by
from shl_utils.runs import locations, parameter_file, provenance, stages, stamps, storage
from shl_utils.runs.locations import outside
from shl_utils.training import segment_record
from shl_utils.training.segment_record import SegmentRecord

FOLDER = provenance.PROJECT / "results"
STAGE = "05_ablate"  # that a published run has finished
TABLES = ("ablation", "effects", "frequency", "tuning")
LATER = STAGES[STAGES.index(STAGE) + 1 :]
# what changes no result, or is a path
UNSAID = {"run", "based_on", "interactive", *PATHS, *PLACEMENT, *(name for stage in LATER for name in owned_by(stage))}
# parameters that are gone, at the values under which they changed no result, or the parameter that has their value
GONE = {"warm_start_lr_factor": 0.25, "max_negative_weight": 0.0, "ablation_epochs": "epochs"}
Found = Mapping[str, Any]  # the contents of a published file


def publish(name: str, files: Sequence[Path]) -> Path:
    """Write `results/<name>.json` from the finished runs of these parameter files; return its path.

    What it holds of other parameter files stays, so that splits may be run one by one, or on several machines.
    ValueError for a name that no page can ask for, or that is a bench's, and where runs differ in more than their
    split, are tested on the same notes, or a file was edited after its run; FileNotFoundError where a run is not
    finished.
    """
    target = FOLDER / f"{name}.json"
    if not re.fullmatch(r"\w+", name):
        raise ValueError(f"{name}: use letters, digits and underscores")
    known = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {"runs": {}}
    if "runs" not in known:
        raise ValueError(f"{target} holds what a bench measured: take another name")
    new = {Path(run["file"]).with_suffix("").as_posix(): run for run in map(record, files)}
    runs = dict(sorted((known["runs"] | new).items()))
    first, *others = ((run["parameters"] | {"seed": None}, run["grids"]) for run in runs.values())
    if any(differ(*pair) for other in others for pair in zip(first, other)):
        remedy = f"take another name, or delete {target} and publish all anew"
        raise ValueError(f"{', '.join(runs)} differ in more than `seed`: {remedy}")
    if len({json.dumps(_names(run)) for run in runs.values()}) > 1:
        made_by = ", ".join(dict.fromkeys(run["stages"][STAGE].get("revision", "none") for run in runs.values()))
        raise ValueError(
            f"{', '.join(runs)} have other names of rows or claims, by revisions {made_by}: run them by one"
        )
    if len({run["test_notes"] for run in runs.values()}) < len(runs):
        raise ValueError(f"{', '.join(runs)}: two have the same test notes, so they are not two splits")
    target.parent.mkdir(exist_ok=True)
    storage.write_json(target, {"runs": runs})
    return target


def record(path: Path) -> dict[str, Any]:
    """What the finished run of a parameter file found, and with what it was made; ValueError if the file was edited
    since or the run is outdated, FileNotFoundError if it is not finished."""
    wanted = _parameters(path)
    folder = locations.folder_of(wanted.run)
    states = stamps.states(folder)
    for stage in stamps.up_to(STAGE):
        if not (state := states[stage]).done:
            kind = ValueError if stamps.read(folder, stage) else FileNotFoundError
            raise kind(f"{folder}: {stage} is {state}: shl run {path}")
    parameters, _ = stages.finished(folder, STAGE)
    facts = {stage: stamps.read(folder, stage) for stage in stamps.up_to(STAGE)}
    last = facts[STAGE]
    grids = {"grid": last["read"].get(outside(grid.path_of(parameters.grid)))}
    edited = differ(_said(wanted), _said(parameters)) + differ(_grids(wanted), grids)
    if edited:
        raise ValueError(f"{path} was edited after its run ({', '.join(edited)}): shl run {path}")
    notes = pd.read_parquet(folder / "corpus.parquet", columns=["note", "split"])
    return {
        "file": outside(path.resolve()),
        "parameters": _said(parameters),
        "grids": grids,
        "fingerprints": facts["00_imbalance"]["fingerprints"],
        "described": facts["02_segment"]["described"],
        "notes": notes["split"].value_counts().to_dict(),
        "test_notes": storage.short(sorted(notes.loc[notes["split"] == "test", "note"])),
        "stages": {
            stage: {"seconds": stamp["seconds_of_last_attempt"], "code": storage.short(stamp["code"])} | stamp["git"]
            for stage, stamp in facts.items()
        },
        "seconds": {
            stage: stamps.read(folder, stage)["seconds_of_last_attempt"]
            for stage, state in states.items()
            if state.done
        },
        "core_seconds": round(float(cost.segments(folder)["core_seconds"].sum()), 1),  # of all trainings, kept or not
        "computed": [line for stamp in facts.values() for line in stamp["computed"]],
        "hardware": {name: last["hardware"][name] for name in ("model", "cores", "memory_gb", "gpus")},
        "versions": last["versions"],
        "finished": last["finished"],
        "claims": _records(claims.judge_run(folder).drop(columns=["verdict", "mark"]).reset_index()),
        "tables": {name: _records(pd.read_parquet(folder / f"{name}.parquet")) for name in TABLES},
        "trained": [_trained(one) for one in segment_record.read_all(folder / "segments")],
    }


def _names(run: Found) -> list[list[str]]:
    """What rows and claims are called, by which splits are pooled; it may differ between versions."""
    return [[row["row"] for row in run["tables"]["ablation"]], [line["claim"] for line in run["claims"]]]


def _trained(record: SegmentRecord) -> dict[str, Any]:
    """The record of a segment, with the number of its codes in place of their names."""
    return dataclasses.asdict(record) | {"codes": len(record.codes)}


def _parameters(path: Path) -> Parameters:
    return check(parameter_file.load(path), origin=str(path))


def _said(parameters: Parameters) -> dict[str, Any]:
    """What a result depends on, without paths: of the encoder the last part of its name."""
    return parameters.model_dump(exclude=UNSAID) | {"encoder": Path(parameters.encoder).name}


def _grids(parameters: Parameters) -> dict[str, str]:
    """Digest of the grid's file as it is, by the parameter that names it."""
    return {"grid": storage.digest(grid.path_of(parameters.grid))}


def differ(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The names whose values differ, where one that is GONE counts as it was without effect."""
    return [name for name in {**one, **other} if _value(one, name) != _value(other, name)]


def _value(said: Mapping[str, Any], name: str) -> Any:
    without_effect = GONE.get(name)
    return said.get(name, said.get(without_effect, without_effect))


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return json.loads(table.to_json(orient="records"))


def published() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every published run, with the file in `results/` that holds it."""
    for path in sorted(FOLDER.glob("*.json")):
        for run in json.loads(path.read_text(encoding="utf-8")).get("runs", {}).values():
            yield path, run


def seconds(run: Mapping[str, Any]) -> float:
    """What `00` to `05` of a published run take, about: its last attempts may have kept what was trained before."""
    last = sum(stage["seconds"] for stage in run["stages"].values())
    return max(last, run.get("core_seconds", 0) / run["hardware"]["cores"])


def outdated(found: Found) -> list[str]:
    """By run, what today's parameter files, grids and defaults would run otherwise than these results were made."""
    reasons = []
    for name, run in found["runs"].items():
        path = provenance.PROJECT / run["file"]
        today = _parameters(path) if path.exists() else None
        pairs = ((_said(today), run["parameters"]), (_grids(today), run["grids"])) if today else ()
        changed = [part for pair in pairs for part in differ(*pair)] if today else [f"{run['file']} is gone"]
        reasons += [f"{name}: {', '.join(changed)}"] if changed else []
    return reasons
