"""Policies: one a file, all with ``reset`` and ``act``."""

from .base import Policy, Surroundings
from .baselines import NoAction, RecordedHuman, StraightIdm
from .constant_velocity import ConstantVelocityPlanner
from .network import NetworkPolicy, NetworkPolicyConfig

__all__ = [
    "ConstantVelocityPlanner",
    "NetworkPolicy",
    "NetworkPolicyConfig",
    "NoAction",
    "Policy",
    "RecordedHuman",
    "StraightIdm",
    "Surroundings",
]
