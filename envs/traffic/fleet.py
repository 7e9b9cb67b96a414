"""Driven traffic: the vehicles' tables, and how vehicles enter and leave."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu.backends.dispatch import selected, skips_rows
from ppuu.driving.gaps import bumper_gap_m
from ppuu.driving.lane_order import NO_VEHICLE
from ppuu.driving.occupied_lanes import flank_lane, two_lanes
from ppuu.geometry import to_local
from ppuu.recordings.lanes import NO_LANE, LaneField, LanePlace
from ppuu.recordings.neighbours import Neighbours
from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene

from .base import Traffic

_SPARE_SLOTS = 32
"""Slots for vehicles that are still on the road when their recorded tracks have ended."""
_QUEUE = 16
_LONGEST_WAIT_S = 5.0
"""A vehicle that has found no room for longer is left out."""
_ENTRY_GAP_M = 2.0
"""About the median jam gap of the fitted drivers."""
_ENTRY_HEADWAY_S = 0.3
_ENTRY_CLOSING_S = 1.5
_ENTRY_SIDE_M = 0.3
_ENTRY_DRIFT_S = 1.5
"""Vehicles that will be side by side in one lane within this time need room, too."""
DEVIATION_M = 0.5
"""A vehicle this far from where it was recorded disturbs those behind it."""

Rows = dict[str, Tensor]
"""Columns of the tables, ``(envs, ...)`` each."""


@dataclass(frozen=True, eq=False)
class Situation:
    """All vehicles of some environments before a step, the ego last.

    Attributes:
        road: of each environment.
        frame: the scene's frame that the step leads to.
        boxes: of the vehicles.
        speed_mps: of the vehicles.
        valid: whether there is a vehicle.
    """

    road: Int[Tensor, " envs"]
    frame: Int[Tensor, " envs"]
    boxes: Float[Tensor, "envs vehicles 5"]
    speed_mps: Float[Tensor, "envs vehicles"]
    valid: Bool[Tensor, "envs vehicles"]


@dataclass(frozen=True, eq=False)
class Appearance:
    """Vehicles that appear in their recorded states.

    Attributes:
        vehicle: the scene's number of each.
        frame: the scene's frame.
        state: x_m, y_m, heading_rad and speed_mps.
        late: whether a vehicle appears later than it was recorded, where its track begins.
    """

    vehicle: Int[Tensor, " n"]
    frame: Int[Tensor, " n"]
    state: Float[Tensor, "n 4"]
    late: Bool[Tensor, " n"]


class Fleet(Traffic):
    """A row of slots for each environment; a vehicle keeps its slot until it leaves.

    Columns of every fleet: ``vehicle`` (scene's number, -1 where free), ``boxes``, ``speed_mps``,
    ``driven`` (by a model; else replayed), ``ego`` (the vehicle that the ego replaces), ``start``
    (the scene's frame where the episode began), ``frame`` (the present one) and ``waiting``
    (vehicles that have found no room yet).

    Vehicles enter where and when they were recorded.  Where there is no room they wait, at most
    5 s, then they are left out, as are vehicles for which no slot is free.

    Args:
        scene: the recordings' tracks.
        recordings: in the same order.

    Raises:
        InputError: a road without lanes.
    """

    def __init__(self, scene: Scene, recordings: Sequence[Recording]):
        device = scene.boxes.device
        self.scene = scene
        self.field = LaneField.build([recording.road for recording in recordings], device)
        self.slots = scene.boxes.shape[1] + _SPARE_SLOTS
        # A vehicle that is in no frame's row was removed from the scene.
        appears = torch.zeros(len(scene.first_frame), dtype=torch.bool, device=device)
        appears[scene.occupant[scene.occupant >= 0]] = True
        order = scene.first_frame.argsort(stable=True)
        self._entrant = order[appears[order]]
        frames = torch.arange(len(scene.boxes) + 1, device=device)
        self._entrant_pointer = torch.searchsorted(scene.first_frame[self._entrant], frames)
        count = self._entrant_pointer.diff()
        # Vehicles in a recording's first frame do not enter: no episode starts before it.
        count[scene.frame_offset[:-1]] = 0
        self._most_entrants = int(count.max())
        self._rows = self._free_rows(0)

    def _free_rows(self, envs: int) -> Rows:
        """Tables without vehicles."""
        scene = self.scene
        boxes = scene.boxes.new_zeros(envs, self.slots, 5)
        boxes[..., 3:] = 1.0
        no_vehicle = scene.occupant.new_full((envs, self.slots), NO_VEHICLE)
        rows = {
            "vehicle": no_vehicle,
            "boxes": boxes,
            "speed_mps": boxes.new_zeros(envs, self.slots),
            "driven": torch.zeros_like(no_vehicle, dtype=torch.bool),
            "ego": no_vehicle.new_zeros(envs),
            "start": no_vehicle.new_zeros(envs),
            "frame": no_vehicle.new_zeros(envs),
            "waiting": no_vehicle.new_full((envs, _QUEUE), NO_VEHICLE),
        }
        return rows | self._further_columns(boxes.new_zeros(envs, self.slots))

    @abstractmethod
    def _further_columns(self, zeros: Float[Tensor, "envs slots"]) -> Rows:
        """Further columns of this kind of traffic, for free slots."""

    @abstractmethod
    def _initial_columns(self, entering: Appearance) -> Rows:
        """``driven`` and further columns of vehicles that appear."""

    @abstractmethod
    def _drive(self, rows: Rows, now: Situation) -> None:
        """Moves all vehicles by one step, in place; those that leave get number -1."""

    def _places(self, now: Situation) -> LanePlace:
        """All vehicles in the coordinates of their lanes."""
        return self.field.look_up(now.boxes[..., 0], now.boxes[..., 1], now.road)

    def _occupied_lanes(
        self, now: Situation, place: LanePlace, lane: Int[Tensor, "envs vehicles"]
    ) -> Int[Tensor, "envs vehicles 2"]:
        """``lane`` and the second lane that a vehicle is in, if any; none for free slots."""
        lanes = two_lanes(lane, place.lane, flank_lane(self.field, now.boxes, place, now.road))
        return torch.where(now.valid[..., None], lanes, NO_LANE)

    def reset(
        self, envs: Int[Tensor, " envs"], ego: Int[Tensor, " envs"], frame: Int[Tensor, " envs"]
    ) -> None:
        """All vehicles are where they were recorded."""
        missing = int(envs.max()) + 1 - len(self._rows["vehicle"])
        if missing > 0:
            more = self._free_rows(missing)
            self._rows = {name: torch.cat([t, more[name]]) for name, t in self._rows.items()}
        rows = self._free_rows(len(envs))
        rows["ego"], rows["start"], rows["frame"] = ego, frame, frame
        occupant = self.scene.occupant[frame]
        env, slot = ((occupant >= 0) & (occupant != ego[:, None])).nonzero(as_tuple=True)
        late = torch.zeros_like(env, dtype=torch.bool)
        self._insert(rows, env, slot, occupant[env, slot], frame[env], late)
        self._keep(envs, rows)

    def advance(
        self,
        envs: Int[Tensor, " envs"],
        frame: Int[Tensor, " envs"],
        ego_box: Float[Tensor, "envs 5"],
        ego_speed_mps: Float[Tensor, "envs"],
    ) -> None:
        """Drives all vehicles by one frame; then others enter.

        Where ``frame`` is the present one already, as in finished episodes, all stays as it is.
        """
        rows = {name: tensor[envs] for name, tensor in self._rows.items()}
        now = Situation(
            road=self.scene.vehicle_recording[rows["ego"]],
            frame=frame,
            boxes=torch.cat([rows["boxes"], ego_box[:, None]], dim=1),
            speed_mps=torch.cat([rows["speed_mps"], ego_speed_mps[:, None]], dim=1),
            valid=torch.nn.functional.pad(rows["vehicle"] >= 0, (0, 1), value=True),
        )
        self._drive(rows, now)
        self._enter(rows, frame, ego_box, ego_speed_mps)
        rows["frame"] = frame
        if not skips_rows(frame):
            kept = {name: tensor[envs] for name, tensor in self._rows.items()}
            moves = frame > kept["frame"]
            rows = {n: torch.where(_like(moves, t), t, kept[n]) for n, t in rows.items()}
        self._keep(envs, rows)

    def _keep(self, envs: Int[Tensor, " envs"], rows: Rows) -> None:
        # Not in place: neighbours that were returned before must not change.
        self._rows = {n: t.index_copy(0, envs, rows[n]) for n, t in self._rows.items()}

    def _insert(
        self,
        rows: Rows,
        env: Int[Tensor, " n"],
        slot: Int[Tensor, " n"],
        vehicle: Int[Tensor, " n"],
        frame: Int[Tensor, " n"],
        late: Bool[Tensor, " n"],
    ) -> None:
        """Puts vehicles where they were recorded, late ones where their tracks begin."""
        state = self.scene.state(vehicle, frame - late * (frame - self.scene.first_frame[vehicle]))
        entering = Appearance(vehicle, frame, state, late)
        values = {
            "vehicle": vehicle,
            "boxes": torch.cat([state[:, :3], self.scene.size_m[vehicle]], dim=1),
            "speed_mps": state[:, 3],
        }
        for name, value in (values | self._initial_columns(entering)).items():
            # An additional slot takes what must not be written.
            column = rows[name]
            spare = column if skips_rows(column) else torch.cat([column, column[:, :1]], dim=1)
            spare[env, slot] = value
            rows[name] = spare[:, : self.slots]

    def _enter(
        self,
        rows: Rows,
        frame: Int[Tensor, " envs"],
        ego_box: Float[Tensor, "envs 5"],
        ego_speed_mps: Float[Tensor, " envs"],
    ) -> None:
        """Adds vehicles that are due or have waited, as far as there is room."""
        queue = _packed(torch.cat([rows["waiting"], self._due(frame, rows["ego"])], dim=1))
        count = (queue >= 0).sum(1)
        (env,), _ = selected(count > 0)
        if not len(env):
            return
        longest = int(count.max()) if skips_rows(count) else queue.shape[1]
        vehicle, taken = queue[env, :longest], rows["vehicle"][env] >= 0
        since = frame[env, None] - self.scene.first_frame[vehicle.clamp(min=0)]
        waited = torch.where(vehicle >= 0, since, 0)
        room = self._room(
            {name: column[env] for name, column in rows.items()},
            vehicle, waited > 0, frame[env], ego_box[env], ego_speed_mps[env],
        )  # fmt: skip
        free = taken.to(torch.int8).argsort(dim=1, stable=True)
        rank = (room.cumsum(1) - 1).clamp(0, self.slots - 1)
        slot = free.gather(1, rank)
        enters = room & ~taken.gather(1, slot)
        (row, column), counts = selected(enters)
        self._insert(
            rows, env[row], torch.where(counts, slot[row, column], self.slots),
            vehicle[row, column].clamp(min=0), frame[env[row]], waited[row, column] > 0,
        )  # fmt: skip
        gone = enters | (waited * self.scene.dt_s > _LONGEST_WAIT_S)
        queue[env, :longest] = torch.where(gone, NO_VEHICLE, vehicle)
        rows["waiting"] = _packed(queue)[:, :_QUEUE]

    def _due(
        self, frame: Int[Tensor, " envs"], ego: Int[Tensor, " envs"]
    ) -> Int[Tensor, "envs entrants"]:
        """Vehicles whose tracks begin at a frame, -1 for none."""
        index = torch.arange(self._most_entrants, device=frame.device)
        index = self._entrant_pointer[frame, None] + index
        due = index < self._entrant_pointer[frame + 1, None]
        vehicle = self._entrant[index.clamp(max=max(0, len(self._entrant) - 1))]
        return torch.where(due & (vehicle != ego[:, None]), vehicle, NO_VEHICLE)

    def _room(
        self,
        rows: Rows,
        vehicle: Int[Tensor, "envs queue"],
        late: Bool[Tensor, "envs queue"],
        frame: Int[Tensor, " envs"],
        ego_box: Float[Tensor, "envs 5"],
        ego_speed_mps: Float[Tensor, " envs"],
    ) -> Bool[Tensor, "envs queue"]:
        """Whether each candidate has room among the vehicles and the candidates before it.

        Between replayed vehicles there is the room that was recorded.
        """
        scene, candidate = self.scene, vehicle >= 0
        vehicle = vehicle.clamp(min=0)
        state = scene.state(vehicle, scene.first_frame[vehicle])
        box, speed = torch.cat([state[..., :3], scene.size_m[vehicle]], dim=-1), state[..., 3]
        now = frame[:, None].expand_as(vehicle)
        entering = Appearance(vehicle.flatten(), now.flatten(), state.flatten(0, 1), late.flatten())
        is_driven = self._initial_columns(entering)["driven"].view(vehicle.shape)
        counts = (rows["vehicle"] >= 0)[:, None] & (rows["driven"][:, None] | is_driven[..., None])
        others = rows["boxes"][:, None], rows["speed_mps"][:, None]
        free = candidate & ~_too_close(box, speed, *others, counts)
        deviates = is_driven | self._ego_deviates(rows["ego"], frame, ego_box)[:, None]
        ego = ego_box[:, None, None], ego_speed_mps[:, None, None]
        free &= ~_too_close(box, speed, *ego, deviates[..., None])
        number = torch.arange(vehicle.shape[1], device=vehicle.device)
        before = candidate[:, None] & (number[:, None] > number)
        before = before & (is_driven[..., None] | is_driven[:, None])
        return free & ~_too_close(box, speed, box[:, None], speed[:, None], before)

    def _ego_deviates(
        self,
        ego: Int[Tensor, " envs"],
        frame: Int[Tensor, " envs"],
        ego_box: Float[Tensor, "envs 5"],
    ) -> Bool[Tensor, " envs"]:
        """Whether the ego is not where the human was at the frame before ``frame``."""
        human = self.scene.state(ego, frame - 1)
        ended = frame - 1 > self.scene.last_frame[ego]
        return ended | ((ego_box[:, :2] - human[:, :2]).norm(dim=1) > DEVIATION_M)

    def neighbours(
        self, envs: Int[Tensor, " envs"], ego: Int[Tensor, " envs"], frame: Int[Tensor, " envs"]
    ) -> Neighbours:
        """Rows of the tables."""
        rows = self._rows
        return Neighbours(rows["boxes"], rows["speed_mps"], rows["vehicle"], row=envs, ego=ego)

    def around(
        self, envs: Int[Tensor, " copies"], ego_box: Float[Tensor, "copies 5"], most: int
    ) -> Fleet:
        """See ``Traffic``; without all other vehicles."""
        rows = {name: column[envs] for name, column in self._rows.items()}
        far = (rows["boxes"][..., :2] - ego_box[:, None, :2]).square().sum(-1)
        far = torch.where(rows["vehicle"] >= 0, far, torch.inf)
        slot = far.topk(min(most, self.slots), dim=1, largest=False).indices
        row = torch.arange(len(envs), device=envs.device)[:, None]
        for name, column in rows.items():
            if column.shape[1:2] == (self.slots,) and name != "waiting":
                rows[name] = column[row, slot]
        other = copy.copy(self)
        other.slots, other._rows = slot.shape[1], rows
        return other

    def state_dict(self) -> dict[str, Tensor]:
        """The tables."""
        return dict(self._rows)

    def with_state(self, state: Mapping[str, Tensor]) -> Fleet:
        """The same traffic model with other tables."""
        other = copy.copy(self)
        other._rows = dict(state)
        return other


def _packed(queue: Int[Tensor, "envs queue"]) -> Int[Tensor, "envs queue"]:
    """The vehicles of a queue first, in their order."""
    order = (queue < 0).to(torch.int8).argsort(dim=1, stable=True)
    return queue.gather(1, order)


def _like(mask: Bool[Tensor, " envs"], column: Tensor) -> Tensor:
    """With as many dimensions as a column, to choose its rows."""
    return mask.view(-1, *[1] * (column.dim() - 1))


def is_past_its_lane(place: LanePlace) -> Bool[Tensor, "*batch"]:
    """Whether vehicles are beyond the end of a lane that leads off the road, or off the road."""
    return (place.to_end_m <= 0.0) & ~place.closes | (place.width_m <= 0.0)


def _too_close(
    box: Float[Tensor, "envs queue 5"],
    speed_mps: Float[Tensor, "envs queue"],
    others: Float[Tensor, "envs #queue others 5"],
    other_speed_mps: Float[Tensor, "envs #queue others"],
    counts: Bool[Tensor, "envs queue others"],
) -> Bool[Tensor, "envs queue"]:
    """Whether a vehicle that ``counts`` is nearer than the gap needed for following."""
    local = to_local(others, box[..., None, :])
    # How wide the others are across, and how far they come nearer sideways.
    turned = local[..., 2].sin()
    across = others[..., 3] * turned.abs() + others[..., 4]
    drift = other_speed_mps * turned * _ENTRY_DRIFT_S
    nearest = torch.where(local[..., 1] > 0, drift.clamp(max=0.0), -drift.clamp(min=0.0))
    nearest = local[..., 1].abs() + nearest
    beside = nearest < 0.5 * (across + box[..., None, 4]) + _ENTRY_SIDE_M
    gap = bumper_gap_m(local[..., 0].abs(), others[..., 3], box[..., None, 3])
    own, other = speed_mps[..., None].expand_as(gap), other_speed_mps.expand_as(gap)
    behind = local[..., 0] < 0
    follower = torch.where(behind, other, own)
    closing = (follower - torch.where(behind, own, other)).clamp(min=0.0)
    needed = _ENTRY_GAP_M + _ENTRY_HEADWAY_S * follower + _ENTRY_CLOSING_S * closing
    return (counts & beside & (gap < needed)).any(-1)
