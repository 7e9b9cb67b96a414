"""One-step imitation (behaviour cloning) of the recorded driver."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ..perception.observation import Observation
from ..policies.network import NetworkPolicy
from ..runtime.loss_terms import Terms


def imitation_loss(
    policy: NetworkPolicy, observation: Observation, actions: Float[Tensor, "batch 2"]
) -> Terms:
    """Mean negative log-likelihood of the experts' next actions (behaviour cloning)."""
    loss = policy.negative_log_likelihood(observation, actions).mean()
    return Terms(loss, {"negative_log_likelihood": loss})
