"""A road as SUMO's network file.

SUMO counts lanes from the right and gives all lanes of an edge one length, so the road is cut
across wherever a lane begins or ends (sumo.dlr.de/docs/Networks/PlainXML.html says what the parts
mean; the file is written directly, so that ``libsumo`` alone suffices).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from jaxtyping import Float

from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError

LIMIT_MPS = 40.0
"""Of the road; every driver has his own wish."""
_SAME_M = 5.0
"""Lanes that begin or end so near to each other do so at one cut."""
_BEYOND_M = 60.0
"""The road goes straight on for so far at both ends: whoever enters fits onto it whole."""
_CONTINUES_M = 2.5


@dataclass(frozen=True, eq=False)
class _Lane:
    """A lane's middle, by its station along the road.

    Attributes:
        station_m: ``(points,)`` rising.
        middle_m: ``(points, 2)``.
        width_m: mean width.
    """

    station_m: Float[np.ndarray, " points"]
    middle_m: Float[np.ndarray, "points 2"]
    width_m: float

    def at(self, station_m: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
        """Points of the middle, straight on beyond the ends."""
        inside = np.stack([np.interp(station_m, self.station_m, m) for m in self.middle_m.T], 1)
        for end, before in ((0, 1), (-1, -2)):
            way = self.middle_m[end] - self.middle_m[before]
            per_m = way / (self.station_m[end] - self.station_m[before])
            outside = station_m - self.station_m[end]
            outside = outside.clip(max=0) if end == 0 else outside.clip(min=0)
            inside = inside + outside[:, None] * per_m
        return inside

    def piece(self, start_m: float, end_m: float) -> Float[np.ndarray, "n 2"]:
        """The middle between two cuts."""
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
    root = Element("net", version="1.16")
    for k, (bounds, there) in enumerate(zip(pairwise(cuts), stretches, strict=True)):
        edge = SubElement(root, "edge", {"id": str(k), "from": f"to-{k}", "to": f"to-{k + 1}"})
        for index, lane in enumerate(there):
            shape = " ".join(f"{x:.3f},{y:.3f}" for x, y in lane.piece(*bounds))
            SubElement(
                edge, "lane", id=f"{k}_{index}", index=str(index), speed=str(LIMIT_MPS),
                length=f"{bounds[1] - bounds[0]:.3f}", width=f"{lane.width_m:.2f}", shape=shape,
            )  # fmt: skip
    for k, cut in enumerate(cuts):
        _junction(root, k, lanes[0].at(np.array([cut]))[0], stretches)
    for k, (before, after) in enumerate(pairwise(stretches)):
        for i, j in _continued(before, after, cuts[k + 1]):
            ends_of = {"from": str(k), "to": str(k + 1), "fromLane": str(i), "toLane": str(j)}
            SubElement(root, "connection", ends_of, dir="s", state="M")
    return root


def _continued(before: list[_Lane], after: list[_Lane], cut_m: float) -> list[tuple[int, int]]:
    """Pairs of lanes that are one, being nearest to each other: a lane that tapers off is not."""
    here = np.array([cut_m])
    ends, starts = (np.concatenate([lane.at(here) for lane in side]) for side in (before, after))
    apart = np.linalg.norm(ends[:, None] - starts, axis=-1)
    nearest, back = apart.argmin(1), apart.argmin(0)
    return [
        (i, j)
        for i, j in enumerate(nearest.tolist())
        if back[j] == i and apart[i, j] < _CONTINUES_M
    ]


def edges(root: Element) -> list[str]:
    """Their names, in the direction of traffic."""
    return [edge.attrib["id"] for edge in root.findall("edge")]


def _lanes(road: Road) -> list[_Lane]:
    """The lanes, the longest first."""
    if not road.lanes:
        raise InputError("others sumo: the road has no lanes")
    middles = [0.5 * (left + right) for left, right in map(road.lane, range(road.lanes))]
    widths = [
        float(np.linalg.norm(left - right, axis=1).mean())
        for left, right in map(road.lane, range(road.lanes))
    ]
    lengths = [np.linalg.norm(np.diff(m, axis=0), axis=1).sum() for m in middles]
    reference = middles[int(np.argmax(lengths))]
    found = []
    for k in np.argsort(lengths)[::-1]:
        station = _station(reference, middles[k])
        rising = np.concatenate([[True], np.diff(np.maximum.accumulate(station)) > 0])
        if station[-1] <= station[0] or rising.sum() < 2:
            raise InputError("others sumo: the lanes run in both directions; use other others")
        found.append(_Lane(station[rising], middles[k][rising], widths[k]))
    return found


def _station(
    line: Float[np.ndarray, "points 2"], places: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, " n"]:
    """Way along a line to where places lie beside it, straight on beyond its ends."""
    way = np.diff(line, axis=0)
    length = np.linalg.norm(way, axis=1)
    along = way / length[:, None]
    share = np.einsum("nsk,sk->ns", places[:, None] - line[:-1], along)
    low = np.where(np.arange(len(length)) == 0, -np.inf, 0.0)
    high = np.where(np.arange(len(length)) == len(length) - 1, np.inf, length)
    share = share.clip(low, high)
    apart = np.linalg.norm(places[:, None] - line[:-1] - share[..., None] * along, axis=-1)
    nearest = apart.argmin(1)
    start = np.concatenate([[0.0], length.cumsum()[:-1]])
    return start[nearest] + share[np.arange(len(places)), nearest]


def _across(lanes: list[_Lane], start_m: float, end_m: float) -> list[_Lane]:
    """Those that are there all the way between two cuts, from the right."""
    middle = 0.5 * (start_m + end_m)
    there = [n for n in lanes if n.station_m[0] - _BEYOND_M <= start_m + _SAME_M + 0.1]
    there = [n for n in there if n.station_m[0] <= middle <= n.station_m[-1]]
    way = lanes[0].at(np.array([middle - 1.0, middle + 1.0]))
    left = np.array([way[0, 1] - way[1, 1], way[1, 0] - way[0, 0]])
    return sorted(there, key=lambda n: float(n.at(np.array([middle]))[0] @ left))


def _junction(
    root: Element, k: int, place: Float[np.ndarray, "2"], stretches: list[list[_Lane]]
) -> None:
    """Where stretch ``k`` begins; nobody has to give way there."""
    x, y = (f"{value:.3f}" for value in place)
    common = {"id": f"to-{k}", "x": x, "y": y, "intLanes": "", "shape": ""}
    coming = [f"{k - 1}_{index}" for index in range(len(stretches[k - 1]))] if k else []
    inside = 0 < k < len(stretches)
    kind = "priority" if inside else "dead_end"
    node = SubElement(root, "junction", common, type=kind, incLanes=" ".join(coming))
    none = "0" * len(coming)
    for link in range(len(coming) if inside else 0):
        SubElement(node, "request", index=str(link), response=none, foes=none, cont="0")
