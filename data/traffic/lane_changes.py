"""Who changes lanes: MOBIL, a driver's own wishes, and the merge from the ramp."""

from __future__ import annotations

import numpy as np

from .fleet import NO_LANE, Fleet
from .idm import IdmParameters, idm_acceleration
from .neighbours import NOBODY, LaneOrder, gap_to
from .road import CARPOOL_LANE, MAIN_LANES, RAMP_LANE, Highway

_POLITENESS = 0.2
_THRESHOLD_MPS2 = 0.5
_WISH_MPS2 = 1.2
_MERGE_MPS2 = 10.0
_SAFE_BRAKING_MPS2 = 2.0
_URGENT_BRAKING_MPS2 = 3.5
_SMALLEST_GAP_M = 1.5
_SMALLEST_GAP_S = 0.15
_SLOWEST_MPS = 3.0
"""In a queue that hardly moves nobody changes lanes; only the ramp must be left."""
_CLEAR_M, _CLEAR_S = 15.0, 3.0
"""Way, and time in which the old leader drives on, that it takes to get clear of the old lane."""
_LEAST_PATIENCE = 0.4
"""Share of his headway that a driver puts up with right after a lane change."""
_REST_S = (8.0, 25.0)
_TRUCK_LEFTMOST_LANE = 2


def start_lane_changes(
    random: np.random.Generator,
    fleet: Fleet,
    order: LaneOrder,
    acceleration_mps2: np.ndarray,
    highway: Highway,
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
        highway: where the ramp may be left and, if it is an off-ramp too, entered.
    """
    on_ramp = fleet.lane == RAMP_LANE
    at_ramp = fleet.x_m > highway.merge_start_m
    if highway.off_ramp:
        at_ramp &= fleet.x_m < highway.merge_end_m
    ready = (fleet.old_lane == NO_LANE) & (on_ramp | (fleet.speed_mps > _SLOWEST_MPS))
    ready &= _way_out(fleet, order)
    ready &= np.where(on_ramp, at_ramp & ~fleet.exits, fleet.exits | (fleet.rest_s <= 0))
    rightmost = np.where(at_ramp & fleet.exits, RAMP_LANE, MAIN_LANES - 1)
    leftmost = highway.first_lane + ((highway.first_lane == CARPOOL_LANE) & ~fleet.may_carpool)
    leftmost = np.where(fleet.is_truck, np.maximum(_TRUCK_LEFTMOST_LANE, leftmost), leftmost)
    for side in random.permutation((-1, 1)):
        target = fleet.lane + side
        rows = np.flatnonzero(
            ready & (fleet.old_lane == NO_LANE) & (target >= leftmost) & (target <= rightmost)
        )
        if not len(rows):
            continue
        ahead, behind = order.around(target[rows], fleet.x_m[rows])
        gain = _gain(fleet, rows, ahead, behind, acceleration_mps2, highway)
        gain += np.where(on_ramp[rows], _MERGE_MPS2, _WISH_MPS2 * side * fleet.wish[rows])
        gain += np.where(fleet.exits[rows], _MERGE_MPS2 * side, 0.0)
        wanted = gain > _THRESHOLD_MPS2
        rows, gain, ahead, behind = (v[wanted] for v in (rows, gain, ahead, behind))
        for lane in np.unique(target[rows]):
            into = np.flatnonzero(target[rows] == lane)
            best = into[gain[into].argmax()]
            keenest = rows[best]
            fleet.old_lane[keenest] = fleet.lane[keenest]
            fleet.lane[keenest] = lane
            fleet.progress[keenest] = 0.0
            fleet.wish[keenest] = 0
            fleet.rest_s[keenest] = random.uniform(*_REST_S)
            for follower, leader in ((keenest, ahead[best]), (behind[best], keenest)):
                if NOBODY not in (follower, leader):
                    fleet.patience[follower] = _patience(fleet, follower, leader)


def _way_out(fleet: Fleet, order: LaneOrder) -> np.ndarray:
    """Whether the old leader leaves the way that a change takes: else one is stuck astride."""
    leader = np.full(len(fleet), NOBODY)
    leader[order.vehicle] = order.leaders()
    gap = gap_to(fleet, np.arange(len(fleet)), leader)
    return gap + _CLEAR_S * fleet.speed_mps[leader] > _CLEAR_M


def _patience(fleet: Fleet, follower: int, leader: int) -> float:
    """Headway factor at which the gap after a lane change is about what the driver wants."""
    jam_gap, headway = fleet.idm[follower, 2], fleet.idm[follower, 1]
    usual = headway * max(fleet.speed_mps[follower], 1.0)
    room = float(gap_to(fleet, follower, leader)) - jam_gap
    return float(np.clip(room / usual, _LEAST_PATIENCE, fleet.patience[follower]))


def _gain(
    fleet: Fleet,
    rows: np.ndarray,
    ahead: np.ndarray,
    behind: np.ndarray,
    acceleration_mps2: np.ndarray,
    highway: Highway,
) -> np.ndarray:
    """Advantage of a change for each candidate in m/s²; minus infinity where it is not safe."""
    speed = fleet.speed_mps
    gap_ahead = gap_to(fleet, rows, ahead)
    gap_behind = gap_to(fleet, behind, rows)
    own = _tight_acceleration(fleet, rows, ahead, gap_ahead)
    other = _tight_acceleration(fleet, behind, rows, gap_behind)
    alone = np.isinf(gap_behind)
    loss = np.where(alone, 0.0, np.maximum(acceleration_mps2[behind] - other, 0.0))
    urgency = np.where(
        (fleet.lane[rows] == RAMP_LANE) | fleet.exits[rows],
        np.clip(fleet.x_m[rows] / highway.merge_end_m, 0, 1),
        0.0,
    )
    limit = -_SAFE_BRAKING_MPS2 - urgency * (_URGENT_BRAKING_MPS2 - _SAFE_BRAKING_MPS2)
    safe = (own > limit) & (alone | (other > limit))
    safe &= gap_ahead > _SMALLEST_GAP_M + _SMALLEST_GAP_S * speed[rows]
    safe &= gap_behind > _SMALLEST_GAP_M + _SMALLEST_GAP_S * speed[behind]
    return np.where(safe, own - acceleration_mps2[rows] - _POLITENESS * loss, -np.inf)


def _tight_acceleration(
    fleet: Fleet, follower: np.ndarray, leader: np.ndarray, gap_m: np.ndarray
) -> np.ndarray:
    """Response to a gap for someone who puts up with a tight one for a while."""
    parameters = IdmParameters(*fleet.idm[follower].T)
    headway = parameters.time_headway_s * _LEAST_PATIENCE
    parameters = parameters._replace(time_headway_s=headway)
    return idm_acceleration(parameters, fleet.speed_mps[follower], gap_m, fleet.speed_mps[leader])
