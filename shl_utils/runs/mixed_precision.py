"""Device and floating-point precision: a run uses what was requested, or it stops."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from shl_utils.declarations import LOSSES
from shl_utils.parameters import Parameters

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


def device() -> str:
    """Where PyTorch computes here: "cuda" or "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def resolve(precision: str) -> str:
    """The precision as "fp16", "bf16" or "fp32": "auto" is the fastest that this machine has.

    ValueError for fp16 without a GPU: there Accelerate computes in float32 while it reports fp16.
    """
    on_gpu = device() == "cuda"
    if precision == "auto":
        return "fp16" if on_gpu else "bf16" if _processor_has_bf16() else "fp32"
    if precision == "fp16" and not on_gpu:
        raise ValueError("precision fp16 needs a GPU and none was found: set `precision: auto`, bf16 or fp32")
    return precision


@dataclass(frozen=True)
class Computing:
    """Device, precision and number of processes of a computation, which takes them from here and records them."""

    device: str
    precision: str
    processes: int = 1

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.precision]

    @property
    def kept(self) -> torch.dtype:
        """Type in which states of the frozen layers are kept. Those in float32 are rounded to float16, by at most
        2^-11 of each (or 2^-25): half the disk, and an eighth of what computing in bf16 rounds."""
        return torch.float16 if self.dtype == torch.float32 else self.dtype


def computing(parameters: Parameters) -> Computing:
    """Device and precision that the parameters request, for this process; ValueError as `resolve`."""
    return Computing(device(), resolve(parameters.precision))


def processes_here(parameters: Parameters) -> int:
    """Number of training processes on this machine."""
    return parameters.processes or max(torch.cuda.device_count(), 1)


def cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check(parameters: Parameters) -> None:
    """Raise ValueError, before anything is computed, if this machine cannot train as the parameters request.

    `stages.check_machine` calls it only for what can fail here: fp16, `processes`, and a loss of whole batches.
    """
    resolve(parameters.precision)
    have = torch.cuda.device_count()
    if have and parameters.processes > have:
        raise ValueError(
            f"processes is {parameters.processes}, but there are {have} GPUs here: set `processes: {have}`, or "
            "`parallel_models` for small models side by side on one"
        )
    shared = not parameters.parallel_models and processes_here(parameters) * parameters.nodes > 1
    if LOSSES[parameters.loss].whole_batch and shared:
        raise ValueError(f"loss {parameters.loss} compares all notes of a batch: set `processes: 1` and `nodes: 1`")


def _processor_has_bf16() -> bool:
    """Whether bf16 products run in hardware: emulated ones are slower than float32.

    They are emulated too if ATEN_CPU_CAPABILITY restricts PyTorch to less than the CPU has.
    """
    if torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2"):
        return False
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
