"""Tracks, road and a pose become the ego-centred image: one function for all who need one.

Three channels, values in [0, 1]: lane lines, vehicles other than the ego, off-road.  Forward is
up (row 0 is farthest ahead), left is left.  A pixel holds the share of its area that is covered,
where the original truncated to integers (Henaff et al., 2019); gradients reach poses and boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from .errors import InputError
from .geometry import to_local
from .road import Road, inside_polygon
from .units import METRES_PER_RASTER_PIXEL

LANES, VEHICLES, OFFROAD = 0, 1, 2
CHANNELS = 3


@dataclass(frozen=True)
class RasterConfig:
    """Size and scale of the image.

    Attributes:
        rows: pixels along the ego's heading.
        columns: pixels across it.
        metres_per_pixel: scale.
    """

    rows: int = 117
    columns: int = 24
    metres_per_pixel: float = METRES_PER_RASTER_PIXEL

    def __post_init__(self):
        if self.rows < 1 or self.columns < 1 or not self.metres_per_pixel > 0:
            raise InputError(f"raster of {self.rows} x {self.columns} pixels: sizes must be positive")

    def pixel_centres_m(self, device=None, dtype=torch.float32) -> Float[Tensor, "rows columns 2"]:
        """Where each pixel's centre lies in the ego's frame: metres ahead, metres to the left."""
        ahead = (0.5 * (self.rows - 1) - torch.arange(self.rows, device=device, dtype=dtype))
        left = (0.5 * (self.columns - 1) - torch.arange(self.columns, device=device, dtype=dtype))
        grid = torch.meshgrid(ahead, left, indexing="ij")
        return torch.stack(grid, dim=-1) * self.metres_per_pixel

    @property
    def reach_m(self) -> float:
        """Distance from the centre to a corner of the image."""
        return 0.5 * self.metres_per_pixel * math.hypot(self.rows, self.columns)


def _overlap(
    distance: Float[Tensor, "*shape"], extent: Float[Tensor, "*shape"], pixel: float
) -> Float[Tensor, "*shape"]:
    """Share of a pixel-wide interval at ``distance`` that lies in an interval of ``extent`` at 0."""
    share = (0.5 * (extent / pixel + 1.0) - distance.abs() / pixel).clamp(min=0.0)
    return torch.minimum(share, (extent / pixel).clamp(max=1.0))


def draw_boxes(
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    config: RasterConfig,
) -> Float[Tensor, "batch rows columns"]:
    """Draws boxes given in the image's frame (x ahead, y left, heading against 'up').

    Each box touches only a small window of pixels around its centre, so all windows of the batch
    are evaluated at once and added into place.  Coverage is the product of the overlaps along
    the box's two axes: exact for boxes along the pixel grid, anti-aliased for turned ones.
    """
    pixel = config.metres_per_pixel
    batch = boxes.shape[0]
    image = boxes.new_zeros(batch * config.rows * config.columns)
    with torch.no_grad():
        cos, sin = boxes[..., 2].cos().abs(), boxes[..., 2].sin().abs()
        half = 0.5 * torch.stack(
            [
                boxes[..., 3] * cos + boxes[..., 4] * sin,
                boxes[..., 3] * sin + boxes[..., 4] * cos,
            ],
            dim=-1,
        )
        # A pixel further out than this from the box's axes cannot be touched.
        half = half + 0.5 * pixel * (cos + sin).unsqueeze(-1)
        limit = 0.5 * pixel * boxes.new_tensor([config.rows, config.columns])
        visible = visible & (boxes[..., :2].abs() < limit + half).all(-1)
        owner, slot = visible.nonzero(as_tuple=True)
    if len(owner) == 0:
        return image.view(batch, config.rows, config.columns)
    box = boxes[owner, slot]
    with torch.no_grad():
        middle = boxes.new_tensor([0.5 * (config.rows - 1), 0.5 * (config.columns - 1)])
        corner = middle - (box[:, :2] + half[owner, slot]) / pixel
        first = corner.ceil().long()
        window = (2 * half[owner, slot].amax(0) / pixel).floor().long() + 1
        row = first[:, 0:1] + torch.arange(int(window[0]), device=boxes.device)
        column = first[:, 1:2] + torch.arange(int(window[1]), device=boxes.device)
        inside = ((row >= 0) & (row < config.rows))[:, :, None] & (
            (column >= 0) & (column < config.columns)
        )[:, None, :]
        index = (
            owner[:, None, None] * (config.rows * config.columns)
            + row.clamp(0, config.rows - 1)[:, :, None] * config.columns
            + column.clamp(0, config.columns - 1)[:, None, :]
        )
    ahead = (middle[0] - row) * pixel - box[:, 0:1]
    left = (middle[1] - column) * pixel - box[:, 1:2]
    cos, sin = box[:, 2].cos()[:, None, None], box[:, 2].sin()[:, None, None]
    along = cos * ahead[:, :, None] + sin * left[:, None, :]
    across = cos * left[:, None, :] - sin * ahead[:, :, None]
    cover = _overlap(along, box[:, 3, None, None], pixel) * _overlap(
        across, box[:, 4, None, None], pixel
    )
    cover = torch.where(inside, cover, 0.0)
    image = image.index_add(0, index.flatten(), cover.flatten())
    return image.clamp(max=1.0).view(batch, config.rows, config.columns)


@dataclass(frozen=True, eq=False)
class RoadMap:
    """Lane lines and off-road area of several roads, drawn once on fine grids, read by bilinear look-up.

    A grid is three times finer than the raster and each of its nodes already holds the mean over
    a raster pixel around it, so one look-up a pixel gives anti-aliased coverage.  The four
    neighbours of a cell lie side by side in memory.

    Attributes:
        cells: ``(cells, 8)`` uint8: lane and off-road value of the four corners of each cell.
        start: ``(roads,)`` first cell of each road.
        shape: ``(roads, 2)`` cells along x and along y.
        origin_m: ``(roads, 2)`` world position of each grid's first node.
        spacing_m: distance between nodes.
    """

    cells: UInt8[Tensor, "cells 8"]
    start: Int[Tensor, " roads"]
    shape: Int[Tensor, "roads 2"]
    origin_m: Float[Tensor, "roads 2"]
    spacing_m: float

    NODES_PER_PIXEL: ClassVar[int] = 3

    @classmethod
    def build(
        cls, roads: Sequence[Road], config: RasterConfig, device: torch.device | str = "cpu"
    ) -> RoadMap:
        """Draws the roads at the raster's scale."""
        spacing = config.metres_per_pixel / cls.NODES_PER_PIXEL
        cells, shapes, origins = [], [], []
        for road in roads:
            nodes, origin = _draw_road(road, spacing, config.metres_per_pixel)
            corners = [nodes[:-1, :-1], nodes[:-1, 1:], nodes[1:, :-1], nodes[1:, 1:]]
            block = np.concatenate(corners, axis=-1)
            cells.append(block.reshape(-1, 8))
            shapes.append(block.shape[:2])
            origins.append(origin)
        start = np.cumsum([0] + [len(block) for block in cells])[:-1]
        return cls(
            torch.as_tensor(np.concatenate(cells), device=device),
            torch.as_tensor(start, device=device),
            torch.as_tensor(np.array(shapes), device=device),
            torch.as_tensor(np.array(origins), dtype=torch.float32, device=device),
            spacing,
        )

    def read(
        self,
        x_m: Float[Tensor, "batch *points"],
        y_m: Float[Tensor, "batch *points"],
        road: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch 2 *points"]:
        """Lane-line and off-road coverage at world points; outside the grid all is off-road."""
        shape = [len(road)] + [1] * (x_m.dim() - 1)
        origin, size = self.origin_m[road], self.shape[road].to(x_m.dtype)
        node_x = (x_m - origin[:, 0].view(shape)) * (1.0 / self.spacing_m)
        node_y = (y_m - origin[:, 1].view(shape)) * (1.0 / self.spacing_m)
        last_x, last_y = size[:, 0].view(shape) - 1, size[:, 1].view(shape) - 1
        with torch.no_grad():
            cell_x, cell_y = node_x.floor(), node_y.floor()
            outside = (cell_x < 0) | (cell_y < 0) | (cell_x > last_x) | (cell_y > last_y)
            held_x = torch.minimum(cell_x.clamp(min=0), last_x).long()
            held_y = torch.minimum(cell_y.clamp(min=0), last_y).long()
            cells_y = self.shape[road][:, 1].view(shape)
            index = held_x * cells_y + held_y + self.start[road].view(shape)
            corners = self.cells.index_select(0, index.flatten()).t().to(x_m.dtype)
            corners = corners.view(4, 2, *x_m.shape)
        fx, fy = node_x - cell_x, node_y - cell_y
        values = []
        for channel, beyond in ((0, 0.0), (1, 1.0)):
            near_near, near_far, far_near, far_far = corners[:, channel]
            near = torch.lerp(near_near, near_far, fy)
            far = torch.lerp(far_near, far_far, fy)
            values.append(torch.where(outside, beyond, torch.lerp(near, far, fx) / 255.0))
        return torch.stack(values, dim=1)


def _draw_road(road: Road, spacing: float, line_width: float) -> tuple[np.ndarray, np.ndarray]:
    """One road as uint8 nodes ``(x, y, 2)`` and the world position of node (0, 0)."""
    points = np.concatenate([road.left_m, road.right_m])
    margin = 2 * line_width
    if len(points) == 0:
        return np.array([[[0, 255]] * 2] * 2, np.uint8), np.zeros(2)
    origin = points.min(0) - margin
    size = np.ceil((points.max(0) + margin - origin) / spacing).astype(int) + 1
    lines = np.zeros(size, np.float32)
    offroad = np.ones(size, np.float32)

    def window(corners, reach):
        low = np.floor((corners.min(0) - reach - origin) / spacing).astype(int).clip(0)
        high = (np.ceil((corners.max(0) + reach - origin) / spacing).astype(int) + 1).clip(max=size)
        axes = [origin[k] + spacing * np.arange(low[k], high[k]) for k in (0, 1)]
        return tuple(slice(a, b) for a, b in zip(low, high, strict=True)), np.stack(
            np.meshgrid(*axes, indexing="ij"), -1
        )

    for corners in _short_pieces(road.quadrilaterals_m):
        region, node = window(corners, spacing)
        hit = inside_polygon(node.reshape(-1, 2), corners).reshape(node.shape[:2])
        offroad[region][hit] = 0.0
        for a, b in (corners[:2], corners[2:]):
            region, node = window(np.stack([a, b]), line_width)
            along = b - a
            share = ((node - a) @ along / max(along @ along, 1e-12)).clip(0, 1)
            distance = np.linalg.norm(node - a - share[..., None] * along, axis=-1)
            cover = (0.5 + (0.5 * line_width - distance) / spacing).clip(0, 1)
            lines[region] = np.maximum(lines[region], cover)
    nodes = np.stack([_box_mean(lines, 0.0), _box_mean(offroad, 1.0)], axis=-1)
    return np.rint(255 * nodes).astype(np.uint8), origin


def _short_pieces(quadrilaterals: np.ndarray, longest_m: float = 25.0):
    """Cuts long strips, so that the window around a slanted piece stays small."""
    for a, b, c, d in quadrilaterals:
        parts = max(1, int(np.ceil(np.linalg.norm(b - a) / longest_m)))
        cut = np.linspace(0, 1, parts + 1)[:, None]
        left, right = a + cut * (b - a), d + cut * (c - d)
        for k in range(parts):
            yield np.stack([left[k], left[k + 1], right[k + 1], right[k]])


def _box_mean(image: np.ndarray, outside: float) -> np.ndarray:
    """Mean over a raster pixel (3 x 3 nodes)."""
    reach = RoadMap.NODES_PER_PIXEL // 2
    for axis in (0, 1):
        width = [(0, 0), (0, 0)]
        width[axis] = (reach, reach)
        padded = np.pad(image, width, constant_values=outside)
        shifted = [
            np.take(padded, np.arange(k, k + image.shape[axis]), axis)
            for k in range(RoadMap.NODES_PER_PIXEL)
        ]
        image = np.mean(shifted, axis=0)
    return image


def draw_road(
    pose: Float[Tensor, "batch 3"],
    road: Int[Tensor, " batch"],
    road_map: RoadMap,
    config: RasterConfig,
) -> Float[Tensor, "batch 2 rows columns"]:
    """The lane and off-road channels as seen from poses."""
    grid = config.pixel_centres_m(pose.device, pose.dtype)
    cos, sin = pose[:, 2].cos()[:, None, None], pose[:, 2].sin()[:, None, None]
    ahead, left = grid[..., 0], grid[..., 1]
    x = pose[:, 0, None, None] + cos * ahead - sin * left
    y = pose[:, 1, None, None] + sin * ahead + cos * left
    return road_map.read(x, y, road)


def draw_vehicles(
    pose: Float[Tensor, "batch 3"],
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    config: RasterConfig,
) -> Float[Tensor, "batch rows columns"]:
    """The vehicle channel as seen from poses, boxes given in the world."""
    return draw_boxes(to_local(boxes, pose[:, None]), visible, config)


def draw(
    pose: Float[Tensor, "batch 3"],
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    road: Int[Tensor, " batch"],
    road_map: RoadMap,
    config: RasterConfig,
) -> Float[Tensor, "batch 3 rows columns"]:
    """The whole image: lanes, vehicles, off-road."""
    static = draw_road(pose, road, road_map, config)
    vehicles = draw_vehicles(pose, boxes, visible, config)
    return torch.stack([static[:, 0], vehicles, static[:, 1]], dim=1)


def warp(
    image: Float[Tensor, "batch channels rows columns"],
    source: Float[Tensor, "batch 3"],
    target: Float[Tensor, "batch 3"],
    config: RasterConfig,
    padding: str = "zeros",
) -> Float[Tensor, "batch channels rows columns"]:
    """The image drawn at pose ``source`` as it would look from pose ``target``.

    Exact geometry with bilinear interpolation; what ``source`` did not see is 0 (``zeros``) or
    the nearest pixel seen (``border``).
    """
    grid = config.pixel_centres_m(image.device, image.dtype)
    offset = to_local(target, source)
    cos, sin = offset[:, 2].cos()[:, None, None], offset[:, 2].sin()[:, None, None]
    ahead = offset[:, 0, None, None] + cos * grid[..., 0] - sin * grid[..., 1]
    left = offset[:, 1, None, None] + sin * grid[..., 0] + cos * grid[..., 1]
    return sample(image, ahead, left, config, padding)


def sample(
    image: Float[Tensor, "batch channels rows columns"],
    ahead_m: Float[Tensor, "batch rows_out columns_out"],
    left_m: Float[Tensor, "batch rows_out columns_out"],
    config: RasterConfig,
    padding: str = "zeros",
) -> Float[Tensor, "batch channels rows_out columns_out"]:
    """Reads an image at metric positions in its own frame, bilinearly."""
    scale = -2.0 / config.metres_per_pixel
    where = torch.stack([left_m * (scale / config.columns), ahead_m * (scale / config.rows)], -1)
    return functional.grid_sample(
        image, where, mode="bilinear", padding_mode=padding, align_corners=False
    )
