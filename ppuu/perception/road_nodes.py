"""Coverage by a road's lines and surface at the nodes of a fine grid."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..recordings.road import Road, inside_polygon

NODES_PER_PIXEL = 3
"""Nodes of the grid per pixel of the raster, along each axis."""


@lru_cache(maxsize=16)
def road_nodes(road: Road, spacing: float, line_width: float) -> tuple[np.ndarray, np.ndarray]:
    """One road as uint8 nodes ``(x, y, 2)``, and the position of node (0, 0) in the world."""
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
        inside = inside_polygon(node.reshape(-1, 2), corners).reshape(node.shape[:2])
        offroad[region][inside] = 0.0
        for a, b in (corners[:2], corners[2:]):
            region, node = window(np.stack([a, b]), line_width)
            along = b - a
            fraction = ((node - a) @ along / max(along @ along, 1e-12)).clip(0, 1)
            distance = np.linalg.norm(node - a - fraction[..., None] * along, axis=-1)
            coverage = (0.5 + (0.5 * line_width - distance) / spacing).clip(0, 1)
            lines[region] = np.maximum(lines[region], coverage)
    nodes = np.stack([_box_mean(lines, 0.0), _box_mean(offroad, 1.0)], axis=-1)
    return np.rint(255 * nodes).astype(np.uint8), origin


def _short_pieces(quadrilaterals: np.ndarray, max_length_m: float = 25.0):
    """Cuts long strips, so that the window around a slanted piece stays small."""
    for a, b, c, d in quadrilaterals:
        parts = max(1, int(np.ceil(np.linalg.norm(b - a) / max_length_m)))
        cut = np.linspace(0, 1, parts + 1)[:, None]
        left, right = a + cut * (b - a), d + cut * (c - d)
        for k in range(parts):
            yield np.stack([left[k], left[k + 1], right[k + 1], right[k]])


def _box_mean(image: np.ndarray, outside: float) -> np.ndarray:
    """Mean over a raster pixel (3 x 3 nodes)."""
    reach = NODES_PER_PIXEL // 2
    for axis in (0, 1):
        width = [(0, 0), (0, 0)]
        width[axis] = (reach, reach)
        padded = np.pad(image, width, constant_values=outside)
        shifted = [
            np.take(padded, np.arange(k, k + image.shape[axis]), axis)
            for k in range(NODES_PER_PIXEL)
        ]
        image = np.mean(shifted, axis=0)
    return image
