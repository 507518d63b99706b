"""The kernel process of a notebook under `shl run`, with this Python, this package and sockets of its own.

python -m shl_utils.kernels    is that process; `started` starts and ends it. A `Reserve` has its libraries ready.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
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

from shl_utils.runs import progress, storage

# Other users of the machine cannot reach sockets that are files in a closed folder; ports work everywhere
WAYS = ("ipc", "tcp") if hasattr(socket, "AF_UNIX") else ("tcp", "tcp")
LONGEST = 70  # bytes of a folder's path for such files: a socket's path has 104 at most
PREFIX, IN_USE = "shl-kernel-", "kernel-in-use"  # names used by nothing else: folders without an owner are removed
SETTLED = 60  # seconds after which a folder must have its owner
PAUSE = 0.05  # seconds
QUIET = "--IPKernelApp.log_level=40"  # no warning about the unencrypted connection
MODULE = (sys.executable, "-m", "shl_utils.kernels")
# What most notebooks import: seconds of work. Nothing of this package, which may be edited while a process waits
LIBRARIES = ("ipykernel.kernelapp", "matplotlib.pyplot", "seaborn", "pandas", "scipy.stats", "torch")
LATER = ("sklearn.linear_model", "transformers", "peft", "accelerate")  # `00_imbalance` needs none of these
FORKS = sys.platform == "linux" and hasattr(os, "fork")  # on macOS some libraries do not survive it
RESERVE = """
import gc, importlib, json, os, runpy, select, signal, sys, warnings
gc.disable()  # else it goes through all that has been imported, again and again
asked = json.loads(sys.argv[1])
forks, later, me = asked["forks"], asked["later"], os.getpid()
os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # as ipykernel does, but before the import
if forks:
    os.environ["JPY_PARENT_PID"] = str(me)  # ipykernel reads it when it is imported
for name in asked["first"]:
    importlib.import_module(name)
if forks:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nothing is left of a kernel that has ended
sys.stdout.flush()
while True:
    while later and not (forks and select.select([0], [], [], 0)[0]):
        importlib.import_module(later.pop(0))
    line = sys.stdin.readline()
    if not line:  # the command that would use this process has ended
        break
    gc.freeze()
    if forks:
        with warnings.catch_warnings():  # Python 3.12 warns of threads that libraries have started; none holds a lock
            warnings.simplefilter("ignore")
            child = os.fork() == 0
        if not child:
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
    gc.enable()
    os.write(0, f"{os.getpid()}\\n".encode())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    use = json.loads(line)
    os.environ.update(use["env"])
    sys.argv[1:] = use["arguments"]
    if forks and os.getppid() != me:
        break  # the command has ended meanwhile
    runpy.run_module("shl_utils.kernels", run_name="__main__", alter_sys=True)
    break
"""


class Reserve:
    """A process that has imported `LIBRARIES` and, as soon as nobody waits for a kernel, `LATER`. On Linux each kernel
    is a fork of it, so they are imported once for all. On macOS it becomes the next kernel itself, and the one after is
    made ready meanwhile.

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
            self._line, its = socket.socketpair()
            asked = json.dumps({"forks": FORKS, "first": LIBRARIES, "later": LATER})
            command = [sys.executable, "-c", RESERVE, asked]
            with its, suppress(OSError):  # no memory for one more: the kernel starts when it is needed
                self._process = subprocess.Popen(command, env=self.variables, stdin=its, start_new_session=True)

    def holds_one(self) -> bool:
        """Whether there is a process, alive or not."""
        return self._process is not None

    def take(self, arguments: list[str], env: Mapping[str, str]) -> subprocess.Popen | Forked | None:
        """A kernel with these arguments and environment variables, from the process; None if that has ended."""
        if self._process is None:
            return None
        with suppress(OSError, psutil.Error):
            self._line.settimeout(patience())
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
        if ready := self.reserve and self.reserve.take(kernel_cmd[len(MODULE) :], given["env"]):
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


def _serve() -> None:
    from ipykernel.kernelapp import IPKernelApp

    with suppress(OSError):  # stderr may be closed; a copy, since IPython takes the original for the notebook's outputs
        progress.ASIDE = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")

    class Bare(IPKernelApp):
        """A kernel without the IPython configuration of the user and the machine."""

        def load_config_file(self, *_, **__) -> None:
            pass

        def _run_startup_files(self) -> None:
            pass

    Bare.launch_instance()


if __name__ == "__main__":
    _serve()
