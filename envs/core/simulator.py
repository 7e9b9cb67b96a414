"""The simulator: many episodes at once on recorded traffic, in torch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NoReturn

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from ppuu import kinematics
from ppuu.backends import advance_cpu
from ppuu.backends.dispatch import constant_float32, paired, skips_rows
from ppuu.backends.take import take, take_fractions
from ppuu.driving.vehicle_limits import VehicleLimits
from ppuu.kinematics import action_between
from ppuu.perception.goal import NODE_SPACING_M, Goal
from ppuu.perception.observation import Observation, ObservationConfig
from ppuu.perception.raster import draw_into
from ppuu.perception.raster_image import CHANNELS
from ppuu.perception.road_map import LocalRoad, RoadMap
from ppuu.recordings.scene import Scene
from ppuu.recordings.tracks import match_tracks, nearest_tracks
from ppuu.runtime.errors import InputError
from ppuu.units import seconds_to_frames

from ..traffic.base import Neighbours, Traffic
from ..traffic.replay import Replay
from .actuation import Actuation
from .perception import Perception, PerceptionConfig
from .route import AHEAD, BEHIND, follow, pose_at
from .scenario import Scenarios
from .state_dict import check, check_history, named, part
from .step_result import StepResult
from .termination import (
    IN_LANE_M,
    NEAREST,
    WRONG_WAY_S,
    CollisionKind,
    Outcome,
    contact,
    off_the_road,
    outcomes,
)


@dataclass(frozen=True)
class SimulatorConfig:
    """Observations and actions.

    Attributes:
        observation: images in the history; None draws nothing, for drivers that need no image.
        actuation: how well the vehicle obeys.
        perception: faults of what the ego sees of the others; None for none.
    """

    observation: ObservationConfig | None = field(default_factory=ObservationConfig)
    actuation: Actuation = field(default_factory=Actuation)
    perception: PerceptionConfig | None = None


_CHECKED_EVERY = 100
"""Steps after which a device is asked whether all actions were numbers."""
_SPARE_TRACKS = 8
"""Vehicles tracked beyond those shown, so that one that comes nearer has a history."""


class Simulator:
    """A batch of episodes, each in a slot ("env") of its own.

    ``reset`` fills all slots, ``step`` moves the unfinished ones by one frame, ``replace``
    starts new episodes in chosen slots.  Nothing is random: the same scenarios and actions give
    the same numbers, whatever ran before.

    Args:
        scene: the recordings.
        road_map: their roads, in the same order.
        config: observation and bounds.
        traffic: how the others move; the recording, replayed, by default.
    """

    _per_env: ClassVar[tuple[str, ...]] = (
        "vehicle", "road", "start_frame", "end_frame", "frame", "size_m", "state", "action",
        "outcome", "collision_kind", "hit_vehicle", "at_fault", "distance_m", "clearance_m",
        "time_to_collision_s", "route_m", "goal_m", "enough_m", "station_m", "_furthest_m",
        "start_m", "wrong_way_frames", "has_lane", "lane_m", "lane_end_m", "_cursor", "_pending",
        "_limits", "_aside_m", "_speed_ratio",
    )  # fmt: skip
    """Attributes with one entry an environment; ``_past`` and ``_images`` have a ring of them."""

    def __init__(
        self,
        scene: Scene,
        road_map: RoadMap,
        config: SimulatorConfig | None = None,
        traffic: Traffic | None = None,
    ):
        self.scene = scene
        self.road_map = road_map
        self.config = config or SimulatorConfig()
        self.traffic = traffic or Replay(scene)
        faults = self.config.perception
        self.perception = None if faults is None else Perception(faults)
        self._ring = 1 if self.config.observation is None else self.config.observation.span + 1
        self._count(0)

    def _count(self, envs: int) -> None:
        self.envs = envs
        self._all_envs = torch.arange(envs, device=self.device)
        self._refused = torch.zeros(envs, dtype=torch.bool, device=self.device)
        self._unchecked = 0

    @property
    def step_s(self) -> float:
        """Seconds that one step takes."""
        return self.scene.dt_s

    @property
    def device(self) -> torch.device:
        """Where every tensor lives."""
        return self.scene.boxes.device

    def reset(self, scenarios: Scenarios) -> None:
        """Starts one episode a scenario; there are as many envs as scenarios."""
        if len(scenarios) < 1:
            raise InputError("no scenario was given; a simulator needs at least one")
        envs, device = len(scenarios), self.device
        self._count(envs)

        def whole(value=0):
            return torch.full((envs,), value, dtype=torch.int64, device=device)

        def real(value=0.0):
            return torch.full((envs,), value, dtype=torch.float32, device=device)

        self.vehicle, self.road, self.size_m = whole(), whole(), real().new_zeros(envs, 2)
        self.start_frame, self.end_frame, self.frame = whole(), whole(), whole()
        self.route_m = real().new_zeros(envs, scenarios.route_m.shape[1], 2)
        self.goal_m, self.enough_m = real(), real()
        self.start_m, self.station_m, self._furthest_m = real(), real(), real()
        self.wrong_way_frames = whole()
        self.lane_m = real().new_zeros(envs, scenarios.lane_m.shape[1], 2)
        self.has_lane, self.lane_end_m = whole().bool(), real()
        self.state, self.action = real().new_zeros(envs, 4), real().new_zeros(envs, 2)
        self.outcome, self.collision_kind = whole(), whole()
        self.hit_vehicle, self.at_fault = whole(-1), whole().bool()
        self.distance_m, self.clearance_m, self.time_to_collision_s = real(), real(), real()
        self._cursor = whole()
        self._aside_m, self._speed_ratio = real(), real(1.0)
        self._pending = real().new_zeros(envs, self.config.actuation.delay_frames, 2)
        self._limits = self.config.actuation.limits(self.size_m).values
        self._past = real().new_zeros(envs * self._ring, 4)
        if self.config.observation is not None:
            raster, drawn = self.config.observation.raster, self.config.observation.images
            pixels = (raster.rows, raster.columns) if drawn else (0, 0)
            size = (envs * self._ring, CHANNELS, *pixels)
            self._images = torch.zeros(size, dtype=torch.uint8, device=device)
            kept = self.config.observation.vehicles and (
                self.config.observation.vehicles + _SPARE_TRACKS
            )
            self._known = self._cursor.new_full((envs * self._ring, kept), -1)
            self._known_states = self._past.new_zeros(envs * self._ring, kept, 4)
        self.replace(self._all_envs, scenarios)

    def replace(self, envs: Sequence[int] | Tensor, scenarios: Scenarios) -> None:
        """Starts new episodes in the given slots, whether or not the old ones had ended."""
        envs = torch.as_tensor(envs, dtype=torch.int64, device=self.device)
        if len(envs) != len(scenarios):
            raise InputError(f"{len(envs)} slots for {len(scenarios)} scenarios")
        if len(envs) == 0:
            return
        scene = self.scene

        def tensor(array, kind=torch.int64):
            return torch.as_tensor(array, dtype=kind, device=self.device)

        recording = tensor(scenarios.recording)
        vehicle = tensor(scenarios.vehicle) + scene.vehicle_offset[recording]
        offset = scene.frame_offset[recording]
        frame = tensor(scenarios.start_frame) + offset
        early = frame - (self._ring - 1) < scene.first_frame[vehicle]
        if early.any():
            which = scenarios.vehicle_id[int(early.nonzero()[0])]
            raise InputError(
                f"vehicle {which} starts less than {self._ring - 1} frames into its track, but "
                "the observation reaches back so far; list scenarios with more context_frames"
            )
        self.vehicle[envs], self.road[envs] = vehicle, recording
        self.start_frame[envs], self.frame[envs] = frame, frame
        self.end_frame[envs] = tensor(scenarios.end_frame) + offset
        self.route_m[envs] = tensor(scenarios.route_m, torch.float32)
        self.goal_m[envs] = tensor(scenarios.goal_m, torch.float32)
        self.enough_m[envs] = tensor(scenarios.enough_m, torch.float32)
        for station in (self.start_m, self.station_m, self._furthest_m):
            station[envs] = tensor(scenarios.start_m, torch.float32)
        self.wrong_way_frames[envs] = 0
        self.has_lane[envs] = tensor(scenarios.has_lane, torch.bool)
        self.lane_m[envs] = tensor(scenarios.lane_m, torch.float32)
        self.lane_end_m[envs] = tensor(scenarios.lane_end_m, torch.float32)
        self.size_m[envs] = scene.size_m[vehicle]
        self._aside_m[envs] = tensor(scenarios.aside_m, torch.float32)
        self._speed_ratio[envs] = tensor(scenarios.speed_ratio, torch.float32)
        human = scene.state(vehicle, frame)
        self.state[envs] = _started(human, self._aside_m[envs], self._speed_ratio[envs])
        self._limits[envs] = self.config.actuation.limits(self.size_m[envs]).values
        # The human's last action: the wheels are as the human had steered them.
        before = scene.state(vehicle, frame - 1)
        self.action[envs] = action_between(before, human, scene.dt_s)
        self._pending[envs] = 0.0
        self.outcome[envs] = int(Outcome.RUNNING)
        self.distance_m[envs] = 0.0
        self.traffic.reset(envs, vehicle, frame)
        others = self.traffic.neighbours(envs, vehicle, frame)
        self._touch(envs, others)
        if self.perception is not None:
            lags = range(self.perception.config.latency_frames, 0, -1)
            past = [scene.neighbours(torch.maximum(frame - lag, offset), vehicle) for lag in lags]
            self.perception.begin(envs, [*past, others])
        self._recall(envs)

    def _recall(self, envs: Int[Tensor, " envs"]) -> None:
        """Fills the history before the start from the recording."""
        frame, vehicle = self.frame[envs], self.vehicle[envs]
        lag = torch.arange(self._ring - 1, -1, -1, device=self.device)
        times = (frame[:, None] - lag).flatten()
        egos = vehicle.repeat_interleave(self._ring)
        differs = self._aside_m[envs], self._speed_ratio[envs]
        differs = (column.repeat_interleave(self._ring) for column in differs)
        states = _started(self.scene.state(egos, times), *differs)
        rows = (envs[:, None] * self._ring + lag.flip(0)).flatten()
        self._past[rows] = states
        self._cursor[envs] = self._ring - 1
        if self.config.observation is not None:
            roads = self.scene.vehicle_recording[egos]
            sensed, faults = self.scene.neighbours(times, egos), self.config.perception
            if faults is not None:
                late = torch.maximum(times - faults.latency_frames, self.scene.frame_offset[roads])
                sensed = faults.disturbed(self.scene.neighbours(late, egos), times)
            self._see(rows, states[:, :3], sensed, roads)

    def _see(
        self,
        places: Int[Tensor, " some"],
        poses: Float[Tensor, "some 3"],
        others: Neighbours,
        roads: Int[Tensor, " some"],
    ) -> None:
        """Draws the observed images into the rings, and remembers the vehicles around the egos."""
        config = self.config.observation
        assert config is not None
        if config.images:
            draw_into(self._images, places, poses, others, roads, self.road_map, config.raster)
        kept = self._known.shape[1]
        if kept:
            around = nearest_tracks(others, poses[:, :2], kept)
            self._known[places], self._known_states[places] = around

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that a running batch of episodes is, ``(envs, ...)`` each, copied.

        With the same recordings, ``load_state_dict`` goes on from there, here or in another
        process: the future is the same to the last digit.
        """
        state = {name: getattr(self, name) for name in self._per_env}
        for name in self._ring_names:
            state[name] = getattr(self, name).unflatten(0, (self.envs, self._ring))
        state |= named(self._memories)
        return {name: tensor.clone() for name, tensor in state.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Takes over a ``state_dict``, of any number of environments.

        Raises:
            InputError: it is of another kind of simulator.
        """
        check(state, (*self._per_env, *self._ring_names, *named(self._memories)))
        state = {name: tensor.to(self.device, copy=True) for name, tensor in state.items()}
        self._count(len(state["frame"]))
        for name in self._per_env:
            setattr(self, name, state[name])
        for name in self._ring_names:
            check_history(state[name].shape[1], self._ring)
            setattr(self, name, state[name].flatten(0, 1))
        for name, memory in self._memories.items():
            setattr(self, name, memory.with_state(part(state, name)))

    @property
    def _memories(self) -> dict[str, Traffic | Perception]:
        """Attributes with a state of their own."""
        with_faults = {} if self.perception is None else {"perception": self.perception}
        return {"traffic": self.traffic, **with_faults}

    def select(self, envs: Sequence[int] | Tensor) -> Simulator:
        """A simulator of its own with copies of some episodes, each as often as it is named.

        What happens in one does not touch the other: a planner can try out actions in the true
        world, many at once.
        """
        chosen = torch.as_tensor(envs, dtype=torch.int64, device=self.device)
        other = copy.copy(self)
        other.load_state_dict({n: t.index_select(0, chosen) for n, t in self.state_dict().items()})
        return other

    def close(self) -> None:
        """Releases what the traffic runs beside this process."""
        self.traffic.close()

    def clone(self) -> Simulator:
        """A copy of all episodes."""
        return self.select(self._all_envs)

    @property
    def _ring_names(self) -> tuple[str, ...]:
        if self.config.observation is None:
            return ("_past",)
        return ("_past", "_images", "_known", "_known_states")

    def step(self, actions: Float[Tensor, "envs 2"]) -> StepResult:
        """Moves every unfinished episode by one frame.

        Args:
            actions: acceleration_mps2 and curvature_radpm; the vehicle does what it can of them.
                Those of finished episodes have no effect.

        Raises:
            InputError: a shape that does not fit, or an action that is not a number.
        """
        actions = torch.as_tensor(actions, dtype=torch.float32, device=self.device)
        if actions.shape != (self.envs, 2):
            raise InputError(
                f"actions of shape {tuple(actions.shape)}; {self.envs} episodes take "
                f"({self.envs}, 2): acceleration_mps2 and curvature_radpm"
            )
        moved = self.outcome == Outcome.RUNNING
        skips = skips_rows(self.state) and not bool(moved.all())
        envs = moved.nonzero()[:, 0] if skips else self._all_envs
        actions = self._of(actions.detach(), envs)
        self._check_finite(actions, envs)
        if len(envs):
            self._advance(envs, self._obeyed(envs, actions))
        return self._result(moved)

    def _check_finite(self, actions: Float[Tensor, "envs 2"], envs: Int[Tensor, " envs"]) -> None:
        """Refuses actions that are no numbers: at once, or where that would wait, now and then."""
        if skips_rows(actions):
            if not bool(actions.isfinite().all()):
                self._refuse(int(envs[~actions.isfinite().all(1)][0]))
            return
        self._refused = self._refused | ~actions.isfinite().all(1)
        self._unchecked += 1
        if self._unchecked == _CHECKED_EVERY:
            self._unchecked = 0
            if bool(self._refused.any()):
                self._refuse(int(self._refused.nonzero()[0]))

    def _refuse(self, env: int) -> NoReturn:
        raise InputError(
            f"an action of env {env} is not a number; the policy must return finite "
            "accelerations and curvatures"
        )

    def _of(self, values: Float[Tensor, "all ..."], envs: Int[Tensor, " envs"]) -> Tensor:
        """``values[envs]``, without a copy if these are all."""
        return values if len(envs) == self.envs else values[envs]

    def _obeyed(
        self, envs: Int[Tensor, " envs"], actions: Float[Tensor, "envs 2"]
    ) -> Float[Tensor, "envs 2"]:
        """What reaches the vehicles of what their drivers ask for."""
        if self.config.actuation.delay_frames:
            waiting = torch.cat([self._pending[envs], actions[:, None]], dim=1)
            actions, self._pending[envs] = waiting[:, 0], waiting[:, 1:]
        return actions

    def _advance(self, envs: Int[Tensor, " envs"], actions: Float[Tensor, "envs 2"]) -> None:
        # Where no rows are skipped, finished episodes are among these; nothing changes in them.
        moves = 1 if skips_rows(actions) else self._running(envs)
        frame = self._of(self.frame, envs) + moves
        if self.traffic.reacts:
            self.traffic.advance(envs, frame, self._boxes(envs), self.state[envs, 3])
        others = self.traffic.neighbours(envs, self._of(self.vehicle, envs), frame)
        places = self._move(envs, actions, others)
        sensed = others
        if self.perception is not None:
            self.perception.add(envs, others)
            sensed = self.perception.sensed(envs, others.ego, frame)
        if self.config.observation is not None:
            self._see(places, self._past[places, :3], sensed, self._of(self.road, envs))

    def _move_compiled(
        self, envs: Int[Tensor, " envs"], actions: Float[Tensor, "envs 2"], others: Neighbours
    ) -> Int[Tensor, " envs"]:
        episodes = (
            self.state, self.action, self.size_m, self.frame, self.end_frame, self.vehicle,
            self.road, self.distance_m, self.outcome, self.collision_kind, self.at_fault,
            self.hit_vehicle, self.clearance_m, self.time_to_collision_s, self._cursor,
            self.route_m, self.goal_m, self.enough_m, self.station_m, self._furthest_m,
            self.wrong_way_frames, self.has_lane, self.lane_m, self._limits,
        )  # fmt: skip
        places = torch.empty_like(envs)
        tables = (others.table_boxes, others.table_speed_mps, others.table_vehicle)
        advance_cpu.advance(
            envs, actions, others.row, places,
            shared=(
                tuple(array.numpy() for array in episodes),
                self._past.numpy(),
                tuple(table.contiguous().numpy() for table in tables),
                self.road_map.area.tables,
                np.float32(self.scene.dt_s),
                NEAREST,
                tuple(int(kind) for kind in CollisionKind),
                tuple(int(code) for code in Outcome),
                (np.float32(NODE_SPACING_M), BEHIND, AHEAD),
                self._wrong_way_frames,
                np.float32(IN_LANE_M),
            ),
        )  # fmt: skip
        return places

    @paired(
        _move_compiled, advance_cpu.advance,
        when=lambda self, envs, actions, others: constant_float32(
            self.state, others.table_boxes, self.road_map.area.corners_m
        ),
    )  # fmt: skip
    def _move(
        self, envs: Int[Tensor, " envs"], actions: Float[Tensor, "envs 2"], others: Neighbours
    ) -> Int[Tensor, " envs"]:
        """Moves and judges; the places in the rings of what is sensed after the move."""
        running = self._running(envs)
        before = self.state[envs]
        limits, dt_s = VehicleLimits(self._limits[envs]), self.scene.dt_s
        actions = limits.project(actions, self.action[envs], before[:, 3], dt_s)
        after = kinematics.step(before, actions, dt_s)
        after = torch.where(running[:, None], after, before)
        self.action[envs] = torch.where(running[:, None], actions, self.action[envs])
        self.state[envs] = after
        self.frame[envs] += running
        self.distance_m[envs] += (after[:, :2] - before[:, :2]).norm(dim=1)
        self._touch(envs, others)
        self._follow(envs)
        self.outcome[envs] = torch.where(running, self._judge(envs), self.outcome[envs])
        cursor = (self._cursor[envs] + running) % self._ring
        self._cursor[envs] = cursor
        places = envs * self._ring + cursor
        self._past[places] = after
        return places

    def _running(self, envs: Int[Tensor, " envs"]) -> Bool[Tensor, " envs"]:
        return self._of(self.outcome, envs) == Outcome.RUNNING

    def _touch(self, envs: Int[Tensor, " envs"], others: Neighbours) -> None:
        """Records which vehicle touches the ego, and how near the others are."""
        with torch.inference_mode():
            found = contact(self._boxes(envs), self.state[envs, 3], others)
        self.collision_kind[envs], self.at_fault[envs] = found.kind, found.at_fault
        self.hit_vehicle[envs] = found.vehicle
        self.clearance_m[envs] = found.clearance_m
        self.time_to_collision_s[envs] = found.time_to_collision_s

    def _follow(self, envs: Int[Tensor, " envs"]) -> None:
        """Records how far along its route each ego is, and for how long it has faced against it."""
        before, running = self.station_m[envs], self._running(envs)
        station, along = follow(self.route_m[envs], before, self.state[envs])
        station = torch.where(running, station, before)
        self.station_m[envs] = station
        self._furthest_m[envs] = torch.maximum(self._furthest_m[envs], station)
        against = self.wrong_way_frames[envs] + running
        self.wrong_way_frames[envs] = torch.where(along < 0, against, 0)

    def _judge(self, envs: Int[Tensor, " envs"]) -> Int[Tensor, " envs"]:
        """How the episodes stand now."""
        return outcomes(
            self.station_m[envs], self.goal_m[envs], self.enough_m[envs],
            self.frame[envs] >= self.end_frame[envs], self._in_lane(envs),
            self.wrong_way_frames[envs] >= self._wrong_way_frames,
            self._offroad(envs), self._collided(envs),
        )  # fmt: skip

    @property
    def _wrong_way_frames(self) -> int:
        return seconds_to_frames(WRONG_WAY_S, self.step_s)

    def _in_lane(self, envs: Int[Tensor, " envs"]) -> Bool[Tensor, " envs"]:
        """Whether the egos are in their goals' lanes; True without one."""
        if not self.lane_m.shape[1]:
            return ~self.has_lane[envs]
        place = self._goal(envs).place(self.state[envs, None, :2])
        return (place.lateral_m[:, 0].abs() <= IN_LANE_M) | ~self.has_lane[envs]

    def _goal(self, envs: Int[Tensor, " envs"]) -> Goal:
        return Goal(self.lane_m[envs], self.lane_end_m[envs], self.has_lane[envs])

    @property
    def goal(self) -> Goal | None:
        """The lanes to be in, as they are observed; None where no scenario has one."""
        return self._goal(self._all_envs) if self.lane_m.shape[1] else None

    def _offroad(self, envs: Int[Tensor, " envs"]) -> Bool[Tensor, " envs"]:
        return off_the_road(self._boxes(envs), self.road[envs], self.road_map.area)

    def _collided(self, envs: Int[Tensor, " envs"]) -> Bool[Tensor, " envs"]:
        return self.collision_kind[envs] != CollisionKind.NONE

    def _boxes(self, envs: Int[Tensor, " envs"]) -> Float[Tensor, "envs 5"]:
        return self.ego_box[envs]

    def _result(self, moved: Bool[Tensor, " envs"]) -> StepResult:
        return StepResult(
            moved=moved,
            done=self.done,
            outcome=self.outcome.clone(),
            collision_kind=self.collision_kind.clone(),
            at_fault=self.at_fault.clone(),
            hit_vehicle=self.hit_vehicle.clone(),
            state=self.state.clone(),
            action=self.action.clone(),
            frame=self.frame.clone(),
            steps=self.frame - self.start_frame,
            distance_m=self.distance_m.clone(),
            progress_m=self.progress_m,
            clearance_m=self.clearance_m.clone(),
            time_to_collision_s=self.time_to_collision_s.clone(),
        )

    @property
    def done(self) -> Bool[Tensor, " envs"]:
        """Which episodes have ended."""
        return self.outcome != Outcome.RUNNING

    @property
    def ego_box(self) -> Float[Tensor, "envs 5"]:
        """The ego's box in every episode."""
        return torch.cat([self.state[:, :3], self.size_m], dim=1)

    @property
    def human_state(self) -> Float[Tensor, "envs 4"]:
        """Where the recorded human is at the present frame (its last pose after its track)."""
        return self.scene.state(self.vehicle, self.frame)

    @property
    def progress_m(self) -> Float[Tensor, " envs"]:
        """Furthest station along the route so far, at most its end's, counted from the start."""
        return torch.minimum(self._furthest_m, self.goal_m) - self.start_m

    @property
    def goal_pose(self) -> Float[Tensor, "envs 3"]:
        """Where the routes end: x_m, y_m, heading_rad."""
        return pose_at(self.route_m, self.goal_m)

    @property
    def human_distance_m(self) -> Float[Tensor, " envs"]:
        """Path the recorded human has driven since the start, at the present frame."""
        start, now = self._row(self.start_frame), self._row(self.frame)
        return (self.scene.path_m[now] - self.scene.path_m[start]).float()

    def _row(self, frame: Int[Tensor, " envs"]) -> Int[Tensor, " envs"]:
        row = frame - self.scene.first_frame[self.vehicle] + self.scene.row_pointer[self.vehicle]
        return torch.minimum(row, self.scene.row_pointer[self.vehicle + 1] - 1)

    def sensed_neighbours(self) -> Neighbours:
        """The others as the egos perceive them, for drivers that may look behind the raster."""
        if self.perception is None:
            return self.neighbours()
        return self.perception.sensed(self._all_envs, self.vehicle, self.frame)

    def neighbours(self) -> Neighbours:
        """The others at the present frame, as they are."""
        return self.traffic.neighbours(self._all_envs, self.vehicle, self.frame)

    def present(self) -> Observation:
        """The egos' states alone, without an image: for drivers that look at none."""
        return Observation(
            self.state.new_zeros(self.envs, 1, 3, 0, 0),
            self.state[:, None].clone(),
            self.size_m,
            goal=self.goal,
        )

    def observe(self, pixels: bool = True) -> Observation:
        """What the egos see now and saw before, each image from where the ego then was.

        Args:
            pixels: without, the images have none; see ``images`` for bytes.
        """
        config, rows = self._seen()
        past = self._past.index_select(0, rows).view(self.envs, config.frames, 4)
        if pixels and config.images:
            images = take_fractions(self._images, rows)
        else:
            images = past.new_empty(len(rows), CHANNELS, 0, 0)
        tracks = road = None
        if config.vehicles:
            shape = (self.envs, config.frames)
            tracks = match_tracks(
                self._known[rows].unflatten(0, shape),
                self._known_states[rows].unflatten(0, shape),
                self.scene.size_m,
                config.vehicles,
            )
            road = LocalRoad(self.road_map, self.road)
        images = images.unflatten(0, (self.envs, config.frames))
        return Observation(images, past, self.size_m.clone(), tracks, road, self.goal)

    def images(self) -> UInt8[Tensor, "envs frames 3 rows columns"]:
        """The images of ``observe`` as they are kept: coverage times 255."""
        config, rows = self._seen()
        return take(self._images, rows).unflatten(0, (self.envs, config.frames))

    def _seen(self) -> tuple[ObservationConfig, Int[Tensor, " images"]]:
        """What is observed, and the rows of the rings that hold it."""
        config = self.config.observation
        if config is None:
            raise InputError("this simulator draws no images; give SimulatorConfig an observation")
        first = self._all_envs[:, None] * self._ring
        place = (self._cursor[:, None] - config.lags(self.device)) % self._ring
        return config, (first + place).flatten()


def _started(
    human: Float[Tensor, "n 4"], aside_m: Float[Tensor, " n"], speed_ratio: Float[Tensor, " n"]
) -> Float[Tensor, "n 4"]:
    """States to the left of the human's, at another speed."""
    x, y, heading, speed = human.unbind(1)
    x, y = x - aside_m * heading.sin(), y + aside_m * heading.cos()
    return torch.stack([x, y, heading, speed * speed_ratio], dim=1)
