"""The rasteriser: draws vehicles and road as an ego-centred image.

Three channels, values in [0, 1]: lane lines, vehicles other than the ego, off-road.  Forward is
up (row 0 is farthest ahead), left is left.  A pixel's value is the fraction of its area that is
covered (anti-aliasing), where Henaff et al. (2019) truncated to whole pixels; differentiable with
respect to poses and boxes.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..backends import raster_cpu
from ..backends.dispatch import constant_float32, paired
from ..recordings.neighbours import Neighbours
from .raster_image import (
    CHANNELS,
    FULL,
    LANES,
    OFFROAD,
    VEHICLES,
    Images,
    RasterConfig,
    blank_images,
    require_finite_pose,
    to_bytes,
)
from .road_map import RoadMap, draw_road
from .vehicle_raster import draw_vehicles, vehicle_tables


def _draw_compiled(
    pose: Float[Tensor, "batch 3"],
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    road: Int[Tensor, " batch"],
    road_map: RoadMap,
    config: RasterConfig,
) -> Float[Tensor, "batch 3 rows columns"]:
    images, place = blank_images(pose, CHANNELS, config)
    draw_into(images, place, pose, Neighbours.of(boxes, visible), road, road_map, config)
    return images


@paired(
    _draw_compiled, raster_cpu.draw,
    when=lambda pose, boxes, visible, road, road_map, config: constant_float32(
        pose, boxes, road_map.atlas
    ),
)  # fmt: skip
def draw(
    pose: Float[Tensor, "batch 3"],
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    road: Int[Tensor, " batch"],
    road_map: RoadMap,
    config: RasterConfig,
) -> Float[Tensor, "batch 3 rows columns"]:
    """All three channels: lanes, vehicles, off-road."""
    static = draw_road(pose, road, road_map, config)
    vehicles = draw_vehicles(pose, boxes, visible, config)
    return torch.stack([static[:, 0], vehicles, static[:, 1]], dim=1)


def _draw_into_compiled(
    images: Images,
    place: Int[Tensor, " batch"],
    pose: Float[Tensor, "batch 3"],
    others: Neighbours,
    road: Int[Tensor, " batch"],
    road_map: RoadMap,
    config: RasterConfig,
) -> None:
    require_finite_pose(pose)
    raster_cpu.draw(
        pose, others.row, others.ego, road, place,
        shared=(
            images.numpy(), FULL[images.dtype], vehicle_tables(others), road_map.nodes,
            np.float32(config.metres_per_pixel), (LANES, VEHICLES, OFFROAD),
        ),
    )  # fmt: skip


@paired(
    _draw_into_compiled, raster_cpu.draw,
    when=lambda images, place, pose, others, road, road_map, config: (
        images.is_cpu and constant_float32(pose, others.table_boxes, road_map.atlas)
    ),
)  # fmt: skip
def draw_into(
    images: Images,
    place: Int[Tensor, " batch"],
    pose: Float[Tensor, "batch 3"],
    others: Neighbours,
    road: Int[Tensor, " batch"],
    road_map: RoadMap,
    config: RasterConfig,
) -> None:
    """``draw`` into existing images; ``place`` holds the indices of those to draw.

    Images of type uint8 hold coverage times 255, rounded.
    """
    drawn = draw(pose, others.boxes, others.valid, road, road_map, config)
    images[place] = drawn if images.is_floating_point() else to_bytes(drawn)
