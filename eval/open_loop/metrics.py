"""Open-loop metrics: how far predicted surroundings are from the true ones."""

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

METRICS = (
    "vehicle_iou", "best_vehicle_iou", "image_mse", "position_error_m", "best_position_error_m",
    "each_best_position_error_m",
    "cost_error", "best_cost_error", "expected_cost_error", "diversity", "diversity_m",
)  # fmt: skip
"""Names of what ``prediction_metrics`` returns."""


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The true futures of a batch of clips at a predictor's steps, the same for all predictors.

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
        """Draws the true images and looks up the true states."""
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
        """Poses that the images are drawn at."""
        return self.images.pose[:, 0]


def step_at(seconds: float, step_s: float) -> int:
    """The step nearest to a time; the first one is 0."""
    return max(0, round(seconds / step_s) - 1)


def overlap(
    predicted: Float[Tensor, "*shape rows columns"], true: Float[Tensor, "*shape rows columns"]
) -> Float[Tensor, "*shape"]:
    """Soft intersection over union of two coverage images; 1 where both are empty."""
    intersection = torch.minimum(predicted, true).sum((-2, -1))
    union = predicted.sum((-2, -1)) + true.sum((-2, -1)) - intersection
    return torch.where(union > 0.5, intersection / union.clamp(min=0.5), 1.0)


def costs_along(rollout: Rollout) -> Float[Tensor, "batch samples time"]:
    """Weighted costs of vehicles and lane lines in each sample: all that depend on surroundings."""
    cost = DrivingCost()
    terms = cost.terms()
    vehicles = cost.vehicle_costs(rollout)
    lane = terms["lane"].weight * cost.road_costs(rollout)["lane"][:, 0]
    return torch.stack([terms[k].weight * v[:, 0] for k, v in vehicles.items()]).sum(0) + lane


def prediction_metrics(
    prediction: Prediction, truth: GroundTruth
) -> dict[str, Float[Tensor, "batch time"]]:
    """All metrics of a prediction, NaN where there is nothing to measure.

    Overlap and costs are those of images for every predictor, so that all are drawn alike.
    ``best`` is the best of the samples at each time by itself, ``each_best`` the best for each
    vehicle; without a prefix, the mean over the samples.
    """
    images = OccupancyPrediction.rasterize(prediction, truth.poses)
    predicted, true = images.vehicles[:, 0], truth.images.vehicles[:, 0]
    iou = overlap(predicted, true.expand_as(predicted))
    squared_error = (predicted - true).square().mean((-2, -1))
    costs = costs_along(replace(truth.rollout, prediction=images))
    true_cost = costs_along(truth.rollout)
    cost_error = (costs - true_cost).abs()
    unknown = torch.full_like(iou[:, 0], torch.nan)
    metrics = {
        "vehicle_iou": iou.mean(1),
        "best_vehicle_iou": iou.amax(1),
        "image_mse": squared_error.mean(1),
        "position_error_m": unknown,
        "best_position_error_m": unknown,
        "each_best_position_error_m": unknown,
        "cost_error": cost_error.mean(1),
        "best_cost_error": cost_error.amin(1),
        "expected_cost_error": (costs.mean(1) - true_cost[:, 0]).abs(),
        "diversity": (1.0 - overlap(predicted, predicted.roll(1, 1))).mean(1),
        "diversity_m": unknown,
    }
    return metrics | _position_metrics(prediction.errors(truth.target))


def _position_metrics(errors: dict[str, Errors]) -> dict[str, Float[Tensor, "batch time"]]:
    """Metrics in metres, of predictions that have positions of vehicles."""
    if "along_m" not in errors:
        return {}
    displacement = torch.stack([errors["along_m"].value, errors["across_m"].value], dim=-1)
    valid = errors["along_m"].weight > 0
    distance = displacement.norm(dim=-1)
    mean_distance = _mean_over_vehicles(distance, valid)
    apart = (displacement - displacement.roll(1, 1)).norm(dim=-1).mean(1, True)
    return {
        "position_error_m": mean_distance.mean(1),
        "best_position_error_m": mean_distance.amin(1),
        "each_best_position_error_m": _mean_over_vehicles(distance.amin(1, True), valid)[:, 0],
        "diversity_m": _mean_over_vehicles(apart, valid)[:, 0],
    }


def _mean_over_vehicles(
    values: Float[Tensor, "batch samples time slots"], valid: Bool[Tensor, "batch 1 time slots"]
) -> Float[Tensor, "batch samples time"]:
    """The mean over valid vehicles; NaN where there is none."""
    return torch.where(valid, values, 0.0).sum(-1) / valid.sum(-1)
