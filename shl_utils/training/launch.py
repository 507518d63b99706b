"""Training in one process, in several, or on several machines: the notebook calls `train` for all of these.

A single process trains where it is called. Processes that share each model are started with torchrun. It reads no
hidden configuration, and works from a notebook whose kernel already uses the GPU. Processes that only share the list of
models are started directly.
"""

from __future__ import annotations

import math
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from shl_utils.data import corpus as corpora
from shl_utils.data.corpus import Corpus
from shl_utils.encoder import feature_cache
from shl_utils.parameters import Parameters
from shl_utils.runs import environment_variables, mixed_precision, progress, storage
from shl_utils.training import jobs, processes, worker
from shl_utils.training.jobs import Plan
from shl_utils.training.variants import VARIANTS, Variant

CONFIG = "launch.json"
# summed over epochs and segments: from so many on, parallel processes make up for their start-up of some seconds
MIN_NOTES_FOR_PARALLEL = 10_000
WAIT = 3600  # seconds for the machines of one launch to connect: the next one is started by hand, or is busy


def train(folder: Path, variants: list[Variant]) -> None:
    """Train the missing segments of `variants` in the run's `folder`; RuntimeError with the root cause on failure.

    The parameters of the first variant set device and number of processes for all. Several processes on one machine
    train small segments one per process: a few notes are not worth exchanging gradients at every step. They train the
    large segments together: those with more notes than a process would see if all shared all notes equally. Several
    machines train all segments together.
    """
    if not variants:
        return
    for variant in variants:
        mixed_precision.check(variant.parameters)
    parameters, corpus = variants[0].parameters, corpora.read(folder)
    here = mixed_precision.processes_here(parameters)
    plans = list(jobs.plan(folder, variants, corpus))
    if parameters.nodes > 1:
        _train_distributed(folder, plans, world=here * parameters.nodes)
    elif here == 1 or parameters.parallel_models > 0:
        _train_side_by_side(folder, plans, corpus)
    else:
        share = sum(plan.notes_to_see() for plan in plans) / here
        _train_side_by_side(folder, plans, corpus, n=here, below=share)
        _train_distributed(folder, plans, world=here, above=share)
    jobs.remove_stale_segments(folder, variants)


def _train_side_by_side(
    folder: Path, plans: list[Plan], corpus: Corpus, *, n: int = 0, below: float = math.inf
) -> None:
    """Train every segment of fewer than `below` notes, one process per segment at a time.

    `n` processes run in parallel, each with its share of the cores or one GPU; a single one is this process itself.
    n: 0 leaves the number to `_n_parallel`. A small model gains little from a second core, so on a CPU several models
    take less time in parallel than in sequence.
    """
    due = [(plan, k) for plan in plans for k in plan.missing(below=below)]
    if not due:
        return
    n = n or _n_parallel(plans)
    if n == 1:
        with environment_variables.shut():
            worker.train(folder, plans, corpus, below=below)
        return
    prepared = feature_cache.FeatureCache(folder, corpus.notes["text"])
    trained = {plan.variant.folder: plan.variant.parameters for plan, _ in due}.values()
    for parameters in {feature_cache.path_of(folder, p): p for p in trained}.values():
        prepared.features(parameters)  # computed here once, with all cores
    del prepared
    with _described(folder, plans, due, {"world": 1, "shared": True, "below": below}):
        command = [sys.executable, "-m", "shl_utils.training.worker", str(folder / CONFIG)]
        env = _environment(mixed_precision.cores() // n)
        processes.run(command, folder, {i: env | _gpu(i) for i in range(min(n, len(due)))})


def _gpu(i: int) -> dict[str, str]:
    """Environment variables that show the i-th process one of this process's GPUs, in turn; none on a CPU."""
    if mixed_precision.device() == "cpu":
        return {}
    own = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
    visible = own.split(",")
    return {"CUDA_VISIBLE_DEVICES": visible[i % len(visible)]}


def _train_distributed(folder: Path, plans: list[Plan], *, world: int, above: float = 0) -> None:
    """Train every segment of at least `above` notes in `world` processes that share each step."""
    due = [(plan, k) for plan in plans for k in plan.missing(above)]
    if due:
        with _described(folder, plans, due, {"world": world, "shared": False, "above": above}):
            join(folder, plans[0].variant.parameters, node=0)


@contextmanager
def _described(folder: Path, plans: list[Plan], due: list[tuple[Plan, int]], how: dict[str, Any]) -> Iterator[None]:
    """Keep a file of what is to be trained for the worker processes, and show how much of the segments `due` they have,
    counted in notes to see.

    how: further arguments of `worker.train`. Each process has a progress bar of its own in its log.
    """
    waiting = [(plan, k, plan.notes_of(k)) for plan, k in due]
    whole = sum(notes for *_, notes in waiting)

    def share() -> float:
        waiting[:] = [one for one in waiting if not one[0].holds(one[1])]  # those trained are read once
        return 100 * (1 - sum(notes for *_, notes in waiting) / whole)

    variants = VARIANTS.dump_python([plan.variant for plan in plans], mode="json")
    storage.write_json(folder / CONFIG, {"folder": str(folder), "variants": variants, "how": how})
    try:
        with progress.watched(share, f"train {len(due)} models"):
            yield
    finally:
        (folder / CONFIG).unlink(missing_ok=True)


def _n_parallel(plans: list[Plan]) -> int:
    """Number of models to train in parallel, from all segments of the plans, not only the missing ones.

    Sums round differently on another number of threads, and a resumed run shall end as if it had never stopped.
    """
    if n := plans[0].variant.parameters.parallel_models:
        return n
    if mixed_precision.device() != "cpu":
        return 1
    notes = sum(plan.notes_to_see() for plan in plans)
    return min(mixed_precision.cores(), 4) if notes >= MIN_NOTES_FOR_PARALLEL else 1


def join(folder: Path, parameters: Parameters, *, node: int) -> None:
    """Run this machine's share of the launch that `train` began on the first machine, once all have connected.

    FileNotFoundError if no launch is waiting; RuntimeError with the root cause if training fails.
    """
    if not (folder / CONFIG).exists():
        raise FileNotFoundError(
            f"{folder / CONFIG} is missing: no training waits for this machine; start the notebook first"
        )
    here = mixed_precision.processes_here(parameters)
    command = [sys.executable, "-m", "shl_utils.training.processes", f"--nproc-per-node={here}"]
    command += [*_meeting(parameters, node), "-m", "shl_utils.training.worker", str(folder / CONFIG)]
    processes.run(command, folder, {node: _environment(mixed_precision.cores() // here)})


def _meeting(parameters: Parameters, node: int) -> list[str]:
    """Arguments of torchrun by which the processes of a launch find each other.

    One machine uses a port that the system assigns, so that two trainings never collide; several use `rendezvous`.
    """
    if parameters.nodes > 1:
        host, port = parameters.rendezvous.rsplit(":", 1)
    elif sys.platform == "win32":  # PyTorch lacks what --standalone needs there
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            host, port = free.getsockname()
    else:
        # a heartbeat only every WAIT seconds: no other machine listens, and a busy one would miss more frequent ones
        conf = f"read_timeout={WAIT},keep_alive_interval={WAIT}"
        return ["--standalone", "--nnodes=1", "--local-addr=127.0.0.1", f"--rdzv-conf={conf}"]
    places = [f"--nnodes={parameters.nodes}", f"--node-rank={node}", f"--master-addr={host}", f"--master-port={port}"]
    return [*places, f"--rdzv-conf=timeout={WAIT}"]


def _environment(threads: int) -> dict[str, str]:
    """Environment of a training process: nothing of another launch, and at most `threads` threads."""
    env = environment_variables.closed(os.environ)
    if sys.platform == "win32":
        env["USE_LIBUV"] = "0"  # PyTorch is built without libuv there, but asks for it
    limit = env.get("OMP_NUM_THREADS", "")
    threads = max(min(threads, int(limit)) if limit.isdecimal() else threads, 1)
    return env | {"OMP_NUM_THREADS": str(threads), processes.PARENT: str(os.getpid())}
