"""The drivable area of roads: whether points lie on a lane, by the lanes' own corners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .road import Road, distinct

NO_PIECE = -1


@dataclass(frozen=True, eq=False)
class DrivableArea:
    """Pieces of lanes, and which of them lie near each cell of a grid; equal roads share both.

    A point is on the road if it lies in one of the quadrilaterals whose bounding boxes touch its
    cell, so that the answer is exact and a look-up takes as long for a long road as for a short.

    Attributes:
        corners_m: ``(pieces, 4, 2)`` of the lane pieces of all roads.
        pieces: ``(cells, most)`` pieces near each cell, filled up with ``NO_PIECE``.
        first_cell: ``(roads,)`` of each road's grid.
        origin_m: ``(roads, 2)`` world position of the grid's corner.
        size: ``(roads, 2)`` cells along x and y.
    """

    corners_m: Float[Tensor, "pieces 4 2"]
    pieces: Int[Tensor, "cells most"]
    first_cell: Int[Tensor, " roads"]
    origin_m: Float[Tensor, "roads 2"]
    size: Int[Tensor, "roads 2"]

    CELL_M: ClassVar[float] = 4.0

    @classmethod
    def build(cls, roads: Sequence[Road], device: torch.device | str = "cpu") -> DrivableArea:
        """Sorts the pieces of each road into cells."""
        different, which = distinct(roads)
        corners, lists, firsts, origins, sizes = [], [], [], [], []
        for road in different:
            near, origin, size = _cells(road, cls.CELL_M, sum(map(len, corners)))
            corners.append(road.quadrilaterals_m)
            firsts.append(len(lists))
            lists += near
            origins.append(origin)
            sizes.append(size)
        most = max([1, *map(len, lists)])
        pieces = np.full((max(1, len(lists)), most), NO_PIECE, np.int64)
        for cell, near in enumerate(lists):
            pieces[cell, : len(near)] = near

        def tensor(array, kind):
            return torch.as_tensor(np.asarray(array), dtype=kind, device=device)

        flat = np.concatenate([*corners, np.zeros((1, 4, 2))])
        return cls(
            tensor(flat, torch.float32),
            tensor(pieces, torch.int64),
            tensor(np.array(firsts)[which], torch.int64),
            tensor(np.array(origins)[which], torch.float32),
            tensor(np.array(sizes)[which], torch.int64),
        )

    @cached_property
    def tables(self) -> tuple[np.ndarray | np.float32, ...]:
        """Everything as ``termination_cpu`` takes it."""
        arrays = (self.corners_m, self.pieces, self.first_cell, self.origin_m, self.size)
        return (*(array.numpy() for array in arrays), np.float32(self.CELL_M))

    def contains(
        self,
        x_m: Float[Tensor, "batch points"],
        y_m: Float[Tensor, "batch points"],
        road: Int[Tensor, " batch"],
    ) -> Bool[Tensor, "batch points"]:
        """Whether points lie on a lane of their roads."""
        away = torch.stack([x_m, y_m], dim=-1) - self.origin_m[road][:, None]
        cell = (away / self.CELL_M).floor().long()
        size = self.size[road][:, None]
        inside = ((cell >= 0) & (cell < size)).all(-1)
        cell = torch.minimum(cell.clamp(min=0), size - 1)
        number = self.first_cell[road][:, None] + cell[..., 0] * size[..., 1] + cell[..., 1]
        near = self.pieces[number]
        a = self.corners_m[near]  # (batch, points, most, 4, 2)
        b = a.roll(-1, dims=-2)
        x, y = x_m[..., None, None], y_m[..., None, None]
        spans = (a[..., 1] > y) != (b[..., 1] > y)
        rise = b[..., 1] - a[..., 1]
        share = (y - a[..., 1]) / torch.where(rise == 0, 1.0, rise)
        crosses = spans & (x < a[..., 0] + share * (b[..., 0] - a[..., 0]))
        within = (crosses.sum(-1) % 2 == 1) & (near != NO_PIECE)
        return within.any(-1) & inside


def _cells(
    road: Road, cell_m: float, first_piece: int
) -> tuple[list[list[int]], np.ndarray, np.ndarray]:
    """For each cell the pieces near it; the grid's corner; cells along x and y."""
    corners = road.quadrilaterals_m
    if not len(corners):
        return [[]], np.zeros(2), np.ones(2, int)
    low, high = corners.min(axis=1), corners.max(axis=1)
    origin = low.min(axis=0)
    # A little beyond, since the cell of a point is found in single precision.
    first = np.floor((low - origin - 0.01) / cell_m).astype(int).clip(0)
    last = np.floor((high - origin + 0.01) / cell_m).astype(int)
    size = last.max(axis=0) + 1
    near: list[list[int]] = [[] for _ in range(size[0] * size[1])]
    for piece in range(len(corners)):
        for column in range(first[piece, 0], last[piece, 0] + 1):
            for row in range(first[piece, 1], last[piece, 1] + 1):
                near[column * size[1] + row].append(first_piece + piece)
    return near, origin, size
