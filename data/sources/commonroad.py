"""CommonRoad scenarios (XML 2018b and 2020a, plain or gzip): one file, one short recording.

Source: https://commonroad.in.tum.de, format documentation 2018b and 2020a.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element

import numpy as np

from ppuu.recordings.polyline import arc_length_m, points_at
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError

from ..raw_tracks import RawTracks
from ..roads.frame import LocalFrame
from .base import Source
from .commonroad_shapes import Box, box
from .resample import HIGHEST_HZ, LOWEST_HZ, PROJECT_HZ, resampled
from .xml_file import XmlFile

VERSIONS = ("2018b", "2020a")
_FIELDS = {
    "frame": "column <time/exact>",
    "x_m": "column <position/point/x>",
    "y_m": "column <position/point/y>",
    "heading_rad": "column <orientation/exact>",
    "speed_mps": "column <velocity/exact>",
    "length_m": "column <length>",
    "width_m": "column <width>",
}
_PARKED = "parkedVehicle"
ONE_WAY = 0.9
"""Mean resultant length of the headings above which all traffic runs along one road."""


@dataclass(frozen=True)
class CommonRoad(Source):
    """Scenarios in XML (2018b, 2020a), also *.xml.gz: obstacles and lanelets, one scene a file.

    The scene is turned so that x runs along the mean heading; at an intersection, where traffic
    has no common direction, the file's axes stay.  Parked vehicles stand there throughout; other
    static obstacles are left out, and counted.  Circles and polygons become the boxes around them.

    Attributes:
        frame_rate_hz: frames a second of the recordings, by interpolation from the file's.
    """

    frame_rate_hz: float = PROJECT_HZ

    def read(self, path: Path) -> Iterator[RawTracks]:
        """One recording a file."""
        file = _open(path)
        root = file.root
        dt_s = _time_step_s(file)
        moving = _moving(file)
        rows, left_out = _with_standing(file, moving)
        lanes = _lanes(file)
        headings = moving["heading_rad"]
        direction = np.exp(1j * headings).mean() if len(headings) else 0.0
        angle_rad = float(np.angle(direction)) if abs(direction) > ONE_WAY else 0.0
        frame = LocalFrame(0.0, 0.0, angle_rad)
        rows["x_m"], rows["y_m"] = frame.to_local(np.stack([rows["x_m"], rows["y_m"]], 1)).T
        rows["heading_rad"] = rows["heading_rad"] - angle_rad
        name = path.name.removesuffix(".gz").removesuffix(".xml")
        sides = [(frame.to_local(left), frame.to_local(right)) for left, right in lanes]
        tracks = RawTracks(
            name=name,
            file=str(path),
            dt_s=dt_s,
            road=Road.from_lanes(sides),
            fields=_FIELDS,
            left_out=left_out,
            provenance={
                "site": _site(root.get("benchmarkID", name)),
                "benchmark": root.get("benchmarkID", name),
            },
            local_frame=frame,
            **rows,
        )
        yield resampled(tracks, self.frame_rate_hz)


def _time_step_s(file: XmlFile) -> float:
    dt_s = file.number(file.root, "timeStepSize", file.root.get("timeStepSize"))
    if not 1.0 / HIGHEST_HZ <= dt_s <= 1.0 / LOWEST_HZ:
        raise InputError(
            f"{file.place(file.root)}: timeStepSize is {dt_s:g} s; it must be "
            f"{1 / HIGHEST_HZ:g} to {1 / LOWEST_HZ:g} s"
        )
    return dt_s


def _site(benchmark: str) -> str:
    """``USA_US101-10_1_T-1`` → ``USA_US101``: country and map."""
    return benchmark.removeprefix("C-").partition("-")[0]


def _open(path: Path) -> XmlFile:
    file = XmlFile(path)
    root = file.root
    if root.tag != "commonRoad":
        raise InputError(f"{file.place(root)}: <{root.tag}> is not <commonRoad>; wrong file?")
    if root.get("commonRoadVersion") not in VERSIONS:
        raise InputError(
            f"{file.place(root)}: CommonRoad version {root.get('commonRoadVersion')}; "
            f"this reader knows {' and '.join(VERSIONS)}"
        )
    return file


def _moving(file: XmlFile) -> dict[str, np.ndarray]:
    """One row a state of the dynamic obstacles, in the file's axes."""
    rows: list[tuple] = []
    for obstacle in _obstacles(file.root, "dynamic"):
        vehicle, shape = _number(file, obstacle), box(file, obstacle)
        for state in [_initial(file, obstacle), *obstacle.findall("trajectory/state")]:
            frame = file.whole(state, "frame", file.child(state, "time/exact"))
            speed_mps = file.child(state, "velocity/exact")
            pose = _pose(file, state, shape)
            rows.append((vehicle, file.line(state), frame, *pose, speed_mps, shape))
    return _columns(rows)


def _with_standing(
    file: XmlFile, moving: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """The rows with those of parked vehicles, while others move; and what is left out, and why."""
    rows: list[tuple] = []
    frames = np.unique(moving["frame"]).tolist()
    left_out: Counter[str] = Counter()
    for obstacle in _obstacles(file.root, "static"):
        kind = obstacle.findtext("type") or "unknown"
        if kind != _PARKED:
            left_out[f"static obstacle, {kind}"] += 1
            continue
        vehicle, shape = _number(file, obstacle), box(file, obstacle)
        state = _initial(file, obstacle)
        pose = _pose(file, state, shape)
        rows += [(vehicle, file.line(state), frame, *pose, 0.0, shape) for frame in frames]
    standing = _columns(rows)
    return {key: np.concatenate([moving[key], standing[key]]) for key in moving}, dict(left_out)


def _obstacles(root: Element, role: Literal["dynamic", "static"]) -> Iterator[Element]:
    """2020a has <dynamicObstacle> and <staticObstacle>, 2018b <obstacle> with a role."""
    yield from root.findall(f"{role}Obstacle")
    yield from (one for one in root.findall("obstacle") if one.findtext("role") == role)


def _number(file: XmlFile, obstacle: Element) -> int:
    number = file.number(obstacle, "obstacle id", obstacle.get("id"))
    return file.whole(obstacle, "obstacle id", number)


def _initial(file: XmlFile, obstacle: Element) -> Element:
    state = obstacle.find("initialState")
    if state is None:
        place = file.place(obstacle)
        raise InputError(f"{place}: obstacle {obstacle.get('id')} has no <initialState>")
    return state


def _pose(file: XmlFile, state: Element, shape: Box) -> tuple[float, float, float]:
    """Centre and heading of the box of an obstacle in this state."""
    x_m, y_m = (file.child(state, f"position/point/{axis}") for axis in ("x", "y"))
    heading_rad = file.child(state, "orientation/exact")
    cos, sin = math.cos(heading_rad), math.sin(heading_rad)
    return (
        x_m + cos * shape.ahead_m - sin * shape.left_m,
        y_m + sin * shape.ahead_m + cos * shape.left_m,
        heading_rad + shape.turn_rad,
    )


def _columns(rows: list[tuple]) -> dict[str, np.ndarray]:
    """Rows of (vehicle, line, frame, x, y, heading, speed, box) as columns of ``RawTracks``."""
    names = ("vehicle", "line", "frame", "x_m", "y_m", "heading_rad", "speed_mps")
    columns = {
        name: np.array([row[k] for row in rows], np.int64 if k < 3 else float)
        for k, name in enumerate(names)
    }
    for name in ("length_m", "width_m"):
        columns[name] = np.array([getattr(row[-1], name) for row in rows], float)
    return columns


def _lanes(file: XmlFile) -> list[tuple[np.ndarray, np.ndarray]]:
    """Left and right boundary of each lane.

    Lanelets that follow each other without a fork or a merge are one lane, so that a lane index
    changes only when a vehicle changes lanes.
    """
    lanelets = {lanelet.get("id"): lanelet for lanelet in file.root.findall("lanelet")}
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
            pieces.append(_bounds(file, lanelets[key]))
            key = successor(key)
        left, right = (np.concatenate(side) for side in zip(*pieces, strict=True))
        # The last points of one lanelet are the first of the next; keep them once.
        new = np.ones(len(left), bool)
        new[1:] = (np.abs(np.diff(left, axis=0)) + np.abs(np.diff(right, axis=0))).max(1) > 1e-6
        lanes.append((left[new], right[new]))
    return lanes


def _bounds(file: XmlFile, lanelet: Element) -> tuple[np.ndarray, np.ndarray]:
    sides = []
    for side in ("leftBound", "rightBound"):
        points = [
            [file.child(point, axis) for axis in ("x", "y")]
            for point in lanelet.findall(f"{side}/point")
        ]
        if len(points) < 2:
            raise InputError(
                f"{file.place(lanelet)}: lanelet {lanelet.get('id')} has fewer than two points "
                f"in <{side}>"
            )
        sides.append(np.array(points))
    left, right = sides
    stations = max(len(left), len(right))
    return _resample(left, stations), _resample(right, stations)


def _resample(line: np.ndarray, points: int) -> np.ndarray:
    """The same polyline with so many points: as it is, or equally spaced along it."""
    if len(line) == points:
        return line
    along = arc_length_m(line)
    return points_at(line, along, np.linspace(0.0, along[-1], points))
