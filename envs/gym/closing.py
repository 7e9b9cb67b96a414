"""What every environment refuses once it is closed."""

from __future__ import annotations

import gymnasium


def check_open(closed: bool, method: str) -> None:
    """Refuses a call after ``close()``.

    Raises:
        gymnasium.error.ClosedEnvironmentError: it is closed.
    """
    if closed:
        raise gymnasium.error.ClosedEnvironmentError(
            f"{method} after close(): make the environment again"
        )
