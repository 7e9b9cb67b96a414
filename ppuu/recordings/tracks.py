"""The vehicles around the ego as tracks: who they are, where they are, where they were."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..kinematics import step
from .neighbours import Neighbours
from .scene import Scene


@dataclass(frozen=True, eq=False)
class Tracks:
    """The nearest vehicles' histories, oldest first, in the world.

    A slot keeps its vehicle over all frames; free slots hold vehicle -1 and are present nowhere.

    Attributes:
        states: ``(batch, slots, frames, 4)`` x_m, y_m, heading_rad, speed_mps.
        present: ``(batch, slots, frames)`` whether it was seen at that frame.
        size_m: ``(batch, slots, 2)`` length and width.
        vehicle: ``(batch, slots)`` its number in the scene.
    """

    states: Float[Tensor, "batch slots frames 4"]
    present: Bool[Tensor, "batch slots frames"]
    size_m: Float[Tensor, "batch slots 2"]
    vehicle: Int[Tensor, "batch slots"]

    @property
    def now(self) -> Float[Tensor, "batch slots 4"]:
        """Present states."""
        return self.states[:, :, -1]

    @property
    def here(self) -> Bool[Tensor, "batch slots"]:
        """Which slots hold a vehicle."""
        return self.present[:, :, -1]

    def take(self, rows: Int[Tensor, " some"]) -> Tracks:
        """Some elements of the batch."""
        return Tracks(*(value[rows] for value in vars(self).values()))

    def repeat(self, copies: int) -> Tracks:
        """Every element of the batch ``copies`` times in a row."""
        return Tracks(*(value.repeat_interleave(copies, 0) for value in vars(self).values()))

    def followed_by(self, states: Float[Tensor, "batch slots 4"]) -> Tracks:
        """The tracks one frame later; the oldest frame drops out."""
        return Tracks(
            torch.cat([self.states[:, :, 1:], states[:, :, None]], dim=2),
            torch.cat([self.present[:, :, 1:], self.present[:, :, -1:]], dim=2),
            self.size_m,
            self.vehicle,
        )


def nearest(
    neighbours: Neighbours, ego_m: Float[Tensor, "batch 2"], slots: int
) -> tuple[Int[Tensor, "batch slots"], Bool[Tensor, "batch slots"]]:
    """Columns of the ``slots`` vehicles nearest to the ego, nearest first, and which are any."""
    apart = (neighbours.boxes[..., :2] - ego_m[:, None]).square().sum(-1)
    apart = apart.masked_fill(~neighbours.present, torch.inf)
    if apart.shape[1] < slots:
        apart = torch.nn.functional.pad(apart, (0, slots - apart.shape[1]), value=torch.inf)
    apart, column = apart.topk(slots, dim=1, largest=False)
    there = apart.isfinite()
    return torch.where(there, column, 0), there


def recorded_tracks(
    scene: Scene,
    ego: Int[Tensor, " batch"],
    ego_m: Float[Tensor, "batch 2"],
    frame: Int[Tensor, " batch"],
    lags: Int[Tensor, " frames"],
    slots: int,
) -> Tracks:
    """Histories of those who are nearest to an ego at a frame.

    Args:
        scene: the recordings.
        ego: the recorded vehicle that does not count.
        ego_m: where the ego is.
        frame: the present, a global frame.
        lags: how many frames ago each entry of the history was.
        slots: how many vehicles.
    """
    found = scene.neighbours(frame, ego)
    column, there = nearest(found, ego_m, slots)
    vehicle = torch.where(there, found.vehicle.gather(1, column), -1)
    states, present = states_at(scene, vehicle, frame[:, None] - lags)
    size = scene.size_m[vehicle.clamp(min=0)]
    return Tracks(states, present, torch.where(there[..., None], size, 1.0), vehicle)


def remembered(
    neighbours: Neighbours, ego_m: Float[Tensor, "batch 2"], slots: int
) -> tuple[Int[Tensor, "batch slots"], Float[Tensor, "batch slots 4"]]:
    """Numbers (-1 for nobody) and states of the nearest, as a simulator keeps them for later."""
    column, there = nearest(neighbours, ego_m, slots)
    states = torch.cat([neighbours.boxes[..., :3], neighbours.speed_mps[..., None]], dim=-1)
    states = states.gather(1, column[..., None].expand(-1, -1, 4))
    return torch.where(there, neighbours.vehicle.gather(1, column), -1), states


def matched(
    vehicle: Int[Tensor, "batch frames kept"],
    states: Float[Tensor, "batch frames kept 4"],
    size_m: Float[Tensor, "vehicles 2"],
    slots: int,
) -> Tracks:
    """Tracks of those who are nearest in the last frame, found again in the earlier ones.

    Args:
        vehicle, states: ``remembered`` at each frame, oldest first.
        size_m: of every vehicle of the scene.
        slots: how many vehicles; more are kept, so that who comes nearer has a past.
    """
    now = vehicle[:, -1, :slots]
    same = (now[:, :, None, None] == vehicle[:, None]) & (now >= 0)[:, :, None, None]
    present, column = same.max(dim=3)
    batch, frames = vehicle.shape[:2]
    row = torch.arange(batch * frames, device=now.device).view(batch, 1, frames)
    found = states.flatten(0, 1)[row.expand_as(column), column]
    found = torch.where(present[..., None], found, states[:, -1, :slots, None])
    size = torch.where((now >= 0)[..., None], size_m[now.clamp(min=0)], 1.0)
    return Tracks(found, present, size, now)


def states_beyond(
    scene: Scene, vehicle: Int[Tensor, "batch slots"], frame: Int[Tensor, "batch frames"]
) -> Float[Tensor, "batch slots frames 4"]:
    """States at global frames; who has left the recording drives straight on as it last was.

    Rather than stand in everybody's way, where nobody was.
    """
    states, _ = states_at(scene, vehicle, frame)
    last = scene.last_frame[vehicle.clamp(min=0)]
    late_s = (frame[:, None] - last[..., None]).clamp(min=0) * scene.dt_s
    return step(states, torch.zeros_like(states[..., :2]), late_s)


def states_at(
    scene: Scene, vehicle: Int[Tensor, "batch slots"], frame: Int[Tensor, "batch frames"]
) -> tuple[Float[Tensor, "batch slots frames 4"], Bool[Tensor, "batch slots frames"]]:
    """States of vehicles at global frames, and whether they were recorded then.

    Outside its track a vehicle has the nearest state of it; number -1 is nobody.
    """
    known = vehicle.clamp(min=0)[..., None].expand(-1, -1, frame.shape[1])
    frame = frame[:, None].expand_as(known)
    recorded = (frame >= scene.first_frame[known]) & (frame <= scene.last_frame[known])
    return scene.state(known, frame), recorded & (vehicle >= 0)[..., None]
