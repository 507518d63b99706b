"""What a run cost: time and memory of its stages, what each model took, and what that grows with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from shl_utils.encoder import encoder, feature_cache
from shl_utils.encoder.tokens import Ragged
from shl_utils.parameters import STAGES, Parameters
from shl_utils.runs import disk, progress
from shl_utils.training import variants, worker
from shl_utils.training.sampling import batches
from shl_utils.training.segment_model import to_device

PROBE = 4  # notes by which FLOPs are counted


def stages(folder: Path) -> pd.DataFrame:
    """Of every finished stage, by its name: seconds of its last attempt, which kept what earlier ones had done, and the
    peak memory of the notebook's process in MB."""
    found = {}
    for stage in STAGES:
        path = folder / "stages" / f"{stage}.json"
        if path.exists():
            stamp = json.loads(path.read_text(encoding="utf-8"))
            found[stage] = {"seconds": stamp["seconds_of_last_attempt"], "peak_memory_mb": stamp["peak_memory_mb"]}
    return pd.DataFrame(found).T.rename_axis("stage")


def segments(folder: Path) -> pd.DataFrame:
    """A line a trained segment, wherever in the run: `model` (its folder), `segment`, `codes`, `notes` (seen in all
    epochs, each as often as it was), `trainable_parameters`, `core_seconds`, `bytes`."""
    found = {path: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("**/segments/*/segment.json")}
    # what an earlier version left, under other keys, is no part of this run any more
    known = {path: fact for path, fact in found.items() if "passes_per_epoch" in fact}
    lines = [{"model": _model(folder, p), "bytes": disk.size(p.parent)} | _facts(fact) for p, fact in known.items()]
    return pd.DataFrame(lines).sort_values(["model", "segment"], ignore_index=True)


def models(lines: pd.DataFrame) -> pd.DataFrame:
    """Of `segments`: sums over those of each model, and notes per core second."""
    sums = lines.groupby("model", sort=False).agg(
        segments=("segment", "size"),
        notes=("notes", "sum"),
        trainable_parameters=("trainable_parameters", "sum"),
        core_seconds=("core_seconds", "sum"),
        bytes=("bytes", "sum"),
    )
    return sums.assign(notes_per_core_second=sums["notes"] / sums["core_seconds"])


def against_one(lines: pd.DataFrame, per_note: pd.Series, *, notes: int, origin: str | None) -> pd.Series:
    """What the segments of the main model take, in times one model of all codes: how many models they are, the notes
    that they see in training, FLOPs, and core seconds.

    lines: of `segments`. per_note: FLOPs of a note, a row of `growth`. notes: those of training; the frozen layers
    run once for each, whatever is trained on them, and core seconds leave them out. origin: folder of the model that
    the segments start from, which has to be trained for them.
    """
    sums = models(lines)
    needed = ["main", *([origin] if origin else [])]
    one = ["reference" if "reference" in sums.index else "main"]

    def taken(names: list[str]) -> pd.Series:
        seen = sums.loc[names, "notes"].sum()
        return pd.Series(
            {
                "models": sums.loc[names, "segments"].sum(),
                "notes seen in training": seen,
                "FLOPs": notes * per_note["trunk"] + seen * per_note["trained"],
                "core seconds of training": sums.loc[names, "core_seconds"].sum(),
            }
        )

    return taken(needed) / taken(one)


def benches(folder: Path) -> dict[str, pd.DataFrame]:
    """What `shl bench` found in this run, by way of training and by number of notes; empty where it was not asked."""
    found = {}
    for name, key in (("training", "ways"), ("sizes", "notes")):
        path = folder / "bench" / f"{name}.json"
        if path.exists():
            lines = json.loads(path.read_text(encoding="utf-8"))[key]
            found[name] = pd.DataFrame(lines).T.rename_axis(key)
    return found


def growth(
    base: nn.Module, parameters: Parameters, *, tokens: Sequence[int], codes: Sequence[int]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """FLOPs of a note: by its tokens at the first of `codes`, by codes at the first of `tokens`.

    Columns: `trunk`, once, and `trained`, forward and backward, each time that the note is seen. base: the encoder.
    """
    notes = {n: Ragged(torch.ones(PROBE * n, dtype=torch.int32), np.arange(PROBE + 1) * n) for n in tokens}
    asked = dict.fromkeys([(n, codes[0]) for n in tokens] + [(tokens[0], k) for k in codes])
    shown = progress.over(asked, "count FLOPs")
    found = {(n, k): operations(base, parameters, notes[n], codes=k) for n, k in shown}
    by_tokens, by_codes = {n: found[n, codes[0]] for n in tokens}, {k: found[tokens[0], k] for k in codes}
    return pd.DataFrame(by_tokens).T.rename_axis("tokens"), pd.DataFrame(by_codes).T.rename_axis("codes")


def operations(base: nn.Module, parameters: Parameters, notes: Ragged, *, codes: int) -> dict[str, float]:
    """FLOPs of a note, as `growth` says, the mean over `notes`, with the padding of their batches.

    notes: token numbers. base: on the processor; it is left with plain attention, the one that the counter sees.
    """
    base.set_attn_implementation("eager")
    below, above = FlopCounterMode(display=False), FlopCounterMode(display=False)
    seen, rng = notes, np.random.default_rng(0)
    if parts := feature_cache.split_encoder(base, parameters):
        seen = Ragged(torch.empty(notes.offsets[-1], base.config.hidden_size), notes.offsets)
        with below:
            encoder.encode(parts[0], notes, seen.flat, device="cpu", label=None)
    net = worker.fresh(base, np.full(codes, 0.5), parameters)
    with above:
        for batch in batches(np.arange(len(seen)), seen.lengths, size=parameters.batch_size, rng=rng):
            net(*to_device(seen, batch, "cpu")).sum().backward()
    return {"trunk": below.get_total_flops() / len(notes), "trained": above.get_total_flops() / len(notes)}


def _model(folder: Path, path: Path) -> str:
    name = path.parents[2].relative_to(folder).as_posix()
    return "main" if name == "." else name


def _facts(fact: dict[str, Any]) -> dict[str, Any]:
    epoch = fact["passes_per_epoch"] * (fact["positives"] + fact["negatives_per_pass"])
    return {
        "segment": fact["segment"],
        "codes": len(fact["codes"]),
        "notes": epoch * len(fact["history"]),
        "trainable_parameters": fact["trainable_parameters"],
        "core_seconds": variants.core_seconds_of(fact),
    }
