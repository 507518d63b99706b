"""Makes a process that this project starts end with the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

import psutil

PARENT = "SHL_PARENT"  # environment variable: id of the process that starts a training process


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
