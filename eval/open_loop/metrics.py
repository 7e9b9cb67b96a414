"""How far predicted surroundings are from what followed: the metrics of open-loop evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from data.clips.clips import Clip, Clips
from ppuu.costs import DrivingCost
from ppuu.perception.constant_velocity_frame import constant_velocity_poses
from ppuu.predictions import (
    Errors,
    KnownSpeed,
    OccupancyPrediction,
    Prediction,
    Rollout,
    Target,
    UniformMotion,
)
from ppuu.recordings.tracks import states_at
from ppuu.world_models import Predictor

MEASURES = (
    "vehicle_iou", "best_vehicle_iou", "image_mse", "position_error_m", "best_position_error_m",
    "each_best_position_error_m",
    "cost_error", "best_cost_error", "expected_cost_error", "diversity", "diversity_m",
)  # fmt: skip
"""Names of what ``measure`` returns."""


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """What followed a batch of clips at a predictor's steps; all predictors are held against it.

    Attributes:
        images: the true surroundings, drawn in the constant-velocity frame.
        rollout: the ego's recorded path through them.
        target: the tracked vehicles.
    """

    images: OccupancyPrediction
    rollout: Rollout
    target: Target

    @classmethod
    def after(cls, clips: Clips, clip: Clip, predictor: Predictor, steps: int) -> GroundTruth:
        """Draws and looks up what followed."""
        ahead = torch.arange(1, steps + 1, device=clip.frame.device) * predictor.frames_per_step
        poses = constant_velocity_poses(clip.observation.ego[:, -1], ahead * predictor.dt_s)
        vehicles = clips.draw_vehicles(clip, ahead, poses)[:, None, None]
        images = OccupancyPrediction(
            poses[:, None], clips.config.raster, vehicles,
            clips.draw_road(clip, poses)[:, None, None],
            UniformMotion(KnownSpeed(clip.observation.ego[:, -1, 3])),
        )  # fmt: skip
        rollout = Rollout(
            clip.future[:, None, ahead - 1], clip.actions[:, None, ahead - 1],
            clip.previous_action[:, None], clip.observation.size_m, images, predictor.step_s,
        )  # fmt: skip
        tracks = clip.observation.tracks
        assert tracks is not None
        states, valid = states_at(clips.scene, tracks.vehicle, clip.frame[:, None] + ahead)
        return cls(images, rollout, Target(clip.future[:, ahead - 1], states, valid))

    @property
    def poses(self) -> Float[Tensor, "batch time 3"]:
        """Where the images are drawn from."""
        return self.images.pose[:, 0]


def step_at(seconds: float, step_s: float) -> int:
    """The step nearest to a time; the first one is 0."""
    return max(0, round(seconds / step_s) - 1)


def overlap(
    predicted: Float[Tensor, "*shape rows columns"], true: Float[Tensor, "*shape rows columns"]
) -> Float[Tensor, "*shape"]:
    """Soft intersection over union of two coverage images; 1 where both are empty."""
    both = torch.minimum(predicted, true).sum((-2, -1))
    # The larger and the smaller of two numbers add up to both.
    either = predicted.sum((-2, -1)) + true.sum((-2, -1)) - both
    return torch.where(either > 0.5, both / either.clamp(min=0.5), 1.0)


def costs_along(rollout: Rollout) -> Float[Tensor, "batch samples time"]:
    """Weighted costs of vehicles and lane lines in each sample; all that surroundings decide."""
    cost = DrivingCost()
    terms = cost.terms()
    vehicles = cost.vehicle_costs(rollout)
    lane = terms["lane"].weight * cost.road_costs(rollout)["lane"][:, 0]
    return torch.stack([terms[k].weight * v[:, 0] for k, v in vehicles.items()]).sum(0) + lane


def measure(predicted: Prediction, truth: GroundTruth) -> dict[str, Float[Tensor, "batch time"]]:
    """All measures of a prediction, NaN where there is nothing to measure.

    Overlap and costs are those of images for every predictor, so that all are drawn alike.
    ``best`` is the best of the samples at each time by itself, ``each_best`` the best for each
    vehicle; without a prefix, the mean over the samples.
    """
    images = OccupancyPrediction.rasterize(predicted, truth.poses)
    seen, vehicles = images.vehicles[:, 0], truth.images.vehicles[:, 0]
    shared = overlap(seen, vehicles.expand_as(seen))
    error = (seen - vehicles).square().mean((-2, -1))
    costs = costs_along(replace(truth.rollout, prediction=images))
    true_cost = costs_along(truth.rollout)
    wrong = (costs - true_cost).abs()
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
        "diversity": (1.0 - overlap(seen, seen.roll(1, 1))).mean(1),
        "diversity_m": nothing,
    }
    return found | _of_positions(predicted.errors(truth.target))


def _of_positions(errors: dict[str, Errors]) -> dict[str, Float[Tensor, "batch time"]]:
    """Measures in metres, of predictions that tell where vehicles are."""
    if "along_m" not in errors:
        return {}
    off = torch.stack([errors["along_m"].value, errors["across_m"].value], dim=-1)
    valid = errors["along_m"].weight > 0
    away = off.norm(dim=-1)
    together = _over_vehicles(away, valid)
    apart = (off - off.roll(1, 1)).norm(dim=-1).mean(1, True)
    return {
        "position_error_m": together.mean(1),
        "best_position_error_m": together.amin(1),
        "each_best_position_error_m": _over_vehicles(away.amin(1, True), valid)[:, 0],
        "diversity_m": _over_vehicles(apart, valid)[:, 0],
    }


def _over_vehicles(
    values: Float[Tensor, "batch samples time slots"], valid: Bool[Tensor, "batch 1 time slots"]
) -> Float[Tensor, "batch samples time"]:
    """The mean over known vehicles; NaN where there is none."""
    return torch.where(valid, values, 0.0).sum(-1) / valid.sum(-1)
