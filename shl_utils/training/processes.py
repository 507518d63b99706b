"""Processes that train: how they are started and watched, and that they end with the one that started them.

python -m shl_utils.training.processes ARGUMENTS    is torchrun, as `launch.join` starts it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from shl_utils.runs import storage

PARENT = "SHL_PARENT"  # environment variable: id of the process that starts a training process
ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # environment variable: file in which a process leaves its error for PyTorch


def die_with_parent() -> None:
    """End this process when its parent ends, so that a killed kernel leaves no training process running."""
    parent = int(os.environ.get(PARENT) or os.getppid())
    os.environ[PARENT] = str(os.getpid())  # for the processes that this one starts
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
    else:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if not _lives(parent):
        sys.exit("the process that started this one is gone")  # it died before this one could notice


def _lives(parent: int) -> bool:
    """Whether the parent runs. An orphan gets another parent, but on Windows a launcher may lie between the two."""
    return psutil.pid_exists(parent) if sys.platform == "win32" else os.getppid() == parent


def _end_with(parent: int) -> None:
    while _lives(parent):
        time.sleep(1)
    os._exit(1)


def run(command: list[str], folder: Path, envs: dict[int, dict[str, str]]) -> None:
    """Run `command` once per environment, in parallel; the first to fail ends the others.

    envs: by number of the process, which logs to `launch.<number>.log`. RuntimeError names the cause of a failure.
    """
    with ExitStack() as stack:
        started = {}
        for i, env in envs.items():
            error = folder / f"launch.{i}.error"
            error.unlink(missing_ok=True)
            log = stack.enter_context((folder / f"launch.{i}.log").open("w", encoding="utf-8"))
            env = env | {ERROR_FILE: str(error)}
            started[i] = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
            stack.callback(_end, started[i])
        while True:
            codes = {i: process.poll() for i, process in started.items()}
            failed = [i for i, code in codes.items() if code]
            if failed or None not in codes.values():
                break
            time.sleep(0.1)
    if failed:
        raise RuntimeError(_stopped(codes[failed[0]], folder, failed[0]))


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    process.wait()


def _stopped(code: int, folder: Path, i: int) -> str:
    """Why the i-th process stopped with this exit code, by the error it left or else the last line of its log."""
    log, error = folder / f"launch.{i}.log", folder / f"launch.{i}.error"
    if code == -9:  # SIGKILL, which Windows does not know
        remedy = "as it is when the machine runs out of memory: lower `parallel_models` or `batch_size`"
        return f"training was ended from outside (signal 9), {remedy}; its last output: {log}"
    if error.exists():
        cause = _text(json.loads(error.read_text(encoding="utf-8"))["message"])
    else:  # it ended before PyTorch recorded errors
        cause = (log.read_text(encoding="utf-8", errors="replace").splitlines() or ["no output"])[-1]
    return f"training stopped with exit code {code}; {cause} (all of it: {log})"


def _text(message: str | dict[str, Any]) -> str:
    """The text of an error as PyTorch records it, with or without its traceback."""
    return message if isinstance(message, str) else message["message"]


def _torchrun(arguments: list[str]) -> None:
    """torchrun; of the errors of its processes it leaves the first: others may have only lost their peer."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    try:
        main(arguments)
    except ChildFailedError as error:
        _, first = error.get_first_failure()
        storage.write_json(Path(os.environ[ERROR_FILE]), {"message": f"root cause: {_text(first.message)}"})
        raise


if __name__ == "__main__":
    die_with_parent()
    _torchrun(sys.argv[1:])
