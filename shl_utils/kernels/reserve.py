"""A process that has imported what notebooks need: from it a kernel starts at once."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

PROCESS = Path(__file__).with_name("reserve_process.py")
# what most notebooks import: seconds of work
LIBRARIES = ("ipykernel.kernelapp", "matplotlib.pyplot", "pandas", "scipy.sparse", "torch")
# `00_imbalance` needs none of these
LATER = ("scipy.stats", "transformers", "sklearn.linear_model", "peft", "accelerate", "seaborn")
FORKS = sys.platform == "linux" and hasattr(os, "fork")  # on macOS some libraries do not survive it


class Reserve:
    """A process that has imported `LIBRARIES`, and imports `LATER` too. On Linux each kernel is a fork of it, and it
    goes on importing while nobody waits for one. On macOS it imports all first, and becomes the next kernel itself; the
    one after is made ready meanwhile.

    variables: its environment. Without one, as on Windows, a kernel starts as usual. A context manager: the process
    ends with the block.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = {**variables, "JPY_PARENT_PID": str(os.getpid())}  # of the kernel, if the process becomes it
        self._process: subprocess.Popen | None = None
        self._line: socket.socket | None = None

    def __enter__(self) -> Reserve:
        return self

    def __exit__(self, *_) -> None:
        self._end()

    def fill(self) -> None:
        """Start the process, if there is none and the system can hand one over."""
        if self._process is None and sys.platform != "win32":
            self._end()
            asked = json.dumps({"forks": FORKS, "first": LIBRARIES, "later": LATER})
            command = [sys.executable, str(PROCESS), asked]
            with suppress(OSError):  # no memory for one more: the kernel starts when it is needed
                self._line, its = socket.socketpair()
                with its:
                    self._process = subprocess.Popen(command, env=self.variables, stdin=its, start_new_session=True)

    def holds_one(self) -> bool:
        """Whether there is a process, alive or not."""
        return self._process is not None

    def take(
        self, arguments: list[str], env: Mapping[str, str], *, wait: float = 60
    ) -> subprocess.Popen | Forked | None:
        """A kernel with these arguments and environment variables, from the process; None if that has ended, or does
        not answer within `wait` seconds."""
        if self._process is None:
            return None
        with suppress(OSError, psutil.Error):
            self._line.settimeout(wait)
            self._line.sendall((json.dumps({"arguments": arguments, "env": dict(env)}) + "\n").encode())
            if said := self._line.recv(32):
                kernel = Forked(int(said)) if FORKS else self._process
                if not FORKS:
                    self._process = None
                return kernel
        self._end()
        return None

    def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            process.kill()
            process.wait()
        if self._line:
            self._line.close()
            self._line = None


class Forked(psutil.Process):
    """A process that another one has started, as a manager of kernels uses it; it may be gone at any moment."""

    stdin = stdout = stderr = None

    def poll(self) -> int | None:
        """None while it runs; how it ended is not known here."""
        with suppress(psutil.NoSuchProcess):
            if self.is_running() and self.status() != psutil.STATUS_ZOMBIE:
                return None
        return 0

    def send_signal(self, sig: int) -> None:
        with suppress(psutil.NoSuchProcess):
            super().send_signal(sig)

    def kill(self) -> None:
        with suppress(psutil.NoSuchProcess):
            super().kill()

    def terminate(self) -> None:
        with suppress(psutil.NoSuchProcess):
            super().terminate()
