"""Others that are driven: their tables, and how vehicles enter and leave."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu.geometry import to_local
from ppuu.recordings.lanes import LaneField
from ppuu.recordings.neighbours import Neighbours
from ppuu.recordings.road import Road
from ppuu.recordings.scene import Scene

from .base import Traffic
from .idm import Idm, fastest_recorded_mps
from .lane_order import NOBODY

_SPARE_SLOTS = 32
"""Places for those who are still there after their recorded selves have left."""
_QUEUE = 16
_PATIENCE_S = 5.0
"""A vehicle that has found no room for so long is left out."""
_ENTRY_HEADWAY_S = 0.3
_ENTRY_CLOSING_S = 1.5
_ENTRY_SIDE_M = 0.3

Rows = dict[str, Tensor]
"""Columns of the tables, ``(envs, ...)`` each."""


class Fleet(Traffic):
    """A row of slots for each environment; a vehicle keeps its slot while it is there.

    Columns of every fleet: ``vehicle`` (scene's number, -1 where free), ``boxes``, ``speed_mps``,
    ``driven`` (by a model; else replayed), ``ego`` (the vehicle taken out) and ``waiting`` (those
    who have found no room yet).

    Vehicles enter where and when they were recorded.  Where there is no room they wait, at most
    5 s, then they are left out; so are those for whom no slot is free.

    Args:
        scene: the recordings.
        roads: their roads, in the same order.
        idm: how everybody follows.

    Raises:
        InputError: a road without lanes.
    """

    def __init__(self, scene: Scene, roads: Sequence[Road], idm: Idm | None = None):
        device = scene.boxes.device
        self.scene, self.idm = scene, idm or Idm()
        self.field = LaneField.build(roads, device)
        self.desired_mps = fastest_recorded_mps(scene.states[:, 3], scene.row_pointer)
        self.slots = scene.boxes.shape[1] + _SPARE_SLOTS
        # Whoever stands in no frame's row was taken out of the scene.
        appears = torch.zeros(len(scene.first_frame), dtype=torch.bool, device=device)
        appears[scene.occupant[scene.occupant >= 0]] = True
        order = scene.first_frame.argsort(stable=True)
        self._entrant = order[appears[order]]
        frames = torch.arange(len(scene.boxes) + 1, device=device)
        self._entrant_pointer = torch.searchsorted(scene.first_frame[self._entrant], frames)
        count = self._entrant_pointer.diff()
        # Who is there in a recording's first frame does not enter: no episode starts before it.
        count[scene.frame_offset[:-1]] = 0
        self._most_entrants = int(count.max())
        self._rows = self._free_rows(0)

    def _free_rows(self, envs: int) -> Rows:
        """Tables without anybody."""
        scene = self.scene
        boxes = scene.boxes.new_zeros(envs, self.slots, 5)
        boxes[..., 3:] = 1.0
        nobody = scene.occupant.new_full((envs, self.slots), NOBODY)
        rows = {
            "vehicle": nobody,
            "boxes": boxes,
            "speed_mps": boxes.new_zeros(envs, self.slots),
            "driven": torch.zeros_like(nobody, dtype=torch.bool),
            "ego": nobody.new_zeros(envs),
            "waiting": nobody.new_full((envs, _QUEUE), NOBODY),
        }
        return rows | self._own_columns(boxes.new_zeros(envs, self.slots))

    @abstractmethod
    def _own_columns(self, zeros: Float[Tensor, "envs slots"]) -> Rows:
        """What this kind of driver remembers besides, where nobody is."""

    @abstractmethod
    def _settle(
        self,
        vehicle: Int[Tensor, " n"],
        frame: Int[Tensor, " n"],
        state: Float[Tensor, "n 4"],
        late: Bool[Tensor, " n"],
    ) -> Rows:
        """``driven`` and own columns of vehicles that appear in their recorded states."""

    @abstractmethod
    def _drive(
        self,
        rows: Rows,
        road: Int[Tensor, " envs"],
        frame: Int[Tensor, " envs"],
        boxes: Float[Tensor, "envs vehicles 5"],
        speed_mps: Float[Tensor, "envs vehicles"],
    ) -> None:
        """Moves all to ``frame``, in place; ``vehicle`` becomes -1 for those who leave.

        ``boxes`` and ``speed_mps`` are everybody's before, the ego's last.
        """

    def reset(
        self, envs: Int[Tensor, " envs"], ego: Int[Tensor, " envs"], frame: Int[Tensor, " envs"]
    ) -> None:
        """Everybody stands as recorded."""
        missing = int(envs.max()) + 1 - len(self._rows["vehicle"])
        if missing > 0:
            more = self._free_rows(missing)
            self._rows = {name: torch.cat([t, more[name]]) for name, t in self._rows.items()}
        rows = self._free_rows(len(envs))
        rows["ego"] = ego
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
        """Drives everybody by one frame; then some enter."""
        rows = {name: tensor[envs] for name, tensor in self._rows.items()}
        boxes = torch.cat([rows["boxes"], ego_box[:, None]], dim=1)
        speed = torch.cat([rows["speed_mps"], ego_speed_mps[:, None]], dim=1)
        road = self.scene.vehicle_recording[rows["ego"]]
        self._drive(rows, road, frame, boxes, speed)
        self._enter(rows, frame, ego_box, ego_speed_mps)
        self._keep(envs, rows)

    def _keep(self, envs: Int[Tensor, " envs"], rows: Rows) -> None:
        # Not in place: whoever has asked for the neighbours before keeps what he was given.
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
        """Puts vehicles where they were recorded, those who are late where they first were."""
        state = self.scene.state(vehicle, frame - late * (frame - self.scene.first_frame[vehicle]))
        values = {
            "vehicle": vehicle,
            "boxes": torch.cat([state[:, :3], self.scene.size_m[vehicle]], dim=1),
            "speed_mps": state[:, 3],
        }
        for name, value in (values | self._settle(vehicle, frame, state, late)).items():
            rows[name][env, slot] = value

    def _enter(
        self,
        rows: Rows,
        frame: Int[Tensor, " envs"],
        ego_box: Float[Tensor, "envs 5"],
        ego_speed_mps: Float[Tensor, " envs"],
    ) -> None:
        """Lets those in who are due or have waited, as far as there is room."""
        queue = torch.cat([rows["waiting"], self._due(frame, rows["ego"])], dim=1)
        env, place = (queue >= 0).nonzero(as_tuple=True)
        if not len(env):
            return
        vehicle = queue[env, place]
        waited = frame[env] - self.scene.first_frame[vehicle]
        late = waited > 0
        enters = self._room(rows, env, vehicle, late, frame, ego_box, ego_speed_mps)
        free = (rows["vehicle"] < 0).to(torch.int8).argsort(dim=1, descending=True, stable=True)
        entering = torch.zeros_like(queue)
        entering[env, place] = enters.long()
        rank = (entering.cumsum(1) - 1)[env, place].clamp(0, self.slots - 1)
        slot = free[env, rank]
        enters = enters & (rows["vehicle"][env, slot] < 0)
        chosen = (part[enters] for part in (env, slot, vehicle, frame[env], late))
        self._insert(rows, *chosen)
        gone = enters | (waited * self.scene.dt_s > _PATIENCE_S)
        queue[env[gone], place[gone]] = NOBODY
        order = (queue >= 0).to(torch.int8).argsort(dim=1, descending=True, stable=True)
        rows["waiting"] = queue.gather(1, order)[:, :_QUEUE]

    def _due(
        self, frame: Int[Tensor, " envs"], ego: Int[Tensor, " envs"]
    ) -> Int[Tensor, "envs entrants"]:
        """Vehicles whose tracks begin at a frame, -1 for none."""
        index = torch.arange(self._most_entrants, device=frame.device)
        index = self._entrant_pointer[frame, None] + index
        due = index < self._entrant_pointer[frame + 1, None]
        vehicle = self._entrant[index.clamp(max=max(0, len(self._entrant) - 1))]
        return torch.where(due & (vehicle != ego[:, None]), vehicle, NOBODY)

    def _room(
        self,
        rows: Rows,
        env: Int[Tensor, " n"],
        vehicle: Int[Tensor, " n"],
        late: Bool[Tensor, " n"],
        frame: Int[Tensor, " envs"],
        ego_box: Float[Tensor, "envs 5"],
        ego_speed_mps: Float[Tensor, " envs"],
    ) -> Bool[Tensor, " n"]:
        """Whether each candidate has room among those there and the candidates before it.

        Replayed vehicles leave each other the room that was recorded.
        """
        scene = self.scene
        state = scene.state(vehicle, scene.first_frame[vehicle])
        box = torch.cat([state[:, :3], scene.size_m[vehicle]], dim=1)
        is_driven = self._settle(vehicle, frame[env], state, late)["driven"]
        there = rows["vehicle"][env] >= 0
        counts = there & (rows["driven"][env] | is_driven[:, None])
        free = ~_too_close(box, state[:, 3], rows["boxes"][env], rows["speed_mps"][env], counts)
        strayed = is_driven | self._strayed(rows["ego"], frame, ego_box)[env]
        free &= ~_too_close(
            box, state[:, 3], ego_box[env, None], ego_speed_mps[env, None], strayed[:, None]
        )
        before = (env[:, None] == env).tril(-1) & (is_driven[:, None] | is_driven)
        others = (box[None].expand(len(box), -1, -1), state[None, :, 3].expand(len(box), -1))
        return free & ~_too_close(box, state[:, 3], *others, before)

    def _strayed(
        self,
        ego: Int[Tensor, " envs"],
        frame: Int[Tensor, " envs"],
        ego_box: Float[Tensor, "envs 5"],
    ) -> Bool[Tensor, " envs"]:
        """Whether the ego is not where the human was, at the frame before ``frame``."""
        human = self.scene.state(ego, frame - 1)
        ended = frame - 1 > self.scene.last_frame[ego]
        return ended | ((ego_box[:, :2] - human[:, :2]).norm(dim=1) > STRAYED_M)

    def neighbours(
        self, envs: Int[Tensor, " envs"], ego: Int[Tensor, " envs"], frame: Int[Tensor, " envs"]
    ) -> Neighbours:
        """Rows of the tables."""
        rows = self._rows
        return Neighbours(rows["boxes"], rows["speed_mps"], rows["vehicle"], row=envs, ego=ego)

    def state_dict(self) -> dict[str, Tensor]:
        """The tables."""
        return dict(self._rows)

    def with_state(self, state: Mapping[str, Tensor]) -> Fleet:
        """The same drivers with other tables."""
        other = copy.copy(self)
        other._rows = dict(state)
        return other


STRAYED_M = 0.5
"""A vehicle this far from where it was recorded disturbs those behind it."""


def _too_close(
    box: Float[Tensor, "n 5"],
    speed_mps: Float[Tensor, " n"],
    others: Float[Tensor, "n others 5"],
    other_speed_mps: Float[Tensor, "n others"],
    counts: Bool[Tensor, "n others"],
) -> Bool[Tensor, " n"]:
    """Whether anybody who counts is nearer than one would follow."""
    local = to_local(others, box[:, None])
    beside = local[..., 1].abs() < 0.5 * (others[..., 4] + box[:, None, 4]) + _ENTRY_SIDE_M
    gap = local[..., 0].abs() - 0.5 * (others[..., 3] + box[:, None, 3])
    own = speed_mps[:, None].expand_as(gap)
    behind = local[..., 0] < 0
    follower = torch.where(behind, other_speed_mps, own)
    closing = (follower - torch.where(behind, own, other_speed_mps)).clamp(min=0.0)
    needed = Idm().jam_gap_m + _ENTRY_HEADWAY_S * follower + _ENTRY_CLOSING_S * closing
    return (counts & beside & (gap < needed)).any(1)
