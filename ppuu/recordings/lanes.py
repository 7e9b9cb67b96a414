"""Which lane lies under a point, and how it runs: one look-up in a grid.

Traffic models need this for thousands of vehicles a step.  Each road is sampled once on a grid of
0.5 m; a look-up takes the nearest node and corrects offset and station to first order, which is
exact where the lane is straight.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..runtime.errors import InputError
from .road import Road, distinct, inside_polygon

NO_LANE = -1

_LANE, _OFFSET, _DIRECTION, _CURVATURE, _WIDTH, _STATION, _TO_END, _CLOSES, _CHANNELS = range(9)

_PIECE_M = 10.0
"""Lanes are cut into pieces no longer than this."""

_VERGE_M = 4.0
"""Up to this distance beside a lane its offset and direction are still known."""

_LOOK_BEYOND_M = 8.0
"""Distance past the end of a lane at which the road is examined for what follows it."""

_NARROWEST_M = 2.5
"""A tapering lane ends where it is narrower than this."""


@dataclass(frozen=True, eq=False)
class LanePlace:
    """Positions of points relative to their lanes, ``(*batch,)`` each.

    Beside the road the values are those of the nearest lane within 4 m, but ``lane`` is -1.

    Attributes:
        lane: index, -1 off the road.
        offset_m: left of the lane's centre line.
        direction_rad: of the lane, in the world.
        curvature_radpm: of the lane's centre line, positive to the left.
        width_m: of the lane.
        station_m: along the road's longest lane; orders vehicles side by side, too.
        to_end_m: distance to the end of the lane, negative past it.
        closes: whether the lane ends beside another one, so that one has to merge; elsewhere a
            lane's end is where vehicles leave the road.
    """

    lane: Int[Tensor, "*batch"]
    offset_m: Float[Tensor, "*batch"]
    direction_rad: Float[Tensor, "*batch"]
    curvature_radpm: Float[Tensor, "*batch"]
    width_m: Float[Tensor, "*batch"]
    station_m: Float[Tensor, "*batch"]
    to_end_m: Float[Tensor, "*batch"]
    closes: Bool[Tensor, "*batch"]


@dataclass(frozen=True, eq=False)
class LaneField:
    """Lanes of several roads, sampled on grids; equal roads share a grid.

    Attributes:
        nodes: ``(nodes, 8)`` fields of ``LanePlace``, all grids concatenated.
        start: ``(roads,)`` first node of each road.
        origin_m: ``(roads, 2)`` world position of it.
        size: ``(roads, 2)`` nodes along x and y.
    """

    nodes: Float[Tensor, "nodes 8"]
    start: Int[Tensor, " roads"]
    origin_m: Float[Tensor, "roads 2"]
    size: Int[Tensor, "roads 2"]

    SPACING_M: ClassVar[float] = 0.5

    @classmethod
    def build(cls, roads: Sequence[Road], device: torch.device | str = "cpu") -> LaneField:
        """Samples the roads.

        Raises:
            InputError: a road without lanes.
        """
        for index, road in enumerate(roads):
            if not road.lanes:
                raise InputError(
                    f"road {index} has no lanes, so no vehicle can be driven on it; choose "
                    "--others replay"
                )
        different, which = distinct(roads)
        nodes, starts, origins, sizes = [], [0], [], []
        for road in different:
            grid, origin = _sample(road, cls.SPACING_M)
            nodes.append(grid.reshape(-1, _CHANNELS))
            starts.append(starts[-1] + len(nodes[-1]))
            origins.append(origin)
            sizes.append(grid.shape[:2])

        def tensor(array, kind):
            return torch.as_tensor(np.asarray(array), dtype=kind, device=device)

        return cls(
            tensor(np.concatenate(nodes), torch.float32),
            tensor(np.array(starts)[which], torch.int64),
            tensor(np.array(origins)[which], torch.float32),
            tensor(np.array(sizes)[which], torch.int64),
        )

    def look_up(
        self,
        x_m: Float[Tensor, "batch *points"],
        y_m: Float[Tensor, "batch *points"],
        road: Int[Tensor, " batch"],
    ) -> LanePlace:
        """Lanes at world points of each road."""
        shape = (len(road),) + (1,) * (x_m.dim() - 1)
        origin_x, origin_y = (part.view(shape) for part in self.origin_m[road].unbind(1))
        columns, rows = (part.view(shape) for part in self.size[road].unbind(1))
        column = ((x_m - origin_x) / self.SPACING_M).round().long().clamp(min=0)
        row = ((y_m - origin_y) / self.SPACING_M).round().long().clamp(min=0)
        column, row = torch.minimum(column, columns - 1), torch.minimum(row, rows - 1)
        node = self.start[road].view(shape) + column * rows + row
        found = self.nodes.index_select(0, node.flatten()).view(*node.shape, _CHANNELS)
        right = x_m - (column * self.SPACING_M + origin_x)
        up = y_m - (row * self.SPACING_M + origin_y)
        direction = found[..., _DIRECTION]
        cos, sin = direction.cos(), direction.sin()
        along, across = cos * right + sin * up, cos * up - sin * right
        return LanePlace(
            lane=found[..., _LANE].long(),
            offset_m=found[..., _OFFSET] + across,
            direction_rad=direction + found[..., _CURVATURE] * along,
            curvature_radpm=found[..., _CURVATURE],
            width_m=found[..., _WIDTH],
            station_m=found[..., _STATION] + along,
            to_end_m=found[..., _TO_END] - along,
            closes=found[..., _CLOSES] > 0,
        )

    def beside(
        self,
        x_m: Float[Tensor, "batch *points"],
        y_m: Float[Tensor, "batch *points"],
        road: Int[Tensor, " batch"],
        place: LanePlace,
        side: Int[Tensor, "batch *points"],
    ) -> LanePlace:
        """Lanes one lane width to the left (``side`` 1) or right (-1) of ``place``, found there."""
        step = side * place.width_m
        direction = place.direction_rad
        return self.look_up(x_m - step * direction.sin(), y_m + step * direction.cos(), road)


@dataclass(frozen=True, eq=False)
class _Piece:
    """A short piece of a lane between two stations.

    Attributes:
        lane: index of the lane.
        corners: ``(4, 2)`` left, left, right, right.
        heading_rad: ``(2,)`` at both ends.
        done_m: distance along the lane to the piece's start.
    """

    lane: int
    corners: np.ndarray
    heading_rad: np.ndarray
    done_m: float

    @cached_property
    def centres(self) -> np.ndarray:
        """``(2, 2)`` start and end of the centre line."""
        return 0.5 * (self.corners[[0, 1]] + self.corners[[3, 2]])

    @cached_property
    def step(self) -> np.ndarray:
        """``(2,)`` from the start of the centre line to its end."""
        return self.centres[1] - self.centres[0]

    @cached_property
    def length_m(self) -> float:
        """Length of the centre line."""
        return np.hypot(*self.step)

    @cached_property
    def widths_m(self) -> np.ndarray:
        """``(2,)`` at both ends."""
        return np.hypot(*(self.corners[[0, 1]] - self.corners[[3, 2]]).T)

    def fraction(self, points: np.ndarray) -> np.ndarray:
        """Feet of ``(..., 2)`` points on the centre line: 0 at its start, 1 at its end."""
        return (points - self.centres[0]) @ self.step / self.length_m**2


def _pieces(road: Road) -> Iterator[_Piece]:
    """The pieces of all lanes, in order."""
    for lane in range(road.lanes):
        left, right = (_refined(line, *road.lane(lane)) for line in road.lane(lane))
        step = np.diff(0.5 * (left + right), axis=0)
        length = np.hypot(*step.T)
        heading = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
        joint = np.concatenate([heading[:1], 0.5 * (heading[1:] + heading[:-1]), heading[-1:]])
        done = np.concatenate([[0.0], np.cumsum(length)])
        for k in range(len(step)):
            if length[k] > 0:
                corners = np.stack([left[k], left[k + 1], right[k + 1], right[k]])
                yield _Piece(lane, corners, joint[k : k + 2], done[k])


def _refined(line: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """More points on a boundary, the same shares of every stretch on both sides."""
    length = np.hypot(*np.diff(0.5 * (left + right), axis=0).T)
    parts = np.maximum(1, np.ceil(length / _PIECE_M)).astype(int)
    inner = [
        a + (b - a) * np.arange(count)[:, None] / count
        for a, b, count in zip(line[:-1], line[1:], parts, strict=True)
    ]
    return np.concatenate([*inner, line[-1:]])


_BESIDE_M = 100.0
"""Stations are only needed within this distance of the longest lane."""


@lru_cache(maxsize=16)
def _sample(road: Road, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """One road as nodes ``(x, y, 8)`` and the world position of node (0, 0)."""
    points = np.concatenate([road.left_m, road.right_m])
    origin = points.min(0) - _VERGE_M
    size = np.ceil((points.max(0) + _VERGE_M - origin) / spacing).astype(int) + 1
    nodes = np.zeros((*size, _CHANNELS))
    nodes[..., _LANE] = NO_LANE
    excess = np.full(size, np.inf)
    pieces = list(_pieces(road))
    ends = [_end(road, lane, [p for p in pieces if p.lane == lane]) for lane in range(road.lanes)]
    for piece in pieces:
        low = np.floor((piece.corners.min(0) - _VERGE_M - origin) / spacing).astype(int).clip(0)
        high = np.ceil((piece.corners.max(0) + _VERGE_M - origin) / spacing).astype(int) + 1
        high = high.clip(max=size)
        axes = [origin[k] + spacing * np.arange(low[k], high[k]) for k in (0, 1)]
        node = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
        region = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        values, beyond = _seen_from(piece, node, *ends[piece.lane])
        better = beyond < excess[region]
        nodes[region][better] = values[better]
        excess[region][better] = beyond[better]
    nodes[..., _STATION] = _stations(road, pieces, origin, spacing, size)
    return nodes, origin


def _seen_from(
    piece: _Piece, node: np.ndarray, end_m: float, closes: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Channels at nodes ``(..., 2)`` as this piece would have them, and how far outside it is."""
    a, step, length, widths = piece.centres[0], piece.step, piece.length_m, piece.widths_m
    fraction = piece.fraction(node)
    within = fraction.clip(0, 1)
    heading = piece.heading_rad[0] + within * (piece.heading_rad[1] - piece.heading_rad[0])
    to_node = node - a - fraction[..., None] * step
    direction = np.arctan2(*step[::-1])
    offset = to_node[..., 1] * np.cos(direction) - to_node[..., 0] * np.sin(direction)
    width = widths[0] + within * (widths[1] - widths[0])
    inside = inside_polygon(node.reshape(-1, 2), piece.corners).reshape(offset.shape)
    overshoot = np.maximum(np.abs(fraction - within) * length, np.abs(offset) - 0.5 * width)
    values = np.zeros((*offset.shape, _CHANNELS))
    values[..., _LANE] = np.where(inside, piece.lane, NO_LANE)
    values[..., _OFFSET] = offset
    values[..., _DIRECTION] = heading
    values[..., _CURVATURE] = np.diff(piece.heading_rad)[0] / length
    values[..., _WIDTH] = width
    values[..., _TO_END] = end_m - piece.done_m - fraction * length
    values[..., _CLOSES] = closes
    return values, np.where(inside, -1.0, np.maximum(overshoot, 0.0))


def _end(road: Road, lane: int, pieces: Sequence[_Piece]) -> tuple[float, bool]:
    """Where a lane ends, along itself, and whether one has to merge before."""
    last = pieces[-1]
    forward = last.step / last.length_m
    width = max(float(p.widths_m[0]) for p in pieces)
    ahead = last.centres[1] + _LOOK_BEYOND_M * forward
    left = width * np.array([-forward[1], forward[0]])
    inside = road.drivable(np.stack([ahead, ahead + left, ahead - left]))
    tapers = float(last.widths_m[1]) < _NARROWEST_M
    closes = bool((tapers or not inside[0]) and inside.any())
    ends = [p for p in pieces if p.widths_m[1] >= _NARROWEST_M]
    final = ends[-1] if closes and ends else last
    return float(final.done_m + final.length_m), closes


def _stations(
    road: Road, pieces: Sequence[_Piece], origin: np.ndarray, spacing: float, size: np.ndarray
) -> np.ndarray:
    """Distance along the centre line of the longest lane at every node, by the nearest piece.

    Inner pieces are only compared with the nodes around them: a road of kilometres that runs
    diagonally over its map has millions of others.
    """
    reach = [sum(p.lane == lane for p in pieces) for lane in range(road.lanes)]
    longest = [p for p in pieces if p.lane == int(np.argmax(reach))]
    axes = [origin[k] + spacing * np.arange(size[k]) for k in (0, 1)]
    station, nearest = np.zeros(size), np.full(size, np.inf)
    for index, piece in enumerate(longest):
        window = [slice(None), slice(None)]
        if 0 < index < len(longest) - 1:
            low = (piece.corners.min(0) - _BESIDE_M - origin) / spacing
            high = (piece.corners.max(0) + _BESIDE_M - origin) / spacing
            window = [
                slice(max(0, int(one)), int(other) + 2)
                for one, other in zip(low, high, strict=True)
            ]
        region = tuple(window)
        axes_here = [axis[part] for axis, part in zip(axes, window, strict=True)]
        node = np.stack(np.meshgrid(*axes_here, indexing="ij"), -1)
        low = -np.inf if index == 0 else 0.0
        high = np.inf if index == len(longest) - 1 else 1.0
        within = piece.fraction(node).clip(low, high)
        away = node - piece.centres[0] - within[..., None] * piece.step
        distance = np.hypot(*np.moveaxis(away, -1, 0))
        better = distance < nearest[region]
        nearest[region][better] = distance[better]
        station[region][better] = (piece.done_m + within * piece.length_m)[better]
    return station
