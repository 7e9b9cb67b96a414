"""Evaluation by the rules of PPUU (Henaff et al., 2019), for comparison with published numbers.

What is reproduced, what is not and why: docs/protocol-ppuu.md.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm import tqdm

from data.splits import Part
from envs.core.scenario import Scenarios
from envs.core.simulator import Simulator
from envs.core.termination import Outcome
from ppuu.policies import Policy
from ppuu.recordings.neighbours import Neighbours
from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError

from ..driving.scenario_set import Track, simulator_for, take_turn
from ..reports.results import Row, mean, rate
from .pixel_cost import COLLISION_COST, proximity_cost
from .replayed import as_replayed
from .screen import PX_PER_M, Screens

HISTORY_FRAMES = 20
"""Images that the recorded driver takes before the policy drives."""
_OVERLAP_M = 1.0


@dataclass(frozen=True)
class PpuuEpisode:
    """One episode's row, under both published definitions of failure.

    Of outcomes, ``timeout`` says that the recording ended.  Distances count along the road from
    the first valid image, so the recorded driver's 20 frames are part of them.

    Attributes:
        policy, recording, vehicle_id: who drove, and in whose place.
        start_frame: where the ego stands before the policy's first action.
        outcome: the episode ends at its first pixel collision.
        steps: driven by the policy.
        distance_px, distance_m: up to that end.
        human_distance_m: the recorded driver's, up to the same line or the recording's end.
        alt_outcome: as by the later rule: only a pixel collision that is one with a vehicle ahead
            ends the episode.
        alt_steps, alt_distance_m: up to that end.
        ahead_collision: whether the ego ran into a vehicle ahead at any time.
        mean_proximity: proximity cost a step, up to the first end.
    """

    policy: str
    recording: str
    vehicle_id: int
    start_frame: int
    outcome: str
    steps: int
    distance_px: float
    distance_m: float
    human_distance_m: float
    alt_outcome: str
    alt_steps: int
    alt_distance_m: float
    ahead_collision: bool
    mean_proximity: float

    @property
    def success(self) -> bool:
        """Arrived, and no pixel collision on the way: the same by both rules."""
        return self.outcome == "arrived"

    @property
    def success_alt(self) -> bool:
        """Arrived without running into anybody; being struck from behind is forgiven."""
        return self.alt_outcome == "arrived" and not self.ahead_collision


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the rules say of each episode after a step.

    Attributes:
        pixel_collision: the proximity cost exceeds 0.99 inside the region.
        ahead_collision: there, the ego's box overlaps one ahead by more than 1 m, along and across.
        off_road: the rear bumper is beyond the road's sides.
        arrived: the rear bumper is past the region.
        over: the recording has ended.
        proximity: the cost itself, 0 outside the region, where the original takes no image.
        rear_x_px: place along the road.
    """

    pixel_collision: Bool[Tensor, " envs"]
    ahead_collision: Bool[Tensor, " envs"]
    off_road: Bool[Tensor, " envs"]
    arrived: Bool[Tensor, " envs"]
    over: Bool[Tensor, " envs"]
    proximity: Float[Tensor, " envs"]
    rear_x_px: Float[Tensor, " envs"]

    def outcome(self, collided: Bool[Tensor, " envs"]) -> Int[Tensor, " envs"]:
        """``Outcome``, given what counts as a collision."""
        found = torch.full(collided.shape, int(Outcome.RUNNING))
        for holds, outcome in (
            (self.over, Outcome.TIMEOUT),
            (self.arrived, Outcome.ARRIVED),
            (self.off_road, Outcome.OFFROAD),
            (collided, Outcome.COLLISION),
        ):
            found = torch.where(holds, int(outcome), found)
        return found


def judge(simulator: Simulator, screens: Screens, envs: Int[Tensor, " envs"]) -> Verdict:
    """Applies the rules to episodes as they stand."""
    box, road = simulator.ego_box[envs], simulator.road[envs]
    frame = simulator.frame[envs]
    others = simulator.traffic.neighbours(envs, simulator.vehicle[envs], frame)
    place = screens.place(box, road)
    cost = proximity_cost(box, simulator.state[envs, 3], others.boxes, others.valid)
    seen = screens.valid(place, road)
    cost = torch.where(seen, cost, 0.0)
    return Verdict(
        pixel_collision=cost > COLLISION_COST,
        ahead_collision=seen & _runs_into(box, others, screens, road),
        off_road=screens.off_road(place, box, road, simulator.road_map),
        arrived=screens.arrived(place, road),
        over=frame >= simulator.end_frame[envs],
        proximity=cost,
        rear_x_px=place.rear_x,
    )


def _runs_into(
    box: Float[Tensor, "envs 5"], others: Neighbours, screens: Screens, road: Int[Tensor, " envs"]
) -> Bool[Tensor, " envs"]:
    """Whether a vehicle ahead and the ego overlap by more than 1 m along and across the road.

    The original looks in the ego's and the adjacent lanes, as told by lane numbers; boxes that
    overlap across are never further apart.
    """
    ego, other = screens.place(box, road), screens.place(others.boxes, road)
    overlap = _OVERLAP_M * PX_PER_M
    ahead = other.rear_x > ego.rear_x[:, None]
    along = other.rear_x - ego.front_x[:, None] < -overlap
    mean_width = 0.5 * PX_PER_M * (others.boxes[..., 4] + box[:, None, 4])
    across = (other.rear_y - ego.rear_y[:, None]).abs() + overlap < mean_width
    return (others.valid & ahead & along & across).any(1)


def list_starts(recording: Recording, part: Part, screens: Screens, index: int) -> Scenarios:
    """Every car of the part that shows 20 valid images takes its turn.

    Args:
        recording: the traffic as it is replayed.
        part: which frames and egos.
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
        seen = np.flatnonzero(valid[rows])
        if len(seen) < HISTORY_FRAMES:
            continue
        first = seen[0]
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
    return Scenarios(
        recording=np.zeros(count, int),
        vehicle=columns[0],
        vehicle_id=columns[1],
        start_frame=columns[2],
        end_frame=columns[3],
        has_goal=np.ones(count, bool),
        goal_pose=np.full((count, 3), np.nan),
        human_distance_m=columns[4],
        human_frames=columns[5],
        digest=hashlib.sha256(json.dumps(key).encode()).hexdigest(),
    )


def replayed_track(track: Track) -> tuple[Track, Screens]:
    """The track as the original replays it, with its starts.

    Raises:
        InputError: nobody shows 20 valid images, or a recording is of no straight road.
    """
    recordings = [as_replayed(recording) for recording in track.recordings]
    screens = Screens.of(track.recordings)
    starts = Scenarios.concatenate(
        [
            list_starts(recording, part, screens, k)
            for k, (recording, part) in enumerate(zip(recordings, track.parts, strict=True))
        ]
    )
    if not len(starts):
        names = ", ".join(recording.name for recording in recordings)
        raise InputError(
            f"no vehicle of {names} is seen for {HISTORY_FRAMES} frames inside the region of "
            "PPUU's rules; use --protocol exact"
        )
    return replace(
        track, recordings=recordings, scene=Scene.build(recordings), scenarios=starts
    ), screens


@dataclass(eq=False)
class _End:
    """When and how the episodes of a batch ended by one rule; runs along with them."""

    outcome: Int[Tensor, " envs"]
    frame: Int[Tensor, " envs"]
    rear_x_px: Float[Tensor, " envs"]

    @classmethod
    def open(cls, envs: int) -> _End:
        nothing = torch.zeros(envs, dtype=torch.int64)
        return cls(nothing + int(Outcome.RUNNING), nothing, torch.zeros(envs))

    @property
    def running(self) -> Bool[Tensor, " envs"]:
        return self.outcome == Outcome.RUNNING

    def follow(
        self,
        envs: Int[Tensor, " envs"],
        outcome: Int[Tensor, " envs"],
        frame: Int[Tensor, " envs"],
        rear_x_px: Float[Tensor, " envs"],
    ) -> None:
        """Takes a step into account, of those that have not ended."""
        running = self.running[envs]
        moving = envs[running]
        self.outcome[moving], self.frame[moving] = outcome[running], frame[running]
        self.rear_x_px[moving] = rear_x_px[running]


@torch.no_grad()
def drive_ppuu(
    policy: Policy, name: str, track: Track, slots: int = 64, limit: int | None = None
) -> list[PpuuEpisode]:
    """Drives every car of the track that the rules give a turn, ``slots`` of them at a time.

    Raises:
        InputError: the recordings do not suit the rules.
    """
    return _drive(policy, name, *replayed_track(track), slots, limit)


def _drive(
    policy: Policy, name: str, replayed: Track, screens: Screens, slots: int, limit: int | None
) -> list[PpuuEpisode]:
    scenarios = replayed.scenarios.spread(limit)
    simulator = simulator_for(policy, replayed)
    rows: list[PpuuEpisode] = []
    bar = tqdm(total=len(scenarios), desc=f"drive {name}", disable=not sys.stderr.isatty())
    with bar:
        for first in range(0, len(scenarios), slots):
            batch = scenarios[first : first + slots]
            rows.extend(_drive_batch(policy, name, replayed, simulator, screens, batch))
            bar.update(len(batch))
    return rows


def _drive_batch(
    policy: Policy,
    name: str,
    track: Track,
    simulator: Simulator,
    screens: Screens,
    scenarios: Scenarios,
) -> list[PpuuEpisode]:
    simulator.reset(scenarios)
    count = len(scenarios)
    policy.reset(torch.ones(count, dtype=torch.bool))
    first_x = _first_rear_x(simulator, screens)
    end, alt_end = _End.open(count), _End.open(count)
    ran_into, proximity = torch.zeros(count, dtype=torch.bool), torch.zeros(count)
    while bool(alt_end.running.any()):
        take_turn(policy, simulator)
        envs = alt_end.running.nonzero()[:, 0]
        now = judge(simulator, screens, envs)
        proximity[envs] += torch.where(end.running[envs], now.proximity, 0.0)
        ran_into[envs] |= now.ahead_collision
        frame = simulator.frame[envs]
        end.follow(envs, now.outcome(now.pixel_collision), frame, now.rear_x_px)
        both = now.pixel_collision & now.ahead_collision
        alt_end.follow(envs, now.outcome(both), frame, now.rear_x_px)
        # These rules, not the simulator's own, say who drives on.
        simulator.outcome = alt_end.outcome.clone()
    steps, alt_steps = end.frame - simulator.start_frame, alt_end.frame - simulator.start_frame
    distance, alt_distance = end.rear_x_px - first_x, alt_end.rear_x_px - first_x
    return [
        PpuuEpisode(
            policy=name,
            recording=track.recordings[int(scenarios.recording[k])].name,
            vehicle_id=int(scenarios.vehicle_id[k]),
            start_frame=int(scenarios.start_frame[k]),
            outcome=Outcome(int(end.outcome[k])).name.lower(),
            steps=int(steps[k]),
            distance_px=round(float(distance[k]), 1),
            distance_m=round(float(distance[k]) / PX_PER_M, 2),
            human_distance_m=round(float(scenarios.human_distance_m[k]), 2),
            alt_outcome=Outcome(int(alt_end.outcome[k])).name.lower(),
            alt_steps=int(alt_steps[k]),
            alt_distance_m=round(float(alt_distance[k]) / PX_PER_M, 2),
            ahead_collision=bool(ran_into[k]),
            mean_proximity=round(float(proximity[k]) / int(steps[k]), 4),
        )
        for k in range(count)
    ]


def _first_rear_x(simulator: Simulator, screens: Screens) -> Float[Tensor, " envs"]:
    """Where the egos were at their first valid image."""
    frame = simulator.start_frame - HISTORY_FRAMES
    state = simulator.scene.state(simulator.vehicle, frame)
    box = torch.cat([state[:, :3], simulator.size_m], dim=1)
    return screens.place(box, simulator.road).rear_x


def summary_ppuu(name: str, episodes: Sequence[PpuuEpisode]) -> Row:
    """One line of the table: shares with Wilson intervals, means with bootstrap intervals."""
    n = len(episodes)

    def ended(outcome: str):
        return rate(sum(e.outcome == outcome for e in episodes), n)

    return {
        "name": name,
        "success": rate(sum(e.success for e in episodes), n),
        "success_alt": rate(sum(e.success_alt for e in episodes), n),
        "collision": ended("collision"),
        "collision_alt": rate(sum(e.alt_outcome == "collision" for e in episodes), n),
        "ahead_collision": rate(sum(e.ahead_collision for e in episodes), n),
        "offroad": ended("offroad"),
        "timeout": ended("timeout"),
        "steps": mean([e.steps for e in episodes]),
        "distance_m": mean([e.distance_m for e in episodes]),
        "distance_px": mean([e.distance_px for e in episodes]),
        "proximity": mean([e.mean_proximity for e in episodes]),
    }


@torch.no_grad()
def score_ppuu(
    drivers: Mapping[str, Policy], track: Track, slots: int = 64, limit: int | None = None
) -> tuple[list[Row], list[PpuuEpisode], str]:
    """Every driver in the same episodes.

    Returns:
        A row for each, all episodes, and what identifies the list of starts.

    Raises:
        InputError: the recordings do not suit the rules.
    """
    replayed, screens = replayed_track(track)
    rows: list[Row] = []
    episodes: list[PpuuEpisode] = []
    for name, policy in drivers.items():
        driven = _drive(policy, name, replayed, screens, slots, limit)
        rows.append(summary_ppuu(name, driven))
        episodes.extend(driven)
    return rows, episodes, replayed.scenarios.digest


_SHORT = (
    "name", "success", "success_alt", "collision", "offroad", "timeout", "steps", "distance_m",
)  # fmt: skip


def short_row_ppuu(row: Row) -> Row:
    """The columns that fit a terminal."""
    return {key: row[key] for key in _SHORT}
