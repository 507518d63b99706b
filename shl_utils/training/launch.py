"""One way to train, for one process, several, or several machines: the notebook calls `train`.

One process trains where it is called. Several that share each model are started with torchrun, which reads no hidden
configuration and works from a notebook whose kernel already uses the GPU. Several that share the list of models are
started as they are.
"""

from __future__ import annotations

import itertools
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from shl_utils.data import corpus as corpora
from shl_utils.encoder import feature_cache
from shl_utils.parameters import Parameters
from shl_utils.runs import environment_variables, mixed_precision, progress, storage
from shl_utils.training import jobs, processes, worker
from shl_utils.training.variants import Variant

CONFIG = "launch.json"
# to be seen: from so many on, processes side by side make up for their start, some seconds
MIN_NOTES_FOR_PARALLEL = 30_000
WAIT = 3600  # seconds in which the machines of one launch have to meet: the next is started by hand, or is busy


def train(folder: Path, variants: list[Variant]) -> None:
    """Train what is missing of `variants` in the run's `folder`; RuntimeError with the root cause on failure.

    Where and in how many processes is the same for all of them: what the first one's parameters say. Several processes
    on one machine take the small segments each by itself, since a few notes are not worth an exchange of gradients at
    every step, and the large ones together. Several machines take all together.
    """
    if not variants:
        return
    parameters = variants[0].parameters
    for variant in variants:
        mixed_precision.check(variant.parameters)
    here = mixed_precision.processes_here(parameters)
    if parameters.nodes > 1:
        _train_distributed(folder, variants, world=here * parameters.nodes)
    else:
        alone = here == 1 or parameters.parallel_models > 0
        for late in (False, True):  # what starts from another model has to find it
            part = [v for v in variants if bool(v.origin) is late]
            large = math.inf if alone else _fair_share(folder, part, here)
            _train_side_by_side(folder, part, 0 if alone else here, below=large)
            if not alone:
                _train_distributed(folder, part, world=here, above=large)
    jobs.remove_stale_segments(folder, variants)


def _fair_share(folder: Path, variants: list[Variant], n: int) -> float:
    """Notes of a segment that would keep one of `n` processes longer than all others: it is for all of them."""
    asked = jobs.plan(folder, variants, corpora.read(folder))
    return sum(plan.notes_to_see() for plan in asked) / n


def _train_side_by_side(folder: Path, variants: list[Variant], n: int, *, below: float) -> None:
    """Every segment of fewer than `below` notes in one process: here, one after another, or in `n` side by side, each
    with its share of the cores or a GPU of its own. n: 0 is for `_at_once` to say.

    A small model gains little from a second core, so on a processor several take less time side by side than in turn.
    """
    if not variants:
        return
    corpus = corpora.read(folder)
    asked = list(jobs.plan(folder, variants, corpus))
    n, due = n or _at_once(asked), [(plan, k) for plan in asked for k in plan.missing(0, below)]
    if n == 1 and due:
        with environment_variables.shut():
            worker.train(folder, variants, below=below)
    if n == 1 or not due:
        return
    prepared = feature_cache.FeatureCache(folder, corpus.notes["text"])
    all_parameters = [plan.variant.parameters for plan, _ in due]
    for parameters in {feature_cache.path_of(folder, p): p for p in all_parameters}.values():
        prepared.features(parameters)  # here, with all cores
    del prepared
    config = {"world": 1, "shared": True, "below": below}
    with _described(folder, variants, config), _counted(due):
        logs = [folder / f"launch.{i}.log" for i in range(min(n, len(due)))]
        command = [sys.executable, "-m", "shl_utils.training.worker", str(folder / CONFIG)]
        env = _environment(mixed_precision.cores() // n)
        code, log = _side_by_side([command] * len(logs), logs, [env | _gpu(i) for i in range(len(logs))])
    if code:
        raise RuntimeError(_stopped(code, log))


def _gpu(i: int) -> dict[str, str]:
    """The environment in which the i-th process sees one GPU of those that this one may use, in turn."""
    if mixed_precision.device() == "cpu":
        return {}
    ours = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
    visible = ours.split(",")
    return {"CUDA_VISIBLE_DEVICES": visible[i % len(visible)]}


def _train_distributed(folder: Path, variants: list[Variant], *, world: int, above: float = 0) -> None:
    """Every segment of at least `above` notes in `world` processes that share each step."""
    asked = jobs.plan(folder, variants, corpora.read(folder))
    due = [(plan, k) for plan in asked for k in plan.missing(above, math.inf)]
    if due:
        with _described(folder, variants, {"world": world, "shared": False, "above": above}), _counted(due):
            join(folder, variants[0].parameters, node=0)


def _counted(due: list[tuple[jobs.Plan, int]]) -> AbstractContextManager[None]:
    """A bar over segments that other processes train, each of which has its own in its log."""

    def share() -> float:
        return 100 * sum(plan.holds(k) for plan, k in due) / len(due)

    return progress.watched(share, f"train {len(due)} segments")


def _at_once(asked: list[jobs.Plan]) -> int:
    """How many models train side by side: a matter of all that is asked for, not of what is missing. Sums round
    otherwise on another number of threads, and a run that goes on shall end as if it had never stopped."""
    n = asked[0].variant.parameters.parallel_models
    if n:
        return n
    if mixed_precision.device() != "cpu":
        return 1
    notes = sum(plan.notes_to_see() for plan in asked)
    return min(mixed_precision.cores(), 4) if notes >= MIN_NOTES_FOR_PARALLEL else 1


def _side_by_side(commands: list[list[str]], logs: list[Path], envs: list[dict[str, str]]) -> tuple[int, Path]:
    """Run all; exit code and log of the first to fail, which ends the others too. (0, ...) if none does."""
    with ExitStack() as stack:
        files = [stack.enter_context(log.open("w", encoding="utf-8")) for log in logs]
        started = [
            subprocess.Popen(command, env=env, stdout=file, stderr=subprocess.STDOUT)
            for command, file, env in zip(commands, files, envs)
        ]
        try:
            while True:
                codes = [process.poll() for process in started]
                failed = [pair for pair in zip(codes, logs) if pair[0]]
                if failed or None not in codes:
                    return failed[0] if failed else (0, logs[0])
                time.sleep(0.1)
        finally:
            for process in started:
                process.terminate()
                process.wait()


def join(folder: Path, parameters: Parameters, *, node: int) -> None:
    """Run this machine's share of one launch, which `train` described on the first one; it waits for the others."""
    if not (folder / CONFIG).exists():
        raise FileNotFoundError(
            f"{folder / CONFIG} is missing: no training waits for this machine; start the notebook first"
        )
    here = mixed_precision.processes_here(parameters)
    command = [sys.executable, "-m", "shl_utils.training.launch", f"--nproc-per-node={here}"]
    command += [*_meeting(parameters, node), "-m", "shl_utils.training.worker", str(folder / CONFIG)]
    log = folder / f"launch.{node}.log"
    code, log = _side_by_side([command], [log], [_environment(mixed_precision.cores() // here)])
    if code:
        raise RuntimeError(_stopped(code, log))


def _meeting(parameters: Parameters, node: int) -> list[str]:
    """Where the processes of a launch find each other, for torchrun: on one machine at a port that the system gives, so
    that two trainings never meet; on several where `rendezvous` says."""
    if parameters.nodes > 1:
        host, port = parameters.rendezvous.rsplit(":", 1)
    elif sys.platform == "win32":  # PyTorch lacks there what --standalone needs
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            host, port = free.getsockname()
    else:
        # a sign of life every WAIT seconds: there is nobody to give it to, and a busy machine would be late with more
        conf = f"read_timeout={WAIT},keep_alive_interval={WAIT}"
        return ["--standalone", "--nnodes=1", "--local-addr=127.0.0.1", f"--rdzv-conf={conf}"]
    places = [f"--nnodes={parameters.nodes}", f"--node-rank={node}", f"--master-addr={host}", f"--master-port={port}"]
    return [*places, f"--rdzv-conf=timeout={WAIT}"]


@contextmanager
def _described(folder: Path, variants: list[Variant], how: dict[str, Any]) -> Iterator[None]:
    """What is to be trained, in a file for the processes that train it; how: other arguments of `worker.train`."""
    storage.write_json(
        folder / CONFIG, {"folder": str(folder), "variants": [_variant_to_dict(v) for v in variants], "how": how}
    )
    try:
        yield
    finally:
        (folder / CONFIG).unlink(missing_ok=True)


def _variant_to_dict(variant: Variant) -> dict[str, Any]:
    """A variant for a file; `worker` reads it back."""
    plain = variant.plain and _variant_to_dict(variant.plain)
    return {"folder": variant.folder, "parameters": variant.parameters.model_dump(), "plain": plain}


def _environment(threads: int) -> dict[str, str]:
    """Of a trainer: nothing of another launch, and a share of the cores."""
    env = environment_variables.closed(os.environ)
    if sys.platform == "win32":
        env["USE_LIBUV"] = "0"  # PyTorch is built without it there, and asks for it
    asked = env.get("OMP_NUM_THREADS", "")
    threads = max(min(threads, int(asked)) if asked.isdecimal() else threads, 1)
    return env | {"OMP_NUM_THREADS": str(threads), processes.PARENT: str(os.getpid())}


def _stopped(code: int, log: Path) -> str:
    if code < 0:
        remedy = "as it is when the machine runs out of memory: lower `parallel_models` or `batch_size`"
        return f"training was ended from outside (signal {-code}), {remedy}; the last it said: {log}"
    return f"training stopped with exit code {code}; {_root_cause(log)} (all of it: {log})"


def _root_cause(log: Path) -> str:
    """torchrun's own verdict; the earliest traceback would blame whoever noticed a dead neighbour first."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    for i, line in enumerate(lines):
        if "Root Cause" in line:
            block = [part.strip() for part in itertools.takewhile(lambda part: "=====" not in part, lines[i + 1 :])]
            return f"root cause: {next(part for part in reversed(block) if part)}"
    return lines[-1] if lines else "no output"


if __name__ == "__main__":
    from torch.distributed.run import main

    processes.die_with_parent()
    main(sys.argv[1:])
