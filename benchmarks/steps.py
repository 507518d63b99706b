"""Notes per second of frozen layers and of training steps, by precision and batch size, beside the matrix rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shl_utils.data import corpus as corpora
from shl_utils.data.corpus import Corpus
from shl_utils.encoder import encoder, forward_pass, frozen_layers, tokens
from shl_utils.encoder.tokens import Ragged
from shl_utils.evaluation import cost
from shl_utils.parameters import PLACEMENT, STAGES, Parameters, owned_by
from shl_utils.runs import mixed_precision, provenance, storage
from shl_utils.training import jobs, loop, variants, worker
from shl_utils.training.sampling import batches

SIZES = (4, 8, 16)  # notes per batch
NOTES = 256
ROUNDS = 3
SIDE = 2048  # of the square matrices on a CPU; 8,192 on a GPU


def conditions(parameters: Parameters) -> dict[str, Any]:
    """With what and where a bench measures: what may change its results, no more."""
    machine = provenance.hardware()
    later = [name for stage in STAGES[STAGES.index("05_ablate") :] for name in owned_by(stage)]
    without = {"run", "based_on", "interactive", *PLACEMENT, *later}
    return {
        "parameters": parameters.model_dump(exclude=without),
        "precision": mixed_precision.computing(parameters).precision,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "machine": {name: machine[name] for name in ("model", "cores", "gpus")},
        "versions": provenance.versions(),
    }


def matrix_rate(precision: str) -> float:
    """Peak matmul throughput in FLOP/s of two square matrices on all cores or one GPU: the best within one second."""
    device = mixed_precision.device()
    side = SIDE if device == "cpu" else 4 * SIDE
    a = torch.randn(side, side, device=device, dtype=mixed_precision.DTYPES[precision])
    best, end = 0.0, time.monotonic() + 1
    while time.monotonic() < end:
        best = max(best, 2 * side**3 / _seconds(lambda: a @ a))
    return best


def bench(folder: Path, parameters: Parameters) -> Path:
    """Measure on notes of the run in `folder`; return the file of results.

    It has one row per precision and `what`: `notes_per_second`, `flops_per_note` with padding, `share` of matrix rate.
    What is the frozen layers, or steps of the largest segment of the run's main model, by batch size. All are measured
    on all cores, in the run's precision and in float32, and take turns. Of ROUNDS rounds on the same batches the
    fastest of each batch counts, since other work on the machine only slows.
    """
    corpus = corpora.read(folder)
    plan = next(jobs.plan(folder, [variants.main(parameters)], corpus))
    rows = plan.training_set(plan.n - 1).rows
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:NOTES])
    tokenizer, base = encoder.load(parameters.encoder, download=parameters.download)
    read = tokens.tokenize(tokenizer, corpus.notes["text"].to_numpy()[rows], max_tokens=parameters.max_tokens)
    codes = int((plan.segments == plan.n - 1).sum())
    flops = {"frozen layers": cost.operations(base, parameters, read, codes=codes)["frozen"]}
    for size in SIZES:
        own = parameters.model_copy(update={"batch_size": size})
        flops[f"steps of {size}"] = cost.operations(base, own, read, codes=codes)["trained"]
    found = conditions(parameters) | provenance.revision() | {"steps": []}
    for precision in dict.fromkeys([found["precision"], "fp32"]):
        own = parameters.model_copy(update={"precision": precision})
        seconds, rate = _measure(corpus, plan, rows, read, own)
        for what, taken in seconds.items():
            line = {"precision": precision, "what": what, "notes_per_second": round(len(rows) / taken, 1)}
            line |= {"flops_per_note": flops[what], "share": len(rows) / taken * flops[what] / rate}
            found["steps"].append(line)
    target = folder / "bench" / "steps.json"
    target.parent.mkdir(exist_ok=True)
    storage.write_json(target, found)
    return target


def _measure(
    corpus: Corpus, plan: jobs.Plan, rows: NDArray[np.int64], read: Ragged, parameters: Parameters
) -> tuple[dict[str, float], float]:
    """Seconds for all notes of `rows`, by what is done with them, and the matrix rate. read: their tokens."""
    by = mixed_precision.computing(parameters)
    _, base = encoder.load(parameters.encoder, download=parameters.download)  # counting FLOPs left another attention
    frozen = frozen_layers.split_encoder(base.to(by.device), parameters).frozen
    flat, rate, seconds = read.flat, 0.0, {}
    if frozen:
        flat, seconds = torch.empty(len(read.flat), base.config.hidden_size, dtype=by.kept), {"frozen layers": np.inf}
    lengths = np.zeros(len(corpus.notes), dtype=np.int64)
    lengths[rows] = read.lengths
    seen = Ragged(flat, np.concatenate([[0], np.cumsum(lengths)]))  # all other notes are empty
    drawn = {n: list(batches(rows, lengths, size=n, rng=np.random.default_rng(0))) for n in SIZES}
    steps = {n: _step(base, seen, corpus, plan, parameters) for n in SIZES}
    best = {n: np.full(len(drawn[n]), np.inf) for n in SIZES}
    to = {"device": by.device, "dtype": by.dtype, "label": None}
    for _ in range(ROUNDS):
        rate = max(rate, matrix_rate(by.precision))
        if frozen:
            taken = _seconds(lambda: forward_pass.encode(frozen, read, flat, **to))
            seconds["frozen layers"] = min(seconds["frozen layers"], taken)
        for size, step in steps.items():
            for i, batch in enumerate(drawn[size]):
                best[size][i] = min(best[size][i], _seconds(lambda step=step, batch=batch: step(rows[batch])))
    return seconds | {f"steps of {size}": float(values.sum()) for size, values in best.items()}, rate


def _step(
    base: nn.Module, seen: Ragged, corpus: Corpus, plan: jobs.Plan, parameters: Parameters
) -> Callable[[NDArray[np.int64]], Any]:
    """One step on notes with these numbers, in a training of the last segment. seen: features of all notes."""
    accelerator = worker.accelerator_for(parameters.precision, world=1)
    task = worker.task_of(seen, corpus, plan, plan.n - 1, device=accelerator.device)
    training = loop.prepared(lambda prior: worker.fresh(base, prior, parameters), task, parameters, accelerator)
    return lambda rows: loop.step(training, rows, np.ones(len(rows)), notes=len(rows))


def _seconds(what: Callable[[], Any]) -> float:
    started = time.perf_counter()
    what()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started
