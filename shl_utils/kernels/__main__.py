"""The process of a kernel: python -m shl_utils.kernels ARGUMENTS, which are those of ipykernel."""

import os
from contextlib import suppress

from ipykernel.kernelapp import IPKernelApp

from shl_utils.runs import progress


class Bare(IPKernelApp):
    """A kernel without the IPython configuration of the user and the machine."""

    def load_config_file(self, *_, **__) -> None:
        pass

    def _run_startup_files(self) -> None:
        pass


if __name__ == "__main__":
    with suppress(OSError):  # stderr may be closed; a copy, since IPython takes the original for the notebook's outputs
        progress.ASIDE = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")
    Bare.launch_instance()
