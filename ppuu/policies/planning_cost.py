"""Cost function of planning policies: from action sequences to costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from ..costs import DrivingCost, VehicleTerm
from ..driving.motion import drive
from ..driving.vehicle_limits import VehicleLimits
from ..perception.observation import Observation
from ..prediction_sources.base import PredictionFunction
from ..predictions import Rollout
from .planning_config import PlanningConfig, RiskMeasure

_MAX_ROWS = 4096
"""Maximum number of paths times samples evaluated at once, which bounds the memory."""


@dataclass(frozen=True, eq=False)
class PlanningCost:
    """Costs of action sequences in units of their bounds: the discounted mean over the steps.

    Attributes:
        observation: of the initial state.
        previous_action: ``(batch, 2)`` in physical units.
        prediction: of the surroundings.
        replicas: predictions of the world model's replicas; None without uncertainty.
        config: costs, discount and risk measure.
        frames_per_step: for which an action is held.
        dt_s: seconds between frames.
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
        """The cost of each sequence."""
        if torch.is_grad_enabled():
            return self._costs(actions)
        samples = self.config.samples
        if self.replicas is not None:
            samples = max(samples, self.config.replicas)
        chunk = max(1, _MAX_ROWS // (len(actions) * samples))
        return torch.cat([self._costs(part) for part in actions.split(chunk, dim=1)], dim=1)

    def _costs(
        self, actions: Float[Tensor, "batch candidates steps 2"]
    ) -> Float[Tensor, "batch candidates"]:
        cost = DrivingCost(self.config.cost)
        costs = cost.evaluate(self.rollout(actions, self.prediction))
        # Only the vehicles' cost differs between samples.
        total = self._over_time(costs.other_cost)
        vehicles = costs.vehicle_cost
        for name, term in cost.terms().items():
            if isinstance(term, VehicleTerm) and term.lasts:
                once = costs.vehicle_terms[name]
                vehicles = vehicles + term.weight * (once.cummax(-1).values - once)
        total = total + aggregate_risk(self._over_time(vehicles), self.config.risk)
        if self.replicas is not None:
            by_replica = cost.evaluate(self.rollout(actions, self.replicas)).vehicle_cost
            disagreement = by_replica.var(2).clamp(min=1e-12).sqrt()
            total = total + self.config.uncertainty_weight * self._over_time(disagreement)
        return total

    def rollout(
        self, actions: Float[Tensor, "batch candidates steps 2"], prediction: PredictionFunction
    ) -> Rollout:
        """The paths that the ego can follow of the candidates, and their predicted surroundings."""
        asked = actions * self.config.bounds.largest(actions)
        start = self.observation.ego[:, -1, None].expand(-1, actions.shape[1], -1)
        path = drive(
            start, asked, self.previous_action[:, None], self._limits, self.dt_s,
            held=self.frames_per_step,
        )  # fmt: skip
        return Rollout(
            path.states,
            path.actions,
            self.previous_action[:, None],
            self.observation.size_m,
            prediction(path.states, path.actions),
            self.frames_per_step * self.dt_s,
            goal=self.observation.goal,
        )

    @cached_property
    def _limits(self) -> VehicleLimits:
        return VehicleLimits.of(self.observation.size_m[:, None])

    def _over_time(self, costs: Float[Tensor, "*rows steps"]) -> Float[Tensor, "*rows"]:
        steps = torch.arange(costs.shape[-1], device=costs.device, dtype=costs.dtype)
        return (costs * self.config.discount**steps).mean(-1)


def aggregate_risk(
    costs: Float[Tensor, "batch candidates samples"], measure: RiskMeasure
) -> Float[Tensor, "batch candidates"]:
    """Aggregates the costs of several samples."""
    if measure == "max":
        return costs.amax(2)
    if measure == "cvar":
        tail = max(1, round(costs.shape[2] / 3))
        return costs.topk(tail, dim=2).values.mean(2)
    return costs.mean(2)
