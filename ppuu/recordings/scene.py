"""Recordings as dense tensors, for batched look-ups of vehicles by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..runtime.errors import InputError
from .neighbours import Neighbours
from .recording import Recording, require_one_frame_rate


@dataclass(frozen=True, eq=False)
class Scene:
    """Several recordings with global indices of frames and vehicles.

    Every frame has a row of slots, one for each vehicle; free slots hold vehicle -1.  There are two
    look-ups: all boxes at a frame, and the state of a vehicle at a frame.

    Attributes:
        boxes: ``(frames, slots, 5)`` x_m, y_m, heading_rad, length_m, width_m.
        speed_mps: ``(frames, slots)``.
        occupant: ``(frames, slots)`` global index of the vehicle, -1 where free.
        states: ``(rows, 4)`` states of all tracks, concatenated.
        row_pointer: ``(vehicles + 1,)`` into ``states``.
        first_frame: ``(vehicles,)`` global frame of each track's first row.
        size_m: ``(vehicles, 2)`` length and width.
        vehicle_recording: ``(vehicles,)`` index of a vehicle's recording.
        frame_offset, vehicle_offset: ``(recordings + 1,)`` first global index of a recording.
        dt_s: seconds between frames, the same for all.
    """

    boxes: Float[Tensor, "frames slots 5"]
    speed_mps: Float[Tensor, "frames slots"]
    occupant: Int[Tensor, "frames slots"]
    states: Float[Tensor, "rows 4"]
    row_pointer: Int[Tensor, " vehicles_1"]
    first_frame: Int[Tensor, " vehicles"]
    size_m: Float[Tensor, "vehicles 2"]
    vehicle_recording: Int[Tensor, " vehicles"]
    frame_offset: Int[Tensor, " recordings_1"]
    vehicle_offset: Int[Tensor, " recordings_1"]
    dt_s: float

    @classmethod
    def build(cls, recordings: Sequence[Recording], device: torch.device | str = "cpu") -> Scene:
        """Builds the tensors on ``device``.

        Raises:
            InputError: no recording, or recordings of different frame rates.
        """
        if not recordings:
            raise InputError("scene: no recording; give at least one")
        require_one_frame_rate(recordings)
        frame_offset = np.cumsum([0] + [recording.frames for recording in recordings])
        vehicle_offset = np.cumsum([0] + [recording.vehicles for recording in recordings])
        slots = max(int(np.diff(r.rows_by_frame[1]).max()) for r in recordings)
        boxes = np.zeros((frame_offset[-1], slots, 5), np.float32)
        boxes[..., 3:] = 1.0
        speed = np.zeros((frame_offset[-1], slots), np.float32)
        occupant = np.full((frame_offset[-1], slots), -1, np.int64)
        states, pointers, firsts, sizes, recording_index = [], [0], [], [], []
        for index, recording in enumerate(recordings):
            order, pointer = recording.rows_by_frame
            slot = np.arange(recording.rows) - np.repeat(pointer[:-1], np.diff(pointer))
            frame = recording.frame[order] + frame_offset[index]
            vehicle = recording.row_vehicle[order]
            columns = (
                recording.x_m[order],
                recording.y_m[order],
                recording.heading_rad[order],
                recording.length_m[vehicle],
                recording.width_m[vehicle],
            )
            boxes[frame, slot] = np.stack(columns, axis=1)
            speed[frame, slot] = recording.speed_mps[order]
            occupant[frame, slot] = vehicle + vehicle_offset[index]
            states.append(
                np.stack(
                    [recording.x_m, recording.y_m, recording.heading_rad, recording.speed_mps], 1
                )
            )
            pointers.extend(recording.vehicle_pointer[1:] + pointers[-1])
            firsts.append(recording.first_frame + frame_offset[index])
            sizes.append(np.stack([recording.length_m, recording.width_m], axis=1))
            recording_index.append(np.full(recording.vehicles, index))

        def tensor(array, kind):
            return torch.as_tensor(np.asarray(array), dtype=kind, device=device)

        return cls(
            boxes=tensor(boxes, torch.float32),
            speed_mps=tensor(speed, torch.float32),
            occupant=tensor(occupant, torch.int64),
            states=tensor(np.concatenate(states), torch.float32),
            row_pointer=tensor(pointers, torch.int64),
            first_frame=tensor(np.concatenate(firsts), torch.int64),
            size_m=tensor(np.concatenate(sizes), torch.float32),
            vehicle_recording=tensor(np.concatenate(recording_index), torch.int64),
            frame_offset=tensor(frame_offset, torch.int64),
            vehicle_offset=tensor(vehicle_offset, torch.int64),
            dt_s=recordings[0].dt_s,
        )

    @property
    def last_frame(self) -> Int[Tensor, " vehicles"]:
        """Global frame of each track's last row."""
        return self.first_frame + self.row_pointer.diff() - 1

    @cached_property
    def path_m(self) -> Float[Tensor, " rows"]:
        """Cumulative path length over all tracks, meaningful as differences within a track."""
        steps = self.states[:, :2].diff(dim=0, prepend=self.states[:1, :2]).double()
        return steps.norm(dim=1).cumsum(0)

    def state(
        self, vehicle: Int[Tensor, "*#batch"], frame: Int[Tensor, "*#batch"]
    ) -> Float[Tensor, "*batch 4"]:
        """States of vehicles at global frames inside their tracks (clamped to the track)."""
        row = (frame - self.first_frame[vehicle]).clamp(min=0) + self.row_pointer[vehicle]
        return self.states[torch.minimum(row, self.row_pointer[vehicle + 1] - 1)]

    def neighbours(self, frame: Int[Tensor, " batch"], ego: Int[Tensor, " batch"]) -> Neighbours:
        """The vehicles other than the ego at global frames."""
        return Neighbours(self.boxes, self.speed_mps, self.occupant, row=frame, ego=ego)

    def others(
        self, frame: Int[Tensor, " batch"], ego: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch slots 5"], Bool[Tensor, "batch slots"]]:
        """All boxes at global frames, and which of them are vehicles other than the ego."""
        neighbours = self.neighbours(frame, ego)
        return neighbours.boxes, neighbours.valid
