"""The one shape of every ``--json`` file."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ppuu.runtime.files import written_whole
from ppuu.runtime.provenance import source_commit

from ..statistics.metric import Metric, Row


def hardware() -> dict[str, Any]:
    """What the numbers were made on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "memory_gib": _memory_gib(),
        "device": device,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def write_results(
    path: str | Path,
    command: str,
    config: Any,
    rows: Sequence[Row],
    comparisons: Sequence[Row] = (),
) -> None:
    """Writes ``{"command", "commit", "config", "hardware", "rows"}``, atomically.

    Args:
        path: the file; its folder is made.
        command: what was run, e.g. ``eval.closed_loop``.
        config: JSON-able settings that produced the rows.
        rows: metrics become ``{"value", "low", "high", "n"}``; what is not finite becomes null.
        comparisons: likewise, about two rows each; without any, the file has no such key.
    """
    path = Path(path)
    report = {
        "command": command,
        "commit": source_commit(),
        "config": config,
        "hardware": hardware(),
        "rows": [dict(row) for row in rows],
    }
    if comparisons:
        report["comparisons"] = [dict(row) for row in comparisons]
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(_plain(report), indent=2, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """JSON values only; NaN and infinities, which JSON lacks, as null."""
    if isinstance(value, Metric):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value
