"""What made a result: versions, revision, machine."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("shl", "torch", "transformers", "peft", "accelerate", "papermill", "scikit-learn", "numpy", "pandas")
PROJECT = Path(__file__).resolve().parent.parent


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def revision() -> dict[str, Any]:
    """Git revision of the project, and whether the tree differed from it; empty outside a checkout."""
    if not (PROJECT / ".git").exists():
        return {}
    try:
        head = _git("rev-parse", "HEAD")
        return {"revision": head, "dirty": bool(_git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {}


def _git(*words: str) -> str:
    command = ["git", "-C", str(PROJECT), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def hardware() -> dict[str, Any]:
    import torch

    return {
        "processor": platform.processor() or platform.machine(),
        "model": _processor_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "system": platform.platform(),
    }


def _processor_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def peak_memory_mb() -> int:
    """Largest resident memory of this process or of one it started, in MB."""
    unit = 1 if platform.system() == "Darwin" else 1024  # bytes there, kilobytes here
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return int(max(resource.getrusage(w).ru_maxrss for w in who) * unit / 1e6)
