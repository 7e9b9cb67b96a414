"""The vehicle channel of an image, drawn from boxes."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..backends import raster_cpu
from ..backends.dispatch import constant_float32, paired, selected, skips_rows
from ..geometry import to_local
from ..recordings.neighbours import Neighbours
from .raster_image import FULL, RasterConfig, blank_images

_PIECE_M = 6.5
"""Longer boxes are drawn in pieces, so that all windows can be as small as a car's."""
_LONGEST_M, _WIDEST_M = 32.5, 4.0
"""Of what is drawn where windows cannot depend on the boxes; no vehicle on a road is larger."""


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
    """Sums of the boxes' coverage, multiplied by their weights.

    The overlap of an interval and its parts' overlaps add up, so pieces give what the box gives.
    """
    pixel = config.metres_per_pixel
    pieces = _pieces(boxes)
    with torch.no_grad():
        cos, sin = pieces[..., 2].cos().abs(), pieces[..., 2].sin().abs()
        length, width = pieces[..., 3], pieces[..., 4]
        # Pixels further from the box's axes than this are not covered.
        edge = 0.5 * pixel * (cos + sin)
        ahead = 0.5 * (length * cos + width * sin) + edge
        left = 0.5 * (length * sin + width * cos) + edge
        near = (pieces[..., 0].abs() < ahead + 0.5 * pixel * config.rows) & (length > 0)
        near = near & (pieces[..., 1].abs() < left + 0.5 * pixel * config.columns)
        (owner, slot, part), counts = selected(near & visible[..., None])
        chosen = owner, slot, part
        half = torch.stack([ahead[chosen], left[chosen]], dim=-1) / pixel
    weight = weight[owner, slot] * counts[:, None]
    size = boxes.shape[0], config.rows, config.columns
    return _draw_windows(pieces[chosen], weight, owner, half, size, config)


def _pieces(boxes: Float[Tensor, "batch boxes 5"]) -> Float[Tensor, "batch boxes pieces 5"]:
    """Boxes of equal length that together are each box; what is not needed has no length."""
    length = boxes[..., 3].detach()
    longest = _longest_m(length)
    number = torch.arange(math.ceil(longest / _PIECE_M), device=boxes.device)
    count = (length / _PIECE_M).ceil().clamp(min=1.0)[..., None]
    part = boxes[..., 3, None] / count
    along = (number + 0.5) * part - 0.5 * boxes[..., 3, None]
    heading = boxes[..., 2, None]
    x, y = along * heading.cos(), along * heading.sin()
    moved = torch.stack([boxes[..., 0, None] + x, boxes[..., 1, None] + y], dim=-1)
    part = torch.where(number < count, part, 0.0)
    rest = torch.stack([heading.expand_as(part), part, boxes[..., 4, None].expand_as(part)], dim=-1)
    return torch.cat([moved, rest], dim=-1)


def _longest_m(length_m: Float[Tensor, "batch boxes"]) -> float:
    if not skips_rows(length_m):
        return _LONGEST_M
    return max(float(length_m.max()), _PIECE_M) if length_m.numel() else _PIECE_M


def _window(half: Float[Tensor, "shown 2"], metres_per_pixel: float) -> tuple[int, int]:
    """Rows and columns of the largest window, or of the largest that any piece can have."""
    if skips_rows(half):
        extent = half.amax(0).tolist() if len(half) else [0.0, 0.0]
    else:
        extent = [0.5 * math.hypot(_PIECE_M, _WIDEST_M) / metres_per_pixel + math.sqrt(0.5)] * 2
    rows, columns = (math.floor(2 * one) + 1 for one in extent)
    return rows, columns


def vehicle_tables(others: Neighbours) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and occupants for the kernels."""
    return others.table_boxes.contiguous().numpy(), others.table_vehicle.numpy()


def _draw_windows(
    box: Float[Tensor, "shown 5"],
    weight: Float[Tensor, "shown weights"],
    owner: Int[Tensor, " shown"],
    half: Float[Tensor, "shown 2"],
    size: tuple[int, int, int],
    config: RasterConfig,
) -> Float[Tensor, "batch weights rows columns"]:
    """Weighted coverage in so many images; all windows are as large as the largest.

    ``half`` is half the extent of each window in pixels.  The canvas has a margin as wide as a
    window, so that no window has to be cropped.
    """
    cells = 1.0 / config.metres_per_pixel
    with torch.no_grad():
        rows, columns = _window(half, config.metres_per_pixel)
        middle = box.new_tensor([0.5 * (config.rows - 1), 0.5 * (config.columns - 1)])
        first = (middle - box[:, :2] * cells - half).ceil()
        canvas_rows, canvas_columns = config.rows + 2 * rows, config.columns + 2 * columns
        place = first.long() + first.new_tensor([rows, columns]).long()
        # Pieces out of sight have no weight; they are drawn into a corner.
        room = place.new_tensor([canvas_rows - rows, canvas_columns - columns])
        place = torch.minimum(place.clamp(min=0), room)
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
    canvas = box.new_zeros(size[0] * canvas_rows * canvas_columns, weight.shape[1])
    canvas.index_add_(
        0, index.flatten(), cover.flatten()[:, None] * weight.repeat_interleave(rows * columns, 0)
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
