"""The generator's I-80 as SUMO's files: a network, and vehicles that arrive on it.

The network is written here, so that ``libsumo`` alone suffices and no ``netconvert`` is needed.
Facts used, from SUMO's documentation (sumo.dlr.de/docs): lanes count from the right, a lane's shape
is its centreline, a vehicle's type holds its size and its driver.
"""

from __future__ import annotations

from itertools import pairwise
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from ppuu.units import LANE_WIDTH_M

from ..traffic.drivers import draw_sizes
from ..traffic.road import I80, MAIN_LANES, RAMP_LANE, SECTION_M, lane_centre_m

_FREE_MPS, _BOTTLENECK_MPS = 29.0, 8.0
_STRETCHES = {
    "approach": (-300.0, I80.merge_start_m, _FREE_MPS),
    "merge": (I80.merge_start_m, I80.merge_end_m, _FREE_MPS),
    "onward": (I80.merge_end_m, SECTION_M + 20.0, _FREE_MPS),
    "bottleneck": (SECTION_M + 20.0, SECTION_M + 250.0, _BOTTLENECK_MPS),
}
"""From, to, and speed limit; the ramp ends with ``merge``."""
_BEFORE_THE_MERGE = {
    ("approach", RAMP_LANE): {"changeLeft": "emergency"},
    ("approach", MAIN_LANES - 1): {"changeRight": "emergency"},
}
"""Only ambulances, of which there are none, change between ramp and road so early."""
_MAIN_HZ, _RAMP_HZ = 0.55, 0.06
"""Vehicles that want to enter each main lane, and the ramp, per second."""
_TRUCK_SHARE, _TRUCK_LANES = 0.05, 3
_HEADWAY_S, _IMPERFECTION, _SPEED_FACTOR = (0.8, 1.5), (0.05, 0.2), (0.8, 1.2)
_ACCELERATION_MPS2 = (1.0, 1.8)


def network() -> Element:
    """The root of a ``.net.xml``: six lanes, and a ramp that ends at ``I80.merge_end_m``."""
    root = Element("net", version="1.16")
    names = list(_STRETCHES)
    for name, (start, end, limit) in _STRETCHES.items():
        edge = SubElement(root, "edge", {"id": name, "from": f"to-{name}", "to": _end_of(name)})
        for index, lane in enumerate(_lanes(name)):
            y = float(lane_centre_m(np.array(lane)))
            SubElement(
                edge, "lane", id=f"{name}_{index}", index=str(index), speed=str(limit),
                length=str(end - start), width=str(LANE_WIDTH_M), shape=f"{start},{y} {end},{y}",
                **_BEFORE_THE_MERGE.get((name, lane), {}),
            )  # fmt: skip
    for name in names:
        _junction(root, name)
    SubElement(
        root, "junction", id="end", type="dead_end", x=str(_STRETCHES[names[-1]][1]), y="0",
        incLanes=_lane_names(names[-1]), intLanes="", shape="",
    )  # fmt: skip
    for before, after in pairwise(names):
        for index, lane in enumerate(_lanes(after)):
            came = _lanes(before).index(lane)
            ends = {"from": before, "to": after, "fromLane": str(came), "toLane": str(index)}
            SubElement(root, "connection", ends, dir="s", state="M")
    return root


def _lanes(name: str) -> list[int]:
    """The generator's lanes on a stretch, from the right as SUMO counts them."""
    rightmost = RAMP_LANE if name in ("approach", "merge") else MAIN_LANES - 1
    return list(range(rightmost, -1, -1))


def _lane_names(name: str) -> str:
    return " ".join(f"{name}_{index}" for index in range(len(_lanes(name))))


def _end_of(name: str) -> str:
    names = list(_STRETCHES)
    return "end" if name == names[-1] else f"to-{names[names.index(name) + 1]}"


def _junction(root: Element, name: str) -> None:
    """Where a stretch begins; nobody has to give way there."""
    names = list(_STRETCHES)
    x, where = str(_STRETCHES[name][0]), {"id": f"to-{name}", "intLanes": "", "y": "0", "shape": ""}
    if name == names[0]:
        SubElement(root, "junction", where, x=x, type="dead_end", incLanes="")
        return
    before = names[names.index(name) - 1]
    node = SubElement(root, "junction", where, x=x, type="priority", incLanes=_lane_names(before))
    links = len(_lanes(name))
    for link in range(links):
        none = "0" * links
        SubElement(node, "request", index=str(link), response=none, foes=none, cont="0")


def routes(random: np.random.Generator, seconds: float) -> Element:
    """The root of a ``.rou.xml``: Poisson arrivals on every lane, each vehicle of its own type."""
    root = Element("routes")
    SubElement(root, "route", id="road", edges=" ".join(_STRETCHES))
    lanes = _lanes("approach")
    rates = np.array([_RAMP_HZ if lane == RAMP_LANE else _MAIN_HZ for lane in lanes])
    counts = random.poisson(rates * seconds)
    index = np.repeat(np.arange(len(lanes)), counts)
    depart = random.uniform(0.0, seconds, counts.sum())
    share = np.where((index >= 1) & (index <= _TRUCK_LANES), MAIN_LANES / _TRUCK_LANES, 0.0)
    is_truck = random.random(len(index)) < _TRUCK_SHARE * share
    length, width = draw_sizes(random, is_truck)
    headway, imperfection, factor, acceleration = (
        random.uniform(*limits, len(index))
        for limits in (_HEADWAY_S, _IMPERFECTION, _SPEED_FACTOR, _ACCELERATION_MPS2)
    )
    for number, k in enumerate(np.argsort(depart, kind="stable"), start=1):
        SubElement(
            root, "vType", id=f"type-{number}", length=f"{length[k]:.3f}", width=f"{width[k]:.3f}",
            vClass="truck" if is_truck[k] else "passenger", tau=f"{headway[k]:.3f}",
            sigma=f"{imperfection[k]:.3f}", speedFactor=f"{factor[k]:.3f}",
            accel=f"{acceleration[k]:.3f}", **_SIDEWAYS,
        )  # fmt: skip
        SubElement(
            root, "vehicle", id=str(number), type=f"type-{number}", route="road",
            depart=f"{depart[k]:.2f}", departLane=str(index[k]), departSpeed="max",
        )  # fmt: skip
    return root


_SIDEWAYS = {
    "latAlignment": "center",
    "maxSpeedLat": "1.3",
    "lcAccelLat": "1.0",
    "lcMaxSpeedLatStanding": "0",
    "lcMaxSpeedLatFactor": "0.2",
    "lcSigma": "0.1",
    "lcSpeedGain": "5",
    "lcKeepRight": "0",
}
"""A lane change takes about three seconds, and none is made at standstill."""
