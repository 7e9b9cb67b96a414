"""The drawn roads of I-80 and US-101: against the drawing, real rows, and other conversions."""

import gzip
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from shapely import LineString, Point

from data.roads import sites
from data.sources import ngsim_text, read_recordings
from data.sources.commonroad import CommonRoad
from data.sources.ngsim import Ngsim
from data.sources.ngsim_sites import SITES
from ppuu.recordings.recording import Recording
from ppuu.units import feet_to_metres
from tests.data.sources.test_ngsim import I80_ROWS, REAL_ROWS
from tests.helpers import dense_recording

STATION_FT = {"i80": 2126.3, "us101": 58.28}
"""Of Local Y = 0 on the centreline of lane 1."""
LOCAL_X_FT = {"i80": 6.3, "us101": 5.9}
"""Of that centreline."""


def drawing(folder: Path, kind: str, site: str) -> list[tuple[str, np.ndarray]]:
    """Polylines of the CAD drawing: name and points in state-plane feet."""
    words = (folder / f"{kind}{site.removeprefix('i').removeprefix('us')}.txt").read_text().split()
    found, k = [], 2
    while k < len(words):
        name = words[k + 1]
        count, k = int(words[k + 2]), k + 3
        found.append((name, np.array(words[k : k + 2 * count], float).reshape(-1, 2)))
        k += 2 * count
    return found


def local(folder: Path, site: str, points_ft: np.ndarray) -> np.ndarray:
    """State-plane feet to the recording's axes, by shapely."""
    line = LineString(dict(drawing(folder, "centerlines", site))["centerline1"])
    made = []
    for point in map(Point, points_ft):
        station = min(line.project(point), line.length - 0.2)
        foot, on = (np.array(line.interpolate(station + step).coords[0]) for step in (0.0, 0.1))
        ahead, aside = on - foot, np.array(point.coords[0]) - foot
        offset = (ahead[0] * aside[1] - ahead[1] * aside[0]) / np.hypot(*ahead)
        made.append([station - STATION_FT[site], offset - LOCAL_X_FT[site]])
    return feet_to_metres(np.array(made))


@pytest.fixture
def geometry(shared_data) -> Path:
    folder = shared_data / "ngsim-road-geometry"
    if not folder.is_dir():
        pytest.skip(f"no drawing in {folder}")
    return folder


@pytest.mark.parametrize("site, rows", [("i80", I80_ROWS), ("us101", REAL_ROWS)])
def test_rows_with_both_coordinates_place_the_drawing(geometry, site, rows):
    fields = np.array([row.split(",") for row in rows])
    made = local(geometry, site, fields[:, 6:8].astype(float))
    local_x, local_y = feet_to_metres(fields[:, 4:6].astype(float)).T
    np.testing.assert_allclose(made, np.stack([local_y, -local_x], 1), atol=0.08)
    lane = sites.road(site).lane_index(made)
    np.testing.assert_array_equal(lane + 1, fields[:, 13].astype(int))


@pytest.mark.parametrize(
    "site, lines, tolerance_m",
    # Main lines by place in the file, from the left; US-101's were drawn with a shaky hand.
    [("i80", [7, 3, 2, 4, 5, 6], 0.1), ("us101", [0, 9, 8, 7, 6], 0.35)],
)
def test_main_lanes_agree_with_the_drawing(geometry, site, lines, tolerance_m):
    found = drawing(geometry, "boundaries", site)
    for lane, number in zip(sites.lanes(site), lines, strict=False):
        points = local(geometry, site, found[number][1])
        points = points[(points[:, 0] > -10.0) & (points[:, 0] < 550.0)]
        assert len(points) > 3
        drawn = np.interp(points[:, 0], *lane.left_m.T)
        assert np.abs(drawn - points[:, 1]).max() < tolerance_m


def test_i80_ramp_agrees_with_the_drawing(geometry):
    ramp = sites.lanes("i80")[6]
    found = drawing(geometry, "boundaries", "i80")
    for number, side, last_m in ((1, ramp.left_m, 180.0), (10, ramp.right_m, 300.0)):
        points = local(geometry, "i80", found[number][1])
        points = points[(points[:, 0] > 15.0) & (points[:, 0] < last_m)]
        assert np.abs(np.interp(points[:, 0], *side.T) - points[:, 1]).max() < 0.1


def test_i80_ramp_agrees_with_ppuus_hand_drawing():
    """PPUU: the ramp's outer edge falls 0.035 a metre, and has closed in at Local Y = 294.5 m."""
    right = sites.lanes("i80")[6].right_m
    pixel_m = 3.7 / 24
    x_m = np.arange(73.0, 290.0)
    by_hand = -(22.0 + 53 * pixel_m - 0.035 * (x_m - 470 * pixel_m))
    assert np.abs(np.interp(x_m, *right.T) - by_hand).mean() < 0.5


@pytest.mark.parametrize("site, mains, others", [
    ("i80", 6, ["on-ramp"]),
    ("us101", 5, ["auxiliary", "on-ramp", "off-ramp"]),
])  # fmt: skip
def test_lanes_are_counted_connected_and_wide_enough(site, mains, others):
    lanes = sites.lanes(site)
    assert [lane.kind for lane in lanes] == ["main"] * mains + others
    assert [lane.number for lane in lanes] == list(range(1, mains + len(others) + 1))
    for lane in lanes:
        assert (np.diff(lane.left_m[:, 0]) > 0).all()
        np.testing.assert_array_equal(lane.left_m[:, 0], lane.right_m[:, 0])
    widths = [np.median(lane.left_m[:, 1] - lane.right_m[:, 1]) for lane in lanes[:mains]]
    assert min(widths) > 3.3 and max(widths) < 3.95
    for left, right in zip(lanes[: mains - 1], lanes[1:mains], strict=True):
        np.testing.assert_array_equal(left.right_m, right.left_m)
    road = sites.road(site)
    assert road.lanes == len(lanes)
    assert road.drivable(np.array([[250.0, -1.8], [250.0, -20.5], [250.0, 1.5]])).tolist() == [
        True, True, False,
    ]  # fmt: skip


def test_ramps_join_the_road():
    """No strip of grass between a ramp and what it leads to, on the way of its middle."""
    ramp = sites.lanes("i80")[6]
    x_m = np.arange(150.0, 300.0, 2.0)
    inner = np.interp(x_m, *ramp.left_m.T)
    beside = np.stack([x_m, inner + 0.05], 1)[x_m > 182]
    assert sites.road("i80").drivable(beside).all()
    on, aux, off = (sites.lanes("us101")[k] for k in (6, 5, 7))
    for first, second in ((on, aux), (aux, off)):
        np.testing.assert_allclose(first.left_m[-1], second.left_m[0], atol=0.1)
        np.testing.assert_allclose(first.right_m[-1], second.right_m[0], atol=0.1)


def test_vehicles_of_i80_lie_on_the_lane_they_are_said_to_be_in(shared_data):
    path = shared_data / "ngsim-i80-car-following.csv.gz"
    with gzip.open(path, "rt") as file:
        header = file.readline().strip().split(",")
        columns = [header.index(name) for name in ("local_x", "local_y", "lane_id")]
        x, y, lane = np.loadtxt(file, delimiter=",", usecols=columns).T
    found = sites.road("i80").lane_index(np.stack([y, -x], 1))
    assert (found >= 0).all()
    assert (found + 1 == lane).mean() > 0.999


def test_lane_widths_of_us101_agree_with_commonroad(shared_data):
    """Medians of lanes 2 to 5 and the auxiliary lane; of lane 1 the shoulder is drawn along."""
    paths = sorted((shared_data / "ngsim-us101-commonroad").glob("*.xml.gz"))
    path = next(p for p in paths if "US101-10_1" in p.name)
    widths = []
    root = ElementTree.fromstring(gzip.decompress(path.read_bytes()))
    for lanelet in root.findall("lanelet"):
        left, right = (
            np.array([[float(p.findtext(a)) for a in "xy"] for p in lanelet.findall(f"{s}/point")])
            for s in ("leftBound", "rightBound")
        )
        side = LineString(right)
        widths.append(np.median([side.distance(Point(point)) for point in left]))
    theirs = np.sort(np.reshape(widths, (-1, 2)).mean(1))
    lanes = sites.lanes("us101")[:6]
    ours = [np.median(lane.left_m[:, 1] - lane.right_m[:, 1]) for lane in lanes]
    np.testing.assert_allclose(np.sort(ours[1:])[:3], theirs[:3], atol=0.1)
    np.testing.assert_allclose(np.sort(ours[1:])[3:], theirs[-2:], atol=0.1)
    assert 0 < ours[0] - 3.5 < 0.5


def turned(made: Recording, angle_rad: float) -> Recording:
    """The same scene, turned about the origin."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    turn = np.array([[cos, sin], [-sin, cos]])
    x_m, y_m = (np.stack([made.x_m, made.y_m], 1) @ turn).T
    road = replace(made.road, left_m=made.road.left_m @ turn, right_m=made.road.right_m @ turn)
    heading_rad = made.heading_rad + angle_rad
    return replace(made, x_m=x_m, y_m=y_m, heading_rad=heading_rad, road=road)


@pytest.mark.parametrize("window", ["1_1", "2_1", "2_10"])
def test_lankershims_lanes_follow_from_the_tracks(shared_data, tmp_path, window):
    """A window with a map, written as 24 columns: the map is found again where it is driven on."""
    folder = shared_data / "ngsim-lankershim-commonroad"
    made = read_recordings(CommonRoad(), folder / f"USA_Lanker-{window}_T-1.xml.gz")[0]
    north = np.abs(made.heading_rad - np.radians(65.0)) < 0.4
    made = replace(turned(made, -np.median(made.heading_rad[north])), name="lankershim-0830")
    path = tmp_path / "lankershim.txt"
    ngsim_text.write(made, path, street=True)
    back = read_recordings(Ngsim(), path)[0]
    assert back.name == made.name and back.vehicles == made.vehicles
    assert back.provenance["report"]["on_road_share"] > 0.99
    middles = 0.5 * (back.road.left_m + back.road.right_m)
    on_map = made.road.drivable(middles + np.array([0.0, made.road.left_m[:, 1].max()]))
    assert on_map.mean() > 0.95


@pytest.mark.parametrize("site", sites.DRAWN)
def test_traffic_placed_on_the_lanes_is_read_back_on_the_road(tmp_path, site):
    road = sites.road(site)
    made = dense_recording()
    centre = [0.5 * np.add(*(side[:, 1] for side in road.lane(k))).mean() for k in range(3)]
    lane = np.rint(made.y_m / 4.0 - 0.5).astype(int)
    made = replace(
        made,
        y_m=np.array(centre)[lane],
        heading_rad=0 * made.heading_rad,
        road=road,
        name=f"{site}-{SITES[site].slots[0]}",
        provenance={"axes": "x = Local Y, y = -Local X, metres"},
    )
    path = tmp_path / "portal.csv"
    ngsim_text.write_portal([made], path)
    back = read_recordings(Ngsim(), path)[0]
    assert back.provenance["report"]["on_road_share"] == 1.0
    points = np.stack([back.x_m, back.y_m], 1)
    np.testing.assert_array_equal(back.road.lane_index(points), lane)
