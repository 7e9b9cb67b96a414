"""The road map: lane lines and off-road area on a grid, and the image channels drawn from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from ..backends import raster_cpu
from ..backends.dispatch import constant_float32, paired
from ..recordings.drivable import DrivableArea
from ..recordings.road import Road, distinct
from ..units import LINE_WIDTH_M
from .raster_image import FULL, RasterConfig, blank_images, require_finite_pose
from .road_nodes import NODES_PER_PIXEL, road_nodes
from .shelves import pack


@dataclass(frozen=True, eq=False)
class RoadMap:
    """Lane lines and off-road area of several roads, drawn once on fine grids, read bilinearly.

    A grid is three times finer than the raster, and each node holds the mean over a raster pixel
    around it, so one look-up per pixel gives anti-aliased coverage.  All roads are packed into one
    texture atlas, on shelves, so that a short road does not take the room of the longest; equal
    roads (several recordings of one site) share a region.  Atlas coordinates run from -1 to 1, y
    first, as in ``grid_sample``.

    Attributes:
        atlas: ``(2, nodes along x, nodes along y)`` lane and off-road coverage of all roads.
        scale: ``(2,)`` atlas units per metre along y and x.
        offset: ``(roads, 2)`` atlas coordinates of each road's world origin.
        low, high: ``(roads, 2)`` atlas coordinates of each road's outermost nodes.
        area: where one can drive, by the lanes' own corners, whatever the raster's scale.
    """

    atlas: Float[Tensor, "2 nodes_x nodes_y"]
    scale: Float[Tensor, "2"]
    offset: Float[Tensor, "roads 2"]
    low: Float[Tensor, "roads 2"]
    high: Float[Tensor, "roads 2"]
    area: DrivableArea

    @classmethod
    def build(
        cls, roads: Sequence[Road], config: RasterConfig, device: torch.device | str = "cpu"
    ) -> RoadMap:
        """Draws the roads on grids that suit the raster's scale."""
        spacing = config.metres_per_pixel / NODES_PER_PIXEL
        different, road_regions = distinct(roads)
        grids, origins = [], []
        for road in different:
            nodes, origin = road_nodes(road, spacing, LINE_WIDTH_M)
            grids.append(nodes)
            origins.append(origin)
        size = np.array([grid.shape[1::-1] for grid in grids])
        first, shape = pack(size)
        atlas = np.zeros((2, shape[1], shape[0]), np.float32)
        for grid, (y, x) in zip(grids, first, strict=True):
            atlas[:, x : x + grid.shape[0], y : y + grid.shape[1]] = grid.transpose(2, 0, 1)
        unit = 2.0 / (shape - 1)
        origin = np.array(origins)[:, ::-1] / spacing

        def tensor(array):
            return torch.as_tensor(np.array(array), dtype=torch.float32, device=device)

        return cls(
            atlas=tensor(atlas / 255.0),
            scale=tensor(unit / spacing),
            offset=tensor(((first - origin) * unit - 1.0)[road_regions]),
            low=tensor((first * unit - 1.0)[road_regions]),
            high=tensor(((first + size - 1) * unit - 1.0)[road_regions]),
            area=DrivableArea.build(roads, device),
        )

    @cached_property
    def nodes(self) -> tuple[np.ndarray, np.float32, np.ndarray, np.ndarray, np.ndarray]:
        """The atlas as ``raster_cpu`` takes it, in units of nodes, x first.

        Coverage as packed by ``raster_cpu.pack``, nodes per metre, and for each road the node at
        the world's origin, its first and its last node.
        """
        count = torch.tensor(self.atlas.shape[:0:-1])
        unit = 0.5 * (count - 1).double()
        offset, low, high = (
            ((place.double() + 1.0) * unit).flip(-1).float().contiguous().numpy()
            for place in (self.offset, self.low, self.high)
        )
        nodes = raster_cpu.pack(self.atlas.numpy())
        return nodes, np.float32(self.scale[0] * unit[0]), offset, low, high

    def _read_compiled(
        self,
        x_m: Float[Tensor, "batch *points"],
        y_m: Float[Tensor, "batch *points"],
        road: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch 2 *points"]:
        shape = (len(road), math.prod(x_m.shape[1:]))
        coverage = x_m.new_empty(shape[0], 2, shape[1])
        raster_cpu.read(x_m.reshape(shape), y_m.reshape(shape), road, coverage, shared=self.nodes)
        return coverage.view(len(road), 2, *x_m.shape[1:])

    @paired(
        _read_compiled, raster_cpu.read,
        when=lambda self, x_m, y_m, road: constant_float32(x_m, y_m, self.atlas),
    )  # fmt: skip
    def read(
        self,
        x_m: Float[Tensor, "batch *points"],
        y_m: Float[Tensor, "batch *points"],
        road: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch 2 *points"]:
        """Lane-line and off-road coverage at points in the world; off-road outside the grid."""
        points = torch.stack([y_m, x_m], dim=-1).view(len(road), 1, -1, 2)
        place = points * self.scale + self.offset[road][:, None, None]
        return self.look_up(place, road).view(len(road), 2, *x_m.shape[1:])

    def look_up(
        self, place: Float[Tensor, "batch rows columns 2"], road: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch 2 rows columns"]:
        """Lane-line and off-road coverage at atlas coordinates."""
        # A road's outermost nodes hold the values beyond them: no line, and off-road.
        low = self.low[road][:, None, None].to(place.dtype)
        high = self.high[road][:, None, None].to(place.dtype)
        atlas = self.atlas.to(place.dtype).expand(len(road), -1, -1, -1)
        return functional.grid_sample(
            atlas,
            torch.clamp(place, low, high),
            mode="bilinear",
            padding_mode="border",
            align_corners=True,
        )


@dataclass(frozen=True, eq=False)
class LocalRoad:
    """The road of each element of a batch.

    Attributes:
        road_map: all roads.
        road: ``(batch,)`` index of the road in the map.
    """

    road_map: RoadMap
    road: Int[Tensor, " batch"]

    def read(
        self, x_m: Float[Tensor, "batch *points"], y_m: Float[Tensor, "batch *points"]
    ) -> Float[Tensor, "batch 2 *points"]:
        """Lane-line and off-road coverage at points in the world."""
        return self.road_map.read(x_m, y_m, self.road)

    def draw(
        self, poses: Float[Tensor, "batch time 3"], config: RasterConfig
    ) -> Float[Tensor, "batch time 2 rows columns"]:
        """Both channels, centred on poses."""
        time = poses.shape[1]
        roads = self.road.repeat_interleave(time)
        return draw_road(poses.flatten(0, 1), roads, self.road_map, config).unflatten(0, (-1, time))

    def take(self, rows: Int[Tensor, " some"]) -> LocalRoad:
        """Some elements of the batch."""
        return LocalRoad(self.road_map, self.road[rows])

    def repeat(self, copies: int) -> LocalRoad:
        """Every element of the batch ``copies`` times in a row."""
        return LocalRoad(self.road_map, self.road.repeat_interleave(copies, 0))


def _draw_road_compiled(
    pose: Float[Tensor, "batch 3"],
    road: Int[Tensor, " batch"],
    road_map: RoadMap,
    config: RasterConfig,
) -> Float[Tensor, "batch 2 rows columns"]:
    images, place = blank_images(pose, 2, config)
    require_finite_pose(pose)
    pixel_m = np.float32(config.metres_per_pixel)
    raster_cpu.draw_road(
        pose, road, place,
        shared=(images.numpy(), FULL[images.dtype], *road_map.nodes, pixel_m, 0, 1),
    )  # fmt: skip
    return images


@paired(
    _draw_road_compiled, raster_cpu.draw_road,
    when=lambda pose, road, road_map, config: constant_float32(pose, road_map.atlas),
)  # fmt: skip
def draw_road(
    pose: Float[Tensor, "batch 3"],
    road: Int[Tensor, " batch"],
    road_map: RoadMap,
    config: RasterConfig,
) -> Float[Tensor, "batch 2 rows columns"]:
    """The lane and off-road channels of images centred on poses."""
    pixel = config.metres_per_pixel
    row = torch.arange(config.rows, device=pose.device, dtype=pose.dtype)
    column = torch.arange(config.columns, device=pose.device, dtype=pose.dtype)
    ahead = (0.5 * (config.rows - 1) - row)[:, None, None] * pixel
    left = (0.5 * (config.columns - 1) - column)[:, None] * pixel
    cos, sin = pose[:, 2].cos(), pose[:, 2].sin()
    forward = torch.stack([sin, cos], dim=-1)[:, None, None] * road_map.scale
    sideways = torch.stack([cos, -sin], dim=-1)[:, None, None] * road_map.scale
    centre = pose[:, :2].flip(-1) * road_map.scale + road_map.offset[road]
    # Only this sum is as large as an image; the terms are as small as a row or a column.
    place = (centre[:, None, None] + forward * ahead) + sideways * left
    return road_map.look_up(place, road)
