"""The process of a notebook under `shl run`: this Python, this package, and sockets that are its own.

python -m shl_utils.kernels    is that process; `started` starts it and ends it.
"""

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

from shl_utils.runs import locks, progress

# Sockets that are files in a closed folder are out of reach for others on the machine; ports work everywhere
WAYS = ("ipc", "tcp") if hasattr(socket, "AF_UNIX") else ("tcp", "tcp")
LONGEST = 70  # bytes of a folder for such files: a socket's name has 104 at most
PREFIX, IN_USE = "shl-kernel-", "kernel-in-use"  # as nothing else is called: what has no owner is removed
SETTLED = 60  # seconds until a folder has its owner
PAUSE = 0.05  # seconds
QUIET = "--IPKernelApp.log_level=40"  # no warning that it talks to us unencrypted


class _Manager(AsyncKernelManager):
    """Of a process that takes free sockets and says which: those that we choose can be taken before it starts."""

    # whatever else is called python3 on Jupyter's path, and whoever else starts kernels by default
    kernel_spec = KernelSpec(
        argv=[sys.executable, "-m", "shl_utils.kernels", "-f", "{connection_file}"],
        display_name="Python 3",
        language="python",
        metadata={"kernel_provisioner": {"provisioner_name": "local-provisioner"}},
    )

    def write_connection_file(self, **_) -> None:
        """The process does."""

    def client(self, **given) -> AsyncKernelClient:
        self.clients = [*getattr(self, "clients", []), super().client(**given)]
        return self.clients[-1]

    def end(self) -> None:
        """End the process, and all that was opened to talk to it."""
        if self.has_kernel:
            run_sync(self.shutdown_kernel)(now=True)  # all is on disk; a graceful end takes a second
        for client in getattr(self, "clients", []):
            client.stop_channels()
        run_sync(self.cleanup_resources)()

    async def _async_launch_kernel(self, kernel_cmd: list[str], **given) -> None:
        await self.provisioner.launch_kernel(kernel_cmd, **given)
        for _ in range(int(patience() / PAUSE)):
            if await self.provisioner.poll() is not None:
                raise RuntimeError("it ended before it answered: why, it has said above")
            with suppress(OSError, ValueError):  # it is not there yet, or half written
                return self.load_connection_file()
            await asyncio.sleep(PAUSE)
        raise RuntimeError("it did not answer: run the same command again when the machine is less busy")


@contextmanager
def started(variables: Mapping[str, str]) -> Iterator[AsyncKernelManager]:
    """A process of a notebook that has answered, with `variables` as its environment; it is gone afterwards.

    It is started a second time if the first does not answer. RuntimeError if that does not either.
    """
    with ExitStack() as stack:
        try:
            manager = stack.enter_context(_started(WAYS[0], variables))
        except (RuntimeError, OSError):  # too busy, or a place that takes no sockets
            manager = stack.enter_context(_started(WAYS[1], variables))
        yield manager


def patience() -> int:
    """Seconds in which a process has to answer: a minute on an idle machine, more where others are at work."""
    return int(60 * (1 + psutil.getloadavg()[0] / (os.cpu_count() or 1)))


@contextmanager
def _started(way: str, variables: Mapping[str, str]) -> Iterator[AsyncKernelManager]:
    usual = tempfile.gettempdir()
    short = "/tmp" if way == "ipc" and len(os.fsencode(usual)) > LONGEST else usual
    _sweep(short)
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, dir=short, ignore_cleanup_errors=True) as folder,
        locks.try_lock(Path(folder) / IN_USE),
    ):
        manager = _Manager(connection_file=str(Path(folder) / "kernel.json"), transport=way, cache_ports=False)
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
    """Remove what commands that were killed have left there: nobody holds it any more."""
    for lock in Path(place).glob(f"{PREFIX}*/{IN_USE}"):
        with suppress(OSError):
            if time.time() - lock.stat().st_mtime < SETTLED:
                continue
            with locks.try_lock(lock) as free:
                if free:
                    shutil.rmtree(lock.parent, ignore_errors=True)


def _serve() -> None:
    from ipykernel.kernelapp import IPKernelApp

    with suppress(OSError):  # it may be closed; a copy, since IPython takes the original for the notebook's outputs
        progress.ASIDE = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")

    class Bare(IPKernelApp):
        """Without what the user or the machine has configured for IPython."""

        def load_config_file(self, *_, **__) -> None:
            pass

        def _run_startup_files(self) -> None:
            pass

    Bare.launch_instance()


if __name__ == "__main__":
    _serve()
