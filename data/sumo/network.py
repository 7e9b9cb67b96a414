"""The generator's I-80 as SUMO's files: a network, and vehicles that arrive on it.

Facts used, from SUMO's documentation (sumo.dlr.de/docs): lanes count from the right, a vehicle's
type holds its size and its driver.
"""

from __future__ import annotations

from itertools import pairwise
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from ppuu.driving.sumo import LATERAL_BEHAVIOUR
from ppuu.driving.sumo_network import SumoEdge, SumoJunction, SumoLane, network_file
from ppuu.units import LANE_WIDTH_M

from ..traffic.road import I80, I80_RAMP, SECTION_M
from ..traffic.sizes import draw_sizes

_FREE_MPS, _BOTTLENECK_MPS = 29.0, 8.0
_STRETCHES = {
    "approach": (-300.0, I80_RAMP.merge_start_m, _FREE_MPS),
    "merge": (I80_RAMP.merge_start_m, I80_RAMP.merge_end_m, _FREE_MPS),
    "onward": (I80_RAMP.merge_end_m, SECTION_M + 20.0, _FREE_MPS),
    "bottleneck": (SECTION_M + 20.0, SECTION_M + 250.0, _BOTTLENECK_MPS),
}
"""From, to, and speed limit; the ramp ends with ``merge``."""
_BEFORE_THE_MERGE = {
    ("approach", I80.ramp_lane): {"changeLeft": "emergency"},
    ("approach", I80.main_lanes - 1): {"changeRight": "emergency"},
}
"""Only emergency vehicles, of which there are none, change between ramp and road so early."""
_MAIN_HZ, _RAMP_HZ = 0.55, 0.06
"""Vehicles that arrive on each main lane, and on the ramp, per second."""
_TRUCK_FRACTION, _TRUCK_LANES = 0.05, 3
_HEADWAY_S, _IMPERFECTION, _SPEED_FACTOR = (0.8, 1.5), (0.05, 0.2), (0.8, 1.2)
_ACCELERATION_MPS2 = (1.0, 1.8)


def network() -> Element:
    """The root of a ``.net.xml``: six lanes, and a ramp that ends at ``I80_RAMP.merge_end_m``."""
    edges = []
    for name, after in pairwise([*_STRETCHES, None]):
        indices = _continued(name, after) if after else []
        start = SumoJunction(f"to-{name}", str(_STRETCHES[name][0]), "0")
        lanes = [_lane(name, lane) for lane in _lanes(name)]
        edges.append(SumoEdge(name, lanes, start, indices, requests=len(indices)))
    end_m = max(stop for _, stop, _ in _STRETCHES.values())
    return network_file(edges, SumoJunction("end", str(end_m), "0"))


def _lanes(name: str) -> list[int]:
    """The generator's lanes on a stretch, from the right as SUMO counts them."""
    rightmost = I80.ramp_lane if name in ("approach", "merge") else I80.main_lanes - 1
    return list(range(rightmost, -1, -1))


def _lane(name: str, lane: int) -> SumoLane:
    start, end, limit = _STRETCHES[name]
    y = float(I80.lane_centre_m(np.array(lane)))
    return SumoLane(
        speed=str(limit),
        length=str(end - start),
        width=str(LANE_WIDTH_M),
        shape=f"{start},{y} {end},{y}",
        permissions=_BEFORE_THE_MERGE.get((name, lane), {}),
    )


def _continued(name: str, after: str) -> list[tuple[int, int]]:
    """Indices of the lanes that go on from one stretch to the next, on both."""
    return [(_lanes(name).index(lane), index) for index, lane in enumerate(_lanes(after))]


def routes(random: np.random.Generator, seconds: float) -> Element:
    """The root of a ``.rou.xml``: Poisson arrivals on every lane, each vehicle of its own type."""
    root = Element("routes")
    SubElement(root, "route", id="road", edges=" ".join(_STRETCHES))
    lanes = _lanes("approach")
    rates = np.array([_RAMP_HZ if lane == I80.ramp_lane else _MAIN_HZ for lane in lanes])
    counts = random.poisson(rates * seconds)
    index = np.repeat(np.arange(len(lanes)), counts)
    depart = random.uniform(0.0, seconds, counts.sum())
    factor = np.where((index >= 1) & (index <= _TRUCK_LANES), I80.main_lanes / _TRUCK_LANES, 0.0)
    is_truck = random.random(len(index)) < _TRUCK_FRACTION * factor
    length, width = draw_sizes(random, is_truck)
    headway, imperfection, speed_factor, acceleration = (
        random.uniform(*limits, len(index))
        for limits in (_HEADWAY_S, _IMPERFECTION, _SPEED_FACTOR, _ACCELERATION_MPS2)
    )
    lateral = {name: str(value) for name, value in LATERAL_BEHAVIOUR.items()}
    for number, k in enumerate(np.argsort(depart, kind="stable"), start=1):
        SubElement(
            root, "vType", id=f"type-{number}", length=f"{length[k]:.3f}", width=f"{width[k]:.3f}",
            vClass="truck" if is_truck[k] else "passenger", tau=f"{headway[k]:.3f}",
            sigma=f"{imperfection[k]:.3f}", speedFactor=f"{speed_factor[k]:.3f}",
            accel=f"{acceleration[k]:.3f}", latAlignment="center", **lateral,
        )  # fmt: skip
        SubElement(
            root, "vehicle", id=str(number), type=f"type-{number}", route="road",
            depart=f"{depart[k]:.2f}", departLane=str(index[k]), departSpeed="max",
        )  # fmt: skip
    return root
