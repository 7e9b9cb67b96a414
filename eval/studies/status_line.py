"""What a pipeline shows while its steps run."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path


class StatusLine:
    """Messages on standard error and, on a terminal, a last line with what runs now.

    Args:
        logs: folder of the steps' logs, whose last lines are shown.
    """

    def __init__(self, logs: Path):
        self._logs, self._shown = logs, 0.0
        self._live = sys.stderr.isatty()

    def __enter__(self) -> StatusLine:
        return self

    def __exit__(self, *_) -> None:
        self._clear()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def show(self, began: dict[str, float]) -> None:
        """The steps that run, for how long, and their last line; once a second.

        Args:
            began: monotonic time at which each step began, by name.
        """
        now = time.monotonic()
        if not self._live or now - self._shown < 1.0:
            return
        self._shown = now
        parts = [f"{name} {now - at:.0f} s {self._last(name)}" for name, at in began.items()]
        self._clear()
        sys.stderr.write(" | ".join(parts)[: shutil.get_terminal_size().columns - 1])
        sys.stderr.flush()

    def _last(self, name: str) -> str:
        with (self._logs / f"{name}.log").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 500))
            lines = file.read().decode(errors="replace").splitlines()
        return lines[-1].strip() if lines and not lines[-1].startswith("$ ") else ""

    def _clear(self) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[K")
