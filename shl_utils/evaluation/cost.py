"""What a run cost: time and memory of its stages, cost of each model, and how that cost grows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from shl_utils.encoder import forward_pass, frozen_layers
from shl_utils.encoder.tokens import Ragged
from shl_utils.evaluation import disk
from shl_utils.parameters import STAGES, Parameters
from shl_utils.runs import progress, provenance, stamps
from shl_utils.training import variants, worker
from shl_utils.training.sampling import batches
from shl_utils.training.segment_record import FILE, SegmentRecord

# files in `results/` of the project, by what `benches` calls them
PUBLISHED = {"training": "cost_bf16", "segments": "segments_bf16", "steps": "steps_bf16", "sizes": "sizes_bf16"}
MAIN = "main"  # what tables call the run's own model
# of the products of `lora_linear`: PyTorch's counter knows addmm only where it is not in place
IN_PLACE = {torch.ops.aten.addmm_: lambda _, a, b, **__: 2 * a[0] * a[1] * b[1]}


def stages(folder: Path) -> pd.DataFrame:
    """Per finished stage: `seconds` of its last attempt, which reused what earlier ones had finished, and
    `peak_memory_mb` of the notebook's process. Index: `stage`."""
    found = {stage: stamp for stage in STAGES if (stamp := stamps.read(folder, stage))}
    lines = {
        stage: {"seconds": stamp["seconds_of_last_attempt"], "peak_memory_mb": stamp["peak_memory_mb"]}
        for stage, stamp in found.items()
    }
    return pd.DataFrame(lines).T.rename_axis("stage")


def segments(folder: Path) -> pd.DataFrame:
    """One row per trained segment found anywhere in the run, but for those of benches.

    Columns: `model` (its folder), `segment`, `codes`, `notes` (seen over all epochs, counted with repetition),
    `trainable_parameters`, `core_seconds`, `MB_kept`.
    """
    lines = []
    found = (path.parent for path in folder.glob(f"**/segments/*/{FILE}"))
    for place in (place for place in found if "bench" not in place.relative_to(folder).parts):
        with suppress(ValueError):  # leftovers of an earlier version are no longer part of this run
            model = named(place.parents[1].relative_to(folder).as_posix())
            line = {"model": model, "MB_kept": disk.size(place) / 1e6}
            lines.append(line | _cost(SegmentRecord.read(place)))
    return pd.DataFrame(lines).sort_values(["model", "segment"], ignore_index=True)


def models(lines: pd.DataFrame) -> pd.DataFrame:
    """Sums of the table from `segments` per model, and `notes_per_core_second`. Index: `model`."""
    groups = lines.groupby("model", sort=False)
    sums = groups[["notes", "trainable_parameters", "core_seconds", "MB_kept"]].sum()
    sums.insert(0, "segments", groups.size())
    return sums.assign(notes_per_core_second=sums["notes"] / sums["core_seconds"])


def against_one(lines: pd.DataFrame, per_note: pd.Series, *, notes: int, reference: str) -> pd.Series:
    """Cost of the main model's segments as a multiple of the cost of one model of all codes.

    Returns a series: "models", "notes seen in training", "FLOPs" and "core seconds of training".
    lines: table from `segments`. per_note: FLOPs per note, a row of `growth`. notes: number of training notes.
    reference: folder of that one model, which may be the main model. The frozen layers run once for each note, whatever
    is trained on them; core seconds exclude that.
    """
    sums = models(lines)

    def taken(name: str) -> pd.Series:
        line = sums.loc[name]
        return pd.Series(
            {
                "models": line["segments"],
                "notes seen in training": line["notes"],
                "FLOPs": notes * per_note["frozen"] + line["notes"] * per_note["trained"],
                "core seconds of training": line["core_seconds"],
            }
        )

    return taken(MAIN) / taken(named(reference))


def benches(folder: Path) -> dict[str, Any]:
    """What `shl bench` wrote in this run: "training", "segments", "steps" and "sizes", if measured."""
    return _read({name: folder / "bench" / f"{name}.json" for name in PUBLISHED})


def ours() -> dict[str, Any]:
    """The same as measured by us, from `results/` of the project; what is not there is left out."""
    return _read({name: provenance.PROJECT / "results" / f"{file}.json" for name, file in PUBLISHED.items()})


def _read(paths: dict[str, Path]) -> dict[str, Any]:
    """Contents of those of these JSON files that are there."""
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()}


def at_chosen_rates(way: dict[str, Any]) -> pd.DataFrame:
    """The trainings of a way at the learning rates that validation chose, by `seed`. way: of a file of `shl bench`."""
    trained = pd.DataFrame(way["trainings"])
    return trained[trained["factor"] == way["factor"]].set_index("seed")


def by_segment_count(found: dict[str, Any]) -> pd.DataFrame:
    """One row per number of segments, means over seeds. found: what `shl bench --segments` wrote.

    Columns: `eta`, `seconds`, `notes_seen`, `peak_memory_mb`, `bytes`, `micro_f1`, `macro_f1_present`,
    `validation_ranking`.
    """
    ways = found["ways"].values()
    counted = {way["segments"]: at_chosen_rates(way).assign(eta=way["changes"]["eta"]) for way in ways}
    lines = {n: counted[n].mean(numeric_only=True) for n in sorted(counted)}
    return pd.DataFrame(lines).T.rename_axis("segments")


def growth(
    base: nn.Module, parameters: Parameters, *, tokens: Sequence[int], codes: Sequence[int]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """FLOPs per note, as two tables: by tokens (with the first of `codes`), and by codes (with the first of `tokens`).

    Columns: `frozen` (frozen layers, once per note) and `trained` (forward and backward, each time the note is seen).
    base: the encoder.
    """
    notes = {n: Ragged(torch.ones(n, dtype=torch.int32), np.array([0, n])) for n in tokens}
    pairs = dict.fromkeys([(n, codes[0]) for n in tokens] + [(tokens[0], k) for k in codes])
    found = {(n, k): operations(base, parameters, notes[n], codes=k) for n, k in progress.over(pairs, "count FLOPs")}
    by_tokens, by_codes = {n: found[n, codes[0]] for n in tokens}, {k: found[tokens[0], k] for k in codes}
    return pd.DataFrame(by_tokens).T.rename_axis("tokens"), pd.DataFrame(by_codes).T.rename_axis("codes")


def operations(base: nn.Module, parameters: Parameters, notes: Ragged, *, codes: int) -> dict[str, float]:
    """FLOPs per note, `frozen` and `trained` as in `growth`: the mean over `notes`, with the padding of their batches.

    notes: token ids. base: the encoder, on the CPU; it is left with eager attention, which the counter needs.
    """
    base.set_attn_implementation("eager")
    below, above = (FlopCounterMode(display=False, custom_mapping=IN_PLACE) for _ in range(2))
    seen, rng = notes, np.random.default_rng(0)
    if frozen := frozen_layers.split_encoder(base, parameters).frozen:
        seen = Ragged(torch.empty(notes.offsets[-1], base.config.hidden_size), notes.offsets)
        with below:
            forward_pass.encode(frozen, notes, seen.flat, device="cpu", dtype=torch.float32, label=None)
    net = worker.fresh(base, np.full(codes, 0.5), parameters)
    with above:
        for batch in batches(np.arange(len(seen)), seen.lengths, size=parameters.batch_size, rng=rng):
            net(*seen.pad(batch)).sum().backward()
    return {"frozen": below.get_total_flops() / len(notes), "trained": above.get_total_flops() / len(notes)}


def named(place: str) -> str:
    """A model by its folder in the run; MAIN for the run's own, which lies in the run itself."""
    return MAIN if place == variants.MAIN else place


def _cost(record: SegmentRecord) -> dict[str, float]:
    epoch = record.passes_per_epoch * (record.positives + record.negatives_per_pass)
    return {
        "segment": record.segment,
        "codes": len(record.codes),
        "notes": epoch * len(record.history),
        "trainable_parameters": record.trainable_parameters,
        "core_seconds": variants.core_seconds_of(record),
    }
