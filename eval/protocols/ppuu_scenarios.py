"""The scenarios of PPUU: a start after 20 valid images of the recorded driver."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import torch

from data.splits import Part
from envs.core.route import node_count, route_nodes
from envs.core.scenario import Scenarios
from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError

from ..driving.scenario_set import ScenarioSet
from .replayed import as_replayed
from .screen import PX_PER_M, Screens

_ROUTE_M = 500.0
"""Longer than the screens of any site."""

HISTORY_FRAMES = 20
"""Images of the recorded driver before the policy drives."""


def list_scenarios(recording: Recording, part: Part, screens: Screens, index: int) -> Scenarios:
    """One scenario for each vehicle of the part that has 20 valid images.

    Args:
        recording: the traffic as it is replayed.
        part: the frames and egos of it that may be used.
        screens: of all recordings.
        index: the number of this recording among them.
    """
    egos = np.arange(recording.vehicles) if part.egos is None else part.egos
    boxes = torch.as_tensor(np.column_stack([
        recording.x_m, recording.y_m, recording.heading_rad,
        recording.length_m[recording.row_vehicle], recording.width_m[recording.row_vehicle],
    ]))  # fmt: skip
    road = torch.full((recording.rows,), index)
    place = screens.place(boxes, road)
    inside = (recording.frame >= part.window.first) & (recording.frame < part.window.last)
    valid = screens.valid(place, road).numpy() & inside
    arrived, rear_x = screens.arrived(place, road).numpy(), place.rear_x.numpy()
    end = min(part.window.last, recording.frames) - 1
    entries = []
    for vehicle in egos:
        rows = slice(recording.vehicle_pointer[vehicle], recording.vehicle_pointer[vehicle + 1])
        valid_rows = np.flatnonzero(valid[rows])
        if len(valid_rows) < HISTORY_FRAMES:
            continue
        first = valid_rows[0]
        start = int(recording.frame[rows][first]) + HISTORY_FRAMES
        if not valid[rows][first : first + HISTORY_FRAMES].all() or start >= end:
            continue
        driven = np.flatnonzero(arrived[rows] | (recording.frame[rows] >= end))
        last = driven[0] if len(driven) else rows.stop - rows.start - 1
        entries.append((
            vehicle, recording.vehicle_id[vehicle], start, end,
            (rear_x[rows][last] - rear_x[rows][first]) / PX_PER_M, last - first - HISTORY_FRAMES,
        ))  # fmt: skip
    columns = [np.array(column) for column in zip(*entries, strict=True)] or [np.zeros(0, int)] * 6
    key = [recording.content_hash, part.window.first, part.window.last, columns[0].tolist()]
    count = len(entries)
    # PPUU's rules know no route; the simulator follows the human's, which has no end there.
    paths = [
        np.stack([recording.x_m[rows], recording.y_m[rows]], axis=1)
        for rows in (
            slice(recording.vehicle_pointer[one], recording.vehicle_pointer[one + 1])
            for one in columns[0]
        )
    ]
    routes = np.zeros((count, node_count(_ROUTE_M), 2))
    for row, path in enumerate(paths):
        routes[row] = route_nodes(path, node_count(_ROUTE_M))
    return Scenarios(
        recording=np.zeros(count, int),
        vehicle=columns[0],
        vehicle_id=columns[1],
        start_frame=columns[2],
        end_frame=columns[3],
        route_m=routes,
        start_m=np.zeros(count),
        goal_m=np.full(count, np.inf),
        enough_m=np.full(count, np.inf),
        has_lane=np.zeros(count, bool),
        lane_m=np.zeros((count, 0, 2)),
        lane_end_m=np.zeros(count),
        aside_m=np.zeros(count),
        speed_ratio=np.ones(count),
        human_distance_m=columns[4],
        human_frames=columns[5],
        digest=hashlib.sha256(json.dumps(key).encode()).hexdigest(),
    )


def replayed_set(scenario_set: ScenarioSet) -> tuple[ScenarioSet, Screens]:
    """The recordings as PPUU replays them, with the scenarios that its rules allow.

    Raises:
        InputError: no vehicle has 20 valid images, or a recording's road is not straight.
    """
    recordings = [as_replayed(recording) for recording in scenario_set.recordings]
    screens = Screens.of(scenario_set.recordings)
    scenarios = Scenarios.concatenate(
        [
            list_scenarios(recording, part, screens, k)
            for k, (recording, part) in enumerate(zip(recordings, scenario_set.parts, strict=True))
        ]
    )
    if not len(scenarios):
        names = ", ".join(recording.name for recording in recordings)
        raise InputError(
            f"no vehicle of {names} is valid for {HISTORY_FRAMES} frames inside the region of "
            "PPUU's rules; use --protocol exact"
        )
    scene = Scene.build(recordings)
    replayed = replace(scenario_set, recordings=recordings, scene=scene, scenarios=scenarios)
    return replayed, screens
