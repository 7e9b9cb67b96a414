"""Drivers by name: the baselines, or a run directory of train.policy."""

from __future__ import annotations

from pathlib import Path

from ppuu.checkpoint import Checkpoint
from ppuu.errors import InputError
from ppuu.observation import ObservationConfig
from ppuu.policies import NetworkPolicy, NoAction, Policy, RecordedHuman, StraightIdm
from ppuu.runs import load_policy

BASELINES = {"human": RecordedHuman, "no-action": NoAction, "idm": StraightIdm}


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


def training_of(name: str) -> dict | None:
    """How a trained policy came about (configuration, seed, data); nothing for a baseline."""
    return None if name in BASELINES else dict(Checkpoint.load(Path(name), "policy").config)


def observation_of(policy: Policy) -> ObservationConfig:
    """The images a policy wants to see; the default for those that look at none."""
    return policy.config.observation if isinstance(policy, NetworkPolicy) else ObservationConfig()
