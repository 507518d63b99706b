"""Provenance of a result: versions of packages, Git revision, hardware, environment, peak memory."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from shl_utils.runs import environment_variables

try:
    import resource
except ImportError:  # Windows
    resource = None

PACKAGES = ("shl", "torch", "transformers", "peft", "accelerate", "papermill", "scikit-learn", "numpy", "pandas")
PROJECT = environment_variables.PROJECT


def versions() -> dict[str, str]:
    """Versions of Python and of PACKAGES, by name; "not installed" for a missing one."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def revision() -> dict[str, Any]:
    """Git `revision` of the project, and whether the work tree differs from it (`dirty`); empty outside a checkout."""
    if not (PROJECT / ".git").exists():
        return {}
    try:
        head = _git("rev-parse", "HEAD")
        return {"revision": head, "dirty": bool(_git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {}


def _git(*words: str) -> str:
    command = ["git", "-C", str(PROJECT), *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=True).stdout.strip()


def hardware() -> dict[str, Any]:
    """Processor, its `model` and `cores`, `memory_gb` (10^9 bytes), names of the `gpus`, and operating `system`."""
    import torch  # a second to import

    return {
        "processor": platform.processor() or platform.machine(),
        "model": _processor_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "system": platform.platform(),
    }


def _processor_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def environment() -> dict[str, Any]:
    """`executable` and `project` that ran, and environment `variables` that could explain a result, but no secrets."""
    return {"executable": sys.executable, "project": str(PROJECT), "variables": environment_variables.on_record()}


def peak_memory_mb() -> int:
    """Peak resident memory in MB of this process or of one that it started; on Windows of this process only."""
    if resource is None:
        memory = psutil.Process().memory_info()
        return int(getattr(memory, "peak_wset", memory.rss) / 1e6)
    unit = 1 if platform.system() == "Darwin" else 1024  # bytes on macOS, kilobytes on Linux
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return int(max(resource.getrusage(w).ru_maxrss for w in who) * unit / 1e6)
