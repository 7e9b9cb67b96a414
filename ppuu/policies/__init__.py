"""Driving policies, one a file, all with ``reset`` and ``act``."""

from .base import Policy
from .baselines import NoAction, Random, RecordedHuman, StraightIdm
from .network import PAPER_POLICY, NetworkPolicy, NetworkPolicyConfig

__all__ = [
    "PAPER_POLICY",
    "NetworkPolicy",
    "NetworkPolicyConfig",
    "NoAction",
    "Policy",
    "Random",
    "RecordedHuman",
    "StraightIdm",
]
