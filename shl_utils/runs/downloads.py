"""What is fetched from the package index, and where it is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from shl_utils.runs import locations, storage


def cache() -> Path:
    """Folder of what was fetched: $SHL_CACHE, or `shl` in the user's cache folder."""
    own = os.environ.get("SHL_CACHE")
    return locations.expanded(own or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/shl")


def wheel(package: str, sha256: str, folder: Path) -> Path:
    """Download one wheel through pip into the empty `folder`, verify it and return its path.

    package: with its version, as `name==1.0`. OSError if the download fails, ValueError if the digest differs.
    """
    if not find_spec("pip"):
        raise OSError(f"pip fetches {package}, and is missing: `{sys.executable} -m ensurepip` adds it")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run([*command, "--dest", str(folder), package], check=False)
    found = list(folder.glob("*.whl"))
    if done.returncode or len(found) != 1:
        raise OSError(f"pip could not download {package}: is PyPI reachable? Nothing was changed.")
    if storage.digest(found[0]) != sha256:
        raise ValueError(f"{package} on PyPI is not the expected file (sha256 differs): nothing was changed")
    return found[0]
