"""Drivers by name: the baselines, or a run directory of train.policy."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from data.splits import Part, seen_in_training
from ppuu.checkpoint import Checkpoint
from ppuu.errors import InputError
from ppuu.observation import ObservationConfig
from ppuu.policies import (
    ConstantVelocityPlanner,
    NetworkPolicy,
    NoAction,
    Policy,
    RecordedHuman,
    StraightIdm,
)
from ppuu.recording import Recording
from ppuu.runs import load_policy

BASELINES = {
    "human": RecordedHuman,
    "no-action": NoAction,
    "idm": StraightIdm,
    "constant-velocity": ConstantVelocityPlanner,
}


def policy_by_name(name: str) -> Policy:
    """A baseline, or the trained policy in a run directory.

    Raises:
        InputError: neither.
    """
    if name in BASELINES:
        return BASELINES[name]()
    if not Path(name).exists():
        raise InputError(
            f"--policy {name}: neither a run directory nor one of {', '.join(BASELINES)}"
        )
    return load_policy(Path(name))


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


def observation_of(policy: Policy) -> ObservationConfig:
    """The images a policy wants to see; the default for those that look at none."""
    return policy.config.observation if isinstance(policy, NetworkPolicy) else ObservationConfig()
