"""Which vehicles take their turn as ego, from when to when, and what counts as done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np

from ppuu.recordings.polyline import arc_length_m
from ppuu.recordings.recording import Recording
from ppuu.runtime.errors import InputError


@dataclass(frozen=True)
class ScenarioConfig:
    """Where a scenario starts and ends.

    Attributes:
        context_frames: recorded frames before the start; an observation's history reaches back
            into them.
        distance_m: the goal is where the human is after so much path; 215 m is the segment of
            I-80 that PPUU reports success on.
        minimum_frames: shorter tracks, counted from the start, are no scenario.
        time_limit_s: an episode ends as ``timeout`` after this.
    """

    context_frames: int = 10
    distance_m: float = 215.0
    minimum_frames: int = 30
    time_limit_s: float = 90.0

    def __post_init__(self):
        if self.context_frames < 0 or self.minimum_frames < 1:
            raise InputError(f"scenario lengths must be positive: {self}")
        if not (self.distance_m > 0 and self.time_limit_s > 0):
            raise InputError(f"distance and time limit must be positive: {self}")


@dataclass(frozen=True, eq=False)
class Scenarios:
    """One entry an episode; frames and vehicles are numbered within their recording.

    Attributes:
        recording: index into the list of recordings.
        vehicle: index of the ego.
        vehicle_id: the source's own number of it.
        start_frame: where the ego stands before its first action.
        end_frame: standing here ends the episode, whatever else happens.
        has_goal: whether the human drove ``distance_m``; the episode then ends as ``arrived``
            when the ego crosses the goal line, else as ``survived``.
        goal_pose: ``(n, 3)`` the human's pose (x_m, y_m, heading_rad) on that line, which is
            perpendicular to the heading.  Without a goal: the human's last pose where it left
            the recorded section (beyond lies no road), NaN where only the window cut the track.
        human_distance_m: path the human drove from the start to the line, or to ``end_frame``.
        human_frames: frames the human took for it.
        digest: identifies recording, window, configuration and list.
    """

    recording: np.ndarray
    vehicle: np.ndarray
    vehicle_id: np.ndarray
    start_frame: np.ndarray
    end_frame: np.ndarray
    has_goal: np.ndarray
    goal_pose: np.ndarray
    human_distance_m: np.ndarray
    human_frames: np.ndarray
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
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in _ARRAYS
        }
        index = [np.full(len(part), k, np.int64) for k, part in enumerate(parts)]
        arrays["recording"] = np.concatenate(index)
        digest = hashlib.sha256("".join(part.digest for part in parts).encode()).hexdigest()
        return cls(**arrays, digest=digest if len(parts) > 1 else parts[0].digest)

    def rows(self) -> list[dict]:
        """JSON-able records, one a scenario, for result files."""
        columns = {field.name: getattr(self, field.name).tolist() for field in _ARRAYS}
        return [
            {
                key: None if key == "goal_pose" and values[k][0] != values[k][0] else values[k]
                for key, values in columns.items()
            }
            for k in range(len(self))
        ]


_ARRAYS = [field for field in fields(Scenarios) if field.name != "digest"]


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

    Raises:
        InputError: no vehicle qualifies.
    """
    config = config or ScenarioConfig()
    last_frame = recording.frames if last_frame is None else min(last_frame, recording.frames)
    limit = round(config.time_limit_s / recording.dt_s)
    entries = []
    for vehicle in range(recording.vehicles):
        entry = _scenario(recording, vehicle, config, first_frame, last_frame - 1, limit)
        if entry is not None:
            entries.append(entry)
    if any(entry["has_goal"] for entry in entries):
        entries = [entry for entry in entries if entry["has_goal"]]
    if not entries:
        raise InputError(
            f"recording '{recording.name}', frames {first_frame} to {last_frame}: no track lasts "
            f"{config.context_frames + config.minimum_frames + 1} frames; use a wider window or "
            "a smaller minimum_frames"
        )
    arrays = {
        field.name: np.array([entry[field.name] for entry in entries])
        for field in _ARRAYS
        if field.name != "recording"
    }
    key = [recording.content_hash, asdict(config), first_frame, last_frame]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return Scenarios(recording=np.zeros(len(entries), np.int64), **arrays, digest=digest)


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
    x, y = recording.x_m[span], recording.y_m[span]
    path = arc_length_m(np.stack([x, y], axis=1))
    in_time = min(limit, len(path) - 1)
    has_goal = bool(path[in_time] >= config.distance_m)
    here = int(np.searchsorted(path, config.distance_m)) if has_goal else in_time
    left_the_section = leaves < last_frame and in_time == len(path) - 1
    pose = [x[here], y[here], recording.heading_rad[span][here]]
    return {
        "vehicle": vehicle,
        "vehicle_id": recording.vehicle_id[vehicle],
        "start_frame": start,
        "end_frame": min(start + limit, last_frame if has_goal else stop),
        "has_goal": has_goal,
        "goal_pose": pose if has_goal or left_the_section else [np.nan] * 3,
        "human_distance_m": path[here],
        "human_frames": here,
    }
