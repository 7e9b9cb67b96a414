"""All costs among boxes on a map in two compiled passes, with exact gradients.

What the terms' own ``among_tracks`` compute with some hundred tensor operations and ten times the
memory; those remain for GPUs, other number formats and as what this is tested against.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .. import cpu_loops
from ..rollout import Rollout
from ..track_futures import TrackFutures
from ..units import LANE_WIDTH_M
from . import among_tracks_cpu
from .lane import LANE_POINTS

if TYPE_CHECKING:
    from .driving import DrivingCostConfig


@dataclass(frozen=True, eq=False)
class AmongTracks:
    """Unweighted costs.

    Attributes:
        contact, proximity: ``(batch, futures, time)``.
        lane, offroad: ``(batch, time)``.
        pace_mps: ``(batch, time)`` of the ego's lane, or else of all.
    """

    contact: Float[Tensor, "batch futures time"]
    proximity: Float[Tensor, "batch futures time"]
    lane: Float[Tensor, "batch time"]
    offroad: Float[Tensor, "batch time"]
    pace_mps: Float[Tensor, "batch time"]


def applies(rollout: Rollout) -> bool:
    """Whether the compiled passes can serve: boxes that are constants, float32, main memory."""
    futures = rollout.futures
    if not isinstance(futures, TrackFutures):
        return False
    tensors = (rollout.states, futures.states, futures.road.road_map.atlas)
    constant = not (torch.is_grad_enabled() and futures.states.requires_grad)
    return constant and all(t.dtype == torch.float32 and t.is_cpu for t in tensors)


def among_tracks(rollout: Rollout, config: DrivingCostConfig) -> AmongTracks:
    """The costs; gradients reach the ego's states."""
    return AmongTracks(*_AmongTracks.apply(rollout.states, rollout, config))


class _AmongTracks(torch.autograd.Function):
    @staticmethod
    def forward(ctx, states, rollout, config):
        shape = rollout.futures.states.shape[:3]
        batch, futures, time = shape
        contact, proximity = states.new_empty(shape), states.new_empty(shape)
        d_contact, d_proximity = states.new_empty(*shape, 4), states.new_empty(*shape, 4)
        lane, offroad, pace = (states.new_empty(batch, time) for _ in range(3))
        d_lane, d_offroad = torch.empty_like(states), torch.empty_like(states)
        size = rollout.size_m
        _traffic(rollout, config, contact, proximity, pace, d_contact, d_proximity)
        cpu_loops.in_parts(
            among_tracks_cpu.road,
            among_tracks_cpu.SMALLEST_PART,
            (
                np.float32(config.lane.half_lane_m),
                LANE_POINTS,
                np.float32(config.offroad.margin_m),
                np.float32(rollout.futures.raster.metres_per_pixel),
                *rollout.futures.road.road_map.nodes,
            ),
            states, size, rollout.futures.road.road, lane, offroad, d_lane, d_offroad,
        )  # fmt: skip
        ctx.save_for_backward(d_contact, d_proximity, d_lane, d_offroad)
        ctx.mark_non_differentiable(pace)
        return contact, proximity, lane, offroad, pace

    @staticmethod
    def backward(ctx, contact, proximity, lane, offroad, pace):  # type: ignore[override]
        d_contact, d_proximity, d_lane, d_offroad = ctx.saved_tensors
        by_traffic = contact[..., None] * d_contact + proximity[..., None] * d_proximity
        by_road = lane[..., None] * d_lane + offroad[..., None] * d_offroad
        return by_traffic.sum(1) + by_road, None, None


def _traffic(rollout, config, contact, proximity, pace, d_contact, d_proximity) -> None:
    near, touch = config.proximity, config.contact
    futures = rollout.futures
    cpu_loops.in_parts(
        among_tracks_cpu.traffic,
        among_tracks_cpu.SMALLEST_PART,
        (
            _numbers(touch.box_margin_along_m, touch.box_margin_across_m),
            _numbers(
                near.headway_ahead_s, near.gap_ahead_m, near.headway_behind_s, near.gap_behind_m,
                near.reach_side_m,
            ),
            _numbers(0.5 * LANE_WIDTH_M, config.pace.reach_m),
        ),
        rollout.states, rollout.size_m, futures.states, futures.size_m, futures.here,
        contact, proximity, pace, d_contact, d_proximity,
    )  # fmt: skip


def _numbers(*values: float) -> tuple[np.float32, ...]:
    return tuple(np.float32(value) for value in values)
