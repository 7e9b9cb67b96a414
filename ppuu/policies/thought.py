"""What a planning policy had in mind, as arrays to be drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from ..geometry import to_world
from ..rollout import Futures
from ..track_futures import TrackFutures
from .planning import Decision

CANDIDATES = 12
"""Paths shown at most, spread evenly from the cheapest to the dearest."""
FUTURES = 3
TIMES = 3
"""Alternatives and times shown at most."""
NEAR_M = 60.0
COVERED = 0.5


@dataclass(frozen=True, eq=False)
class Thought:
    """Candidates and predictions of one decision.

    Attributes:
        candidates_m: ``(paths, points, 2)`` cheapest first, from where the ego stood.
        costs: ``(paths,)``.
        boxes: ``(boxes, 5)`` of others as they were foreseen (x_m, y_m, heading_rad, length_m,
            width_m); from predicted images, runs of covered pixels along the ego's direction.
        ahead: ``(boxes,)`` when: 1 is the end of the horizon.
    """

    candidates_m: Float[np.ndarray, "paths points 2"]
    costs: Float[np.ndarray, " paths"]
    boxes: Float[np.ndarray, "boxes 5"]
    ahead: Float[np.ndarray, " boxes"]


def thoughts(decision: Decision) -> dict[int, Thought]:
    """By element of the batch; only those that planned then."""
    paths = decision.paths()[..., :2].cpu()
    costs, futures = decision.plan.candidate_costs.cpu(), decision.futures()
    start = decision.cost.observation.ego[:, -1, :2].cpu()
    found = {}
    for k, row in enumerate(decision.rows.tolist()):
        order = costs[k].argsort()
        order = order[np.unique(np.linspace(0, len(order) - 1, CANDIDATES).round().astype(int))]
        here = start[k].expand(len(order), 1, 2)
        boxes, ahead = _foreseen(futures, k)
        near = (boxes[:, :2] - start[k]).norm(dim=1) < NEAR_M
        found[row] = Thought(
            torch.cat([here, paths[k, order]], dim=1).numpy(),
            costs[k, order].numpy(),
            boxes[near].numpy(),
            ahead[near].numpy(),
        )
    return found


def _foreseen(futures: Futures | TrackFutures, row: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes at a few times, and when those are."""
    steps = futures.pose.shape[1]
    shown = torch.linspace(0, steps, TIMES + 1)[1:].round().long().unique() - 1
    ahead = (shown + 1) / steps
    if isinstance(futures, Futures):
        parts = [_runs(futures, row, time) for time in shown.tolist()]
        counts = torch.tensor([len(part) for part in parts])
        return torch.cat(parts), ahead.repeat_interleave(counts)
    states = futures.states[row, :FUTURES][:, shown][:, :, futures.here[row], :3].cpu()
    size = futures.size_m[row, futures.here[row]].cpu()
    boxes = torch.cat([states, size.expand(*states.shape[:-1], 2)], dim=-1)
    return boxes.flatten(0, 2), ahead[None, :, None].expand(boxes.shape[:3]).flatten()


def _runs(futures: Futures, row: int, time: int) -> torch.Tensor:
    """Covered pixels of the first future, those one behind the other as one box."""
    covered = (futures.vehicles[row, 0, time] > COVERED).cpu()
    padded = torch.nn.functional.pad(covered.T.int(), (1, 1)).diff(dim=1)
    column, first = (padded == 1).nonzero(as_tuple=True)
    last = (padded == -1).nonzero(as_tuple=True)[1] - 1
    centres, size = futures.raster.pixel_centres_m(), futures.raster.metres_per_pixel
    middle = 0.5 * (centres[first, column] + centres[last, column])
    local = torch.cat([middle, torch.zeros(len(middle), 1)], dim=1)
    placed = to_world(local, futures.pose[row, time].cpu().expand(len(middle), 3))
    length = size * (last - first + 1).float()
    return torch.cat([placed, length[:, None], torch.full_like(length, size)[:, None]], dim=1)
