"""What a planning policy considered when it decided, as arrays to be drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..predictions import Prediction

CANDIDATES = 12
"""Paths shown at most, spread evenly from the cheapest to the most expensive."""
SAMPLES = 3
TIMES = 3
"""Samples and times shown at most."""
NEAR_M = 60.0


@dataclass(frozen=True, eq=False)
class PlanSnapshot:
    """Candidates and predictions of one decision.

    Attributes:
        candidates_m: ``(paths, points, 2)`` cheapest first, from where the ego stood.
        costs: ``(paths,)``.
        boxes: ``(boxes, 5)`` of others as they were predicted (x_m, y_m, heading_rad, length_m,
            width_m); from predicted images, runs of covered pixels along the ego's direction.
        ahead: ``(boxes,)`` when: 1 is the end of the horizon.
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
        """Of one element of a batch.

        Args:
            paths, costs: of all candidates.
            start: where the ego stood.
            prediction: what surrounds the plan.
            row: the element.
        """
        order = costs.argsort()
        order = order[np.unique(np.linspace(0, len(order) - 1, CANDIDATES).round().astype(int))]
        here = start.expand(len(order), 1, 2)
        boxes, ahead = _predicted(prediction, row)
        near = (boxes[:, :2] - start).norm(dim=1) < NEAR_M
        return cls(
            torch.cat([here, paths[order]], dim=1).numpy(), costs[order].numpy(),
            boxes[near].numpy(), ahead[near].numpy(),
        )  # fmt: skip


def _predicted(
    prediction: Prediction, row: int
) -> tuple[Float[Tensor, "boxes 5"], Float[Tensor, " boxes"]]:
    """Boxes at a few times, and when those are."""
    steps = prediction.pose.shape[2]
    shown = torch.linspace(0, steps, TIMES + 1)[1:].round().long().unique() - 1
    parts = [
        (prediction.outlines(row, sample, time), (time + 1) / steps)
        for sample in range(min(SAMPLES, prediction.samples))
        for time in shown.tolist()
    ]
    ahead = [torch.full((len(boxes),), when) for boxes, when in parts]
    return torch.cat([boxes for boxes, _ in parts]), torch.cat(ahead)
