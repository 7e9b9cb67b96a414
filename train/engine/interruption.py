"""SIGTERM, as batch systems and torchrun send it, stops training after the current update."""

from __future__ import annotations

import signal
import threading


class Interruption:
    """A context in which SIGTERM sets ``requested`` instead of ending the process."""

    def __init__(self):
        self.requested = False
        self._before = None

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._request)
        return self

    def __exit__(self, *_) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _request(self, *_) -> None:
        self.requested = True
