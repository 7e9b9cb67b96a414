"""How far predicted surroundings are from what followed: the measures of open-loop judgement."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from data.clips import Clip, Clips
from ppuu.costs import DrivingCost
from ppuu.raster import warp
from ppuu.rollout import Futures, Rollout
from ppuu.track_futures import TrackFutures
from ppuu.tracks import states_at
from ppuu.world_models import Predictor
from ppuu.world_models.gliding import gliding_poses

MEASURES = (
    "vehicle_iou", "best_vehicle_iou", "image_mse", "position_error_m", "best_position_error_m",
    "each_best_position_error_m",
    "cost_error", "best_cost_error", "expected_cost_error", "diversity", "diversity_m",
)  # fmt: skip
"""Names of what ``measure`` returns."""


@dataclass(frozen=True, eq=False)
class Happened:
    """What followed a batch of clips at a predictor's steps; all predictors are held against it.

    Attributes:
        images: the true surroundings, drawn in the gliding frame.
        rollout: the ego's recorded path through them.
        tracks: ``(batch, slots, time, 4)`` of the tracked vehicles.
        known: ``(batch, slots, time)`` where the recording has them.
    """

    images: Futures
    rollout: Rollout
    tracks: Float[Tensor, "batch slots time 4"]
    known: Bool[Tensor, "batch slots time"]

    @classmethod
    def after(cls, clips: Clips, clip: Clip, predictor: Predictor, steps: int) -> Happened:
        """Draws and looks up what followed."""
        ahead = torch.arange(1, steps + 1, device=clip.frame.device) * predictor.frames_per_step
        poses = gliding_poses(clip.observation.ego[:, -1], ahead * predictor.dt_s)
        images = clips.draw_vehicles(clip, ahead, poses)[:, None]
        futures = Futures(images, clips.draw_road(clip, poses), poses, clips.config.raster)
        rollout = Rollout(
            clip.future[:, ahead - 1], clip.actions[:, ahead - 1], clip.previous_action,
            clip.observation.size_m, futures, predictor.step_s,
        )  # fmt: skip
        tracks = clip.observation.tracks
        assert tracks is not None
        states, known = states_at(clips.scene, tracks.vehicle, clip.frame[:, None] + ahead)
        return cls(futures, rollout, states, known)


def step_at(seconds: float, step_s: float) -> int:
    """The step nearest to a time; the first one is 0."""
    return max(0, round(seconds / step_s) - 1)


def drawn(predicted: Futures | TrackFutures, happened: Happened) -> Futures:
    """Predictions as images in the frame of the true ones, whatever they were told as.

    Boxes stand on a known map, so their road is the true one.
    """
    true = happened.images
    if isinstance(predicted, TrackFutures):
        return Futures(predicted.draw(true.pose), true.road, true.pose, true.raster)
    if torch.equal(predicted.pose, true.pose):
        return predicted
    flat = predicted.pose.flatten(0, 1), true.pose.flatten(0, 1), true.raster
    batch, futures = predicted.vehicles.shape[:2]
    vehicles = warp(predicted.vehicles.transpose(1, 2).flatten(0, 1), *flat)
    road = warp(predicted.road.flatten(0, 1), *flat, padding="border")
    return Futures(
        vehicles.unflatten(0, (batch, -1)).transpose(1, 2), road.unflatten(0, (batch, -1)),
        true.pose, true.raster,
    )  # fmt: skip


def overlap(
    predicted: Float[Tensor, "*shape rows columns"], true: Float[Tensor, "*shape rows columns"]
) -> Float[Tensor, "*shape"]:
    """Soft intersection over union of two coverage images; 1 where both are empty."""
    both = torch.minimum(predicted, true).sum((-2, -1))
    # The larger and the smaller of two numbers add up to both.
    either = predicted.sum((-2, -1)) + true.sum((-2, -1)) - both
    return torch.where(either > 0.5, both / either.clamp(min=0.5), 1.0)


def cost_along(rollout: Rollout) -> Float[Tensor, "batch futures time"]:
    """Weighted proximity, contact and lane cost in each future; all that surroundings decide."""
    config = DrivingCost().config
    return (
        config.proximity_weight * config.proximity.per_future(rollout)
        + config.contact_weight * config.contact.per_future(rollout)
        + config.lane_weight * config.lane.per_future(rollout)
    )


def measure(
    predicted: Futures | TrackFutures, happened: Happened
) -> dict[str, Float[Tensor, "batch time"]]:
    """All measures of a prediction, NaN where there is nothing to measure.

    Costs are those of images for every predictor, along the recorded path.  ``best`` is the best
    of the futures at each time by itself, ``each_best`` the best for each vehicle; without a
    prefix, the mean over the futures.
    """
    true, images = happened.rollout, drawn(predicted, happened)
    vehicles = happened.images.vehicles
    shared = overlap(images.vehicles, vehicles.expand_as(images.vehicles))
    error = (images.vehicles - vehicles).square().mean((-2, -1))
    among = Rollout(
        true.states, true.actions, true.previous_action, true.size_m, images, true.step_s
    )
    costs, true_cost = cost_along(among), cost_along(true)
    wrong = (costs - true_cost).abs()
    other = images.vehicles.roll(1, 1)
    nothing = torch.full_like(shared[:, 0], torch.nan)
    found = {
        "vehicle_iou": shared.mean(1),
        "best_vehicle_iou": shared.amax(1),
        "image_mse": error.mean(1),
        "position_error_m": nothing,
        "best_position_error_m": nothing,
        "each_best_position_error_m": nothing,
        "cost_error": wrong.mean(1),
        "best_cost_error": wrong.amin(1),
        "expected_cost_error": (costs.mean(1) - true_cost[:, 0]).abs(),
        "diversity": (1.0 - overlap(images.vehicles, other)).mean(1),
        "diversity_m": nothing,
    }
    if isinstance(predicted, TrackFutures):
        away = positions_off(predicted, happened)
        together = _over_vehicles(away, happened)
        found["position_error_m"] = together.mean(1)
        found["best_position_error_m"] = together.amin(1)
        found["each_best_position_error_m"] = _over_vehicles(away.amin(1, True), happened)[:, 0]
        places = predicted.states[..., :2]
        apart = (places - places.roll(1, 1)).norm(dim=-1).mean(1)
        found["diversity_m"] = _over_vehicles(apart[:, None], happened)[:, 0]
    return found


def positions_off(
    predicted: TrackFutures, happened: Happened
) -> Float[Tensor, "batch futures time slots"]:
    """Distance of each vehicle from its true place."""
    true = happened.tracks[..., :2].transpose(1, 2)[:, None]
    return (predicted.states[..., :2] - true).norm(dim=-1)


def _over_vehicles(
    values: Float[Tensor, "batch futures time slots"], happened: Happened
) -> Float[Tensor, "batch futures time"]:
    """The mean over known vehicles; NaN where there is none."""
    known = happened.known.transpose(1, 2)[:, None]
    return torch.where(known, values, 0.0).sum(-1) / known.sum(-1)
