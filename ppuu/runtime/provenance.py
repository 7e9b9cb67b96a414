"""Where a result comes from: sources, versions, hardware, and the record of a run."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .command import command_line
from .files import atomic_write, read_json

RUN_FILE_NAME = "run.json"
_DIRTY = "-dirty"


def source_commit(folder: Path = Path(__file__).parent) -> str:
    """The git commit of the sources, with ``-dirty`` if tracked files differ from it.

    ``unknown`` where git is absent or the sources are not a checkout (an installed wheel, say, even
    if its environment lies inside another repository).
    """

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments],
            cwd=folder, capture_output=True, text=True, check=True, timeout=10,
        ).stdout.strip()  # fmt: skip

    try:
        if not git("ls-files", "."):
            return "unknown"
        return git("describe", "--always", f"--dirty={_DIRTY}", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def hardware() -> dict[str, Any]:
    """The machine and the versions that numbers are computed with."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _processor(),
        "cores": cores,
        "torch_threads": torch.get_num_threads(),
        "memory_gib": _memory_gib(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "ppuu": _package_version(),
    }


class RunRecord:
    """``run.json`` of a run directory: commands, sources, hardware and time, over all its starts.

    Args:
        out: the run directory.

    Attributes:
        seconds: of training in all, up to the last checkpoint.
    """

    def __init__(self, out: Path):
        self._path = out / RUN_FILE_NAME
        self._content: dict[str, Any] = {}
        self.seconds = 0.0

    def start(self, config: Any, updates: int = 0) -> None:
        """Writes that the run starts, or goes on.

        Args:
            config: all that makes this run what it is, as JSON values.
            updates: done before; with none, an earlier record is of another run, and replaced.

        Raises:
            InputError: the directory holds a damaged record.
        """
        earlier = read_json(self._path) if updates and self._path.is_file() else {}
        self.seconds = float(earlier.get("seconds", 0.0))
        commit = source_commit()
        start = {
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "updates": updates,
            "command": command_line(),
            "commit": commit.removesuffix(_DIRTY),
            "clean": None if commit == "unknown" else not commit.endswith(_DIRTY),
            "hardware": hardware(),
        }
        self._content = {"config": config, "starts": [*earlier.get("starts", []), start]}
        self.save(updates, self.seconds)

    def save(self, updates: int, seconds: float) -> None:
        """Writes how far the run is.

        Args:
            updates: done.
            seconds: of training in all.
        """
        self.seconds = seconds
        progress = {"updates": updates, "seconds": round(seconds, 2)}
        with atomic_write(self._path) as temporary:
            temporary.write_text(json.dumps(progress | self._content, indent=2) + "\n")


def _package_version() -> str:
    try:
        return importlib.metadata.version("ppuu")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


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
