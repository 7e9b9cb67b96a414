"""Simulates the highway and records it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from ppuu.driving.calibration import calibration
from ppuu.driving.drivers import FREE_SPEED_MPS
from ppuu.driving.idm import IdmParameters, anticipating_idm_acceleration, idm_acceleration
from ppuu.driving.lane_order import NO_VEHICLE
from ppuu.recordings.recording import Recording
from ppuu.runtime.errors import InputError

from .bends import Bend, bent
from .bottleneck import BOTTLENECK_M, Bottleneck
from .entries import END_M, Entries
from .fleet import Fleet
from .lane_change_decisions import start_lane_changes
from .neighbours import FleetOrder, gap_to
from .presets import VERSION, TrafficPreset
from .road import SECTION_M, Highway, Ramp

DT_S = 0.1
_WARM_UP_S = 180.0
_DECIDE_STEPS = 2
"""Number of steps from one decision on lane changes to the next."""
_RESPONSE_S = 0.7
"""Time constant of the pedals."""
_NOISE_S = 1.6
"""Correlation time of the acceleration noise."""
_HARDEST_BRAKING_MPS2 = 7.5
_LET_IN_GAP_M = 2.5
_YIELDING_MPS2 = 0.8
"""Largest braking to let another vehicle merge."""
_WEAVING_MPS = 6.0
"""Where both lanes continue, vehicles slower than this do not yield; a vehicle that finds no gap
stays in its lane."""
_INTENTION_S = 20.0
"""Mean time after which an intention to change lanes is given up."""


def _accelerations(
    fleet: Fleet,
    order: FleetOrder,
    exit_speed_mps: Float[np.ndarray, " lanes"],
    preset: TrafficPreset,
) -> Float[np.ndarray, " n"]:
    """Desired acceleration of every vehicle behind its leaders, in both lanes of a lane change.

    Drivers look at two vehicles ahead: waves run upstream faster and accelerations are steadier
    than if they looked at one.
    """
    leader = order.leaders()
    gap = gap_to(fleet, np.arange(len(fleet))[:, None], leader)
    second = np.where(leader == NO_VEHICLE, NO_VEHICLE, leader[leader, 0])
    gap_to_second = np.where(second == NO_VEHICLE, np.inf, gap + gap[leader, 0])
    parameters = fleet.parameters()
    inside = np.clip((fleet.x_m - BOTTLENECK_M[0]) / (BOTTLENECK_M[1] - BOTTLENECK_M[0]), 0.0, 1.0)
    highway = preset.highway
    limit = exit_speed_mps[np.minimum(fleet.lane, highway.main_lanes - 1)]
    desired = parameters.desired_speed_mps
    beside_queue = preset.carpool_speed_mps * desired / FREE_SPEED_MPS
    carpool = highway.on_carpool_lane(fleet.lane)
    desired = np.where(carpool, np.minimum(desired, beside_queue), desired)
    desired = desired + inside * (np.minimum(limit, desired) - desired)
    parameters = parameters._replace(desired_speed_mps=desired)

    columns = IdmParameters(*(value[:, None] for value in parameters))
    behind = anticipating_idm_acceleration(
        columns,
        fleet.speed_mps[:, None],
        [gap, gap_to_second],
        [fleet.speed_mps[leader], fleet.speed_mps[second]],
    )
    desired_mps2 = behind.min(axis=1)
    if highway.ramp is not None:
        _let_in(fleet, order, highway, highway.ramp, desired_mps2)
    return desired_mps2


def _let_in(
    fleet: Fleet,
    order: FleetOrder,
    highway: Highway,
    ramp: Ramp,
    desired_mps2: Float[np.ndarray, " n"],
) -> None:
    """Vehicles from and to the ramp, and those beside them; ``desired_mps2`` is changed."""
    main, right = highway.main_lanes - 1, highway.ramp_lane
    on_ramp, at_ramp = fleet.lane == right, highway.at_ramp(fleet.x_m)
    if ramp.off_ramp:
        leaving = np.flatnonzero((fleet.lane == main) & fleet.exits & at_ramp)
        slowest = _WEAVING_MPS
        _merge(fleet, order, leaving, main, right, slowest, desired_mps2)
    else:
        slowest = 0.0
        _stop_at_the_end(fleet, np.flatnonzero(on_ramp), ramp.merge_end_m, desired_mps2)
    merging = np.flatnonzero(on_ramp & ~fleet.exits & at_ramp)
    _merge(fleet, order, merging, right, main, slowest, desired_mps2)


def _stop_at_the_end(
    fleet: Fleet,
    on_ramp: Int[np.ndarray, " k"],
    end_m: float,
    desired_mps2: Float[np.ndarray, " n"],
) -> None:
    """Brakes as behind a standing vehicle at the end of the ramp; ``desired_mps2`` is changed."""
    room = end_m - fleet.x_m[on_ramp] - 0.5 * fleet.length_m[on_ramp]
    stop = idm_acceleration(
        fleet.parameters(on_ramp), fleet.speed_mps[on_ramp], room, np.zeros(len(on_ramp))
    )
    desired_mps2[on_ramp] = np.minimum(desired_mps2[on_ramp], stop)


def _merge(
    fleet: Fleet,
    order: FleetOrder,
    merging: Int[np.ndarray, " k"],
    lane: int,
    target: int,
    slowest_mps: float,
    desired_mps2: Float[np.ndarray, " n"],
) -> None:
    """Zipper merge: vehicles on ``lane`` and ``target`` yield to each other, gently.

    Vehicles slower than ``slowest_mps`` do not.  ``desired_mps2`` is changed.
    """
    if not len(merging):
        return
    ahead, behind = order.around(np.full(len(merging), target), fleet.x_m[merging])
    for follower, leader in ((merging, ahead), (behind, merging)):
        valid = (follower != NO_VEHICLE) & (leader != NO_VEHICLE)
        follower, leader = follower[valid], leader[valid]
        gap = gap_to(fleet, follower, leader)
        yielding = idm_acceleration(
            fleet.parameters(follower), fleet.speed_mps[follower], gap, fleet.speed_mps[leader]
        )
        # A vehicle nearly alongside passes: two that wait for each other would never move.
        past = (fleet.lane[follower] != lane) & (gap < _LET_IN_GAP_M)
        past |= fleet.speed_mps[follower] < slowest_mps
        yielding = np.where(past, np.inf, np.maximum(yielding, -_YIELDING_MPS2))
        np.minimum.at(desired_mps2, follower, yielding)


def _simulate(
    random: np.random.Generator, preset: TrafficPreset, steps: Iterable[int], warm_up: int
) -> Iterator[Fleet]:
    """Yields the fleet at every step after the first ``warm_up`` ones."""
    entries = Entries(random, preset)
    bottleneck = Bottleneck(random, preset)
    fleet = entries.fill()
    memory_s = calibration().headway_variation.memory_s
    for step in steps:
        if step >= warm_up:
            yield fleet
        order = FleetOrder.of(fleet)
        exit_speed = bottleneck.speed_mps(step * DT_S)
        desired = _accelerations(fleet, order, exit_speed, preset)
        if step % _DECIDE_STEPS == 0:
            start_lane_changes(random, fleet, order, desired, preset.highway)
        unsteadiness_mps2 = preset.acceleration_noise_mps2 * fleet.unsteadiness
        fleet.noise_mps2 = _varied(random, fleet.noise_mps2, unsteadiness_mps2, _NOISE_S)
        fleet.headway_log = _varied(random, fleet.headway_log, preset.headway_log_std, memory_s)
        desired = np.minimum(desired, fleet.parameters().max_acceleration_mps2) + fleet.noise_mps2
        desired = np.maximum(desired, -_HARDEST_BRAKING_MPS2)
        response = DT_S / (_RESPONSE_S + DT_S)
        fleet.advance(
            fleet.acceleration_mps2 + response * (desired - fleet.acceleration_mps2),
            preset.highway,
            DT_S,
        )
        _draw_intentions(random, fleet, preset)
        fleet = entries.enter(fleet, DT_S)
        gone = fleet.x_m > END_M
        if gone.any():
            fleet = fleet.take(~gone)


def _varied(
    random: np.random.Generator,
    values: Float[np.ndarray, " n"],
    std: float | Float[np.ndarray, " n"],
    memory_s: float,
) -> Float[np.ndarray, " n"]:
    """One step of an Ornstein-Uhlenbeck process."""
    keep = np.exp(-DT_S / memory_s)
    return keep * values + std * np.sqrt(1 - keep**2) * random.standard_normal(len(values))


def _draw_intentions(random: np.random.Generator, fleet: Fleet, preset: TrafficPreset) -> None:
    """Drivers form an intention to change lanes, or give it up."""
    chance = random.random(len(fleet))
    side = np.where(random.random(len(fleet)) < 0.5, -1, 1)
    fleet.intended_side[chance < DT_S / _INTENTION_S] = 0
    formed = chance > 1 - DT_S * preset.lane_wish_rate_hz
    fleet.intended_side[formed] = side[formed]


def generate(
    preset: TrafficPreset, seconds: float, seed: int, show_progress: bool = False
) -> Recording:
    """Generates a recording of the 500 m section at 10 Hz, full of traffic from frame 0 on.

    See ``record``; traffic drives for three minutes before the recording begins.
    """
    return record(preset, seconds, seed, _WARM_UP_S, show_progress)


def record(
    preset: TrafficPreset,
    seconds: float,
    seed: int,
    warm_up_s: float,
    show_progress: bool = False,
) -> Recording:
    """Simulates the 500 m section and records it at 10 Hz.

    Args:
        preset: the kind of traffic.
        seconds: length of the recording, without the warm-up.
        seed: the same seed and warm-up give the same recording, bit for bit.
        warm_up_s: simulated before the recording begins.
        show_progress: shows a bar on the terminal, if stderr is one.

    Raises:
        InputError: ``seconds`` shorter than one frame.
    """
    if not (math.isfinite(seconds) and round(seconds / DT_S) > 0):
        raise InputError(f"seconds is {seconds}; give a positive length, such as 300")
    frames, warm_up = round(seconds / DT_S), round(warm_up_s / DT_S)
    steps = tqdm(
        range(warm_up + frames),
        desc=preset.name,
        unit="step",
        disable=None if show_progress else True,
    )
    fleets = _simulate(np.random.default_rng(seed), preset, steps, warm_up)
    provenance = {
        "source": "data.traffic",
        "synthetic": True,
        "preset": asdict(preset),
        "version": VERSION,
        "seconds": seconds,
        "seed": seed,
        "warm_up_s": warm_up_s,
        # Index from the left.
        **({"carpool_lane": 0} if preset.highway.carpool_lane else {}),
    }
    name = f"{preset.name}-v{VERSION}-seed{seed}"
    recording = _recorded(fleets, preset.highway, name, provenance)
    radius = preset.highway.smallest_radius_m
    if radius is None:
        return recording
    return bent(recording, Bend.draw(np.random.default_rng([seed, 1]), radius))


def _recorded(
    fleets: Iterator[Fleet], highway: Highway, name: str, provenance: dict[str, Any]
) -> Recording:
    """The vehicles in the section, one fleet a frame."""
    columns = [_section_rows(fleet, frame, highway) for frame, fleet in enumerate(fleets)]
    number, frame, x, y, heading, speed, length, width = (
        np.concatenate(column) for column in zip(*columns, strict=True)
    )
    order = np.lexsort((frame, number))
    vehicle_id, first = np.unique(number[order], return_index=True)
    return Recording(
        frame=frame[order],
        x_m=x[order],
        y_m=y[order],
        heading_rad=heading[order],
        speed_mps=speed[order],
        vehicle_pointer=np.append(first, len(order)),
        vehicle_id=vehicle_id,
        length_m=length[order][first],
        width_m=width[order][first],
        road=highway.road(),
        dt_s=DT_S,
        name=name,
        provenance=provenance,
    )


def _section_rows(fleet: Fleet, frame: int, highway: Highway) -> tuple[np.ndarray, ...]:
    """Vehicle, frame, x, y, heading, speed, length and width of each vehicle in the section."""
    rows = np.flatnonzero((fleet.x_m >= 0) & (fleet.x_m <= SECTION_M))
    return (
        fleet.vehicle_id[rows],
        np.full(len(rows), frame),
        fleet.x_m[rows],
        fleet.y_m(highway)[rows],
        fleet.heading_rad[rows],
        fleet.speed_mps[rows],
        fleet.length_m[rows],
        fleet.width_m[rows],
    )
