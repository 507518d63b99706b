"""Notes per second of frozen layers and of training steps, by precision and batch size, beside the matrix rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shl_utils.data import corpus as corpora
from shl_utils.encoder import encoder, feature_cache, forward_pass, frozen_layers
from shl_utils.encoder import tokens as tokenized
from shl_utils.encoder.tokens import Ragged
from shl_utils.evaluation import cost
from shl_utils.parameters import Parameters
from shl_utils.runs import mixed_precision, provenance, storage
from shl_utils.training import jobs, loop, variants, worker
from shl_utils.training.sampling import batches

SIZES = (4, 8, 16)  # notes per batch
NOTES = 512  # per round
ROUNDS = 3
SIDE = 2048  # of the square matrices on a CPU; 8,192 on a GPU


def matrix_rate(precision: str) -> float:
    """Peak matmul throughput in FLOP/s of two square matrices on all cores or one GPU: the best within one second."""
    device = mixed_precision.device()
    side = SIDE if device == "cpu" else 4 * SIDE
    a = torch.randn(side, side, device=device, dtype=mixed_precision.DTYPES[precision])
    best, end = 0.0, time.monotonic() + 1
    while time.monotonic() < end:
        started = time.monotonic()
        a @ a
        _wait()
        best = max(best, 2 * side**3 / (time.monotonic() - started))
    return best


def conditions(parameters: Parameters) -> dict[str, Any]:
    """What was measured, where and by what code's dependencies."""
    return {
        "parameters": parameters.model_dump(),
        "precision": mixed_precision.computing(parameters).precision,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "hardware": provenance.hardware(),
        "versions": provenance.versions(),
    }


def bench(folder: Path, parameters: Parameters) -> Path:
    """Measure on the notes of the run in `folder`; return the file of results."""
    target = folder / "bench" / "steps.json"
    target.parent.mkdir(exist_ok=True)
    found = conditions(parameters) | provenance.revision() | {"steps": measure(folder, parameters)}
    storage.write_json(target, found)
    return target


def measure(folder: Path, parameters: Parameters) -> list[dict[str, Any]]:
    """One row per precision and `what`: `notes_per_second`, `flops_per_note` with padding, `share` of matrix rate.

    What: the frozen layers, or steps of the largest segment of the run's main model, by batch size. All are measured on
    all cores, in the run's precision and in float32, and take turns. Of ROUNDS rounds on the same batches the fastest
    of each batch counts, since other work on the machine only slows.
    """
    corpus, lines = corpora.read(folder), []
    plan = next(jobs.plan(folder, [variants.main(parameters)], corpus))
    tokenizer, plain = encoder.load(parameters.encoder, download=parameters.download)
    for precision in dict.fromkeys([mixed_precision.computing(parameters).precision, "fp32"]):
        own = parameters.model_copy(update={"precision": precision})
        base, seen = feature_cache.FeatureCache(folder, corpus.notes["text"]).features(own)
        task = worker.task_of(seen, corpus, plan, plan.n - 1, device=mixed_precision.device())
        rows, _ = task.notes.epoch(np.random.default_rng(0))
        some = rows[:NOTES]
        texts = corpus.notes["text"].to_numpy()[some]
        read = tokenized.tokenize(tokenizer, texts, max_tokens=parameters.max_tokens)
        drawn = {size: list(batches(some, seen.lengths, size=size, rng=np.random.default_rng(0))) for size in SIZES}
        steps = {size: _step(base, task, own) for size in SIZES}
        best = {size: np.full(len(drawn[size]), np.inf) for size in SIZES}
        frozen, rate = np.inf, matrix_rate(precision)
        for _ in range(ROUNDS):
            frozen = min(frozen, _encode(base, read, own))
            for size, step in steps.items():
                for i, batch in enumerate(drawn[size]):
                    started = time.perf_counter()
                    step(some[batch])
                    _wait()
                    best[size][i] = min(best[size][i], time.perf_counter() - started)
            rate = max(rate, matrix_rate(precision))
        for size in SIZES:
            like = own.model_copy(update={"batch_size": size})
            flops = cost.operations(plain, like, read, codes=task.labels.shape[1])
            measured = {f"steps of {size}": (best[size].sum(), flops["trained"])}
            if size == SIZES[0] and flops["frozen"]:
                measured = {"frozen layers": (frozen, flops["frozen"])} | measured
            for what, (seconds, work) in measured.items():
                line = {"precision": precision, "what": what, "notes_per_second": round(len(some) / seconds, 1)}
                lines.append(line | {"flops_per_note": work, "share": len(some) / seconds * work / rate})
    return lines


def _encode(base: torch.nn.Module, read: Ragged, parameters: Parameters) -> float:
    """Seconds that the frozen layers take on these notes; infinite if there are none."""
    frozen, by = frozen_layers.split_encoder(base, parameters).frozen, mixed_precision.computing(parameters)
    if frozen is None:
        return float("inf")
    states = torch.empty(len(read.flat), base.config.hidden_size, dtype=by.kept)
    started = time.perf_counter()
    forward_pass.encode(frozen, read, states, device=by.device, dtype=by.dtype, label=None)
    return time.perf_counter() - started


def _step(base: torch.nn.Module, task: loop.Task, parameters: Parameters) -> Callable[[np.ndarray], None]:
    """One step of `loop.fit` on a batch of note numbers, all weights 1."""
    accelerator = worker.accelerator_for(parameters.precision, world=1)
    net = worker.fresh(base, task.prior(), parameters).to(accelerator.device)
    model, optimizer = accelerator.prepare(net, loop.optimizer_of(net, parameters, fused=accelerator.scaler is None))
    trainable = [p for p in model.parameters() if p.requires_grad]

    def step(rows: np.ndarray) -> None:
        inputs, mask = task.features.pad(rows, device=accelerator.device)
        targets = torch.tensor(task.labels[rows].toarray(), device=accelerator.device)
        weights = torch.ones(len(rows), dtype=torch.float64, device=accelerator.device)
        accelerator.backward(task.loss(model(inputs, mask), targets, weights, notes=len(rows)))
        accelerator.clip_grad_norm_(trainable, parameters.max_grad_norm or float("inf"))
        optimizer.step()
        optimizer.zero_grad()

    return step


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
