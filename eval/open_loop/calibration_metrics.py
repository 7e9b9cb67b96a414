"""Calibration of predictions: the spread of samples and replicas against the true error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu.predictions import OccupancyPrediction, Prediction

from ..statistics.clustered import clustered_means
from ..statistics.metric import Metric
from ..statistics.rank_correlation import clustered_rank_correlation
from .metrics import GroundTruth, costs_along

LEVELS = (0.5, 0.8, 0.95)
"""Nominal coverages of the samples' central intervals."""
_PIXEL_STRIDE = (4, 3)
"""Rows and columns between the pixels used: neighbouring ones are nearly equal."""


@dataclass(frozen=True, eq=False)
class Spread:
    """One predicted quantity at one horizon, a row for each vehicle (or clip, or pixel).

    Attributes:
        error: of the samples' mean.
        sampled: standard deviation of the samples.
        replicas: standard deviation of the predictions of replicas with shared latents.
        inside: ``(rows, levels)`` whether the target is inside the samples' central intervals.
        cluster: the ego of the clip.
    """

    error: Float[np.ndarray, " rows"]
    sampled: Float[np.ndarray, " rows"]
    replicas: Float[np.ndarray, " rows"]
    inside: Bool[np.ndarray, "rows levels"]
    cluster: Int[np.ndarray, " rows"]

    def metrics(self) -> dict[str, Metric]:
        """Errors and deviations (root mean square), their rank correlation, coverage."""
        squares = np.stack([self.error, self.sampled, self.replicas], axis=1) ** 2
        names = ("error_rms", "sampled_deviation", "replica_deviation")
        means = clustered_means(squares, self.cluster)
        metrics = {name: _apply(np.sqrt, mean) for name, mean in zip(names, means, strict=True)}
        absolute_error = np.abs(self.error)
        for name, deviation in (("", self.sampled), ("_of_replicas", self.replicas)):
            key = f"rank_correlation{name}"
            metrics[key] = clustered_rank_correlation(absolute_error, deviation, self.cluster)
        coverages = clustered_means(self.inside.astype(float), self.cluster)
        levels = (f"covered_{100 * level:g}" for level in LEVELS)
        return metrics | dict(zip(levels, coverages, strict=True))

    def reliability(self, source: str = "sampled", bins: int = 10) -> Float[np.ndarray, "bins 2"]:
        """Predicted deviation and true error, root mean squares in bins of equal size."""
        predicted = getattr(self, source)
        parts = np.array_split(np.argsort(predicted, kind="stable"), min(bins, len(predicted)))
        pairs = [(predicted[part], self.error[part]) for part in parts if len(part)]
        return np.sqrt([[(p**2).mean(), (e**2).mean()] for p, e in pairs])


def _apply(function: Callable, metric: Metric) -> Metric:
    return Metric(
        float(function(metric.value)), float(function(metric.low)), float(function(metric.high)),
        metric.n,
    )  # fmt: skip


def deviations_from_truth(
    prediction: Prediction, truth: GroundTruth
) -> dict[str, Float[Tensor, "batch samples time rows"]]:
    """Each sample minus the target, by quantity; NaN where the target is unknown.

    Of vehicles the position along and across their true heading, in metres; of models of pixels a
    part of the image; of all the driving cost along the recorded path.
    """
    images = OccupancyPrediction.rasterize(prediction, truth.poses)
    costs = costs_along(replace(truth.rollout, prediction=images)) - costs_along(truth.rollout)
    deviations = {"cost": costs[..., None]}
    errors = prediction.errors(truth.target)
    for name, error in errors.items():
        deviations[name] = torch.where(error.weight > 0, error.value, torch.nan)
    if not errors:
        image = images.vehicles[:, 0] - truth.images.vehicles[:, 0]
        deviations["image"] = image[..., :: _PIXEL_STRIDE[0], :: _PIXEL_STRIDE[1]].flatten(3)
    return deviations


def central_interval(
    samples: Float[Tensor, "batch samples *rest"], level: float
) -> tuple[Float[Tensor, "batch *rest"], Float[Tensor, "batch *rest"]]:
    """Ends of the samples' central interval.

    Between order statistics at ``p (K + 1)`` (Weibull's plotting position): another sample of the
    same distribution lies inside with exactly this probability, as far as ``K`` samples reach.
    """
    ordered, count = samples.sort(dim=1).values, samples.shape[1]

    def at(probability: float) -> Tensor:
        position = min(max(probability * (count + 1) - 1.0, 0.0), count - 1.0)
        low = int(position + 1e-9)
        high = min(low + 1, count - 1)
        return torch.lerp(ordered[:, low], ordered[:, high], position - low)

    return at(0.5 - 0.5 * level), at(0.5 + 0.5 * level)


def spreads(
    sampled: dict[str, Float[Tensor, "batch samples time rows"]],
    replicas: dict[str, Float[Tensor, "batch replicas time rows"]],
    cluster: Int[Tensor, " batch"],
    times: list[int],
) -> dict[tuple[str, int], Spread]:
    """By quantity and time, from ``deviations_from_truth`` of samples and of replicas."""
    result = {}
    for key, deviations in sampled.items():
        for time in times:
            now = deviations[:, :, time]
            valid = now[:, 0].isfinite()
            ends = [central_interval(now, level) for level in LEVELS]
            inside = torch.stack([(low <= 0) & (high >= 0) for low, high in ends], dim=-1)
            columns = (
                now.mean(1), now.std(1), replicas[key][:, :, time].std(1), inside,
                cluster[:, None].expand_as(valid),
            )  # fmt: skip
            result[key, time] = Spread(*(column[valid].cpu().numpy() for column in columns))
    return result


def concatenate(parts: list[dict[tuple[str, int], Spread]]) -> dict[tuple[str, int], Spread]:
    """Batches one after the other."""
    names = [field.name for field in fields(Spread)]
    return {
        key: Spread(
            *(np.concatenate([getattr(part[key], name) for part in parts]) for name in names)
        )
        for key in parts[0]
    }
