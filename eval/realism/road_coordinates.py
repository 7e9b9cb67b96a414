"""Where every row of a recording is along and across its road."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from ppuu.driving.lane_order import consecutive_rows
from ppuu.recordings.lanes import LaneField
from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road

_WIDTH_M = 3.5
"""Width of a lane that has none in the recording."""

_MOVING_MPS = 1.0
_MISALIGNED_RAD = 0.5


@dataclass(frozen=True, eq=False)
class RoadCoordinates:
    """Rows of a recording relative to its lanes; nothing depends on how the road lies.

    Attributes:
        lane: ``(rows,)`` index of the lane, negative off the road.
        station_m: ``(rows,)`` along the road's longest lane: the same for vehicles side by side.
        lane_station_m: ``(rows,)`` along the vehicle's own lane: for distances within a lane.
        travelled_m: ``(rows,)`` distance along the lanes since the vehicle's first row: for speeds,
            smooth where a lane is left.
        direction_rad: ``(rows,)`` of the lane; off the road, of the vehicle.
        offset_m: ``(rows,)`` left of the lane's centre line.
        width_m: ``(rows,)`` of the lane.
    """

    lane: Int[np.ndarray, " rows"]
    station_m: Float[np.ndarray, " rows"]
    lane_station_m: Float[np.ndarray, " rows"]
    travelled_m: Float[np.ndarray, " rows"]
    direction_rad: Float[np.ndarray, " rows"]
    offset_m: Float[np.ndarray, " rows"]
    width_m: Float[np.ndarray, " rows"]

    def misaligned(self, recording: Recording) -> Bool[np.ndarray, " moving"]:
        """Which of the moving rows do not drive along their lane."""
        moving = recording.speed_mps > _MOVING_MPS
        turn = recording.heading_rad[moving] - self.direction_rad[moving]
        return np.cos(turn) < np.cos(_MISALIGNED_RAD)

    def consecutive(
        self, recording: Recording
    ) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
        """Rows of vehicles that follow each other in a lane, and those ahead of them."""
        behind, ahead = consecutive_rows(self.lane_station_m, self.lane, recording.frame)
        on_road = self.lane[behind] >= 0
        return behind[on_road], ahead[on_road]

    @classmethod
    def of(cls, recording: Recording) -> RoadCoordinates:
        """Looks up the lane under every row.

        Raises:
            InputError: the road has no lanes.
        """
        # Single precision is enough around an origin, and not at map coordinates.
        origin = np.round(np.array([recording.x_m.min(), recording.y_m.min()]))
        road = recording.road
        near = Road(road.lane_pointer, road.left_m - origin, road.right_m - origin)
        x, y = recording.x_m - origin[0], recording.y_m - origin[1]
        x_single, y_single = (torch.from_numpy(value)[None].float() for value in (x, y))
        road_index = torch.zeros(1, dtype=torch.long)
        place = LaneField.build([near]).look_up(x_single, y_single, road_index)
        lane = place.lane[0].numpy()
        width = place.width_m[0].numpy().astype(float)
        direction = np.where(lane >= 0, place.direction_rad[0].numpy(), recording.heading_rad)
        step = np.diff(x, prepend=x[0]) * np.cos(direction)
        step += np.diff(y, prepend=y[0]) * np.sin(direction)
        step[recording.vehicle_pointer[:-1]] = 0.0
        total = np.cumsum(step)
        return cls(
            lane=lane,
            station_m=place.station_m[0].numpy().astype(float),
            lane_station_m=-place.to_end_m[0].numpy().astype(float),
            travelled_m=total - total[recording.vehicle_pointer[:-1]][recording.row_vehicle],
            direction_rad=direction,
            offset_m=place.offset_m[0].numpy().astype(float),
            width_m=np.where(width > 0, width, _WIDTH_M),
        )


def tracks(recording: Recording) -> list[slice]:
    """The rows of each vehicle."""
    pointer = recording.vehicle_pointer
    return [slice(start, stop) for start, stop in zip(pointer[:-1], pointer[1:], strict=True)]
