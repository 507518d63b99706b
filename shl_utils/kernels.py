"""How `shl run` talks to the process of a notebook."""

from __future__ import annotations

import sys

from jupyter_client import AsyncKernelManager
from traitlets import CaselessStrEnum


class OverFiles(AsyncKernelManager):
    """By sockets that are files, not by ports: two processes that start in one moment can choose the same port."""

    transport = CaselessStrEnum(["tcp", "ipc"], default_value="tcp" if sys.platform == "win32" else "ipc")
