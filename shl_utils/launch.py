"""One way to train, for one process, several, or several machines: the notebook calls `train`.

One process trains where it is called. Several are started with torchrun, which reads no hidden configuration and works
from a notebook whose kernel already uses the GPU.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

from shl_utils import precision, progress, runs, worker
from shl_utils.parameters import Parameters
from shl_utils.variants import Variant

CONFIG = "launch.json"
PARENT = "SHL_PARENT"  # number of the process that starts a trainer, in its environment


def train(folder: Path, variants: list[Variant]) -> None:
    """Train what is missing of `variants` in the run's `folder`; RuntimeError with the root cause on failure.

    Where and in how many processes is the same for all of them: what the first one's parameters say.
    """
    if not variants:
        return
    parameters = variants[0].parameters
    world = precision.processes_here(parameters) * parameters.nodes
    for variant in variants:
        precision.check(variant.parameters)
    if world == 1:
        worker.train(folder, variants)
        return
    config = {
        "folder": str(folder),
        "variants": [{"folder": v.folder, "parameters": v.parameters.model_dump()} for v in variants],
        "world": world,
    }
    runs.write_json(folder / CONFIG, config)
    try:
        join(folder, parameters, node=0)
    finally:
        (folder / CONFIG).unlink(missing_ok=True)


def join(folder: Path, parameters: Parameters, *, node: int) -> None:
    """Run this machine's share of one launch, which `train` described on the first one; it waits for the others."""
    if not (folder / CONFIG).exists():
        raise FileNotFoundError(
            f"{folder / CONFIG} is missing: no training waits for this machine; start the notebook first"
        )
    here = precision.processes_here(parameters)
    log, events = folder / f"launch.{node}.log", folder / f"progress.{node}.jsonl"
    command = [sys.executable, "-m", "shl_utils.launch", f"--nproc-per-node={here}", f"--nnodes={parameters.nodes}"]
    host, port = parameters.rendezvous.rsplit(":", 1)
    command += [f"--node-rank={node}", f"--master-addr={host}", f"--master-port={port}"]
    command += ["-m", "shl_utils.worker", str(folder / CONFIG)]
    env = {k: v for k, v in os.environ.items() if k not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
    env = {k: v for k, v in env.items() if not k.startswith(("MASTER_", "ACCELERATE_"))}
    env.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // here, 1)))
    env[PARENT] = str(os.getpid())
    above = os.environ.get(progress.VARIABLE)  # whoever follows us follows the workers directly
    env[progress.VARIABLE] = above or str(events)
    with log.open("w", encoding="utf-8") as out:
        if above:
            code = subprocess.run(command, env=env, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
        else:
            with progress.follow(events):
                code = subprocess.run(command, env=env, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    if code:
        raise RuntimeError(f"training stopped with exit code {code}; {_root_cause(log)} (all of it: {log})")


def _root_cause(log: Path) -> str:
    """torchrun's own verdict; the earliest traceback would blame whoever noticed a dead neighbour first."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    for i, line in enumerate(lines):
        if "Root Cause" in line:
            block = [part.strip() for part in itertools.takewhile(lambda part: "=====" not in part, lines[i + 1 :])]
            return f"root cause: {next(part for part in reversed(block) if part)}"
    return lines[-1] if lines else "no output"


def die_with_parent() -> None:
    """On Linux, ask to be ended when the parent dies, so that a killed kernel leaves no trainer running."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
        if os.environ.get(PARENT, str(os.getppid())) != str(os.getppid()):
            sys.exit("the process that started this one is gone")  # it died before we asked
        os.environ[PARENT] = str(os.getpid())  # for the processes that this one starts


if __name__ == "__main__":
    from torch.distributed.run import main

    die_with_parent()
    main(sys.argv[1:])
