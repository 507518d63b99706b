"""Grid files: which experiments an ablation has. Every combination of the levels within a block is an experiment.

A block may also hold `tune`, a list of settings {parameter: value}. Every experiment of the block keeps the setting
that is best on validation: the same budget for all, see `tuning`.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shl_utils.hints import nearest
from shl_utils.parameters import PLACEMENT, Parameters, check, owned_by
from shl_utils.runs import locations, provenance
from shl_utils.runs.parameter_file import read_yaml, resolved

FOLDER = provenance.PROJECT / "params" / "grids"
SCORING = ("union", "oracle_routing")  # see `ablation.Experiment`
SEED = "training_seed"  # levels of this one are averaged, not compared
TUNE = "tune"
# what may vary: how labels are filtered and divided into segments, and how a segment is trained
VARIED = ("scoring", "encoder", "max_tokens", "filter_by", "filter_threshold", "filter_labels")
VARIED += tuple(owned_by("02_segment"))
TRAINING = tuple(n for n in owned_by("03_train") if n not in ("epochs", "precision", *PLACEMENT))
VARIED += TRAINING


def path_of(grid: str) -> Path:
    """Path of a grid file, given its name below params/grids or a path."""
    return locations.expanded(grid) if Path(grid).suffix else FOLDER / f"{grid}.yaml"


def short(level: Any) -> str:
    """A level as written in names: 1000, 0.5 or 1e-05, never 1000.0; of a path its last part and a short hash."""
    if level in SCORING:
        return level.replace("_", " ")
    if isinstance(level, str) and Path(level).is_absolute():
        return f"{Path(level).name} ({hashlib.sha256(level.encode()).hexdigest()[:4]})"
    return str(int(level)) if isinstance(level, float) and level.is_integer() and abs(level) < 1e15 else str(level)


@dataclass(frozen=True)
class Combination:
    """One experiment of a grid. choices: its levels {factor: level} without the seed. settings: the full parameters,
    one set per setting to be tuned, or a single one. seeds: of the training runs."""

    choices: dict[str, Any]
    settings: tuple[Parameters, ...]
    seeds: tuple[int, ...]


def combinations(grid: str, parameters: Parameters) -> Iterator[Combination]:
    """The combinations of a grid; ValueError, with the file's name, for an unknown factor or an impossible level."""
    path = path_of(grid)
    for block in _blocks(path):
        factors = [factor for factor in block if factor not in (SEED, TUNE)]
        seeds = block.get(SEED, [parameters.training_seed])
        for levels in itertools.product(*(block[factor] for factor in factors)):
            choices = dict(zip(factors, levels))
            changed = {factor: level for factor, level in choices.items() if factor != "scoring"}
            settings = [_full(changed | setting, parameters, path) for setting in block.get(TUNE, [{}])]
            for seed in seeds:
                check(settings[0].model_dump() | {SEED: seed}, origin=str(path))
            yield Combination(choices, tuple(settings), tuple(seeds))


def _full(changed: dict[str, Any], parameters: Parameters, path: Path) -> Parameters:
    full = check(parameters.model_dump() | resolved(changed, path.resolve().parent), origin=str(path))
    moved = [n for n in ("encoder", "max_tokens") if getattr(full, n) != getattr(parameters, n)]
    if full.filter_labels != "none" and moved:
        raise ValueError(f"{path}: the run's filter looks with its own {moved[0]}: add `filter_labels: [none]`")
    return full


def _blocks(path: Path) -> list[dict[str, list]]:
    if not path.is_file():
        near = nearest(path.stem, [known.stem for known in FOLDER.glob("*.yaml")])
        raise FileNotFoundError(f"grid {path} is missing: the project's own are in params/grids/{near}")
    blocks = read_yaml(path)
    blocks = blocks if isinstance(blocks, list) else [blocks]
    for block in blocks:
        if not isinstance(block, dict) or not block or not all(isinstance(v, list) and v for v in block.values()):
            raise ValueError(f"{path}: expected blocks of `factor: [level, ...]`")
        for factor in block:
            if factor not in (*VARIED, TUNE):
                raise ValueError(f"{path}: unknown factor {factor!r}{nearest(str(factor), (*VARIED, TUNE))}")
        _check_tune(block, path)
        for level in block.get("scoring", []):
            if level not in SCORING:
                raise ValueError(f"{path}: scoring: use one of {', '.join(SCORING)}, got {level!r}")
    return blocks


def _check_tune(block: dict[str, list], path: Path) -> None:
    for setting in block.get(TUNE, []):
        if not isinstance(setting, dict) or not setting:
            raise ValueError(f"{path}: tune: expected settings {{parameter: value, ...}}, got {setting!r}")
        for name in setting:
            if name not in TRAINING or name == SEED:
                raise ValueError(f"{path}: tune: {name!r} cannot be tuned{nearest(str(name), TRAINING)}")
            if name in block:
                raise ValueError(f"{path}: tune: {name} is a factor of the same block")
