"""Where the time of training goes."""

from __future__ import annotations

import time

import torch


class Stopwatch:
    """Fractions of the time that the parts of an update take.

    On a GPU every lap waits for the work that was started, so that each part's time is its own;
    that makes training slower, so it is measured only on request.

    Args:
        running: measure; without, every call returns at once.
    """

    def __init__(self, running: bool):
        self._running = running
        self._seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def start(self) -> None:
        """Begins an update; what came before it belongs to no part."""
        self._since = time.perf_counter()

    def lap(self, part: str) -> None:
        """Adds the time since the last lap to a part."""
        if not self._running:
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self._seconds[part] = self._seconds.get(part, 0.0) + now - self._since
        self._since = now

    def shares(self) -> dict[str, float]:
        """Each part's fraction of the time since the last call; empty if it is not measured."""
        total = sum(self._seconds.values())
        shares = {part: round(seconds / total, 4) for part, seconds in self._seconds.items()}
        self._seconds = {}
        return shares
