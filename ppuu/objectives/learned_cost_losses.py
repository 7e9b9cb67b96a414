"""Learned costs: regression on the costs of recorded drivers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..costs import DrivingCost
from ..perception.observation import Observation
from ..perception.raster_image import RasterConfig
from ..policies.learned_costs import CostModel, ValueFunction
from ..predictions import BoxPrediction, Rollout, Target
from ..runtime.loss_terms import Terms


def recorded_rollout(
    observation: Observation,
    target: Target,
    actions: Float[Tensor, "batch time 2"],
    previous_action: Float[Tensor, "batch 2"],
    step_s: float,
    raster: RasterConfig,
) -> Rollout:
    """The rollout of the recorded driver among the recorded tracks.

    Args:
        observation: histories with tracks and road.
        target: of the ego and the same vehicles.
        actions: that lead to each state of the ego.
        previous_action: before the first.
        step_s: seconds between steps.
        raster: size and scale of images.
    """
    tracks, road = observation.tracks, observation.road
    assert tracks is not None
    assert road is not None
    prediction = BoxPrediction(
        target.ego[:, None, :, :3], raster, target.placed_tracks.transpose(1, 2)[:, None, None],
        tracks.size_m, tracks.valid_now, road,
    )  # fmt: skip
    return Rollout(
        target.ego[:, None], actions[:, None], previous_action[:, None], observation.size_m,
        prediction, step_s,
    )  # fmt: skip


def discounted_sum(costs: Float[Tensor, "batch time"], discount: float) -> Float[Tensor, " batch"]:
    """Discounted sum over time; the first cost has weight 1."""
    times = torch.arange(costs.shape[1], device=costs.device, dtype=costs.dtype)
    return (costs * discount**times).sum(1)


def value_loss(
    value: ValueFunction, observation: Observation, rollout: Rollout, cost: DrivingCost
) -> Terms:
    """Squared error of the recorded driver's discounted cost.

    The fraction of unexplained variance is also reported.
    """
    with torch.no_grad():
        cost_to_go = discounted_sum(cost.evaluate(rollout).total[:, 0], value.config.discount)
    error = (value(observation) - cost_to_go).square().mean()
    unexplained = error.detach() / cost_to_go.var().clamp(min=1e-12)
    return Terms(error, {"unexplained": unexplained, "cost_to_go": cost_to_go.mean()})


def current_rollout(observation: Observation, raster: RasterConfig) -> Rollout:
    """A rollout of the current time step only, with zero action."""
    tracks, road = observation.tracks, observation.road
    assert tracks is not None
    assert road is not None
    now = observation.ego[:, None, -1:]
    action = observation.ego.new_zeros(len(observation.ego), 1, 1, 2)
    prediction = BoxPrediction(
        now[..., :3], raster, tracks.now[:, None, None, None], tracks.size_m, tracks.valid_now, road
    )
    return Rollout(now, action, action[:, :, 0], observation.size_m, prediction, 1.0)


def cost_model_loss(
    model: CostModel, observation: Observation, current: Rollout, cost: DrivingCost
) -> Terms:
    """Squared errors of the current costs."""
    with torch.no_grad():
        terms = cost.evaluate(current).terms
    named = {
        name: (predicted - terms[name][:, 0, 0]).square().mean()
        for name, predicted in model(observation).items()
    }
    return Terms(torch.stack(list(named.values())).sum(), named)
