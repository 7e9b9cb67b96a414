"""Rollouts: paths of the ego through predicted surroundings, the input of every cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from ..perception.goal import Goal
from .base import Prediction
from .lane_speed import lane_speed_mps
from .mask import EgoPath


@dataclass(frozen=True, eq=False)
class Rollout:
    """Paths of the ego and the predicted surroundings.

    Attributes:
        states: ``(batch, candidates, time, 4)`` ego states at the times of the prediction.
        actions: ``(batch, candidates, time, 2)`` acceleration and curvature leading to each state.
        previous_action: ``(batch, candidates or 1, 2)`` the action before the first.
        size_m: ``(batch, 2)`` the ego's length and width.
        prediction: the surroundings.
        step_s: seconds between times.
        value: ``(batch, candidates)`` expected cost after the last state, if there is a value
            function.
        goal: the lane to be in; None to drive on in any lane.
    """

    states: Float[Tensor, "batch candidates time 4"]
    actions: Float[Tensor, "batch candidates time 2"]
    previous_action: Float[Tensor, "batch one 2"]
    size_m: Float[Tensor, "batch 2"]
    prediction: Prediction
    step_s: float
    value: Float[Tensor, "batch candidates"] | None = None
    goal: Goal | None = None

    @cached_property
    def ego(self) -> EgoPath:
        """The paths as masks take them."""
        return EgoPath(self.states, self.size_m)

    @cached_property
    def lane_speed_mps(self) -> Float[Tensor, "batch candidates time"]:
        """Mean speed of traffic in the ego's lane at each time, without gradients."""
        return lane_speed_mps(self.prediction, self.ego)
