"""CommonRoad scenarios (XML 2018b and 2020a, plain or gzip): one file, one short recording.

Source: https://commonroad.in.tum.de, format documentation 2018b and 2020a.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from ppuu.recordings.polyline import arc_length_m
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError

from ..raw_tracks import RawTracks
from ..roads.frame import LocalFrame
from .base import Source
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
ONE_WAY = 0.9
"""Mean resultant length of the headings above which all traffic runs along one road."""


@dataclass(frozen=True)
class CommonRoad(Source):
    """Scenarios in XML (2018b, 2020a), also *.xml.gz: obstacles and lanelets, one scene a file.

    The scene is turned so that x runs along the mean heading; at an intersection, where traffic
    has no common direction, the file's axes stay.
    """

    def read(self, path: Path) -> Iterator[RawTracks]:
        """One recording a file."""
        file = _open(path)
        root = file.root
        dt_s = file.number(root, "timeStepSize", root.get("timeStepSize"))
        if dt_s <= 0:
            place = file.place(root)
            raise InputError(f"{place}: timeStepSize is {dt_s:g} s; it must be positive")
        rows = _rows(file)
        lanes = _lanes(file)
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
            fields=_FIELDS,
            provenance={
                "site": _site(root.get("benchmarkID", name)),
                "benchmark": root.get("benchmarkID", name),
            },
            local_frame=frame,
            **rows,
        )


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


def _rows(file: XmlFile) -> dict[str, np.ndarray]:
    """One row a state, in the file's axes."""
    rows: dict[str, list] = {key: [] for key in (*_FIELDS, "vehicle", "line")}
    for obstacle in _obstacles(file.root):
        number, box = obstacle.get("id"), obstacle.find("shape/rectangle")
        if box is None:
            raise InputError(
                f"{file.place(obstacle)}: obstacle {number} has no rectangle; only boxes can be "
                "read"
            )
        whole = {
            "vehicle": int(file.number(obstacle, "obstacle id", number)),
            "length_m": file.child(box, "length"),
            "width_m": file.child(box, "width"),
        }
        for state in [obstacle.find("initialState"), *obstacle.findall("trajectory/state")]:
            if state is None:
                place = file.place(obstacle)
                raise InputError(f"{place}: obstacle {number} has no <initialState>")
            row = whole | {
                "line": file.line(state),
                "frame": int(file.child(state, "time/exact")),
                "x_m": file.child(state, "position/point/x"),
                "y_m": file.child(state, "position/point/y"),
                "heading_rad": file.child(state, "orientation/exact"),
                "speed_mps": file.child(state, "velocity/exact"),
            }
            for key, value in row.items():
                rows[key].append(value)
    return {key: np.array(values) for key, values in rows.items()}


def _obstacles(root: Element) -> Iterator[Element]:
    """2020a has <dynamicObstacle>, 2018b <obstacle> with a role."""
    yield from root.findall("dynamicObstacle")
    for obstacle in root.findall("obstacle"):
        if obstacle.findtext("role") == "dynamic":
            yield obstacle


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
    stations = np.linspace(0.0, along[-1], points)
    return np.stack([np.interp(stations, along, line[:, axis]) for axis in (0, 1)], axis=1)
