"""Roads from tracks alone: generated crossings, and real streets whose map is hidden."""

import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data import clean
from data.download import DATASETS
from data.raw_tracks import RawTracks
from data.roads.from_tracks import derive
from data.roads.strips import swept_lanes
from data.sources import read_recordings
from data.sources.commonroad import CommonRoad
from data.sources.dlr import DlrUrban
from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError

LANE_M = 3.5


def line(start, way, length_m=160.0):
    """Points of a straight path, one a metre."""
    start, way = np.array(start, float), np.array(way, float)
    return start + np.arange(length_m)[:, None] * way


def right_turn(radius_m=12.0):
    """From the west arm into the south arm: 60 m, a quarter circle to the right, 60 m."""
    angle = np.linspace(np.pi / 2, 0.0, round(radius_m * np.pi / 2) + 1)
    arc = radius_m * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    arc = arc - (1.5 * LANE_M + radius_m)
    before = line((arc[0, 0] - 60, arc[0, 1]), (1, 0), 60)
    after = line(arc[-1] - (0, 1), (0, -1), 60)
    return np.concatenate([before, arc, after])


def recorded(paths, each=6, noise_m=0.25, road=None) -> Recording:
    """Vehicles at 8 m/s on each path, each with its own lateral offset."""
    rng = np.random.default_rng(3)
    rows = {key: [] for key in ("vehicle", "frame", "x_m", "y_m")}
    for number, path in enumerate([path for path in paths for _ in range(each)]):
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
        station = np.arange(rng.uniform(0, 3), along[-1], 0.8)
        tangent = np.gradient(path, axis=0)
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1) / np.hypot(*tangent.T)[:, None]
        place = path + rng.normal(0, noise_m) * normal
        rows["x_m"].append(np.interp(station, along, place[:, 0]))
        rows["y_m"].append(np.interp(station, along, place[:, 1]))
        rows["frame"].append(np.arange(len(station)) + 30 * number)
        rows["vehicle"].append(np.full(len(station), number))
    columns = {key: np.concatenate(values) for key, values in rows.items()}
    size = {
        "length_m": np.full(len(columns["x_m"]), 4.5),
        "width_m": np.full(len(columns["x_m"]), 1.8),
    }
    return clean.recording(RawTracks("made", "made.csv", 0.1, road, **columns, **size))


def crossing() -> list[np.ndarray]:
    """Two lanes each way on two streets that cross at the origin, and a right turn."""
    lanes = [(sign, offset) for sign in (1, -1) for offset in (0.5, 1.5)]
    east_west = [line((-80 * s, -s * k * LANE_M), (s, 0)) for s, k in lanes]
    north_south = [line((s * k * LANE_M, -80 * s), (0, s)) for s, k in lanes]
    return [*east_west, *north_south, right_turn()]


def on_road(recording: Recording, road: Road) -> float:
    return float(road.drivable(np.stack([recording.x_m, recording.y_m], 1)).mean())


def area_near(recording: Recording, *roads: Road) -> list[np.ndarray]:
    """Which cells of half a metre, within 4 m of any track, are drivable."""
    cells = np.unique(np.rint(np.stack([recording.x_m, recording.y_m], 1) * 2).astype(int), axis=0)
    disc = np.stack(np.meshgrid(*2 * [np.arange(-8, 9)]), -1).reshape(-1, 2)
    disc = disc[np.hypot(*disc.T) <= 8]
    points = 0.5 * np.unique((cells[:, None] + disc).reshape(-1, 2), axis=0)
    return [road.drivable(points) for road in roads]


def test_a_crossing_has_its_lanes():
    recording = recorded(crossing())
    road = recording.road
    assert recording.provenance["report"]["on_road_share"] == 1.0
    # Eight through lanes and the turn: the cover is not torn to shreds.
    assert 9 <= road.lanes <= 11
    through = [
        k for k in range(road.lanes) if np.hypot(*(road.lane(k)[0][-1] - road.lane(k)[0][0])) > 150
    ]
    assert len(through) == 8
    for lane in through:
        left, right = road.lane(lane)
        way = (left[-1] - left[0]) / np.hypot(*(left[-1] - left[0]))
        assert np.abs(way).max() > 0.999
        # Right-hand traffic: the centre of every lane lies to the right of the street's middle.
        centre = 0.5 * (left + right)
        offset = way[0] * centre[:, 1] - way[1] * centre[:, 0]
        nearest = np.array([0.5, 1.5]) * -LANE_M
        assert np.abs(offset[:, None] - nearest).min(1).max() < 0.5
        np.testing.assert_allclose(np.hypot(*(left - right).T), LANE_M, atol=0.45)


def test_lanes_beside_each_other_share_their_line():
    road = swept_lanes(recorded(crossing()[:4]))
    assert road.lanes == 4
    lines = np.array([road.lane(k)[side][20:-20, 1].mean() for k in range(4) for side in (0, 1)])
    for expected in (LANE_M, 0.0, -LANE_M):
        assert (np.abs(lines - expected) < 0.2).sum() == 2


def test_a_two_way_road_gets_through_lanes_in_both_directions():
    recording = recorded(crossing()[:4])
    road = derive(recording)
    assert road.lanes == 4
    ways = [np.sign(left[-1, 0] - left[0, 0]) for left, _ in map(road.lane, range(4))]
    assert sorted(ways) == [-1, -1, 1, 1]
    for lane, way in enumerate(ways):
        left, right = road.lane(lane)
        assert (way * (left[:, 1] - right[:, 1]) > 3).all()
        assert (way * left[:, 1] < 0.6).all()


def test_where_no_lane_is_driven_on_throughout_strips_do():
    pieces = [line((0, 0), (1, 0), 60), line((200, 0), (1, 0), 60)]
    recording = recorded(pieces)
    assert on_road(recording, derive(recording)) == 1.0


def test_standing_vehicles_stand_on_the_road():
    parked = np.repeat([[40.0, -40.0]], 200, axis=0) + 1e-3 * np.arange(200)[:, None]
    recording = recorded([*crossing(), parked], each=2)
    assert on_road(recording, derive(recording)) == 1.0


@pytest.mark.parametrize("distance_m", [1e9, 1e300])
def test_a_stray_vehicle_is_refused_before_a_grid_is_laid_out(distance_m):
    recording = recorded(crossing()[:2])
    x_m = recording.x_m.copy()
    x_m[recording.vehicle_pointer[3] :] += distance_m * (
        np.arange(len(x_m) - recording.vehicle_pointer[3]) < 1
    )
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"vehicle 3, frame \d+: x = .* km from"):
            derive(replace(recording, x_m=x_m))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 100 * x_m.nbytes


def test_real_streets_without_their_map(shared_data):
    """Lankershim: all vehicles on the road; what is derived lies on the real lanelets."""
    files = sorted((shared_data / "ngsim-lankershim-commonroad").glob("*.xml*"))
    assert files
    for path in files:
        recording = read_recordings(CommonRoad(), path)[0]
        road = derive(recording)
        assert on_road(recording, road) >= 0.99
        made, real = area_near(recording, road, recording.road)
        assert (made & real).sum() / (made | real).sum() > 0.7
        assert (made & real).sum() / made.sum() > 0.96


@pytest.mark.slow
def test_the_real_intersection():
    root = Path(os.environ.get("PPUU_DATA") or Path.home() / ".cache" / "ppuu")
    path = root / "dlr-urban" / DATASETS["dlr-urban"].trajectories
    if not path.is_file():
        pytest.skip("not downloaded; python -m data.download dlr-urban")
    (recording,) = read_recordings(DlrUrban(), path)
    assert recording.vehicles == 565
    assert recording.provenance["report"]["on_road_share"] >= 0.999
    assert 15 <= recording.road.lanes <= 40
