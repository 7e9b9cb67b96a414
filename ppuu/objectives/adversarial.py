"""Adversarial latents: sampled futures of a world model, made more dangerous for the policy.

One step of Adam moves the latents to increase the cost of other vehicles along the policy's path;
the policy is then trained in this future.  In PPUU's successor ("dreaming") the loss also penalises
the distance from the sampled latents, which has no effect in a single step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..costs import DrivingCost
from ..perception.observation import Observation
from ..predictions import Rollout
from ..runtime.errors import InputError
from ..world_models import WorldModel


@dataclass(frozen=True)
class AdversarialConfig:
    """Frequency and strength.

    Attributes:
        every: adversarial latents in one batch of this number; 0 for none (the successor's code:
            10).
        step_size: change of a latent, in standard deviations.
    """

    every: int = 0
    step_size: float = 0.1

    def __post_init__(self):
        if self.every < 0 or self.step_size < 0:
            raise InputError(f"adversarial: every and step_size must not be negative: {self}")


def adversarial_latents(
    model: WorldModel,
    observation: Observation,
    noise: Float[Tensor, "batch time latent"],
    rollout: Rollout,
    cost: DrivingCost,
    config: AdversarialConfig,
) -> Float[Tensor, "batch time latent"]:
    """The noise of a more dangerous future.

    Args:
        model: any world model.
        observation: recorded histories, one for each of ``noise``.
        noise: as sampled.
        rollout: of the policy from one or several initial states of each history; the first is
            used, with constant actions.
        cost: whose vehicle terms are increased.
        config: step size.
    """
    batch = len(noise)
    states, actions = (value.flatten(0, 1).detach() for value in (rollout.states, rollout.actions))
    per_history = len(states) // batch
    path = states[::per_history, None]
    perturbed = noise.detach().clone().requires_grad_()
    first = replace(
        rollout, states=path, actions=actions[::per_history, None], value=None,
        previous_action=rollout.previous_action.flatten(0, 1)[::per_history, None],
        size_m=observation.size_m, prediction=model.rollout(observation, perturbed[:, None], path),
    )  # fmt: skip
    danger = cost.evaluate(first).vehicle_cost
    (gradient,) = torch.autograd.grad(danger.mean(), perturbed)
    # The first step of Adam is the sign of the gradient.
    return (noise + config.step_size * gradient.sign()).detach()
