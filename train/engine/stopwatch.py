"""Where the time of training goes."""

from __future__ import annotations

import time

import torch


class Stopwatch:
    """Seconds spent in each part of an update, since the shares were last asked for.

    On a GPU every lap waits for what was started, so that a part pays for its own work.
    """

    def __init__(self):
        self._seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def start(self) -> None:
        """Begins an update; what came before it belongs to no part."""
        self._since = time.perf_counter()

    def lap(self, part: str) -> None:
        """Books the time since the last lap to a part."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self._seconds[part] = self._seconds.get(part, 0.0) + now - self._since
        self._since = now

    def shares(self) -> dict[str, float]:
        """Each part's share of the time, then forgotten."""
        whole = sum(self._seconds.values())
        shares = {part: round(seconds / whole, 4) for part, seconds in self._seconds.items()}
        self._seconds = {}
        return shares
