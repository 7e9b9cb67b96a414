"""Policies: one a file, all with ``reset`` and ``act``."""

from .base import Policy, Surroundings
from .baselines import NoAction, RecordedHuman, StraightIdm
from .network import NetworkPolicy, NetworkPolicyConfig

__all__ = [
    "NetworkPolicy",
    "NetworkPolicyConfig",
    "NoAction",
    "Policy",
    "RecordedHuman",
    "StraightIdm",
    "Surroundings",
]
