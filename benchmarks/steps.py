"""Notes per second of frozen layers and of training steps, by precision and batch size, beside the matrix rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from shl_utils.data import corpus as corpora
from shl_utils.encoder import encoder, forward_pass, frozen_layers, tokens
from shl_utils.encoder.tokens import Ragged
from shl_utils.evaluation import cost
from shl_utils.parameters import Parameters
from shl_utils.runs import mixed_precision, provenance, storage
from shl_utils.training import jobs, loop, variants, worker
from shl_utils.training.sampling import batches

SIZES = (4, 8, 16)  # notes per batch
NOTES = 256
ROUNDS = 3
SIDE = 2048  # of the square matrices on a CPU; 8,192 on a GPU


def conditions(parameters: Parameters) -> dict[str, Any]:
    """With what and where a bench measures."""
    return {
        "parameters": parameters.model_dump(),
        "precision": mixed_precision.computing(parameters).precision,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "hardware": provenance.hardware(),
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
    corpus, rng = corpora.read(folder), np.random.default_rng(0)
    plan = next(jobs.plan(folder, [variants.main(parameters)], corpus))
    rows = plan.training_set(plan.n - 1).epoch(rng)[0][:NOTES]
    tokenizer, base = encoder.load(parameters.encoder, download=parameters.download)
    read = tokens.tokenize(tokenizer, corpus.notes["text"].to_numpy()[rows], max_tokens=parameters.max_tokens)
    task = worker.task_of(read, corpus, plan, plan.n - 1, device=mixed_precision.device())
    sized = {size: parameters.model_copy(update={"batch_size": size}) for size in SIZES}
    work = {size: cost.operations(base, own, read, codes=task.labels.shape[1]) for size, own in sized.items()}
    flops = {"frozen layers": work[SIZES[0]]["frozen"]}
    flops |= {f"steps of {size}": counted["trained"] for size, counted in work.items()}
    found = conditions(parameters) | provenance.revision() | {"steps": []}
    base.to(mixed_precision.device())
    for precision in dict.fromkeys([found["precision"], "fp32"]):
        own = parameters.model_copy(update={"precision": precision})
        seconds, rate = _measure(base, read, task, rows, own)
        for what, taken in seconds.items():
            line = {"precision": precision, "what": what, "notes_per_second": round(len(rows) / taken, 1)}
            line |= {"flops_per_note": flops[what], "share": len(rows) / taken * flops[what] / rate}
            found["steps"].append(line)
    target = folder / "bench" / "steps.json"
    target.parent.mkdir(exist_ok=True)
    storage.write_json(target, found)
    return target


def _measure(
    base: nn.Module, read: Ragged, task: loop.Task, rows: np.ndarray, parameters: Parameters
) -> tuple[dict[str, float], float]:
    """Seconds for all notes, by what is done with them, and the matrix rate. rows: note numbers of `read`."""
    by, frozen = mixed_precision.computing(parameters), frozen_layers.split_encoder(base, parameters).frozen
    seen, rate, seconds = read, 0.0, {"frozen layers": np.inf} if frozen else {}
    if frozen:
        seen = Ragged(torch.empty(len(read.flat), base.config.hidden_size, dtype=by.kept), read.offsets)
    drawn = {n: list(batches(np.arange(len(rows)), read.lengths, size=n, rng=np.random.default_rng(0))) for n in SIZES}
    steps = {size: _step(base, seen, task, rows, parameters) for size in SIZES}
    best = {size: np.full(len(drawn[size]), np.inf) for size in SIZES}
    for _ in range(ROUNDS):
        rate = max(rate, matrix_rate(by.precision))
        if frozen:
            to = {"device": by.device, "dtype": by.dtype, "label": None}
            taken = _seconds(lambda to=to: forward_pass.encode(frozen, read, seen.flat, **to))
            seconds["frozen layers"] = min(seconds["frozen layers"], taken)
        for size, step in steps.items():
            for i, batch in enumerate(drawn[size]):
                best[size][i] = min(best[size][i], _seconds(lambda step=step, batch=batch: step(batch)))
    return seconds | {f"steps of {size}": float(values.sum()) for size, values in best.items()}, rate


def _step(
    base: nn.Module, seen: Ragged, task: loop.Task, rows: np.ndarray, parameters: Parameters
) -> Callable[[np.ndarray], None]:
    """One step of `loop.fit` on a batch of positions in `rows`, all weights 1. seen: features of these notes."""
    accelerator = worker.accelerator_for(parameters.precision, world=1)
    device, prior = accelerator.device, np.full(task.labels.shape[1], 0.5)
    net = worker.fresh(base, prior, parameters).to(device)
    model, optimizer = accelerator.prepare(net, loop.optimizer_of(net, parameters, fused=accelerator.scaler is None))
    trainable = [p for p in model.parameters() if p.requires_grad]

    def step(batch: np.ndarray) -> None:
        inputs, mask = seen.pad(batch, device=device)
        targets = torch.tensor(task.labels[rows[batch]].toarray(), device=device)
        weights = torch.ones(len(batch), dtype=torch.float64, device=device)
        accelerator.backward(task.loss(model(inputs, mask), targets, weights, notes=len(batch)))
        accelerator.clip_grad_norm_(trainable, parameters.max_grad_norm or float("inf"))
        optimizer.step()
        optimizer.zero_grad()

    return step


def _seconds(what: Callable[[], Any]) -> float:
    started = time.perf_counter()
    what()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started
