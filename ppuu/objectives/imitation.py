"""One-step imitation: do what the recorded driver did."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ..perception.observation import Observation
from ..policies.network import NetworkPolicy
from ..runtime.loss_terms import Terms


def imitation_loss(
    policy: NetworkPolicy, observation: Observation, actions: Float[Tensor, "batch 2"]
) -> Terms:
    """Mean surprise at the experts' next actions: squared error, or a negative log-likelihood."""
    surprise = policy.surprise(observation, actions).mean()
    return Terms(surprise, {"surprise": surprise})
