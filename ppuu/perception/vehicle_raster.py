"""The vehicle channel of an image, drawn from boxes."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..backends import raster_cpu
from ..backends.dispatch import constant_float32, paired
from ..geometry import to_local
from ..recordings.neighbours import Neighbours
from .raster_image import FULL, RasterConfig, blank_images

_COMPACT_M = (6.5, 3.0)
"""Boxes up to this extent (all cars) share small windows; larger boxes get larger ones."""


def _draw_boxes_compiled(
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    config: RasterConfig,
) -> Float[Tensor, "batch rows columns"]:
    return draw_vehicles(boxes.new_zeros(len(boxes), 3), boxes, visible, config)


@paired(
    _draw_boxes_compiled, raster_cpu.draw_boxes,
    when=lambda boxes, visible, config: constant_float32(boxes),
)  # fmt: skip
def draw_boxes(
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    config: RasterConfig,
) -> Float[Tensor, "batch rows columns"]:
    """Draws boxes given in the image's frame (x ahead, y left, heading from straight ahead).

    Each box covers only a small window of pixels around its centre, so the windows of the whole
    batch are evaluated at once and added to the images.  Coverage is the product of the overlaps
    along the box's two axes: exact for boxes along the pixel grid, anti-aliased for rotated ones.
    """
    return _draw_weighted(boxes, visible, torch.ones_like(boxes[..., :1]), config)[:, 0].clamp(
        max=1
    )


def _draw_weighted(
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    weight: Float[Tensor, "batch boxes weights"],
    config: RasterConfig,
) -> Float[Tensor, "batch weights rows columns"]:
    """Sums of the boxes' coverage, multiplied by their weights."""
    pixel = config.metres_per_pixel
    with torch.no_grad():
        cos, sin = boxes[..., 2].cos().abs(), boxes[..., 2].sin().abs()
        length, width = boxes[..., 3], boxes[..., 4]
        # Pixels further from the box's axes than this are not covered.
        edge = 0.5 * pixel * (cos + sin)
        ahead = 0.5 * (length * cos + width * sin) + edge
        left = 0.5 * (length * sin + width * cos) + edge
        visible = visible & (boxes[..., 0].abs() < ahead + 0.5 * pixel * config.rows)
        visible = visible & (boxes[..., 1].abs() < left + 0.5 * pixel * config.columns)
        owner, slot = visible.nonzero(as_tuple=True)
        half = torch.stack([ahead[owner, slot], left[owner, slot]], dim=-1) / pixel
        compact_half = half.new_tensor(_COMPACT_M) / (2 * pixel) + 1.0
        compact = (half <= compact_half).all(-1)
    chosen, weight = boxes[owner, slot], weight[owner, slot]
    image = boxes.new_zeros(boxes.shape[0], weight.shape[1], config.rows, config.columns)
    for group in (compact, ~compact):
        member = group.nonzero()[:, 0]
        if len(member):
            image = image + _draw_windows(
                chosen[member], weight[member], owner[member], half[member], image, config
            )
    return image


def vehicle_tables(others: Neighbours) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and occupants for the kernels."""
    return others.table_boxes.contiguous().numpy(), others.table_vehicle.numpy()


def _draw_windows(
    box: Float[Tensor, "shown 5"],
    weight: Float[Tensor, "shown weights"],
    owner: Int[Tensor, " shown"],
    half: Float[Tensor, "shown 2"],
    image: Float[Tensor, "batch weights rows columns"],
    config: RasterConfig,
) -> Float[Tensor, "batch weights rows columns"]:
    """Weighted coverage in images like ``image``; all windows are as large as the largest.

    ``half`` is half the extent of each window in pixels.  The canvas has a margin as wide as a
    window, so that no window has to be cropped.
    """
    cells = 1.0 / config.metres_per_pixel
    with torch.no_grad():
        rows, columns = (int(extent) + 1 for extent in (2 * half.amax(0)).floor().tolist())
        middle = box.new_tensor([0.5 * (config.rows - 1), 0.5 * (config.columns - 1)])
        first = (middle - box[:, :2] * cells - half).ceil()
        canvas_rows, canvas_columns = config.rows + 2 * rows, config.columns + 2 * columns
        place = first.long() + torch.tensor([rows, columns], device=box.device)
        corner = (owner * canvas_rows + place[:, 0]) * canvas_columns + place[:, 1]
        row = torch.arange(rows, device=box.device)
        column = torch.arange(columns, device=box.device)
        window = row[:, None] * canvas_columns + column
        index = corner[:, None, None] + window
        # Rows and columns of the windows' first pixels, relative to the image's centre.
        start = middle - first
    cos, sin = box[:, 2, None].cos(), box[:, 2, None].sin()
    ahead = start[:, 0, None] - row - box[:, 0, None] * cells
    left = start[:, 1, None] - column - box[:, 1, None] * cells
    along = (cos * ahead)[:, :, None] + (sin * left)[:, None, :]
    across = (cos * left)[:, None, :] - (sin * ahead)[:, :, None]
    extent = (box[:, 3:5] * cells)[:, :, None, None]
    cover = _overlap(along, extent[:, 0]) * _overlap(across, extent[:, 1])
    canvas = box.new_zeros(image.shape[0] * canvas_rows * canvas_columns, weight.shape[1])
    canvas.index_add_(
        0, index.flatten(), cover.flatten()[:, None] * weight.repeat_interleave(cover[0].numel(), 0)
    )
    canvas = canvas.view(-1, canvas_rows, canvas_columns, weight.shape[1]).movedim(-1, 1)
    return canvas[..., rows : rows + config.rows, columns : columns + config.columns]


def _overlap(
    distance: Float[Tensor, "shown rows columns"], extent: Float[Tensor, "shown 1 1"]
) -> Float[Tensor, "shown rows columns"]:
    """Fraction of a unit interval at ``distance`` inside an interval of ``extent`` around 0."""
    overlap = 0.5 * (extent + 1.0) - distance.abs()
    return torch.minimum(overlap.clamp(min=0.0), extent.clamp(max=1.0))


def _draw_vehicles_compiled(
    pose: Float[Tensor, "batch 3"],
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    config: RasterConfig,
) -> Float[Tensor, "batch rows columns"]:
    images, place = blank_images(pose, 1, config)
    others, pixel_m = Neighbours.of(boxes, visible), np.float32(config.metres_per_pixel)
    raster_cpu.draw_boxes(
        pose, others.row, others.ego, place,
        shared=(images.numpy(), FULL[images.dtype], *vehicle_tables(others), pixel_m, 0),
    )  # fmt: skip
    return images[:, 0]


@paired(
    _draw_vehicles_compiled, raster_cpu.draw_boxes,
    when=lambda pose, boxes, visible, config: constant_float32(pose, boxes),
)  # fmt: skip
def draw_vehicles(
    pose: Float[Tensor, "batch 3"],
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    config: RasterConfig,
) -> Float[Tensor, "batch rows columns"]:
    """The vehicle channel of images centred on poses; boxes are in world coordinates."""
    return draw_boxes(to_local(boxes, pose[:, None]), visible, config)


def draw_momentum(
    pose: Float[Tensor, "batch 3"],
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    speed_mps: Float[Tensor, "batch boxes"],
    config: RasterConfig,
) -> Float[Tensor, "batch 2 rows columns"]:
    """Coverage times velocity ahead and to the left; boxes are in world coordinates."""
    local = to_local(boxes, pose[:, None])
    velocity = speed_mps[..., None] * torch.stack([local[..., 2].cos(), local[..., 2].sin()], -1)
    return _draw_weighted(local, visible, velocity, config)
