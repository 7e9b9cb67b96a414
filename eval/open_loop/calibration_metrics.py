"""Predicted spread against real error: what calibration is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu.predictions import OccupancyPrediction, Prediction

from ..reports.results import Metric
from ..statistics.clustered import clustered_means, clustered_rank_correlation
from .metrics import GroundTruth, costs_along

SHARES = (0.5, 0.8, 0.95)
"""Central shares of the futures whose coverage is counted."""
_SPARSE = (4, 3)
"""Of an image's pixels every so many rows and columns are looked at: neighbours tell the same."""


@dataclass(frozen=True, eq=False)
class Spread:
    """One predicted quantity at one horizon, a row for each vehicle (or clip, or pixel).

    Attributes:
        error: of the futures' mean.
        sampled: standard deviation of the futures.
        replicas: standard deviation of what replicas with shared latents say.
        inside: ``(rows, shares)`` whether the truth is inside the futures' central shares.
        cluster: whose eyes the clip looks through.
    """

    error: Float[np.ndarray, " rows"]
    sampled: Float[np.ndarray, " rows"]
    replicas: Float[np.ndarray, " rows"]
    inside: Bool[np.ndarray, "rows shares"]
    cluster: Int[np.ndarray, " rows"]

    def metrics(self) -> dict[str, Metric]:
        """Errors and deviations (root mean square), how well one ranks the other, coverage."""
        squares = np.stack([self.error, self.sampled, self.replicas], axis=1) ** 2
        names = ("error_rms", "sampled_deviation", "replica_deviation")
        means = clustered_means(squares, self.cluster)
        found = {name: _apply(np.sqrt, mean) for name, mean in zip(names, means, strict=True)}
        off = np.abs(self.error)
        for name, deviation in (("", self.sampled), ("_of_replicas", self.replicas)):
            key = f"rank_correlation{name}"
            found[key] = clustered_rank_correlation(off, deviation, self.cluster)
        shares = clustered_means(self.inside.astype(float), self.cluster)
        return found | {f"covered_{100 * s:g}": m for s, m in zip(SHARES, shares, strict=True)}

    def reliability(self, source: str = "sampled", bins: int = 10) -> Float[np.ndarray, "bins 2"]:
        """Predicted deviation and real error, root mean squares in bins of equal size."""
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
    predicted: Prediction, truth: GroundTruth
) -> dict[str, Float[Tensor, "batch samples time rows"]]:
    """Each sample minus the truth, by quantity; NaN where the truth is not known.

    Of vehicles the place along and across their true heading, in metres; of models of pixels a
    part of the image; of all the driving cost along the recorded path.
    """
    images = OccupancyPrediction.drawn(predicted, truth.poses)
    costs = costs_along(replace(truth.rollout, prediction=images)) - costs_along(truth.rollout)
    found = {"cost": costs[..., None]}
    errors = predicted.errors(truth.target)
    for name, error in errors.items():
        found[name] = torch.where(error.weight > 0, error.value, torch.nan)
    if not errors:
        off = images.vehicles[:, 0] - truth.images.vehicles[:, 0]
        found["image"] = off[..., :: _SPARSE[0], :: _SPARSE[1]].flatten(3)
    return found


def central(
    samples: Float[Tensor, "batch futures *rest"], share: float
) -> tuple[Float[Tensor, "batch *rest"], Float[Tensor, "batch *rest"]]:
    """Ends of the central share of the futures.

    Between order statistics at ``p (K + 1)`` (Weibull's plotting position): another sample of the
    same distribution lies inside with exactly this probability, as far as ``K`` futures reach.
    """
    ordered, count = samples.sort(dim=1).values, samples.shape[1]

    def at(probability: float) -> Tensor:
        place = min(max(probability * (count + 1) - 1.0, 0.0), count - 1.0)
        low = int(place + 1e-9)
        high = min(low + 1, count - 1)
        return torch.lerp(ordered[:, low], ordered[:, high], place - low)

    return at(0.5 - 0.5 * share), at(0.5 + 0.5 * share)


def spreads(
    sampled: dict[str, Float[Tensor, "batch futures time rows"]],
    replicas: dict[str, Float[Tensor, "batch replicas time rows"]],
    cluster: Int[Tensor, " batch"],
    times: list[int],
) -> dict[tuple[str, int], Spread]:
    """By quantity and time, what ``deviations_from_truth`` of futures and of replicas tell."""
    found = {}
    for key, off in sampled.items():
        for time in times:
            now = off[:, :, time]
            known = now[:, 0].isfinite()
            inside = [(low <= 0) & (high >= 0) for low, high in (central(now, s) for s in SHARES)]
            whose = cluster[:, None].expand_as(known)
            found[key, time] = Spread(
                *(
                    value[known].cpu().numpy()
                    for value in (
                        now.mean(1), now.std(1), replicas[key][:, :, time].std(1),
                        torch.stack(inside, dim=-1), whose,
                    )
                )
            )  # fmt: skip
    return found


def joined(parts: list[dict[tuple[str, int], Spread]]) -> dict[tuple[str, int], Spread]:
    """Batches one after the other."""
    return {
        key: Spread(
            *(np.concatenate([getattr(part[key], name) for part in parts])
              for name in ("error", "sampled", "replicas", "inside", "cluster"))
        )
        for key in parts[0]
    }  # fmt: skip
