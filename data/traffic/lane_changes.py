"""Who changes lanes: MOBIL, a driver's own wishes, and the merge from the ramp."""

from __future__ import annotations

import numpy as np

from .fleet import NO_LANE, Fleet
from .idm import idm_acceleration
from .neighbours import LaneOrder, gap_to
from .road import MAIN_LANES, MERGE_START_M, RAMP_END_M, RAMP_LANE

_POLITENESS = 0.2
_THRESHOLD_MPS2 = 0.25
_WISH_MPS2 = 1.2
_MERGE_MPS2 = 10.0
_SAFE_BRAKING_MPS2 = 2.0
_URGENT_BRAKING_MPS2 = 3.5
_SMALLEST_GAP_M = 1.5
_SMALLEST_GAP_S = 0.15
_SLOWEST_MPS, _SLOWEST_MERGE_MPS = 3.0, 0.5
"""Nobody starts a lane change out of standstill."""
_REST_S = (4.0, 12.0)
_TRUCK_LEFTMOST_LANE = 2


def start_lane_changes(
    random: np.random.Generator, fleet: Fleet, order: LaneOrder, acceleration_mps2: np.ndarray
) -> None:
    """Lets drivers start a lane change where it pays and nobody has to brake hard.

    MOBIL (Kesting, Treiber and Helbing, 2007, equations 2 and 3), without the old follower's
    advantage.  At most one driver a step moves into each lane, the keenest: two could choose
    the same gap.

    Args:
        random: source of randomness.
        fleet: changed in place.
        order: who drives where.
        acceleration_mps2: what each driver does now.
    """
    on_ramp = fleet.lane == RAMP_LANE
    slowest = np.where(on_ramp, _SLOWEST_MERGE_MPS, _SLOWEST_MPS)
    ready = (fleet.old_lane == NO_LANE) & (fleet.speed_mps > slowest)
    ready &= np.where(on_ramp, fleet.x_m > MERGE_START_M, fleet.rest_s <= 0)
    for side in random.permutation((-1, 1)):
        target = fleet.lane + side
        leftmost = np.where(fleet.is_truck, _TRUCK_LEFTMOST_LANE, 0)
        rows = np.flatnonzero(
            ready & (fleet.old_lane == NO_LANE) & (target >= leftmost) & (target < MAIN_LANES)
        )
        if not len(rows):
            continue
        gain = _gain(fleet, order, rows, target[rows], acceleration_mps2)
        gain += np.where(on_ramp[rows], _MERGE_MPS2, _WISH_MPS2 * side * fleet.wish[rows])
        wanted = gain > _THRESHOLD_MPS2
        rows, gain = rows[wanted], gain[wanted]
        for lane in np.unique(target[rows]):
            into = target[rows] == lane
            keenest = rows[into][gain[into].argmax()]
            fleet.old_lane[keenest] = fleet.lane[keenest]
            fleet.lane[keenest] = lane
            fleet.progress[keenest] = 0.0
            fleet.wish[keenest] = 0
            fleet.rest_s[keenest] = random.uniform(*_REST_S)


def _gain(
    fleet: Fleet,
    order: LaneOrder,
    rows: np.ndarray,
    target: np.ndarray,
    acceleration_mps2: np.ndarray,
) -> np.ndarray:
    """Advantage of a change for each candidate in m/s²; minus infinity where it is not safe."""
    ahead, behind = order.around(target, fleet.x_m[rows])
    speed = fleet.speed_mps
    gap_ahead = gap_to(fleet, rows, ahead)
    gap_behind = gap_to(fleet, behind, rows)
    own = idm_acceleration(fleet.parameters(rows), speed[rows], gap_ahead, speed[ahead])
    other = idm_acceleration(fleet.parameters(behind), speed[behind], gap_behind, speed[rows])
    other = np.where(np.isinf(gap_behind), 0.0, other)
    cost = np.where(np.isinf(gap_behind), 0.0, acceleration_mps2[behind] - other)
    urgency = np.where(
        fleet.lane[rows] == RAMP_LANE, np.clip(fleet.x_m[rows] / RAMP_END_M, 0, 1), 0.0
    )
    limit = -_SAFE_BRAKING_MPS2 - urgency * (_URGENT_BRAKING_MPS2 - _SAFE_BRAKING_MPS2)
    safe = (own > limit) & (other > limit)
    safe &= gap_ahead > _SMALLEST_GAP_M + _SMALLEST_GAP_S * speed[rows]
    safe &= gap_behind > _SMALLEST_GAP_M + _SMALLEST_GAP_S * speed[behind]
    return np.where(safe, own - acceleration_mps2[rows] - _POLITENESS * cost, -np.inf)
