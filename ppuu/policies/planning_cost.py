"""What a planner of a planning policy gets to see: action sequences in, costs out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..costs import DrivingCost
from ..kinematics import rollout
from ..perception.observation import Observation
from ..prediction_sources.base import PredictionFunction
from ..predictions import Rollout
from .planning_config import Merge, PlanningConfig

_MOST_ROWS = 4096
"""Paths times samples that are weighed at once; so many bound the memory that sampling takes."""


@dataclass(frozen=True, eq=False)
class PlanningCost:
    """Costs of action sequences in units of their bounds: the discounted mean over the steps.

    Attributes:
        observation: where it begins.
        previous_action: ``(batch, 2)`` in physical units.
        prediction: what will surround the ego.
        replicas: the same as replicas of the world model predict it; None where that does not
            count.
        config: costs, discount and merging.
        frames_per_step: for which an action is held.
        dt_s: seconds a frame.
    """

    observation: Observation
    previous_action: Float[Tensor, "batch 2"]
    prediction: PredictionFunction
    replicas: PredictionFunction | None
    config: PlanningConfig
    frames_per_step: int
    dt_s: float

    def __call__(
        self, actions: Float[Tensor, "batch candidates steps 2"]
    ) -> Float[Tensor, "batch candidates"]:
        """One cost a sequence."""
        if torch.is_grad_enabled():
            return self._costs(actions)
        each = self.config.samples
        if self.replicas is not None:
            each = max(each, self.config.replicas)
        chunk = max(1, _MOST_ROWS // (len(actions) * each))
        return torch.cat([self._costs(part) for part in actions.split(chunk, dim=1)], dim=1)

    def _costs(
        self, actions: Float[Tensor, "batch candidates steps 2"]
    ) -> Float[Tensor, "batch candidates"]:
        cost = DrivingCost(self.config.cost)
        costs = cost.evaluate(self.rollout(actions, self.prediction))
        # The part that differs between samples is merged, the rest is added once.
        total = self._over_time(costs.rest)
        total = total + merged(self._over_time(costs.vehicles), self.config.merge)
        if self.replicas is not None:
            by_replica = cost.evaluate(self.rollout(actions, self.replicas)).vehicles
            disagreement = by_replica.var(2).clamp(min=1e-12).sqrt()
            total = total + self.config.uncertainty_weight * self._over_time(disagreement)
        return total

    def rollout(
        self, actions: Float[Tensor, "batch candidates steps 2"], prediction: PredictionFunction
    ) -> Rollout:
        """The paths, and what surrounds them."""
        physical = actions * self.config.bounds.largest(actions)
        start = self.observation.ego[:, -1, None].expand(-1, actions.shape[1], -1)
        states = rollout(start, physical, self.dt_s, held=self.frames_per_step)
        return Rollout(
            states,
            physical,
            self.previous_action[:, None],
            self.observation.size_m,
            prediction(states, physical),
            self.frames_per_step * self.dt_s,
        )

    def _over_time(self, costs: Float[Tensor, "*rows steps"]) -> Float[Tensor, "*rows"]:
        steps = torch.arange(costs.shape[-1], device=costs.device, dtype=costs.dtype)
        return (costs * self.config.discount**steps).mean(-1)


def merged(
    costs: Float[Tensor, "batch candidates samples"], how: Merge
) -> Float[Tensor, "batch candidates"]:
    """One cost for several samples."""
    if how == "max":
        return costs.amax(2)
    if how == "cvar":
        worst = max(1, round(costs.shape[2] / 3))
        return costs.topk(worst, dim=2).values.mean(2)
    return costs.mean(2)
