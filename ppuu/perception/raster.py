"""Tracks, road and a pose become the ego-centred image: one function for all who need one.

Three channels, values in [0, 1]: lane lines, vehicles other than the ego, off-road.  Forward is
up (row 0 is farthest ahead), left is left.  A pixel holds the share of its area that is covered,
where the original truncated to integers (Henaff et al., 2019); gradients reach poses and boxes.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..backends import dispatch, raster_cpu
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


def draw(
    pose: Float[Tensor, "batch 3"],
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    road: Int[Tensor, " batch"],
    road_map: RoadMap,
    config: RasterConfig,
) -> Float[Tensor, "batch 3 rows columns"]:
    """The whole image: lanes, vehicles, off-road."""
    if dispatch.applies(pose, boxes, road_map.atlas):
        images, place = blank_images(pose, CHANNELS, config)
        draw_into(images, place, pose, Neighbours.of(boxes, visible), road, road_map, config)
        return images
    static = draw_road(pose, road, road_map, config)
    vehicles = draw_vehicles(pose, boxes, visible, config)
    return torch.stack([static[:, 0], vehicles, static[:, 1]], dim=1)


def draw_into(
    images: Images,
    place: Int[Tensor, " batch"],
    pose: Float[Tensor, "batch 3"],
    others: Neighbours,
    road: Int[Tensor, " batch"],
    road_map: RoadMap,
    config: RasterConfig,
) -> None:
    """``draw`` over images that exist already; ``place`` numbers those to draw.

    Images of bytes hold coverage times 255, rounded.
    """
    if images.is_cpu and dispatch.applies(pose, others.table_boxes, road_map.atlas):
        require_finite_pose(pose)
        dispatch.in_parts(
            raster_cpu.draw,
            raster_cpu.SMALLEST_PART,
            (
                images.numpy(), FULL[images.dtype], vehicle_tables(others), road_map.nodes,
                np.float32(config.metres_per_pixel), (LANES, VEHICLES, OFFROAD),
            ),
            pose, others.row, others.ego, road, place,
        )  # fmt: skip
    else:
        drawn = draw(pose, others.boxes, others.valid, road, road_map, config)
        images[place] = drawn if images.is_floating_point() else to_bytes(drawn)
