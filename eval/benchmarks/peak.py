"""How much memory a computation takes at its height."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

import torch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_mib(compute: Callable[[], object], device: str) -> float | None:
    """Most memory taken while computing, beyond what was taken before.

    Of a GPU what torch has handed out, else the process's resident memory; None where the system
    does not report it (Linux does).
    """
    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        compute()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed earlier must not hide what is taken now
        _RESET.write_text("5")
        before = _kib("VmRSS")
    except (OSError, AttributeError):
        compute()
        return None
    compute()
    return (_kib("VmHWM") - before) / 2**10


def _kib(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise OSError(f"{_STATUS} has no {name}")
