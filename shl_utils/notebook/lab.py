"""JupyterLab on copies of the notebooks, so that the project's own stay as they are: `shl lab`."""

from __future__ import annotations

from pathlib import Path

import nbformat
from ipykernel import kernelspec
from ipykernel.ipkernel import IPythonKernel

from shl_utils.runs import provenance

# no question about news, long lines wrapped, and sliders that are still there when a saved notebook is opened again
SETTINGS = f"--LabApp.app_settings_dir={Path(__file__).with_name('lab_settings')}"


def copy(folder: Path) -> Path:
    """Copy the notebooks into the folder; those that are there are kept. Return the path of the first.

    A copy names the kernel as JupyterLab will on opening it: it counts as changed only once the reader changes it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # outputs may hold notes
    originals = sorted((provenance.PROJECT / "notebooks").glob("*.ipynb"))
    for original in originals:
        target = folder / original.name
        if not target.exists():
            notebook = nbformat.read(original, as_version=4)
            notebook.metadata["kernelspec"]["display_name"] = kernelspec.get_kernel_dict()["display_name"]
            notebook.metadata["language_info"] = IPythonKernel.language_info
            nbformat.write(notebook, target)
    return folder / originals[0].name


def start(folder: Path, *more: str) -> None:
    """Open the first copy in JupyterLab, beside the runs, until it is stopped. more: further options of JupyterLab."""
    from jupyterlab.labapp import LabApp  # a second to import

    LabApp.launch_instance([SETTINGS, f"--ServerApp.root_dir={folder.parent}", str(copy(folder)), *more])
