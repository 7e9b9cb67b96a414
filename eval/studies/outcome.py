"""What became of the steps of a study."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ppuu.runtime.errors import InputError

Status = Literal["up to date", "done", "failed", "skipped"]


@dataclass(frozen=True)
class Outcome:
    """What became of the steps.

    Attributes:
        status: of each step, by name.
        seconds: how long the commands ran, by step, those of earlier calls included.
    """

    status: dict[str, Status] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> list[str]:
        """Names of steps that failed or need one that did."""
        return [name for name, status in self.status.items() if status in ("failed", "skipped")]

    def __or__(self, other: Outcome) -> Outcome:
        return Outcome(self.status | other.status, self.seconds | other.seconds)

    def require_complete(self, logs: Path) -> None:
        """Ends a study's command with an error if some steps are missing.

        Args:
            logs: folder of the logs.

        Raises:
            InputError: steps failed; names them.
        """
        if self.failed:
            failed = [name for name, status in self.status.items() if status == "failed"]
            rest = len(self.failed) - len(failed)
            raise InputError(
                f"{', '.join(failed)} failed"
                + (f", and {rest} steps that need them did not run" if rest else "")
                + f"; see {logs}, then run the same command again to go on"
            )
