"""The smallest valid file of every source: two cars, a little more than a second."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data.sources import ngsim_text
from tests.helpers import Car, straight_recording

CARS = ((1, 0.0, 2.0, 20.0), (2, 30.0, 5.5, 18.0))
"""Number, x and y (m) at the start, speed (m/s)."""
SECONDS = 1.2


def rows(hz: float, sign: int = 1) -> list[tuple[int, int, float, float, float]]:
    """Number, frame, x, y, speed of both cars; towards -x, under other numbers, if sign is -1."""
    return [
        (number + (10 if sign < 0 else 0), k, sign * (x + speed * k / hz), sign * y, speed)
        for number, x, y, speed in CARS
        for k in range(round(SECONDS * hz))
    ]


def table(path: Path, header: str, lines: list[str]) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def ngsim(folder: Path) -> Path:
    path = folder / "tiny.txt"
    cars = [Car(x, lane, speed) for (_, x, _, speed), lane in zip(CARS, (0, 1), strict=True)]
    ngsim_text.write(straight_recording(cars, round(10 * SECONDS), lanes=2), path)
    return path


def dlr(folder: Path, classes: tuple[str, ...] = ()) -> Path:
    header = "timestamp,id,center_easting,center_northing,velocity_magnitude,yaw,"
    header += "dimension_length,dimension_width"
    header += "".join(f",classifications_{name}" for name in classes)
    likely = "".join(f",{float(name == 'car')}" for name in classes)
    lines = [
        f"2024-10-07 06:00:{k / 20:09.6f}+00:00,{number},{614000 - y:.3f},{5791000 + x:.3f},"
        f"{speed},{90 if x >= 0 and number < 10 else -90},4.5,1.8{likely}"
        for sign in (1, -1)
        for number, k, x, y, speed in rows(20.0, sign)
    ]
    return table(folder / "trajectories_tiny.csv", header, sorted(lines))


def dlr_urban(folder: Path) -> Path:
    return dlr(folder, ("pedestrian", "bicycle", "motorbike", "car", "van", "truck"))


def commonroad(folder: Path) -> Path:
    def point(x, y):
        return f"<point><x>{x}</x><y>{y}</y></point>"

    def state(tag, k, x, y, speed):
        return (
            f"<{tag}><position>{point(x, y)}</position><orientation><exact>0.0</exact>"
            f"</orientation><time><exact>{k}</exact></time><velocity><exact>{speed}</exact>"
            f"</velocity></{tag}>\n"
        )

    lanelets = [
        f'<lanelet id="{900 + k}"><leftBound>{point(a, 4)}{point(a + 40, 4)}</leftBound>'
        f"<rightBound>{point(a, 0)}{point(a + 40, 0)}</rightBound>{successor}</lanelet>\n"
        for k, (a, successor) in enumerate([(0, '<successor ref="901"/>'), (40, "")])
    ]
    shapes = {
        1: "<rectangle><length>4.5</length><width>1.8</width></rectangle>",
        2: f"<polygon>{point(-2, -1)}{point(3, 0)}{point(-2, 1)}</polygon>",
    }
    obstacles = []
    for number, *_ in CARS:
        states = [own[1:] for own in rows(10.0) if own[0] == number]
        obstacles.append(
            f'<dynamicObstacle id="{number}"><type>car</type><shape>{shapes[number]}</shape>'
            + state("initialState", *states[0])
            + f"<trajectory>{''.join(state('state', *own) for own in states[1:])}</trajectory>"
            "</dynamicObstacle>\n"
        )
    parked = (
        '<staticObstacle id="3"><type>parkedVehicle</type><shape><rectangle><length>4.5</length>'
        "<width>1.8</width><orientation>0.1</orientation><center><x>0.5</x><y>0.0</y></center>"
        "</rectangle></shape>" + state("initialState", 0, 70.0, 1.5, 0.0) + "</staticObstacle>\n"
    )
    cone = (
        '<staticObstacle id="4"><type>constructionZone</type><shape><circle><radius>0.3</radius>'
        "</circle></shape>" + state("initialState", 0, 75.0, 1.5, 0.0) + "</staticObstacle>\n"
    )
    obstacles += [parked, cone]
    path = folder / "tiny.xml"
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<commonRoad commonRoadVersion="2020a" timeStepSize="0.1">\n'
        f"{''.join(lanelets)}{''.join(obstacles)}</commonRoad>\n"
    )
    return path


def tgsim(folder: Path) -> Path:
    header = "id,time,xloc-kf,yloc-kf,lane-kf,length-smoothed,width-smoothed,run-index"
    lines = [f"{n},{k / 10},{x},{-y},1,4.5,1.8,1" for n, k, x, y, _ in rows(10.0)]
    return table(folder / "tiny.csv", header, lines)


def i24(folder: Path) -> Path:
    foot = 0.3048
    documents = []
    for number, *_ in CARS:
        own = np.array([row[1:4] for row in rows(25.0) if row[0] == number])
        documents.append(
            {
                "_id": {"$oid": f"{number:024d}"},
                "direction": 1,
                "length": 15.0,
                "width": 6.0,
                "timestamp": (1669118400 + own[:, 0] / 25.0).tolist(),
                "x_position": (own[:, 1] / foot).round(2).tolist(),
                "y_position": (own[:, 2] / foot).round(2).tolist(),
            }
        )
    path = folder / "tiny.json"
    path.write_text(json.dumps(documents, indent=0) + "\n")
    return path


def interaction(folder: Path) -> Path:
    header = "track_id,frame_id,timestamp_ms,agent_type,x,y,vx,vy,psi_rad,length,width"
    lines = [
        f"{n},{k + 1},{100 * (k + 1)},car,{x},{y},{speed},0.0,0.0,4.5,1.8"
        for n, k, x, y, speed in rows(10.0)
    ]
    return table(folder / "vehicle_tracks_000.csv", header, lines)


def highd(folder: Path) -> Path:
    table(
        folder / "01_recordingMeta.csv",
        "id,frameRate,locationId,speedLimit,upperLaneMarkings,lowerLaneMarkings",
        ["1,25,2,-1.00,1.0;5.0;9.0,12.0;16.0;20.0"],
    )
    header = "id,numFrames,class,drivingDirection"
    table(folder / "01_tracksMeta.csv", header, [f"{n},38,Car,2" for n, *_ in CARS])
    lines = [
        f"{k},{n},{x:.2f},{12 + y - 0.9:.2f},4.5,1.8,{speed},0.0,5"
        for n, k, x, y, speed in rows(25.0)
    ]
    header = "frame,id,x,y,width,height,xVelocity,yVelocity,laneId"
    return table(folder / "01_tracks.csv", header, lines)


def levelx(folder: Path) -> Path:
    header = "recordingId,locationId,frameRate,xUtmOrigin,yUtmOrigin"
    table(folder / "00_recordingMeta.csv", header, ["0,1,25,300000.0,5600000.0"])
    header = "recordingId,trackId,class"
    table(folder / "00_tracksMeta.csv", header, [f"0,{n},car" for n, *_ in CARS])
    lines = [
        f"0,{n},{k},{x:.2f},{y:.2f},0.0,1.8,4.5,{speed},0.0" for n, k, x, y, speed in rows(25.0)
    ]
    header = "recordingId,trackId,frame,xCenter,yCenter,heading,width,length,xVelocity,yVelocity"
    return table(folder / "00_tracks.csv", header, lines)


def any_csv(folder: Path) -> Path:
    names = {"vehicle": "id", "x": "east", "y": "north", "frame": "n", "speed": "v"}
    mapping = {"frame_rate_hz": 25, "columns": names, "length_m": 4.5, "width_m": 1.8}
    (folder / "camera.json").write_text(json.dumps(mapping, indent=0) + "\n")
    lines = [f"{number},{k},{x},{y},{speed}" for number, k, x, y, speed in rows(25.0)]
    return table(folder / "camera.csv", "id,n,east,north,v", lines)


WRITERS: dict[str, Callable[[Path], Path]] = {
    "ngsim": ngsim,
    "dlr-highway": dlr,
    "dlr-urban": dlr_urban,
    "commonroad": commonroad,
    "tgsim": tgsim,
    "i24": i24,
    "interaction": interaction,
    "highd": highd,
    "levelx": levelx,
    "csv": any_csv,
}
"""Source → writes its files into a folder and returns the one that the reader is given."""
