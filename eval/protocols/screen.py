"""PPUU's coordinates in pixels, the region of the road that its rules cover, and road sides.

Henaff et al. (2019): 24 pixels to a lane of 3.7 m; x counts from the left edge of the screen
along the road, y downwards (to the right of travel) with the leftmost lane's edge at 36; a
vehicle's position is the middle of its rear bumper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from data.sources.ngsim_layouts import AXES
from envs.core.termination import off_the_road
from ppuu.perception.road_map import RoadMap
from ppuu.recordings.recording import Recording
from ppuu.runtime.errors import InputError
from ppuu.units import LANE_WIDTH_M

LANE_WIDTH_PX = 24.0
PX_PER_M = LANE_WIDTH_PX / LANE_WIDTH_M
LOOK_AHEAD_PX = 130.0 / 3.6 * PX_PER_M
"""One second at 130 km/h: how far the image reaches ahead (36.1 m)."""

_MARGIN = 1.75
"""The region ends this many look-aheads before the screen does."""
_LEFT_EDGE_PX = 36.0
_I80_ORIGIN_PX, _I80_WIDTH_PX = 470.0, 2040.0
_I80_RIGHT_PX, _I80_RAMP_SLOPE = 180.0 + 53.0, 0.035


@dataclass(frozen=True, eq=False)
class Place:
    """Positions of vehicles on the screen, in pixels.

    Attributes:
        rear_x: middle of the rear bumper, along the road.
        rear_y: the same across it, growing to the right.
        front_x: middle of the front bumper, along the road.
    """

    rear_x: Float[Tensor, "*batch"]
    rear_y: Float[Tensor, "*batch"]
    front_x: Float[Tensor, "*batch"]


@dataclass(frozen=True, eq=False)
class Screens:
    """The screens of several recordings, looked up by a batch.

    For I-80 it is the original's.  For any other recording it starts at the first front bumper and
    is as wide as the recording, but no wider than that of I-80.

    Attributes:
        origin_px: ``(recordings,)`` distance of x = 0 m to the left of the screen's edge.
        width_px: ``(recordings,)``.
        i80: ``(recordings,)`` whether the original's lines bound the road.
    """

    origin_px: Float[Tensor, " recordings"]
    width_px: Float[Tensor, " recordings"]
    i80: Bool[Tensor, " recordings"]

    @classmethod
    def of(cls, recordings: Sequence[Recording]) -> Screens:
        """Builds the screens of recordings.

        Raises:
            InputError: traffic does not drive along x, or the road is too short for a region.
        """
        screens = [_screen(recording) for recording in recordings]
        origin, width, i80 = zip(*screens, strict=True)
        return cls(
            torch.tensor(origin, dtype=torch.float32),
            torch.tensor(width, dtype=torch.float32),
            torch.tensor(i80),
        )

    def place(
        self, boxes: Float[Tensor, "batch *slots 5"], recording: Int[Tensor, " batch"]
    ) -> Place:
        """Positions of boxes on the screen."""
        x, y, heading, length, _ = boxes.unbind(-1)
        origin = self.origin_px[recording].view(-1, *[1] * (x.dim() - 1))
        along, across = heading.cos() * length, heading.sin() * length
        rear_x = PX_PER_M * (x - 0.5 * along) - origin
        rear_y = _LEFT_EDGE_PX - PX_PER_M * (y - 0.5 * across)
        return Place(rear_x, rear_y, rear_x + PX_PER_M * along)

    def goal_px(self, recording: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """Position along the road past which a rear bumper has arrived (I-80: 1630.1)."""
        return self.width_px[recording] - _MARGIN * LOOK_AHEAD_PX

    def valid(self, place: Place, recording: Int[Tensor, " batch"]) -> Bool[Tensor, " batch"]:
        """Whether vehicles are inside the region where images are valid and collisions tested."""
        return (place.rear_x > LOOK_AHEAD_PX) & (place.front_x < self.goal_px(recording))

    def arrived(self, place: Place, recording: Int[Tensor, " batch"]) -> Bool[Tensor, " batch"]:
        """Whether vehicles have left the region at its end."""
        return place.rear_x > self.goal_px(recording)

    def off_road(
        self,
        place: Place,
        boxes: Float[Tensor, "batch 5"],
        recording: Int[Tensor, " batch"],
        road_map: RoadMap,
    ) -> Bool[Tensor, " batch"]:
        """Whether rear bumpers are beyond the road's sides.

        I-80: above the leftmost lane, or below the outer edge of the ramp.  Elsewhere: off the
        drivable area.
        """
        right = _I80_RIGHT_PX - _I80_RAMP_SLOPE * place.rear_x
        beyond = (place.rear_y < _LEFT_EDGE_PX) | (place.rear_y > right)
        rear = boxes.clone()
        direction = torch.stack([boxes[:, 2].cos(), boxes[:, 2].sin()], dim=1)
        rear[:, :2] -= 0.5 * boxes[:, 3:4] * direction
        return torch.where(
            self.i80[recording], beyond, off_the_road(rear, recording, road_map.area)
        )


def _screen(recording: Recording) -> tuple[float, float, bool]:
    if np.median(np.cos(recording.heading_rad)) < 0.9:
        raise InputError(
            f"recording '{recording.name}': its traffic does not drive along x, as the rules of "
            "PPUU require; use --protocol exact"
        )
    provenance = recording.provenance
    if provenance.get("site") == "i80" and provenance.get("axes") == AXES:
        return _I80_ORIGIN_PX, _I80_WIDTH_PX, True
    half_length = 0.5 * np.cos(recording.heading_rad) * recording.length_m[recording.row_vehicle]
    front = recording.x_m + half_length
    origin, extent = PX_PER_M * front.min(), PX_PER_M * (front.max() - front.min())
    least = (1.0 + _MARGIN) * LOOK_AHEAD_PX
    if extent <= least:
        raise InputError(
            f"recording '{recording.name}': {extent / PX_PER_M:.0f} m of road, but the rules of "
            f"PPUU need more than {least / PX_PER_M:.0f} m; use --protocol exact"
        )
    return float(origin), float(min(extent, _I80_WIDTH_PX)), False
