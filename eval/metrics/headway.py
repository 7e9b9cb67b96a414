"""The gap to the leader: the nearest vehicle ahead in the ego's lane."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from envs.traffic.base import Neighbours
from ppuu.driving.gaps import bumper_gap_m

from .comfort import SLOWEST_MPS
from .drives import Drives
from .lanes import Lanes

FARTHEST_M = 100.0
"""A vehicle further ahead is not a leader."""

SHORT_S = 1.0


def gap_to_leader(
    ego_box: Float[Tensor, "envs 5"],
    others: Neighbours,
    lanes: Lanes,
    road: Int[Tensor, " envs"],
) -> tuple[Float[Tensor, " envs"], Float[Tensor, " envs"]]:
    """The gap to the leader and the ego's offset in its lane.

    A leader's centre is ahead of the ego's and in the same lane, up to 100 m from bumper to
    bumper.

    Returns:
        Metres from the ego's front to the leader's rear, inf without a leader; metres to the left
        of the lane's centre line, NaN off the lanes.
    """
    x, y, heading = (ego_box[:, k, None] for k in range(3))
    boxes = others.boxes
    dx, dy = boxes[..., 0] - x, boxes[..., 1] - y
    gap = bumper_gap_m(torch.hypot(dx, dy), boxes[..., 3], ego_box[:, 3, None]).clamp(min=0.0)
    ahead = dx * heading.cos() + dy * heading.sin() > 0
    own, offset = lanes.look_up(ego_box[:, 0], ego_box[:, 1], road)
    env, slot = (others.valid & ahead & (gap <= FARTHEST_M)).nonzero().unbind(1)
    lane, _ = lanes.look_up(boxes[env, slot, 0], boxes[env, slot, 1], road[env])
    leads = (lane == own[env]) & (lane >= 0)
    nearest = torch.full_like(offset, torch.inf)
    nearest.scatter_reduce_(0, env[leads], gap[env[leads], slot[leads]], "amin")
    return nearest, offset


def headway(drives: Drives) -> dict[str, Float[np.ndarray, " episodes"]]:
    """Time headways while moving behind a leader: smallest, median, and fraction below 1 s.

    The smallest is inf, the others NaN, where there is never a leader.
    """
    following = drives.driven & np.isfinite(drives.gap_m) & (drives.speed_mps >= SLOWEST_MPS)
    time_gap = np.full(len(following), np.nan)
    time_gap[following] = drives.gap_m[following] / drives.speed_mps[following]
    of_episode = np.split(time_gap, drives.pointer[1:-1])
    return {
        "smallest_headway_s": drives.smallest(time_gap, following),
        "median_headway_s": np.array([_median(gaps[np.isfinite(gaps)]) for gaps in of_episode]),
        "headway_below_1_s": drives.mean((time_gap < SHORT_S).astype(float), following),
    }


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else np.nan
