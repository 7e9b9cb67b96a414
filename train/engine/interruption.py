"""SIGTERM, as batch systems and torchrun send it, asks politely: the update is finished first."""

from __future__ import annotations

import signal
import threading


class Interruption:
    """A context in which SIGTERM sets ``asked`` instead of ending the process."""

    def __init__(self):
        self.asked = False
        self._before = None

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(self, *_) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _ask(self, *_) -> None:
        self.asked = True
