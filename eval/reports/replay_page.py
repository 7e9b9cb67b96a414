"""The replay page: one HTML file in which episodes can be watched and compared."""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from envs.gym.render import road_markings
from ppuu.policies.plan_snapshot import PlanSnapshot
from ppuu.recordings.road import Road
from ppuu.runtime.files import atomic_write

from ..driving.episode_record import EpisodeRecord
from ..driving.scenario_set import ScenarioSet

_PAGE = Path(__file__).with_name("replay_page.html")

_METRES, _RADIANS, _VALUES = 0.01, 0.001, 0.001
"""Resolution of positions, headings and all other values."""

_NOT_FINITE = np.iinfo(np.int32).min
"""Stands for infinity and NaN."""


def pack(columns: Mapping[str, tuple[np.ndarray, float]]) -> dict:
    """Packs columns of numbers into compressed text.

    Each column is rounded to whole multiples of its resolution and stored as second differences
    (of 32-bit integers that wrap around), the lowest bytes of all first: tracks are smooth, so most
    bytes are zero; all columns together are gzipped.  Infinities are read back as NaN.

    Returns:
        ``{"columns": [[name, count, resolution], ...], "data": base64}``.
    """
    planes, names = [], []
    for name, (values, resolution) in columns.items():
        values = np.asarray(values, np.float64)
        whole = np.rint(np.where(np.isfinite(values), values, 0.0) / resolution)
        whole = np.where(np.isfinite(values), whole, _NOT_FINITE).astype(np.int64)
        # The page takes cumulative sums twice, across the jumps between tracks, too.
        second = np.diff(np.diff(whole, prepend=0), prepend=0) & 0xFFFFFFFF
        planes.append(second.astype("<u4").view(np.uint8).reshape(-1, 4).T.tobytes())
        names.append([name, len(values), resolution])
    data = gzip.compress(b"".join(planes), 9, mtime=0)
    return {"columns": names, "data": base64.b64encode(data).decode()}


def _road(road: Road) -> dict:
    """Outlines of the lanes and painted pieces."""
    solid, dashed = road_markings(road)
    return pack(
        {
            "count": (np.diff(road.lane_pointer), 1),
            "leftX": (road.left_m[:, 0], _METRES),
            "leftY": (road.left_m[:, 1], _METRES),
            "rightX": (road.right_m[:, 0], _METRES),
            "rightY": (road.right_m[:, 1], _METRES),
        }
        | {
            f"{kind}{end}{axis}": (pieces[:, e, a], _METRES)
            for kind, pieces in (("solid", solid), ("dashed", dashed))
            for e, end in enumerate("AB")
            for a, axis in enumerate("XY")
        }
    )


def _record(record: EpisodeRecord, vehicle_id: np.ndarray) -> dict:
    """One policy's episode; ``vehicle_id`` maps the scene's numbers to the source's."""
    others = record.others
    starts = (np.diff(others.vehicle, prepend=-1) != 0) | (np.diff(others.frame, prepend=-1) != 1)
    first = np.flatnonzero(starts)
    columns = {
        "x": (record.state[:, 0], _METRES),
        "y": (record.state[:, 1], _METRES),
        "heading": (record.state[:, 2], _RADIANS),
        "speed_mps": (record.state[:, 3], _VALUES),
        "humanX": (record.human[:, 0], _METRES),
        "humanY": (record.human[:, 1], _METRES),
        "humanHeading": (record.human[:, 2], _RADIANS),
        "human_speed_mps": (record.human[:, 3], _VALUES),
        **{name: (values, _VALUES) for name, values in record.signals.items()},
        # One entry for each run of frames in which a vehicle is near.
        "stretchId": (vehicle_id[others.vehicle[first]], 1),
        "stretchHit": (others.vehicle[first] == record.hit_vehicle, 1),
        "stretchFrame": (others.frame[first], 1),
        "stretchCount": (np.diff(first, append=len(starts)), 1),
        "stretchLength": (others.box[first, 3], _METRES),
        "stretchWidth": (others.box[first, 4], _METRES),
        "otherX": (others.box[:, 0], _METRES),
        "otherY": (others.box[:, 1], _METRES),
        "otherHeading": (others.box[:, 2], _RADIANS),
    }
    if record.plans:
        points = np.concatenate(record.plans)
        columns |= {
            "planCount": ([len(plan) for plan in record.plans], 1),
            "planX": (points[:, 0], _METRES),
            "planY": (points[:, 1], _METRES),
        }
    columns |= _snapshot_columns(record.snapshots)
    return {
        "outcome": record.outcome,
        "kind": record.collision_kind,
        "atFault": record.at_fault,
        "failed": record.failed,
        "hit": int(vehicle_id[record.hit_vehicle]) if record.hit_vehicle >= 0 else None,
        "frames": len(record.state),
        "packed": pack(columns),
    }


def _snapshot_columns(snapshots: Sequence[PlanSnapshot]) -> dict[str, tuple[np.ndarray, float]]:
    """Candidate paths, their costs, and predicted boxes, all frames one after the other."""
    if not snapshots:
        return {}
    paths = np.concatenate([one.candidates_m for one in snapshots])
    boxes = np.concatenate([one.boxes for one in snapshots])
    return {
        "pathCount": (np.array([len(one.costs) for one in snapshots]), 1),
        "pathPoints": (np.array([paths.shape[1]]), 1),
        "pathX": (paths[..., 0].ravel(), _METRES),
        "pathY": (paths[..., 1].ravel(), _METRES),
        "pathCost": (np.concatenate([one.costs for one in snapshots]), _VALUES),
        "predictedCount": (np.array([len(one.boxes) for one in snapshots]), 1),
        "predictedX": (boxes[:, 0], _METRES),
        "predictedY": (boxes[:, 1], _METRES),
        "predictedHeading": (boxes[:, 2], _RADIANS),
        "predictedLength": (boxes[:, 3], _METRES),
        "predictedWidth": (boxes[:, 4], _METRES),
        "predictedAhead": (np.concatenate([one.ahead for one in snapshots]), _VALUES),
    }


def _scenario(scenario_set: ScenarioSet, records: Sequence[EpisodeRecord]) -> dict:
    """All policies in one scenario."""
    scenarios, number = scenario_set.scenarios, records[0].scenario
    road = int(scenarios.recording[number])
    vehicle_id = np.concatenate([one.vehicle_id for one in scenario_set.recordings])
    vehicle = int(scenarios.vehicle[number])
    recording = scenario_set.recordings[road]
    return {
        "scenario": number,
        "road": road,
        "vehicle": int(scenarios.vehicle_id[number]),
        "startFrame": int(scenarios.start_frame[number]),
        "goal": scenarios.goal_pose[number].tolist(),
        "size": [float(recording.length_m[vehicle]), float(recording.width_m[vehicle])],
        "dt": recording.dt_s,
        "failed": any(record.failed for record in records),
        "drives": [_record(record, vehicle_id) for record in records],
    }


def write_replay(
    path: Path, scenario_set: ScenarioSet, episodes: Sequence[Sequence[EpisodeRecord]]
) -> None:
    """Writes the page atomically, scenarios with a failure first.

    Args:
        path: an HTML file.
        scenario_set: the scenarios that were driven.
        episodes: for each scenario, one record a policy, the policies in the same order.
    """
    order = sorted(episodes, key=lambda records: not any(record.failed for record in records))
    used = {int(scenario_set.scenarios.recording[records[0].scenario]) for records in episodes}
    data = {
        "drivers": [record.policy for record in episodes[0]],
        "roads": [
            {"name": one.name, "packed": _road(one.road) if number in used else None}
            for number, one in enumerate(scenario_set.recordings)
        ],
        "episodes": [_scenario(scenario_set, records) for records in order],
    }
    # Only "<" could end the script element that holds the data.
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    title = html.escape(", ".join(data["drivers"]))
    page = _PAGE.read_text(encoding="utf-8")
    page = page.replace("<!-- title -->", title).replace("<!-- data -->", text)
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
