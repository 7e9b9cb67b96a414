"""Imagined driving: predicted surroundings, the ego's states among them, and where they meet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .geometry import to_local
from .raster import RasterConfig, warp_image
from .track_futures import TrackFutures


@dataclass(frozen=True, eq=False)
class Flow:
    """Where pixels of the last image seen have moved; only those that show a vehicle.

    Attributes:
        owner: ``(points,)`` element of the batch.
        pixel: ``(points,)`` row times columns plus column.
        metres: ``(points, futures, time, 2)`` ahead and to the left.
    """

    owner: Int[Tensor, " points"]
    pixel: Int[Tensor, " points"]
    metres: Float[Tensor, "points futures time 2"]


@dataclass(frozen=True, eq=False)
class Futures:
    """Predicted surroundings, several alternatives for each element of a batch.

    Attributes:
        vehicles: ``(batch, futures, time, rows, columns)`` coverage by other vehicles.
        road: ``(batch, time, 2, rows, columns)`` lane lines and off-road area.
        pose: ``(batch, time, 3)`` where in the world each image is drawn at.
        raster: size and scale of the images.
        flow: how the pixels have moved, for models that carry pixels along.
        pace_mps: ``(batch, time)`` mean speed, from now to then, of the vehicles that are now in
            the ego's lane; its own present speed where there are none.
    """

    vehicles: Float[Tensor, "batch futures time rows columns"]
    road: Float[Tensor, "batch time 2 rows columns"]
    pose: Float[Tensor, "batch time 3"]
    raster: RasterConfig
    flow: Flow | None = None
    pace_mps: Float[Tensor, "batch time"] | None = None

    def at(self, time: int) -> Futures:
        """One time alone."""
        now = slice(time, time + 1)
        return Futures(
            self.vehicles[:, :, now],
            self.road[:, now],
            self.pose[:, now],
            self.raster,
            pace_mps=None if self.pace_mps is None else self.pace_mps[:, now],
        )

    @torch.no_grad()
    def seen_from(self, pose: Float[Tensor, "batch 3"]) -> Float[Tensor, "batch 3 rows columns"]:
        """The first time of the first alternative, as an image drawn at a pose; a constant."""
        road = self.road[:, 0]
        image = torch.cat([road[:, :1], self.vehicles[:, 0, :1], road[:, 1:]], dim=1)
        return warp_image(image, self.pose[:, 0], pose, self.raster)

    def repeat(self, copies: int) -> Futures:
        """Every element of the batch ``copies`` times in a row."""
        return Futures(
            self.vehicles.repeat_interleave(copies, 0),
            self.road.repeat_interleave(copies, 0),
            self.pose.repeat_interleave(copies, 0),
            self.raster,
            pace_mps=None if self.pace_mps is None else self.pace_mps.repeat_interleave(copies, 0),
        )

    @classmethod
    def in_time(cls, parts: Sequence[Futures]) -> Futures:
        """Several one after the other."""
        return cls(
            torch.cat([part.vehicles for part in parts], dim=2),
            torch.cat([part.road for part in parts], dim=1),
            torch.cat([part.pose for part in parts], dim=1),
            parts[0].raster,
            pace_mps=torch.cat([p.pace_mps for p in parts if p.pace_mps is not None], dim=1)
            if parts[0].pace_mps is not None
            else None,
        )


@dataclass(frozen=True, eq=False)
class Window:
    """Pixels around the ego.

    Attributes:
        pixel: ``(batch, time, pixels)`` row times columns plus column.
        ahead_m, left_m: ``(batch, time, pixels)`` their centres in the ego's own frame.
    """

    pixel: Int[Tensor, "batch time pixels"]
    ahead_m: Float[Tensor, "batch time pixels"]
    left_m: Float[Tensor, "batch time pixels"]


@dataclass(frozen=True, eq=False)
class Others:
    """The predicted vehicles as the ego will meet them, in its own frame at each time.

    Attributes:
        ahead_m, left_m: ``(batch, futures, time, slots)`` of their centres.
        along_m, across_m: half the sum of both extents along the ego's axes; the distance of two
            boxes along an axis is the centres' minus this.
        speed_mps: ``(batch, futures, time, slots)``.
        here: ``(batch, 1, 1, slots)``.
    """

    ahead_m: Float[Tensor, "batch futures time slots"]
    left_m: Float[Tensor, "batch futures time slots"]
    along_m: Float[Tensor, "batch futures time slots"]
    across_m: Float[Tensor, "batch futures time slots"]
    speed_mps: Float[Tensor, "batch futures time slots"]
    here: Bool[Tensor, "batch 1 1 slots"]


@dataclass(frozen=True, eq=False)
class Rollout:
    """The ego's path through predicted surroundings; what every cost is a function of.

    Attributes:
        states: ``(batch, time, 4)`` ego states at the times of the images.
        actions: ``(batch, time, 2)`` acceleration and curvature that led into each state.
        previous_action: ``(batch, 2)`` the action before the first.
        size_m: ``(batch, 2)`` the ego's length and width.
        futures: the surroundings.
        step_s: seconds from one entry to the next.
        value: ``(batch,)`` what driving on from the last state is expected to cost, if anybody was
            asked.
    """

    states: Float[Tensor, "batch time 4"]
    actions: Float[Tensor, "batch time 2"]
    previous_action: Float[Tensor, "batch 2"]
    size_m: Float[Tensor, "batch 2"]
    futures: Futures | TrackFutures
    step_s: float
    value: Float[Tensor, " batch"] | None = None

    def every(self, stride: int) -> Rollout:
        """The first of every ``stride`` elements of the batch, without its surroundings."""
        return replace(
            self, states=self.states[::stride], actions=self.actions[::stride],
            previous_action=self.previous_action[::stride], size_m=self.size_m[::stride],
        )  # fmt: skip

    @property
    def images(self) -> Futures:
        """The futures of a model that predicts images."""
        assert isinstance(self.futures, Futures)
        return self.futures

    @cached_property
    def offset(self) -> Float[Tensor, "batch time 3"]:
        """The ego's pose seen from the pose each image is drawn at."""
        return to_local(self.states[..., :3], self.futures.pose)

    @cached_property
    def _largest_turn(self) -> tuple[float, float]:
        """Cosine and sine of the largest angle between the ego and the images."""
        turn = float(self.offset[..., 2].detach().abs().max().clamp(max=0.5 * math.pi))
        return math.cos(turn), math.sin(turn)

    def around_ego(self, ahead_m: float, left_m: float) -> Window:
        """The pixels that can lie within a reach of the ego, and where they lie in its own frame.

        This is how masks are placed: moving the ego moves the coordinates, so gradients reach
        its pose through exact geometry and the predicted images stay constants.  Only a window
        of each image is looked at, since a mask is zero beyond its reach.
        """
        raster = self.futures.raster
        x, y, heading = (value[..., None] for value in self.offset.unbind(-1))
        cos, sin = self._largest_turn
        with torch.no_grad():
            shape = (raster.rows, raster.columns)
            sides, firsts = [], []
            # At the largest turn the reach ahead leans sideways, and the other way round.
            reaches = (ahead_m + left_m * sin, left_m * cos + ahead_m * sin)
            for centre, reach, size in zip((x, y), reaches, shape, strict=True):
                side = min(size, 2 * math.ceil(reach / raster.metres_per_pixel) + 2)
                middle = 0.5 * (size - 1) - centre / raster.metres_per_pixel
                first = (middle - 0.5 * (side - 1)).round().clamp(0, size - side).long()
                sides.append(torch.arange(side, device=x.device))
                firsts.append(first)
            row, column = (first + side for first, side in zip(firsts, sides, strict=True))
            pixel = (row[..., :, None] * raster.columns + column[..., None, :]).flatten(2)
        grid = raster.pixel_centres_m(x.device, x.dtype).flatten(0, 1)
        east, north = grid[:, 0][pixel] - x, grid[:, 1][pixel] - y
        cos, sin = torch.cos(heading), torch.sin(heading)
        return Window(pixel, cos * east + sin * north, cos * north - sin * east)

    @cached_property
    def others(self) -> Others:
        """How the ego meets the predicted boxes."""
        futures = self.futures
        assert isinstance(futures, TrackFutures)
        x, y, heading = (value[:, None, :, None] for value in self.states[..., :3].unbind(-1))
        east, north = futures.states[..., 0] - x, futures.states[..., 1] - y
        cos, sin = torch.cos(heading), torch.sin(heading)
        turn = futures.states[..., 2] - heading
        turned, leant = torch.cos(turn).abs(), torch.sin(turn).abs()
        half = 0.5 * futures.size_m[:, None, None]
        own = 0.5 * self.size_m[:, None, None, None]
        return Others(
            cos * east + sin * north,
            cos * north - sin * east,
            own[..., 0] + half[..., 0] * turned + half[..., 1] * leant,
            own[..., 1] + half[..., 0] * leant + half[..., 1] * turned,
            futures.states[..., 3],
            futures.here[:, None, None],
        )

    @property
    def length_m(self) -> Float[Tensor, "batch 1 1"]:
        """The ego's length, shaped to meet a mask."""
        return self.size_m[:, 0, None, None]

    @property
    def width_m(self) -> Float[Tensor, "batch 1 1"]:
        """The ego's width, shaped to meet a mask."""
        return self.size_m[:, 1, None, None]

    @property
    def speed_mps(self) -> Float[Tensor, "batch time 1"]:
        """The ego's speed, shaped to meet a mask."""
        return self.states[..., 3, None]


def in_time(parts: Sequence[Futures | TrackFutures]) -> Futures | TrackFutures:
    """Several futures of one kind, one after the other."""
    return type(parts[0]).in_time(parts)  # type: ignore[arg-type]
