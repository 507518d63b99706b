"""Environment variables set for other programs: they are hidden from a run, or recorded with it."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]

# These would change a result, switch its checks off, or stop it. A prefix stands for every name that begins with it.
SHUT_OUT = (
    *("ACCELERATE_", "FSDP_", "PARALLELISM_CONFIG_", "MEGATRON_LM_", "FP8_", "TP_", "FORK_LAUNCHED"),
    *("TORCHDYNAMO_", "TORCHINDUCTOR_", "TORCH_COMPILE", "TORCH_LOGS", "PYTORCH_JIT", "PYTORCH_TUNABLEOP_"),
    # these make products less precise, while the run is stamped as computed in float32
    *("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "ONEDNN_DEFAULT_FPMATH", "DNNL_DEFAULT_FPMATH"),
    # of another launch: torchrun reads every argument from PET_..., Accelerate reads its rank from mpirun's variables
    *("PET_", "TORCHELASTIC_", "MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK"),
    *("WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE", "PMI_", "OMPI_COMM_", "MV2_COMM_"),
    # PYTHONOPTIMIZE removes the assertions of notebooks, PYTHONINSPECT keeps a finished process alive
    *("PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONOPTIMIZE", "PYTHONINSPECT", "PYTHONDEVMODE"),
    *("IPYTHONDIR", "MPLBACKEND", "MATPLOTLIBRC", "PAPERMILL_", "JUPYTER_", "JPY_"),
)
# These are the user's choice, and may explain a result or a failure
ON_RECORD = (
    *SHUT_OUT,
    *("TORCH", "PYTORCH_", "ATEN_", "CUDA", "CUBLAS_", "CUDNN_", "NVIDIA_", "NCCL_", "GLOO_", "HIP_", "ROCR_", "XLA_"),
    *("OMP_", "MKL_", "KMP_", "GOMP_", "OPENBLAS_", "VECLIB_", "BLIS_", "DNNL_", "ONEDNN_", "NPY_", "NUMEXPR_"),
    *("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "USE_", "JOBLIB_", "LOKY_", "SKLEARN_", "SCIPY_"),
    *("PYTHON", "IPYTHON", "MPL", "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_", "MALLOC_"),
)
# Without these glibc returns memory to the system after each training step, and asks for it again at the next. So a
# process keeps blocks of less than 32 MB, which is the most that glibc takes. Other systems ignore the variables
ALLOCATION = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(8 * 2**30)}
SECRET = re.compile("TOKEN|KEY|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
LOGIN = re.compile(r"(?<=://)[^/@\s]+@")


def closed(variables: Mapping[str, str]) -> dict[str, str]:
    """`variables` for a process that we start: without those shut out, and without imports from the working folder.

    The process imports the same `shl_utils` as this one. A random.py in the working folder would hide the library's. It
    keeps the memory that it has (ALLOCATION), unless `variables` say otherwise.
    """
    kept = {name: value for name, value in variables.items() if not name.startswith(SHUT_OUT)}
    paths = [str(PROJECT), *(path for path in kept.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(path))]
    return ALLOCATION | kept | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONSAFEPATH": "1"}


def close() -> None:
    """Apply `closed` to this process and all that it starts."""
    if "PYTHONWARNINGS" in os.environ:
        warnings.simplefilter("default")  # Python has read the variable, maybe "error", at its start
    _replace(closed(os.environ))


@contextmanager
def shut() -> Iterator[None]:
    """Apply `closed` while the block runs: for a kernel that another program has started."""
    before = dict(os.environ)
    _replace(closed(before))
    try:
        yield
    finally:
        _replace(before)


def on_record() -> dict[str, str]:
    """Variables of this process that could explain a result, without secret-sounding names and logins in addresses."""
    found = {name: os.environ[name] for name in sorted(os.environ) if name.startswith(ON_RECORD)}
    return {name: LOGIN.sub("", value) for name, value in found.items() if not SECRET.search(name)}


def _replace(variables: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(variables):
        del os.environ[name]
    os.environ.update(variables)
