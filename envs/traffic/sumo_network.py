"""A road as SUMO's network file.

All lanes of an edge have one length in SUMO, so the road is cut across wherever a lane begins or
ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from xml.etree.ElementTree import Element

import numpy as np
from jaxtyping import Float

from ppuu.driving.sumo_network import SumoEdge, SumoJunction, SumoLane, network_file
from ppuu.recordings.polyline import Polyline, points_at
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError

LIMIT_MPS = 40.0
"""Speed limit of the road; each vehicle has its own desired speed below it."""
_SAME_M = 5.0
"""Lanes that begin or end this near to each other do so at one cut."""
_BEYOND_M = 60.0
"""Straight continuation of the road at both ends, so that an entering vehicle fits onto it."""
_CONTINUES_M = 2.5
"""A lane that ends this near to where another begins continues on it."""


@dataclass(frozen=True, eq=False)
class _Lane:
    """A lane's centre line, by its station along the road.

    Attributes:
        station_m: ``(points,)`` increasing.
        middle_m: ``(points, 2)``.
        width_m: mean width.
    """

    station_m: Float[np.ndarray, " points"]
    middle_m: Float[np.ndarray, "points 2"]
    width_m: float

    def at(self, station_m: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
        """Points of the centre line, continued straight beyond its ends."""
        inside = points_at(self.middle_m, self.station_m, station_m)
        for end, before in ((0, 1), (-1, -2)):
            displacement = self.middle_m[end] - self.middle_m[before]
            per_m = displacement / (self.station_m[end] - self.station_m[before])
            outside = station_m - self.station_m[end]
            outside = outside.clip(max=0) if end == 0 else outside.clip(min=0)
            inside = inside + outside[:, None] * per_m
        return inside

    def piece(self, start_m: float, end_m: float) -> Float[np.ndarray, "n 2"]:
        """The centre line between two cuts."""
        inner = self.station_m[(self.station_m > start_m + 0.1) & (self.station_m < end_m - 0.1)]
        return self.at(np.concatenate([[start_m], inner, [end_m]]))


def network(road: Road) -> Element:
    """The root of a ``.net.xml``; edges are called 0, 1, … in the direction of traffic.

    Raises:
        InputError: no lane, or lanes that run in both directions.
    """
    lanes = _lanes(road)
    ends = np.sort([end for lane in lanes for end in (lane.station_m[0], lane.station_m[-1])])
    cuts = [ends[0], *(b for a, b in pairwise(ends) if b - a > _SAME_M)]
    cuts = [cuts[0] - _BEYOND_M, *cuts[1:-1], cuts[-1] + _BEYOND_M]
    stretches = [_across(lanes, a, b) for a, b in pairwise(cuts)]
    junctions = [_junction(k, lanes[0].at(np.array([cut]))[0]) for k, cut in enumerate(cuts)]
    parts = []
    for k, (stretch, after) in enumerate(pairwise([*stretches, []])):
        shapes = [_sumo_lane(lane, cuts[k], cuts[k + 1]) for lane in stretch]
        continues = _continued(stretch, after, cuts[k + 1]) if after else []
        parts.append(SumoEdge(str(k), shapes, junctions[k], continues, requests=len(stretch)))
    return network_file(parts, junctions[-1])


def _sumo_lane(lane: _Lane, start_m: float, end_m: float) -> SumoLane:
    return SumoLane(
        speed=str(LIMIT_MPS),
        length=f"{end_m - start_m:.3f}",
        width=f"{lane.width_m:.2f}",
        shape=" ".join(f"{x:.3f},{y:.3f}" for x, y in lane.piece(start_m, end_m)),
    )


def _junction(k: int, position_m: Float[np.ndarray, " 2"]) -> SumoJunction:
    x, y = (f"{value:.3f}" for value in position_m)
    return SumoJunction(f"to-{k}", x, y)


def _continued(before: list[_Lane], after: list[_Lane], cut_m: float) -> list[tuple[int, int]]:
    """Pairs of lanes that are one: each nearest to the other; a lane that tapers off has none."""
    cut = np.array([cut_m])
    ends, starts = (np.concatenate([lane.at(cut) for lane in side]) for side in (before, after))
    apart = np.linalg.norm(ends[:, None] - starts, axis=-1)
    nearest, back = apart.argmin(1), apart.argmin(0)
    return [
        (i, j)
        for i, j in enumerate(nearest.tolist())
        if back[j] == i and apart[i, j] < _CONTINUES_M
    ]


def edges(root: Element) -> list[str]:
    """Names of the edges, in the direction of traffic."""
    return [edge.attrib["id"] for edge in root.findall("edge")]


def _lanes(road: Road) -> list[_Lane]:
    """The lanes, the longest first."""
    if not road.lanes:
        raise InputError("others sumo: the road has no lanes; choose --others replay")
    middles = [0.5 * (left + right) for left, right in map(road.lane, range(road.lanes))]
    widths = [
        float(np.linalg.norm(left - right, axis=1).mean())
        for left, right in map(road.lane, range(road.lanes))
    ]
    lengths = [np.linalg.norm(np.diff(m, axis=0), axis=1).sum() for m in middles]
    reference = Polyline(middles[int(np.argmax(lengths))])
    lanes = []
    for k in np.argsort(lengths)[::-1]:
        foot = reference.project(middles[k], extended=True)
        station = reference.station_m(foot)
        increasing = np.concatenate([[True], np.diff(np.maximum.accumulate(station)) > 0])
        if station[-1] <= station[0] or increasing.sum() < 2:
            raise InputError(
                "others sumo: the lanes of the road run in both directions; "
                "choose --others reactive"
            )
        lanes.append(_Lane(station[increasing], middles[k][increasing], widths[k]))
    return lanes


def _across(lanes: list[_Lane], start_m: float, end_m: float) -> list[_Lane]:
    """The lanes that reach from one cut to the next, from the right."""
    middle = 0.5 * (start_m + end_m)
    through = [n for n in lanes if n.station_m[0] - _BEYOND_M <= start_m + _SAME_M + 0.1]
    through = [n for n in through if n.station_m[0] <= middle <= n.station_m[-1]]
    points = lanes[0].at(np.array([middle - 1.0, middle + 1.0]))
    left = np.array([points[0, 1] - points[1, 1], points[1, 0] - points[0, 0]])
    return sorted(through, key=lambda n: float(n.at(np.array([middle]))[0] @ left))
