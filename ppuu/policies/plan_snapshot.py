"""Candidates and predictions of a planning decision, as arrays for visualisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..predictions import Prediction

CANDIDATES = 12
"""Maximum number of paths, equally spaced in the ranking by cost."""
SAMPLES = 3
TIMES = 3
"""Maximum number of samples and times."""
NEAR_M = 60.0


@dataclass(frozen=True, eq=False)
class PlanSnapshot:
    """Candidates and predictions of one decision.

    Attributes:
        candidates_m: ``(paths, points, 2)`` by ascending cost, from the ego's position.
        costs: ``(paths,)``.
        boxes: ``(boxes, 5)`` predicted boxes of other vehicles (x_m, y_m, heading_rad, length_m,
            width_m); for predicted images, runs of covered pixels along the ego's direction.
        ahead: ``(boxes,)`` time of the boxes as a fraction of the horizon.
    """

    candidates_m: Float[np.ndarray, "paths points 2"]
    costs: Float[np.ndarray, " paths"]
    boxes: Float[np.ndarray, "boxes 5"]
    ahead: Float[np.ndarray, " boxes"]

    @classmethod
    def take(
        cls,
        paths: Float[Tensor, "candidates points 2"],
        costs: Float[Tensor, " candidates"],
        start: Float[Tensor, "2"],
        prediction: Prediction,
        row: int,
    ) -> PlanSnapshot:
        """Takes the snapshot of one element of a batch.

        Args:
            paths, costs: of all candidates.
            start: position of the ego.
            prediction: of the surroundings of the plan.
            row: index of the element.
        """
        order = costs.argsort()
        order = order[np.unique(np.linspace(0, len(order) - 1, CANDIDATES).round().astype(int))]
        origin = start.expand(len(order), 1, 2)
        boxes, ahead = _predicted(prediction, row)
        near = (boxes[:, :2] - start).norm(dim=1) < NEAR_M
        return cls(
            torch.cat([origin, paths[order]], dim=1).numpy(), costs[order].numpy(),
            boxes[near].numpy(), ahead[near].numpy(),
        )  # fmt: skip


def _predicted(
    prediction: Prediction, row: int
) -> tuple[Float[Tensor, "boxes 5"], Float[Tensor, " boxes"]]:
    """Predicted boxes at a few times, and these times."""
    steps = prediction.pose.shape[2]
    times = torch.linspace(0, steps, TIMES + 1)[1:].round().long().unique() - 1
    parts = [
        (prediction.outlines(row, sample, time), (time + 1) / steps)
        for sample in range(min(SAMPLES, prediction.samples))
        for time in times.tolist()
    ]
    ahead = [torch.full((len(boxes),), when) for boxes, when in parts]
    return torch.cat([boxes for boxes, _ in parts]), torch.cat(ahead)
