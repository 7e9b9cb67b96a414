"""Learning costs from recordings: regression on what recorded drivers paid."""

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
    """The recorded driver among the tracked vehicles as they were.

    Args:
        observation: histories with tracks and road.
        target: of the ego and the same vehicles.
        actions: that led to each state of the ego.
        previous_action: the one before.
        step_s: seconds a step.
        raster: size and scale of images, should somebody draw any.
    """
    tracks, road = observation.tracks, observation.road
    assert tracks is not None
    assert road is not None
    prediction = BoxPrediction(
        target.ego[:, None, :, :3], raster, target.placed_tracks.transpose(1, 2)[:, None, None],
        tracks.size_m, tracks.here, road,
    )  # fmt: skip
    return Rollout(
        target.ego[:, None], actions[:, None], previous_action[:, None], observation.size_m,
        prediction, step_s,
    )  # fmt: skip


def discounted_sum(costs: Float[Tensor, "batch time"], discount: float) -> Float[Tensor, " batch"]:
    """The first cost counts whole, each later one ``discount`` times the one before."""
    times = torch.arange(costs.shape[1], device=costs.device, dtype=costs.dtype)
    return (costs * discount**times).sum(1)


def value_loss(
    value: ValueFunction, observation: Observation, driven: Rollout, cost: DrivingCost
) -> Terms:
    """Squared error against what the recorded driver paid, so the mean of it is learned.

    The share of the variance that is left unexplained is named, too.
    """
    with torch.no_grad():
        paid = discounted_sum(cost.evaluate(driven).total[:, 0], value.config.discount)
    error = (value(observation) - paid).square().mean()
    unexplained = error.detach() / paid.var().clamp(min=1e-12)
    return Terms(error, {"unexplained": unexplained, "paid": paid.mean()})


def present(observation: Observation, raster: RasterConfig) -> Rollout:
    """The ego where it is, among everybody as seen; no action leads there."""
    tracks, road = observation.tracks, observation.road
    assert tracks is not None
    assert road is not None
    now = observation.ego[:, None, -1:]
    still = observation.ego.new_zeros(len(observation.ego), 1, 1, 2)
    prediction = BoxPrediction(
        now[..., :3], raster, tracks.now[:, None, None, None], tracks.size_m, tracks.here, road
    )
    return Rollout(now, still, still[:, :, 0], observation.size_m, prediction, 1.0)


def cost_model_loss(
    model: CostModel, observation: Observation, now: Rollout, cost: DrivingCost
) -> Terms:
    """Squared errors of the present costs."""
    with torch.no_grad():
        terms = cost.evaluate(now).terms
    named = {
        name: (told - terms[name][:, 0, 0]).square().mean()
        for name, told in model(observation).items()
    }
    return Terms(torch.stack(list(named.values())).sum(), named)
