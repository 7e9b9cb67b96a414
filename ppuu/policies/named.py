"""Policies by name: the drivers without learning, or a run directory of ``train.policy``."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..observation import ObservationConfig
from ..runs import load_policy
from .base import Policy
from .baselines import NoAction, RecordedHuman, StraightIdm
from .constant_velocity import ConstantVelocityPlanner
from .network import NetworkPolicy

BASELINES: dict[str, type[Policy]] = {
    "human": RecordedHuman,
    "no-action": NoAction,
    "idm": StraightIdm,
    "constant-velocity": ConstantVelocityPlanner,
}


def policy_by_name(name: str, option: str = "--policy") -> Policy:
    """A baseline, or the trained policy in a run directory.

    Args:
        name: of either.
        option: what the user set to it.

    Raises:
        InputError: neither.
    """
    if name in BASELINES:
        return BASELINES[name]()
    if not Path(name).exists():
        raise InputError(
            f"{option} {name}: neither a run directory nor one of {', '.join(BASELINES)}"
        )
    return load_policy(Path(name))


def observation_of(policy: Policy) -> ObservationConfig:
    """The images a policy wants to see; the default for those that look at none."""
    return policy.config.observation if isinstance(policy, NetworkPolicy) else ObservationConfig()
