"""What a planner of a planning policy gets to see: action sequences in, costs out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..costs import DrivingCost
from ..kinematics import rollout
from ..observation import Observation
from ..rollout import Rollout
from ..worlds.base import Foresight
from .planning_config import Merge, PlanningConfig


@dataclass(frozen=True, eq=False)
class PlanningCost:
    """Costs of action sequences in units of their bounds: the discounted mean over the steps.

    Attributes:
        observation: where it begins.
        previous_action: ``(batch, 2)`` in physical units.
        foresight: what will surround the ego.
        replicas: the same as replicas of the world model tell it; None where that does not count.
        config: costs, discount and merging.
        step_s: seconds an action is held.
    """

    observation: Observation
    previous_action: Float[Tensor, "batch 2"]
    foresight: Foresight
    replicas: Foresight | None
    config: PlanningConfig
    step_s: float

    def __call__(
        self, actions: Float[Tensor, "batch samples steps 2"]
    ) -> Float[Tensor, "batch samples"]:
        """One cost a sequence."""
        imagined = self.rollout(actions, self.foresight)
        cost = DrivingCost(self.config.cost)
        terms, by_future = cost.evaluate(imagined)
        # The part that differs between futures is merged, the rest is added once.
        alone = cost.total(terms) - by_future.mean(1)
        total = self._over_time(alone) + merged(self._over_time(by_future), self.config.merge)
        if self.replicas is not None:
            _, by_replica = cost.evaluate(self.rollout(actions, self.replicas))
            disagreement = by_replica.var(1).clamp(min=1e-12).sqrt()
            total = total + self.config.uncertainty_weight * self._over_time(disagreement)
        return total.view(len(actions), -1)

    def rollout(
        self, actions: Float[Tensor, "batch samples steps 2"], foresight: Foresight
    ) -> Rollout:
        """The paths, one row a sequence, and what surrounds them."""
        samples = actions.shape[1]
        physical = actions.flatten(0, 1) * self.config.bounds.largest(actions)
        start = self.observation.ego[:, -1].repeat_interleave(samples, 0)
        states = rollout(start, physical, self.step_s)
        return Rollout(
            states,
            physical,
            self.previous_action.repeat_interleave(samples, 0),
            self.observation.size_m.repeat_interleave(samples, 0),
            foresight(states, physical),
            self.step_s,
        )

    def _over_time(self, costs: Float[Tensor, "*rows steps"]) -> Float[Tensor, "*rows"]:
        steps = torch.arange(costs.shape[-1], device=costs.device, dtype=costs.dtype)
        return (costs * self.config.discount**steps).mean(-1)


def merged(costs: Float[Tensor, "rows futures"], how: Merge) -> Float[Tensor, " rows"]:
    """One cost for several futures."""
    if how == "max":
        return costs.amax(1)
    if how == "cvar":
        dearest = max(1, round(costs.shape[1] / 3))
        return costs.topk(dearest, dim=1).values.mean(1)
    return costs.mean(1)
