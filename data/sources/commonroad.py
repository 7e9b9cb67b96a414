"""CommonRoad scenarios (XML 2018b and 2020a, plain or gzip): one file, one short recording.

Source: https://commonroad.in.tum.de, format documentation 2018b and 2020a.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import numpy as np

from ppuu.errors import InputError
from ppuu.road import Road

from ..raw import RawTracks
from ..roads.frame import LocalFrame
from .base import Source
from .table import shown

VERSIONS = ("2018b", "2020a")
ONE_WAY = 0.9
"""Mean resultant length of the headings above which all traffic runs along one road."""


@dataclass(frozen=True)
class CommonRoad(Source):
    """Scenarios in XML (2018b, 2020a), also *.xml.gz: obstacles and lanelets, one scene a file.

    The scene is turned so that x runs along the mean heading; at an intersection, where traffic
    has no common direction, the file's axes stay.
    """

    version: ClassVar[int] = 1

    def read(self, path: Path) -> Iterator[RawTracks]:
        """One recording a file."""
        root = _parse(path)
        dt_s = _number(root.get("timeStepSize"), path, "timeStepSize")
        if dt_s <= 0:
            raise InputError(f"{path}: timeStepSize is {dt_s:g} s; it must be positive")
        rows = _rows(root, path)
        lanes = _lanes(root, path)
        direction = np.exp(1j * rows["heading_rad"]).mean() if len(rows["heading_rad"]) else 0.0
        angle_rad = float(np.angle(direction)) if abs(direction) > ONE_WAY else 0.0
        frame = LocalFrame(0.0, 0.0, angle_rad)
        rows["x_m"], rows["y_m"] = frame.to_local(np.stack([rows["x_m"], rows["y_m"]], 1)).T
        rows["heading_rad"] = rows["heading_rad"] - angle_rad
        name = path.name.removesuffix(".gz").removesuffix(".xml")
        sides = [(frame.to_local(left), frame.to_local(right)) for left, right in lanes]
        yield RawTracks(
            name=name,
            file=str(path),
            dt_s=dt_s,
            road=Road.from_lanes(sides),
            provenance={
                "site": _site(root.get("benchmarkID", name)),
                "benchmark": root.get("benchmarkID", name),
                "frame": frame.as_json(),
            },
            **rows,
        )


def _site(benchmark: str) -> str:
    """``USA_US101-10_1_T-1`` → ``USA_US101``: country and map."""
    return benchmark.removeprefix("C-").partition("-")[0]


def _parse(path: Path) -> ElementTree.Element:
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            root = ElementTree.parse(file).getroot()
    except (OSError, EOFError, ElementTree.ParseError) as error:
        raise InputError(f"{path}: not readable as XML ({error}); fetch it again") from None
    if root.tag != "commonRoad":
        raise InputError(f"{path}: its root is <{root.tag}>, not <commonRoad>; wrong file?")
    if root.get("commonRoadVersion") not in VERSIONS:
        raise InputError(
            f"{path}: CommonRoad version {root.get('commonRoadVersion')}; "
            f"this reader knows {' and '.join(VERSIONS)}"
        )
    return root


def _rows(root: ElementTree.Element, path: Path) -> dict[str, np.ndarray]:
    """One row a state, in the file's axes."""
    rows = {key: [] for key in ("vehicle", "frame", "x_m", "y_m", "heading_rad", "speed_mps")}
    rows |= {"length_m": [], "width_m": []}
    for obstacle in _obstacles(root):
        number = obstacle.get("id", "?")
        place = f"obstacle {number}"
        box = obstacle.find("shape/rectangle")
        if box is None:
            raise InputError(f"{path}: {place} has no rectangle; only boxes can be read")
        size = [_value(box, key, path, place) for key in ("length", "width")]
        states = [obstacle.find("initialState"), *obstacle.findall("trajectory/state")]
        for state in states:
            if state is None:
                raise InputError(f"{path}: {place} has no <initialState>")
            row = {
                "vehicle": int(_number(number, path, "obstacle id")),
                "frame": int(_value(state, "time/exact", path, place)),
                "x_m": _value(state, "position/point/x", path, place),
                "y_m": _value(state, "position/point/y", path, place),
                "heading_rad": _value(state, "orientation/exact", path, place),
                "speed_mps": _value(state, "velocity/exact", path, place),
                "length_m": size[0],
                "width_m": size[1],
            }
            for key, value in row.items():
                rows[key].append(value)
    return {key: np.array(values) for key, values in rows.items()}


def _obstacles(root: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """2020a has <dynamicObstacle>, 2018b <obstacle> with a role."""
    yield from root.findall("dynamicObstacle")
    for obstacle in root.findall("obstacle"):
        if obstacle.findtext("role") == "dynamic":
            yield obstacle


def _lanes(root: ElementTree.Element, path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Left and right boundary of each lane.

    Lanelets that follow each other without a fork or a merge are one lane, so that a lane index
    changes only when a vehicle changes lanes.
    """
    lanelets = {lanelet.get("id"): lanelet for lanelet in root.findall("lanelet")}
    after = {
        key: [other.get("ref") for other in lanelet.findall("successor")]
        for key, lanelet in lanelets.items()
    }
    before = {key: [] for key in lanelets}
    for key, followers in after.items():
        for follower in followers:
            before.setdefault(follower, []).append(key)

    def successor(key: str) -> str | None:
        follower = after[key][0] if len(after[key]) == 1 else None
        return follower if follower in lanelets and len(before[follower]) == 1 else None

    joined = {successor(key) for key in lanelets}
    lanes = []
    for key in lanelets:
        if key in joined:
            continue
        pieces = []
        while key is not None:
            pieces.append(_bounds(lanelets[key], path))
            key = successor(key)
        left, right = (np.concatenate(side) for side in zip(*pieces, strict=True))
        # The last points of one lanelet are the first of the next; keep them once.
        new = np.ones(len(left), bool)
        new[1:] = (np.abs(np.diff(left, axis=0)) + np.abs(np.diff(right, axis=0))).max(1) > 1e-6
        lanes.append((left[new], right[new]))
    return lanes


def _bounds(lanelet: ElementTree.Element, path: Path) -> tuple[np.ndarray, np.ndarray]:
    place = f"lanelet {lanelet.get('id')}"
    sides = []
    for side in ("leftBound", "rightBound"):
        points = [
            [_value(point, axis, path, place) for axis in ("x", "y")]
            for point in lanelet.findall(f"{side}/point")
        ]
        if len(points) < 2:
            raise InputError(f"{path}: {place} has fewer than two points in <{side}>")
        sides.append(np.array(points))
    left, right = sides
    stations = max(len(left), len(right))
    return _resample(left, stations), _resample(right, stations)


def _resample(line: np.ndarray, points: int) -> np.ndarray:
    """The same polyline with so many points: as it is, or equally spaced along it."""
    if len(line) == points:
        return line
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    stations = np.linspace(0.0, along[-1], points)
    return np.stack([np.interp(stations, along, line[:, axis]) for axis in (0, 1)], axis=1)


def _value(element: ElementTree.Element, tag: str, path: Path, place: str) -> float:
    text = element.findtext(tag)
    if text is None:
        raise InputError(f"{path}: {place} has a state or point without <{tag}>")
    return _number(text, path, f"{place}: <{tag}>")


def _number(text: str | None, path: Path, place: str) -> float:
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path}: {place} is {shown(text or '')}, not a number; mend or remove it")
    return value
