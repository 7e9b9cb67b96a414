"""One-step imitation: do what the recorded driver did."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ..observation import Observation
from ..policies.network import NetworkPolicy
from .terms import Terms


def imitation_loss(
    policy: NetworkPolicy, observation: Observation, actions: Float[Tensor, "batch 2"]
) -> Terms:
    """Mean squared error of the next action, in units of the actions' deviation."""
    error = (policy(observation) - actions) / policy.normalizer.action_deviation
    acceleration, curvature = error.square().mean(0).unbind(-1)
    total = acceleration + curvature
    return Terms(total, {"acceleration": acceleration, "curvature": curvature})
