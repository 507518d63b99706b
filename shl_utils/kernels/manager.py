"""Start and end of the kernel of a notebook: a process with this Python, this package and sockets of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
from jupyter_client import AsyncKernelClient, AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from jupyter_core.utils import run_sync

from shl_utils.kernels.reserve import Reserve
from shl_utils.runs import storage

# Other users of the machine cannot reach sockets that are files in a closed folder; ports work everywhere
WAYS = ("ipc", "tcp") if hasattr(socket, "AF_UNIX") else ("tcp", "tcp")
LONGEST = 70  # bytes of a folder's path for such files: a socket's path has 104 at most
PREFIX, IN_USE = "shl-kernel-", "kernel-in-use"  # names used by nothing else: folders without an owner are removed
SETTLED = 60  # seconds after which a folder must have its owner
PAUSE = 0.05  # seconds
QUIET = "--IPKernelApp.log_level=40"  # no warning about the unencrypted connection
MODULE = (sys.executable, "-m", "shl_utils.kernels")


class _Manager(AsyncKernelManager):
    """Manager of a kernel that chooses free sockets and reports them: those chosen here could be taken meanwhile."""

    reserve: Reserve | None = None

    # set here, whatever else is called python3 on Jupyter's path or starts kernels by default
    kernel_spec = KernelSpec(
        argv=[*MODULE, "-f", "{connection_file}"],
        display_name="Python 3",
        language="python",
        metadata={"kernel_provisioner": {"provisioner_name": "local-provisioner"}},
    )

    def write_connection_file(self, **_) -> None:
        """Do nothing: the kernel process writes the file."""

    def client(self, **given) -> AsyncKernelClient:
        self.clients = [*getattr(self, "clients", []), super().client(**given)]
        return self.clients[-1]

    def end(self) -> None:
        """End the process, and close all channels to it."""
        if self.has_kernel:
            run_sync(self.shutdown_kernel)(now=True)  # all results are on disk; a graceful end takes a second
        for client in getattr(self, "clients", []):
            client.stop_channels()
        run_sync(self.cleanup_resources)()

    async def _async_launch_kernel(self, kernel_cmd: list[str], **given) -> None:
        if ready := self.reserve and self.reserve.take(kernel_cmd[len(MODULE) :], given["env"], wait=patience()):
            self.provisioner.process = ready
            self.provisioner.pid = self.provisioner.pgid = ready.pid  # it leads a process group of its own
        else:
            await self.provisioner.launch_kernel(kernel_cmd, **given)
        for _ in range(int(patience() / PAUSE)):
            if await self.provisioner.poll() is not None:
                raise RuntimeError("it ended before it answered: its own message is above")
            with suppress(OSError, ValueError):  # the file does not exist yet, or is half written
                return self.load_connection_file()
            await asyncio.sleep(PAUSE)
        raise RuntimeError("it did not answer: run the same command again when the machine is less busy")


@contextmanager
def started(variables: Mapping[str, str], reserve: Reserve | None = None) -> Iterator[AsyncKernelManager]:
    """Start a kernel process with the environment `variables`; give its manager once it answers, and end it afterwards.

    reserve: where a process may be ready. Another is started if one does not answer: first on the same kind of sockets
    if it was the one in reserve, last on the other kind. RuntimeError or OSError if that one fails too.
    """
    tries = [(way, None) for way in WAYS]
    if reserve and reserve.holds_one():
        tries.insert(0, (WAYS[0], reserve))
    with ExitStack() as stack:
        for way, ready in tries[:-1]:
            with suppress(RuntimeError, OSError):  # the machine is too busy, or the folder takes no sockets
                manager = stack.enter_context(_started(way, variables, ready))
                break
        else:
            manager = stack.enter_context(_started(tries[-1][0], variables, None))
        yield manager


def patience() -> int:
    """Seconds within which a process has to answer: a minute on an idle machine, more on a loaded one."""
    return int(60 * (1 + psutil.getloadavg()[0] / (os.cpu_count() or 1)))


@contextmanager
def _started(way: str, variables: Mapping[str, str], reserve: Reserve | None) -> Iterator[AsyncKernelManager]:
    usual = tempfile.gettempdir()
    short = "/tmp" if way == "ipc" and len(os.fsencode(usual)) > LONGEST else usual
    _sweep(short)
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, dir=short, ignore_cleanup_errors=True) as folder,
        storage.try_lock(Path(folder) / IN_USE),
    ):
        manager = _Manager(connection_file=str(Path(folder) / "kernel.json"), transport=way, cache_ports=False)
        manager.reserve = reserve
        where = [f"--IPKernelApp.transport={way}"] + ([f"--IPKernelApp.ip={folder}/s"] if way == "ipc" else [])
        try:
            run_sync(manager.start_kernel)(
                extra_arguments=[*where, QUIET, "--HistoryManager.hist_file=:memory:"],
                env=dict(variables) | {"IPYTHONDIR": str(Path(folder) / "ipython")},
            )
            client = manager.client()
            client.start_channels()
            run_sync(client.wait_for_ready)(timeout=patience())
            yield manager
        finally:
            manager.end()


def _sweep(place: str) -> None:
    """Remove folders that killed commands have left in `place`: no process holds their lock any more."""
    for lock in Path(place).glob(f"{PREFIX}*/{IN_USE}"):
        with suppress(OSError):
            if time.time() - lock.stat().st_mtime < SETTLED:
                continue
            with storage.try_lock(lock) as free:
                if free:
                    shutil.rmtree(lock.parent, ignore_errors=True)
