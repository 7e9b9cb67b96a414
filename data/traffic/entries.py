"""Vehicles on the stretch at the beginning, and those that enter it later."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ppuu.driving.gaps import bumper_gap_m

from .fleet import Fleet
from .presets import TrafficPreset
from .road import SECTION_M

START_M, END_M = -300.0, SECTION_M + 250.0
"""The simulated stretch: entries and the bottleneck lie outside the recorded section."""
_QUEUE_SPEED = 0.65
"""Speed of the queue, as a fraction of the speed in the bottleneck."""
_ENTRY_MPS, _RAMP_ENTRY_MPS = 20.0, 12.0
"""Speed of a vehicle that enters a free lane."""
_TRUCK_LANES = 3
"""Number of main lanes, from the right, on which trucks enter."""
_EXIT_LANES = 3
"""Number of main lanes, from the right, on which vehicles for the off-ramp enter."""
_CATCH_UP_S = 5.0
"""Time in which an entering vehicle would close the gap ahead of it."""
_LONGEST_QUEUE = 3
_SPARE_M = 1.0
_SHORTEST_SPACING_M = 8.0


class Entries:
    """Arriving vehicles, lane by lane; they wait until there is room."""

    def __init__(self, random: np.random.Generator, preset: TrafficPreset):
        self._random, self._preset = random, preset
        self._arrivals_hz = _arrivals_hz(preset)
        self._waiting = np.zeros(len(self._arrivals_hz))
        self._first: dict[int, Fleet] = {}
        self._next_id = 1

    def draw(self, lane: np.ndarray) -> Fleet:
        """New vehicles that enter on some lanes."""
        highway = self._preset.highway
        lanes = highway.main_lanes
        truck_lane = (lane >= lanes - _TRUCK_LANES) & (lane < lanes)
        fraction = self._preset.truck_share * lanes / min(_TRUCK_LANES, lanes)
        is_truck = truck_lane & (self._random.random(len(lane)) < fraction)
        number = np.arange(self._next_id, self._next_id + len(lane))
        self._next_id += len(lane)
        fleet = Fleet.draw(self._random, self._preset, number, lane, is_truck)
        if highway.ramp is not None and highway.ramp.off_ramp:
            exit_lane = (lane >= lanes - _EXIT_LANES) & (lane < lanes)
            fleet.exits = exit_lane & (self._random.random(len(lane)) < self._preset.exit_share)
        return fleet

    def fill(self) -> Fleet:
        """A full stretch, with a queue before the bottleneck."""
        preset = self._preset
        count = int((END_M - START_M) / _SHORTEST_SPACING_M)
        lanes = []
        for lane in range(preset.highway.main_lanes):
            speed = _QUEUE_SPEED * preset.bottleneck_speed_mps
            if preset.highway.on_carpool_lane(np.array(lane)):
                speed = 0.9 * preset.carpool_speed_mps
            inflow = self._arrivals_hz[lane]
            fleet = self.draw(np.full(count, lane))
            parameters = fleet.parameters()
            gap = parameters.jam_gap_m + parameters.time_headway_s * speed + _SPARE_M
            gap = np.maximum(gap, speed / inflow - fleet.length_m)
            fleet.x_m = END_M - np.cumsum(fleet.length_m + gap) + 0.5 * fleet.length_m
            fleet.speed_mps = np.full(count, speed)
            lanes.append(fleet.take(fleet.x_m > START_M))
        return _concatenated(lanes)

    def enter(self, fleet: Fleet, dt_s: float) -> Fleet:
        """The fleet with the vehicles that find room at the upstream end."""
        highway = self._preset.highway
        self._waiting += self._random.poisson(self._arrivals_hz * dt_s)
        self._waiting = np.minimum(self._waiting, _LONGEST_QUEUE)
        entered = [fleet]
        for lane in np.flatnonzero(self._waiting):
            inside = np.flatnonzero((fleet.lane == lane) | (fleet.old_lane == lane))
            if lane not in self._first:
                self._first[lane] = self.draw(np.array([lane]))
            new = self._first[lane]
            speed = _RAMP_ENTRY_MPS if lane == highway.ramp_lane else _ENTRY_MPS
            if highway.on_carpool_lane(lane):
                speed = self._preset.carpool_speed_mps
            if len(inside):
                last = inside[fleet.x_m[inside].argmin()]
                distance = fleet.x_m[last] - START_M
                gap = bumper_gap_m(distance, fleet.length_m[last], new.length_m[0])
                ahead = fleet.speed_mps[last]
                parameters = new.parameters()
                room = gap - parameters.jam_gap_m[0] - parameters.time_headway_s[0] * ahead
                if room < 0:
                    continue
                speed = min(speed, ahead + room / _CATCH_UP_S)
            new.x_m[:] = START_M
            new.speed_mps[:] = speed
            self._waiting[lane] -= 1
            entered.append(self._first.pop(lane))
        return _concatenated(entered) if len(entered) > 1 else fleet


def _arrivals_hz(preset: TrafficPreset) -> Float[np.ndarray, " lanes"]:
    """Vehicles that arrive per second on each main lane and, last, on the ramp."""
    highway = preset.highway
    main = np.where(
        highway.on_carpool_lane(np.arange(highway.main_lanes)),
        preset.carpool_inflow_hz,
        preset.inflow_per_lane_hz,
    )
    has_on_ramp = highway.ramp is not None and highway.ramp.on_ramp
    return np.append(main, preset.ramp_inflow_hz if has_on_ramp else 0.0)


def _concatenated(fleets: list[Fleet]) -> Fleet:
    whole = fleets[0]
    for fleet in fleets[1:]:
        whole = whole.join(fleet)
    return whole
