"""Processes that this project starts: they end with the one that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

import psutil

PARENT = "SHL_PARENT"  # number of the process that starts a trainer, in its environment


def die_with_parent() -> None:
    """End when the parent does, so that a killed kernel leaves no trainer running."""
    parent = int(os.environ.get(PARENT) or os.getppid())
    os.environ[PARENT] = str(os.getpid())  # for the processes that this one starts
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
    else:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if not _lives(parent):
        sys.exit("the process that started this one is gone")  # it died before we asked


def _lives(parent: int) -> bool:
    """On Windows the launcher of a virtual environment stands between; elsewhere a dead parent's child gets another."""
    return psutil.pid_exists(parent) if sys.platform == "win32" else os.getppid() == parent


def _end_with(parent: int) -> None:
    while _lives(parent):
        time.sleep(1)
    os._exit(1)
