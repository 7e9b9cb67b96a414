"""Tracks: states of the vehicles around the ego over the frames of a history."""

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
    """Histories of the nearest vehicles in world coordinates, oldest frame first.

    A slot holds the same vehicle in all frames; free slots hold vehicle -1 and are never valid.

    Attributes:
        states: ``(batch, slots, frames, 4)`` x_m, y_m, heading_rad, speed_mps.
        valid: ``(batch, slots, frames)`` whether the vehicle was recorded at that frame.
        size_m: ``(batch, slots, 2)`` length and width.
        vehicle: ``(batch, slots)`` index in the scene.
    """

    states: Float[Tensor, "batch slots frames 4"]
    valid: Bool[Tensor, "batch slots frames"]
    size_m: Float[Tensor, "batch slots 2"]
    vehicle: Int[Tensor, "batch slots"]

    @property
    def now(self) -> Float[Tensor, "batch slots 4"]:
        """States at the current frame."""
        return self.states[:, :, -1]

    @property
    def valid_now(self) -> Bool[Tensor, "batch slots"]:
        """Which slots hold a vehicle at the current frame."""
        return self.valid[:, :, -1]

    def take(self, rows: Int[Tensor, " some"]) -> Tracks:
        """Selected elements of the batch."""
        return Tracks(*(value[rows] for value in vars(self).values()))

    def repeat(self, copies: int) -> Tracks:
        """Every element of the batch ``copies`` times in a row."""
        return Tracks(*(value.repeat_interleave(copies, 0) for value in vars(self).values()))

    def followed_by(self, states: Float[Tensor, "batch slots 4"]) -> Tracks:
        """The tracks one frame later; the oldest frame drops out."""
        return Tracks(
            torch.cat([self.states[:, :, 1:], states[:, :, None]], dim=2),
            torch.cat([self.valid[:, :, 1:], self.valid[:, :, -1:]], dim=2),
            self.size_m,
            self.vehicle,
        )


def nearest_slots(
    neighbours: Neighbours, ego_m: Float[Tensor, "batch 2"], slots: int
) -> tuple[Int[Tensor, "batch slots"], Bool[Tensor, "batch slots"]]:
    """Columns of the ``slots`` vehicles nearest to the ego by distance, and which are valid."""
    distance = (neighbours.boxes[..., :2] - ego_m[:, None]).square().sum(-1)
    distance = distance.masked_fill(~neighbours.valid, torch.inf)
    if distance.shape[1] < slots:
        distance = torch.nn.functional.pad(
            distance, (0, slots - distance.shape[1]), value=torch.inf
        )
    distance, column = distance.topk(slots, dim=1, largest=False)
    valid = distance.isfinite()
    return torch.where(valid, column, 0), valid


def recorded_tracks(
    scene: Scene,
    ego: Int[Tensor, " batch"],
    ego_m: Float[Tensor, "batch 2"],
    frame: Int[Tensor, " batch"],
    lags: Int[Tensor, " frames"],
    slots: int,
) -> Tracks:
    """Recorded histories of the vehicles nearest to the ego.

    Args:
        scene: the recordings.
        ego: the recorded vehicle that the ego replaces.
        ego_m: position of the ego.
        frame: the current global frame.
        lags: age of each frame of the history, in frames.
        slots: number of vehicles.
    """
    neighbours = scene.neighbours(frame, ego)
    column, valid = nearest_slots(neighbours, ego_m, slots)
    vehicle = torch.where(valid, neighbours.vehicle.gather(1, column), -1)
    states, recorded = states_at(scene, vehicle, frame[:, None] - lags)
    size = scene.size_m[vehicle.clamp(min=0)]
    return Tracks(states, recorded, torch.where(valid[..., None], size, 1.0), vehicle)


def nearest_tracks(
    neighbours: Neighbours, ego_m: Float[Tensor, "batch 2"], slots: int
) -> tuple[Int[Tensor, "batch slots"], Float[Tensor, "batch slots 4"]]:
    """Indices (-1 where free) and states of the nearest vehicles, as stored by a simulator."""
    column, valid = nearest_slots(neighbours, ego_m, slots)
    states = torch.cat([neighbours.boxes[..., :3], neighbours.speed_mps[..., None]], dim=-1)
    states = states.gather(1, column[..., None].expand(-1, -1, 4))
    return torch.where(valid, neighbours.vehicle.gather(1, column), -1), states


def match_tracks(
    vehicle: Int[Tensor, "batch frames kept"],
    states: Float[Tensor, "batch frames kept 4"],
    size_m: Float[Tensor, "vehicles 2"],
    slots: int,
) -> Tracks:
    """Tracks of the nearest vehicles of the last frame, by matching indices in earlier frames.

    Args:
        vehicle, states: ``nearest_tracks`` of each frame, oldest first.
        size_m: of every vehicle of the scene.
        slots: number of vehicles; more are stored, so that approaching vehicles have a history.
    """
    current = vehicle[:, -1, :slots]
    same = (current[:, :, None, None] == vehicle[:, None]) & (current >= 0)[:, :, None, None]
    valid, column = same.max(dim=3)
    batch, frames = vehicle.shape[:2]
    row = torch.arange(batch * frames, device=current.device).view(batch, 1, frames)
    matched = states.flatten(0, 1)[row.expand_as(column), column]
    matched = torch.where(valid[..., None], matched, states[:, -1, :slots, None])
    size = torch.where((current >= 0)[..., None], size_m[current.clamp(min=0)], 1.0)
    return Tracks(matched, valid, size, current)


def extrapolated_states(
    scene: Scene, vehicle: Int[Tensor, "batch slots"], frame: Int[Tensor, "batch frames"]
) -> Float[Tensor, "batch slots frames 4"]:
    """States at global frames, extrapolated at constant velocity after the end of a track.

    Otherwise vehicles that leave the recording would stop at their last position.
    """
    states, _ = states_at(scene, vehicle, frame)
    last = scene.last_frame[vehicle.clamp(min=0)]
    elapsed_s = (frame[:, None] - last[..., None]).clamp(min=0) * scene.dt_s
    return step(states, torch.zeros_like(states[..., :2]), elapsed_s)


def states_at(
    scene: Scene, vehicle: Int[Tensor, "batch slots"], frame: Int[Tensor, "batch frames"]
) -> tuple[Float[Tensor, "batch slots frames 4"], Bool[Tensor, "batch slots frames"]]:
    """States of vehicles at global frames, and whether they were recorded then.

    Outside its track a vehicle has the track's nearest state; index -1 is a free slot.
    """
    index = vehicle.clamp(min=0)[..., None].expand(-1, -1, frame.shape[1])
    frame = frame[:, None].expand_as(index)
    recorded = (frame >= scene.first_frame[index]) & (frame <= scene.last_frame[index])
    return scene.state(index, frame), recorded & (vehicle >= 0)[..., None]
