"""Whether a scenario's goal can be reached at all in the recorded future."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from envs.core.scenario import Scenarios
from envs.core.termination import IN_LANE_M
from ppuu.recordings.polyline import Polyline
from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road
from ppuu.recordings.scene import Scene
from ppuu.units import LANE_WIDTH_M

from .reachability import SPEED_MPS, STATION_M, STEP_S, Abilities, path, search

CELLS_A_LANE = 6
"""Lateral positions a lane."""
_CELL_M = LANE_WIDTH_M / CELLS_A_LANE
_SIDE_M = 4.0 * LANE_WIDTH_M
"""How far to each side of the target lane the ego may be, where there is road."""
_ROAD_SPACING_M = 4.0
"""Between the stations at which the road is looked up."""


@dataclass(frozen=True)
class Arrival:
    """When a goal counts as reached, and how near the ego may come to others.

    Attributes:
        near_m: greatest distance from the middle of the target lane at the end.
        margin_m: kept to other vehicles on every side.
    """

    near_m: float = IN_LANE_M
    margin_m: float = 0.0


@dataclass(frozen=True, eq=False)
class Solution:
    """A path that reaches the goal, seen from the goal's line, or none.

    Attributes:
        solvable: whether there is one.
        path: ``(times, 3)`` station in m, distance to the left of the line in m, speed in m/s,
            every ``STEP_S``; empty if there is none.
    """

    solvable: bool
    path: Float[np.ndarray, "times 3"]


def solve(
    scene: Scene,
    recording: Recording,
    scenarios: Scenarios,
    arrival: Arrival | None = None,
    abilities: Abilities | None = None,
) -> Solution:
    """Searches one scenario.

    Boxes are exact at every half second, the ego's is always along the lane: what cannot be
    solved here may be taken to be out of reach, up to the grid's coarseness.

    Args:
        scene: of all recordings.
        recording: the scenario's.
        scenarios: one scenario, with a lane to be in.
        arrival: what counts; by default as judged.
        abilities: of the ego.
    """
    arrival, abilities = arrival or Arrival(), abilities or Abilities()
    line = Polyline(scenarios.lane_m[0])
    stations_m = STATION_M * np.arange(int(np.ceil(scenarios.lane_end_m[0] / STATION_M)) + 1)
    across = int(_SIDE_M / _CELL_M)
    lateral_m = _CELL_M * np.arange(-across, across + 1)
    vehicle, first, end = (
        int(scenarios.vehicle[0] + scene.vehicle_offset[scenarios.recording[0]]),
        *(
            int(frame[0] + scene.frame_offset[scenarios.recording[0]])
            for frame in (scenarios.start_frame, scenarios.end_frame)
        ),
    )
    frames = np.arange(first, end + 1, round(STEP_S / scene.dt_s))
    size_m = scene.size_m[vehicle].double().numpy()
    road = _on_road(recording.road, line, stations_m, lateral_m)
    free = np.repeat(road[None], len(frames), 0)
    boxes, valid = scene.others(
        torch.from_numpy(frames), torch.full((len(frames),), vehicle, dtype=torch.int64)
    )
    _block(free, boxes.double().numpy(), valid.numpy(), line, lateral_m, size_m, arrival.margin_m)
    state = scene.state(torch.tensor(vehicle), torch.tensor(first)).double().numpy()
    station, lateral = _along(line, state[None, :2])
    start = (
        min(round(state[3] / SPEED_MPS), int(abilities.top_speed_mps / SPEED_MPS)),
        int(np.clip(np.rint(lateral[0] / _CELL_M) + across, 0, 2 * across)),
        int(np.clip(np.rint(station[0] / STATION_M), 0, len(stations_m) - 1)),
    )
    wanted = np.zeros(road.shape, bool)
    wanted[np.abs(lateral_m) < arrival.near_m, -1] = True
    found = search(free, wanted, start, abilities, _CELL_M)
    if found.arrival is None:
        return Solution(False, np.zeros((0, 3)))
    speed, side, place = path(found, abilities, _CELL_M).T
    return Solution(True, np.stack([stations_m[place], lateral_m[side], speed * SPEED_MPS], axis=1))


def _along(
    line: Polyline, points_m: Float[np.ndarray, "n 2"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Station and distance to the left of points."""
    place = line.project(points_m, extended=True)
    return line.station_m(place), place.offset_m


def _on_road(
    road: Road,
    line: Polyline,
    stations_m: Float[np.ndarray, " stations"],
    lateral_m: Float[np.ndarray, " lateral"],
) -> Bool[np.ndarray, "lateral stations"]:
    """Whether a lane lies under each place; every few metres, and the same until the next."""
    every = round(_ROAD_SPACING_M / STATION_M)
    some = stations_m[::every]
    segment = np.clip(np.searchsorted(line.starts_m, some, "right") - 1, 0, None)
    direction = line.directions[segment]
    foot = line.points_m[segment] + (some - line.starts_m[segment])[:, None] * direction
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    points = foot + lateral_m[:, None, None] * normal
    on_road = road.drivable(points.reshape(-1, 2)).reshape(points.shape[:2])
    return np.repeat(on_road, every, axis=1)[:, : len(stations_m)]


def _block(
    free: Bool[np.ndarray, "times lateral stations"],
    boxes: Float[np.ndarray, "times slots 5"],
    valid: Bool[np.ndarray, "times slots"],
    line: Polyline,
    lateral_m: Float[np.ndarray, " lateral"],
    size_m: Float[np.ndarray, " 2"],
    margin_m: float,
) -> None:
    """Clears ``free`` where the ego's box would touch another's."""
    times, slots = np.nonzero(valid)
    box = boxes[times, slots]
    place = line.project(box[:, :2], extended=True)
    station, lateral = line.station_m(place), place.offset_m
    direction = line.directions[place.segment]
    turn = box[:, 2] - np.arctan2(direction[:, 1], direction[:, 0])
    cos, sin = np.abs(np.cos(turn)), np.abs(np.sin(turn))
    length, width = box[:, 3], box[:, 4]
    along = 0.5 * (cos * length + sin * width + size_m[0]) + margin_m
    sideways = 0.5 * (sin * length + cos * width + size_m[1]) + margin_m
    first = np.clip(np.ceil((station - along) / STATION_M), 0, None).astype(int)
    stop = np.clip(np.floor((station + along) / STATION_M) + 1, 0, None).astype(int)
    for k in np.flatnonzero((first < free.shape[2]) & (stop > 0)):
        beside = np.abs(lateral_m - lateral[k]) < sideways[k]
        free[times[k], beside, first[k] : stop[k]] = False
