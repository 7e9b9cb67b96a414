"""Which vehicles take their turn as ego, from when to when, and what counts as done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import torch

from ppuu.recordings.lanes import NO_LANE
from ppuu.recordings.polyline import arc_length_m
from ppuu.recordings.recording import Recording
from ppuu.runtime.errors import InputError

from ..tasks.goal_lines import GoalLines
from ..tasks.lanes import Lanes
from ..tasks.registry import KEEP, TARGET_LANES, TASKS
from ..tasks.situation import Situation
from .route import node_count, pose_at, route_nodes

_ENOUGH = 0.9
"""Of the human's progress, where the recorded window ends the episode."""


@dataclass(frozen=True)
class ScenarioConfig:
    """Where a scenario starts and ends.

    Attributes:
        context_frames: recorded frames before the start; an observation's history reaches back
            into them.
        distance_m: of the human's path to be driven; 215 m is the segment of I-80 that PPUU
            reports success on.
        minimum_frames: shorter tracks, counted from the start, are no scenario.
        minimum_m: nor are those in which the human drives less: who stands still proves nothing.
        time_limit_s: an episode ends as ``timeout`` after this.
        task: ``keep``, or a lane to be in at the end (``envs.tasks.registry.TASKS``).
    """

    context_frames: int = 10
    distance_m: float = 215.0
    minimum_frames: int = 30
    minimum_m: float = 20.0
    time_limit_s: float = 90.0
    task: str = KEEP

    def __post_init__(self):
        if self.context_frames < 0 or self.minimum_frames < 1:
            raise InputError(f"scenario lengths must be positive: {self}")
        if not (self.distance_m > 0 and self.time_limit_s > 0):
            raise InputError(f"distance and time limit must be positive: {self}")
        if self.task not in TASKS:
            raise InputError(f"task {self.task}: unknown; there are {', '.join(TASKS)}")


@dataclass(frozen=True, eq=False)
class Scenarios:
    """One entry an episode; frames and vehicles are numbered within their recording.

    Attributes:
        recording: index into the list of recordings.
        vehicle: index of the ego.
        vehicle_id: the source's own number of it.
        start_frame: where the ego stands before its first action.
        end_frame: standing here ends the episode, whatever else happens.
        route_m: ``(n, nodes, 2)`` the human's path from the scenario's first frame on, as nodes
            ``NODE_SPACING_M`` apart; it goes on straight beyond the human's end.
        start_m: station of the start along the route; 0 but for later starts.
        goal_m: station at which the ego arrives: ``distance_m``, or where the human's track ends.
        enough_m: station that counts as arrival at ``end_frame``, if the recorded window ends the
            episode: 90 % of the human's; inf where the time limit does.
        human_distance_m: path the human drove from the start to ``goal_m``.
        human_frames: frames the human took for it.
        has_lane: whether the ego has to be in a certain lane, too.
        lane_m: ``(n, nodes, 2)`` the centre of that lane, see ``ppuu.perception.goal.Goal``.
        lane_end_m: station along that line where the drive ends.
        aside_m: how far to the left of the human the ego starts.
        speed_ratio: of the ego's speed at the start to the human's.
        digest: identifies recording, window, configuration and list.
    """

    recording: np.ndarray
    vehicle: np.ndarray
    vehicle_id: np.ndarray
    start_frame: np.ndarray
    end_frame: np.ndarray
    route_m: np.ndarray
    start_m: np.ndarray
    goal_m: np.ndarray
    enough_m: np.ndarray
    human_distance_m: np.ndarray
    human_frames: np.ndarray
    has_lane: np.ndarray
    lane_m: np.ndarray
    lane_end_m: np.ndarray
    aside_m: np.ndarray
    speed_ratio: np.ndarray
    digest: str

    def __len__(self) -> int:
        return len(self.vehicle)

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray) -> Scenarios:
        """A subset, under the digest of the whole."""
        rows = np.atleast_1d(np.arange(len(self))[index])
        arrays = {field.name: getattr(self, field.name)[rows] for field in _ARRAYS}
        return Scenarios(**arrays, digest=self.digest)

    def spread(self, count: int | None) -> Scenarios:
        """So many of them, spread evenly over the list; all, if there are no more or None."""
        if count is None or count >= len(self):
            return self
        return self[np.linspace(0, len(self) - 1, count).round().astype(int)]

    @classmethod
    def concatenate(cls, parts: Sequence[Scenarios]) -> Scenarios:
        """Lists of several recordings, in order, behind one another."""
        if not parts:
            raise InputError("no list of scenarios was given")
        arrays = {
            field.name: _joined([getattr(part, field.name) for part in parts]) for field in _ARRAYS
        }
        index = [np.full(len(part), k, np.int64) for k, part in enumerate(parts)]
        arrays["recording"] = np.concatenate(index)
        digest = hashlib.sha256("".join(part.digest for part in parts).encode()).hexdigest()
        return cls(**arrays, digest=digest if len(parts) > 1 else parts[0].digest)

    @classmethod
    def empty(cls, digest: str) -> Scenarios:
        """A list without scenarios."""
        shapes = {"route_m": (0, 2, 2), "lane_m": (0, 0, 2)}
        whole = ("recording", "vehicle", "vehicle_id", "start_frame", "end_frame", "human_frames")
        types = dict.fromkeys(whole, np.int64) | {"has_lane": bool}
        arrays = {
            field.name: np.zeros(shapes.get(field.name, 0), types.get(field.name, float))
            for field in _ARRAYS
        }
        return cls(**arrays, digest=digest)

    @property
    def goal_pose(self) -> np.ndarray:
        """``(n, 3)`` x_m, y_m and heading_rad where the routes end, for pictures."""
        return pose_at(torch.from_numpy(self.route_m), torch.from_numpy(self.goal_m)).numpy()

    def rows(self) -> list[dict]:
        """JSON-able records, one a scenario, for result files; without the lines."""
        columns = {
            field.name: getattr(self, field.name).tolist()
            for field in _ARRAYS
            if getattr(self, field.name).ndim == 1
        }
        return [
            {
                key: None if values[k] in (np.inf, -np.inf) else values[k]
                for key, values in columns.items()
            }
            for k in range(len(self))
        ]


_ARRAYS = [field for field in fields(Scenarios) if field.name != "digest"]


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Behind one another; shorter lines go on straight to the length of the longest."""
    if arrays[0].ndim == 1:
        return np.concatenate(arrays)
    nodes = max(array.shape[1] for array in arrays)
    return np.concatenate([_prolonged(array, nodes) for array in arrays])


def _prolonged(lines_m: np.ndarray, nodes: int) -> np.ndarray:
    further = np.arange(1, nodes - lines_m.shape[1] + 1)[:, None]
    if not len(further) or not lines_m.shape[1]:
        return np.concatenate(
            [lines_m, np.zeros((len(lines_m), nodes - lines_m.shape[1], 2))], axis=1
        )
    step = lines_m[:, -1:] - lines_m[:, -2:-1]
    return np.concatenate([lines_m, lines_m[:, -1:] + further * step], axis=1)


def list_scenarios(
    recording: Recording,
    config: ScenarioConfig | None = None,
    first_frame: int = 0,
    last_frame: int | None = None,
) -> Scenarios:
    """Every vehicle takes its turn once, in the recording's order.

    A vehicle starts ``context_frames`` after its first frame inside the window.  If any vehicle
    of the window drives ``distance_m`` in time, only those that do are listed: in a long
    recording the others leave early or enter late, and surviving a few seconds proves nothing.
    Short windows, in which no vehicle gets that far, keep all.

    Args:
        recording: the traffic.
        config: lengths; the defaults are PPUU's.
        first_frame, last_frame: the window ``first_frame <= frame < last_frame``.

    Returns:
        the list; empty if no vehicle qualifies (``check_any`` refuses that).
    """
    config = config or ScenarioConfig()
    last_frame = recording.frames if last_frame is None else min(last_frame, recording.frames)
    limit = round(config.time_limit_s / recording.dt_s)
    entries = []
    for vehicle in range(recording.vehicles):
        entry = _scenario(recording, vehicle, config, first_frame, last_frame - 1, limit)
        if entry is not None:
            entries.append(entry)
    if any(entry["far"] for entry in entries):
        entries = [entry for entry in entries if entry["far"]]
    key = [recording.content_hash, asdict(config), first_frame, last_frame]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    if not entries:
        return Scenarios.empty(digest)
    count, nodes = len(entries), node_count(max(entry["goal_m"] for entry in entries))
    paths = [entry.pop("path_m") for entry in entries]
    columns = {key: np.array([entry[key] for entry in entries]) for key in entries[0]}
    del columns["far"]
    listed = Scenarios(
        recording=np.zeros(count, np.int64),
        **columns,
        route_m=np.stack([route_nodes(path, nodes) for path in paths]),
        start_m=np.zeros(count),
        has_lane=np.zeros(count, bool),
        lane_m=np.zeros((count, 0, 2)),
        lane_end_m=np.zeros(count),
        aside_m=np.zeros(count),
        speed_ratio=np.ones(count),
        digest=digest,
    )
    return listed if config.task == KEEP else _with_lanes(listed, recording, config)


class NoScenarioError(InputError):
    """No vehicle can be the ego in these recordings."""


def check_any(
    lists: Sequence[Scenarios], recordings: Sequence[Recording], config: ScenarioConfig
) -> None:
    """Refuses recordings of which none has a scenario.

    Raises:
        NoScenarioError: all lists are empty.
    """
    if any(map(len, lists)):
        return
    names = f"recording '{recordings[0].name}'"
    names += f" and {len(recordings) - 1} more" if len(recordings) > 1 else ""
    task = "" if config.task == KEEP else f" and has the task {config.task}"
    raise NoScenarioError(
        f"{names}: in the frames used no track lasts "
        f"{config.context_frames + config.minimum_frames + 1} frames and goes on for "
        f"{config.minimum_m:g} m{task}; use a wider window, a smaller minimum_frames, or another "
        "recording"
    )


def _with_lanes(listed: Scenarios, recording: Recording, config: ScenarioConfig) -> Scenarios:
    """Those of the scenarios that have the task, with the lanes to be in."""
    start_m, end_m = listed.route_m[:, 0], listed.goal_pose[:, :2]
    lanes = Lanes(recording.road)
    situation = Situation(recording, lanes, listed.vehicle, start_m, end_m, config.distance_m)
    target = TARGET_LANES[config.task](situation)
    has_task = target != NO_LANE
    if not has_task.any():
        return Scenarios.empty(listed.digest)
    lines = GoalLines.of(situation.take(has_task), target[has_task])
    return replace(
        listed[has_task],
        has_lane=np.ones(len(lines.end_m), bool),
        lane_m=lines.line_m,
        lane_end_m=lines.end_m,
    )


def _scenario(
    recording: Recording,
    vehicle: int,
    config: ScenarioConfig,
    first_frame: int,
    last_frame: int,
    limit: int,
) -> dict | None:
    """One vehicle's scenario in the closed window, or None if its track is too short."""
    rows = slice(recording.vehicle_pointer[vehicle], recording.vehicle_pointer[vehicle + 1])
    enters, leaves = int(recording.frame[rows][0]), int(recording.frame[rows][-1])
    start = max(enters, first_frame) + config.context_frames
    stop = min(leaves, last_frame)
    if stop - start < config.minimum_frames:
        return None
    span = slice(rows.start + start - enters, rows.start + stop - enters + 1)
    points = np.stack([recording.x_m[span], recording.y_m[span]], axis=1)
    path = arc_length_m(points)
    in_time = min(limit, len(path) - 1)
    if path[in_time] < config.minimum_m:
        return None
    far = bool(path[in_time] >= config.distance_m)
    here = int(np.searchsorted(path, config.distance_m)) if far else in_time
    goal = config.distance_m if far else path[here]
    end = min(start + limit, last_frame if far else stop)
    return {
        "vehicle": vehicle,
        "vehicle_id": recording.vehicle_id[vehicle],
        "start_frame": start,
        "end_frame": end,
        "far": far,
        "path_m": points[: here + 1],
        "goal_m": goal,
        "enough_m": np.inf if end == start + limit else _ENOUGH * goal,
        "human_distance_m": path[here],
        "human_frames": here,
    }
