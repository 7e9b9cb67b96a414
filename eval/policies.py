"""Drivers by name: the baselines, or a run directory of train.policy."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from data.splits import Part, seen_in_training
from ppuu.checkpoint import Checkpoint
from ppuu.errors import InputError
from ppuu.policies.named import BASELINES, observation_of, policy_by_name
from ppuu.recording import Recording

__all__ = [
    "BASELINES", "labels", "observation_of", "policy_by_name", "training_of", "warn_of_seen",
]  # fmt: skip


def labels(names: Sequence[str]) -> dict[str, str]:
    """A short name for each driver: a run directory's own, unless two share it.

    Raises:
        InputError: the same driver twice.
    """
    twice = [name for name in names if list(names).count(name) > 1]
    if twice:
        raise InputError(f"--policy {twice[0]}: named twice")
    short = {name: Path(name).name if Path(name).exists() else name for name in names}
    shared = [label for label in short.values() if list(short.values()).count(label) > 1]
    return {name: name if label in shared else label for name, label in short.items()}


def training_of(name: str) -> dict | None:
    """How a trained policy came about (configuration, seed, data); nothing for a baseline."""
    return None if name in BASELINES else dict(Checkpoint.load(Path(name), "policy").config)


def warn_of_seen(
    label: str, training: Mapping | None, recordings: Sequence[Recording], parts: Sequence[Part]
) -> list[str]:
    """Says so if a trained model is about to be tested on frames that it has learnt from.

    Returns:
        The names of the recordings, for the result file.
    """
    seen = seen_in_training(training, recordings, parts)
    if seen:
        sys.stderr.write(
            f"warning: {label} has learnt from frames of {', '.join(seen)} that it is tested on "
            "here; its figures flatter it\n"
        )
    return seen
