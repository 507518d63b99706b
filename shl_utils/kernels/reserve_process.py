"""The process that a `reserve.Reserve` holds: it imports libraries, and is a kernel, or forks one, when it is asked.

It imports nothing of this package, which may be edited while it waits: a kernel does that when it begins. Its argument
is JSON: `forks`, and the names of the libraries to import `first` and `later`. Each line of its input is JSON of a
kernel to start: `arguments` and `env`. It answers with the process's number, on the socket that is its input.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import sys
import warnings
from contextlib import suppress


def main(*, forks: bool, first: list[str], later: list[str]) -> None:
    gc.disable()  # else it goes through all that has been imported, again and again
    me = os.getpid()
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # as ipykernel does, but before the import
    if forks:
        os.environ["JPY_PARENT_PID"] = str(me)  # ipykernel reads it when it is imported
    for name in first:
        importlib.import_module(name)
    if forks:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nothing is left of a kernel that has ended
    while True:
        while later and not (forks and _is_asked()):
            with suppress(Exception):  # a notebook that needs it will say so; kernels at work would end with this one
                importlib.import_module(later.pop(0))
        line = sys.stdin.readline()
        if not line:  # the command that would use this process has ended
            return
        gc.freeze()
        sys.stdout.flush()
        if not forks or _is_child():
            break
    gc.enable()
    os.write(0, f"{os.getpid()}\n".encode())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    use = json.loads(line)
    os.environ.update(use["env"])
    sys.argv[1:] = use["arguments"]
    if not forks or os.getppid() == me:  # else the command has ended meanwhile
        runpy.run_module("shl_utils.kernels", run_name="__main__", alter_sys=True)


def _is_asked() -> bool:
    return bool(select.select([0], [], [], 0)[0])


def _is_child() -> bool:
    """Whether this is a fork, made here, which leads a session of its own; False in the process that goes on."""
    with warnings.catch_warnings():  # Python 3.12 warns of threads that libraries have started; none holds a lock
        warnings.simplefilter("ignore")
        if os.fork():
            return False
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    return True


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
