"""SUMO's network file of a road without branches.

The file is written directly, so that ``libsumo`` alone suffices and no ``netconvert`` is needed
(sumo.dlr.de/docs/Networks/SUMO_Road_Networks.html describes its elements).  SUMO counts lanes from
the right; a lane's shape is its centre line; all lanes of an edge have one length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from xml.etree.ElementTree import Element, SubElement


@dataclass(frozen=True)
class SumoLane:
    """One lane of an edge; numbers are text, as they stand in the file.

    Attributes:
        speed: limit in m/s.
        length: in m.
        width: in m.
        shape: centre line, ``x,y x,y …`` in m.
        permissions: further attributes, such as ``changeLeft``.
    """

    speed: str
    length: str
    width: str
    shape: str
    permissions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SumoJunction:
    """Where an edge begins, or the last one ends.

    Attributes:
        name: of the junction.
        x, y: position in m, as text.
    """

    name: str
    x: str
    y: str


@dataclass(frozen=True)
class SumoEdge:
    """A stretch of road with a fixed number of lanes.

    Attributes:
        name: of the edge.
        lanes: from the right.
        start: the junction where it begins.
        continues: pairs of lane indices, on this edge and on the next, that are one lane.
        requests: number of links declared at the junction where it ends.
    """

    name: str
    lanes: Sequence[SumoLane]
    start: SumoJunction
    continues: Sequence[tuple[int, int]]
    requests: int


def network_file(edges: Sequence[SumoEdge], end: SumoJunction) -> Element:
    """The root of a ``.net.xml``.

    Args:
        edges: in the direction of traffic.
        end: the junction where the last edge ends.
    """
    root = Element("net", version="1.16")
    junctions = [*(edge.start for edge in edges), end]
    for edge, (start, stop) in zip(edges, pairwise(junctions), strict=True):
        _write_edge(root, edge, start, stop)
    _write_junction(root, junctions[0], None, "dead_end")
    for edge, stop in zip(edges, junctions[1:], strict=True):
        _write_junction(root, stop, edge, "dead_end" if stop is end else "priority")
    for edge, following in pairwise(edges):
        for from_lane, to_lane in edge.continues:
            lanes = {"fromLane": str(from_lane), "toLane": str(to_lane)}
            ends = {"from": edge.name, "to": following.name}
            SubElement(root, "connection", ends | lanes, dir="s", state="M")
    return root


def _write_edge(root: Element, edge: SumoEdge, start: SumoJunction, stop: SumoJunction) -> None:
    element = SubElement(root, "edge", {"id": edge.name, "from": start.name, "to": stop.name})
    for index, lane in enumerate(edge.lanes):
        SubElement(
            element, "lane", id=f"{edge.name}_{index}", index=str(index), speed=lane.speed,
            length=lane.length, width=lane.width, shape=lane.shape, **lane.permissions,
        )  # fmt: skip


def _write_junction(
    root: Element, junction: SumoJunction, arriving: SumoEdge | None, kind: str
) -> None:
    """A junction at which no lane has to give way; dead ends declare no links."""
    position = {"id": junction.name, "x": junction.x, "y": junction.y, "intLanes": "", "shape": ""}
    lanes = range(len(arriving.lanes)) if arriving else ()
    names = " ".join(f"{arriving.name}_{index}" for index in lanes) if arriving else ""
    element = SubElement(root, "junction", position, type=kind, incLanes=names)
    if arriving and kind == "priority":
        no_conflict = "0" * arriving.requests
        for link in range(arriving.requests):
            SubElement(
                element, "request", index=str(link), response=no_conflict, foes=no_conflict,
                cont="0",
            )  # fmt: skip
