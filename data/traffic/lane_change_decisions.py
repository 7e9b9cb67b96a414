"""Lane changes of the generator: MOBIL, drivers' own intentions, and the merge from the ramp."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from ppuu.driving.idm import IdmParameters, idm_acceleration
from ppuu.driving.lane_order import NO_VEHICLE
from ppuu.driving.mobil import Mobil

from .fleet import NO_LANE, Fleet
from .neighbours import FleetOrder, gap_to
from .road import Highway

# Tuned to the published rates of lane changes (eval.realism), given the intentions; drivers of the
# simulator's reactive traffic have none, so for the same rate their threshold is lower
# (envs/traffic/reactive.py).
_MOBIL = Mobil(threshold_mps2=1.0)
_INTENTION_MPS2 = 1.2
"""Added to the incentive of a change to the side that the driver intends to go to."""
_CLEAR_M, _CLEAR_S = 15.0, 3.0
"""Distance, and time for which the old leader drives on, needed to get clear of the old lane."""
_SMALLEST_HEADWAY_FACTOR = 0.4
"""Fraction of the time headway that a driver accepts right after a lane change."""
_COOLDOWN_S = (40.0, 120.0)
_TRUCK_LANES = 4
"""Number of main lanes, from the right, that trucks use."""


def start_lane_changes(
    random: np.random.Generator,
    fleet: Fleet,
    order: FleetOrder,
    acceleration_mps2: Float[np.ndarray, " n"],
    highway: Highway,
) -> None:
    """Starts the lane changes that pay and for which no vehicle has to brake hard.

    At most one vehicle a step moves into each lane, that with the largest incentive: two could
    choose the same gap.

    Args:
        random: source of randomness.
        fleet: changed in place.
        order: of the fleet.
        acceleration_mps2: present acceleration of each vehicle.
        highway: where the ramp may be left and, if it is an off-ramp too, entered.
    """
    on_ramp = fleet.lane == highway.ramp_lane
    at_ramp = highway.at_ramp(fleet.x_m)
    ready = (fleet.old_lane == NO_LANE) & (on_ramp | (fleet.speed_mps > _MOBIL.slowest_mps))
    ready &= _can_clear_old_lane(fleet, order)
    ready &= np.where(on_ramp, at_ramp & ~fleet.exits, fleet.exits | (fleet.cooldown_s <= 0))
    rightmost = np.where(at_ramp & fleet.exits, highway.ramp_lane, highway.main_lanes - 1)
    leftmost = np.where(highway.carpool_lane & ~fleet.may_carpool, 1, 0)
    trucks_leftmost = np.maximum(highway.main_lanes - _TRUCK_LANES, leftmost)
    leftmost = np.where(fleet.is_truck, trucks_leftmost, leftmost)
    for side in random.permutation((-1, 1)):
        target = fleet.lane + side
        rows = np.flatnonzero(
            ready & (fleet.old_lane == NO_LANE) & (target >= leftmost) & (target <= rightmost)
        )
        if not len(rows):
            continue
        ahead, behind = order.around(target[rows], fleet.x_m[rows])
        incentive = _incentive(fleet, rows, ahead, behind, acceleration_mps2, highway)
        mandatory = _MOBIL.mandatory_incentive_mps2
        intention = _INTENTION_MPS2 * side * fleet.intended_side[rows]
        incentive += np.where(on_ramp[rows], mandatory, intention)
        incentive += np.where(fleet.exits[rows], mandatory * side, 0.0)
        chosen = incentive > _MOBIL.threshold_mps2
        rows, incentive, ahead, behind = (v[chosen] for v in (rows, incentive, ahead, behind))
        for lane in np.unique(target[rows]):
            into = np.flatnonzero(target[rows] == lane)
            best = into[incentive[into].argmax()]
            changing = rows[best]
            fleet.old_lane[changing] = fleet.lane[changing]
            fleet.lane[changing] = lane
            fleet.progress[changing] = 0.0
            fleet.intended_side[changing] = 0
            fleet.cooldown_s[changing] = random.uniform(*_COOLDOWN_S)
            for follower, leader in ((changing, ahead[best]), (behind[best], changing)):
                if NO_VEHICLE not in (follower, leader):
                    fleet.headway_factor[follower] = _headway_factor(fleet, follower, leader)


def _can_clear_old_lane(fleet: Fleet, order: FleetOrder) -> Bool[np.ndarray, " n"]:
    """Whether the old leader leaves the distance that a change takes.

    Without it a vehicle is stuck in two lanes.
    """
    leader = order.leaders()[:, 0]
    gap = gap_to(fleet, np.arange(len(fleet)), leader)
    return gap + _CLEAR_S * fleet.speed_mps[leader] > _CLEAR_M


def _headway_factor(fleet: Fleet, follower: int, leader: int) -> float:
    """Factor on the headway at which the gap after a lane change is about the desired one."""
    jam_gap, headway = fleet.idm[follower, 2], fleet.idm[follower, 1]
    usual = headway * max(fleet.speed_mps[follower], 1.0)
    room = float(gap_to(fleet, np.array(follower), np.array(leader))) - jam_gap
    return float(np.clip(room / usual, _SMALLEST_HEADWAY_FACTOR, fleet.headway_factor[follower]))


def _incentive(
    fleet: Fleet,
    rows: Int[np.ndarray, " k"],
    ahead: Int[np.ndarray, " k"],
    behind: Int[np.ndarray, " k"],
    acceleration_mps2: Float[np.ndarray, " n"],
    highway: Highway,
) -> Float[np.ndarray, " k"]:
    """MOBIL's incentive of each candidate in m/s²; minus infinity where a change is not safe."""
    gap_ahead = gap_to(fleet, rows, ahead)
    gap_behind = gap_to(fleet, behind, rows)

    def responses(own: IdmParameters, other: IdmParameters) -> tuple[np.ndarray, np.ndarray]:
        """Accelerations after the change: own, and the new follower's."""
        speed = fleet.speed_mps
        return (
            idm_acceleration(own, speed[rows], gap_ahead, speed[ahead]),
            idm_acceleration(other, speed[behind], gap_behind, speed[rows]),
        )

    own, other = responses(_tight_parameters(fleet, rows), _tight_parameters(fleet, behind))
    has_follower = ~np.isinf(gap_behind)
    mandatory = (fleet.lane[rows] == highway.ramp_lane) | fleet.exits[rows]
    urgency = np.where(mandatory, highway.ramp_urgency(fleet.x_m[rows]), 0.0)
    safe = _MOBIL.is_safe(own, other, has_follower, urgency)
    safe &= _MOBIL.has_room(gap_ahead, fleet.speed_mps[rows])
    safe &= _MOBIL.has_room(gap_behind, fleet.speed_mps[behind])
    # A change by choice has to pay at the usual headway.
    usual_own, usual_other = responses(fleet.parameters(rows), fleet.parameters(behind))
    own = np.where(mandatory, own, usual_own)
    other = np.where(mandatory, other, usual_other)
    incentive = _MOBIL.incentive_mps2(
        acceleration_mps2[rows], own, acceleration_mps2[behind], other, has_follower
    )
    return np.where(safe, incentive, -np.inf)


def _tight_parameters(fleet: Fleet, rows: Int[np.ndarray, " k"]) -> IdmParameters:
    """Of drivers who accept a short headway for a while."""
    parameters = IdmParameters(*fleet.idm[rows].T)
    headway = parameters.time_headway_s * _SMALLEST_HEADWAY_FACTOR
    return parameters._replace(time_headway_s=headway)
