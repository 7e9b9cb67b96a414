"""Names in a simulator's ``state_dict``, and errors where they do not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from torch import Tensor

from ppuu.runtime.errors import InputError


class Memory(Protocol):
    """Something with a state of its own."""

    def state_dict(self) -> dict[str, Tensor]:
        """What it remembers of each environment, ``(envs, ...)`` each."""
        ...


def named(memories: Mapping[str, Memory]) -> dict[str, Tensor]:
    """What all memories hold, under ``memory/name``."""
    return {
        f"{owner}/{name}": tensor
        for owner, memory in memories.items()
        for name, tensor in memory.state_dict().items()
    }


def part(state: Mapping[str, Tensor], owner: str) -> dict[str, Tensor]:
    """What one memory holds."""
    start = f"{owner}/"
    return {n.removeprefix(start): t for n, t in state.items() if n.startswith(start)}


def check(state: Mapping[str, Tensor], expected: Iterable[str]) -> None:
    """Refuses a state of another kind of simulator.

    Raises:
        InputError: a name too few or too many.
    """
    for name in sorted({*expected}.symmetric_difference(state)):
        raise InputError(
            f"state of a simulator: '{name}' is {'unknown' if name in state else 'missing'}"
            "; was it saved with another observation or traffic?"
        )


def check_history(frames: int, expected: int) -> None:
    """Refuses a history of another length.

    Raises:
        InputError: it is.
    """
    if frames != expected:
        raise InputError(
            f"state of a simulator: its history is {frames} frames long, this simulator's "
            f"{expected}; use the same observation"
        )
