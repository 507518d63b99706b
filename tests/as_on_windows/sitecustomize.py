"""Takes from every process what Windows lacks, as far as our own code could ask for it.

Modules of Unix cannot be imported by `shl_utils`; libraries, which look at the system's name, still need them here.
Functions and constants go for all. What stays: `sys.platform`, slashes in paths, renaming a file that is open.
"""

import builtins
import contextlib
import functools
import importlib
import os
import socket

for library in ("psutil", "trio"):  # for Linux these ask for AF_UNIX when imported; trio comes with the browser's tests
    with contextlib.suppress(ImportError):
        importlib.import_module(library)

UNIX = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog"}
whole = builtins.__import__


def __import__(name, globals=None, *others, **named):
    if name in UNIX and str((globals or {}).get("__name__", "")).split(".")[0] in ("shl_utils", "__main__"):
        raise ImportError(f"{name} is not there, as on Windows")
    return whole(name, globals, *others, **named)


builtins.__import__ = __import__
for gone in ("fork", "forkpty", "sched_getaffinity", "posix_fallocate", "getpgid", "killpg", "mkfifo"):
    delattr(os, gone)
socket.socketpair = functools.partial(socket.socketpair, int(socket.AF_UNIX))  # asyncio wants one; Windows has its own
del socket.AF_UNIX
