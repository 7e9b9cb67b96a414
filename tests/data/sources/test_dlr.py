"""DLR Highway Traffic: a made-up curved motorway whose lanes are known; and the real one."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data.download import DATASETS, unpack
from data.roads.reference import ReferenceLine, follow
from data.sources.dlr import HIGHWAY_NAMES, DlrHighway
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import sha256

from ..as_recorded import read_recordings

HEADER = (
    "timestamp,id,center_easting,center_northing,velocity_easting,velocity_northing,"
    "velocity_magnitude,yaw,dimension_length,dimension_width,interpolated"
)
RADIUS_M = 2000.0
LANE_M = 3.75
EASTING_M, NORTHING_M = 614_000.0, 5_791_000.0


def motorway(path: Path, seconds: float = 24.0) -> None:
    """Two lanes each way on a curve to the right about a median of 6 m; a ramp beside one."""
    rng = np.random.default_rng(0)
    lines = [HEADER]
    tick = np.arange(0, seconds, 0.05)
    number = 0
    for north in (True, False):
        for lane in (0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 2, 2, 2):
            number += 1
            speed = 30.0 if lane < 2 else 25.0
            start = rng.uniform(0, 60) if lane < 2 else 300.0
            weave = 0.25 * np.sin(tick / 4 + rng.uniform(0, 6))
            right = 3.0 + LANE_M * (lane + 0.5) + weave
            along = start + speed * tick
            # The road starts towards north-east and turns right.
            if north:
                angle, radius = np.pi * 0.8 - along / RADIUS_M, RADIUS_M - right
            else:
                angle, radius = np.pi * 0.8 - 0.38 + along / RADIUS_M, RADIUS_M + right
            x, y = EASTING_M + radius * np.cos(angle), NORTHING_M + radius * np.sin(angle)
            yaw = np.degrees(angle - np.pi / 2 if north else angle + np.pi / 2)
            yaw = (yaw + 180) % 360 - 180
            used = tick < 8.0 if lane == 2 else tick >= 0
            for k in np.flatnonzero(used):
                stamp = f"2024-10-07 06:00:{tick[k]:09.6f}+00:00"
                lines.append(
                    f"{stamp},{number},{x[k]:.3f},{y[k]:.3f},0,0,{speed},{yaw[k]:.3f},4.5,1.8,False"
                )
    lines[1:] = sorted(lines[1:])
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("dlr") / "trajectories.csv"
    motorway(path)
    return read_recordings(DlrHighway(), path)


def test_one_recording_a_direction(made):
    assert [recording.name for recording in made] == list(HIGHWAY_NAMES)
    for recording in made:
        assert recording.vehicles == 13
        assert recording.dt_s == pytest.approx(0.1)
        assert recording.frames == 240
        assert recording.provenance["report"]["on_road_share"] == 1.0
        assert recording.provenance["start"].startswith("2024-10-07 06:00:00")


def test_x_runs_along_and_motion_agrees_with_heading_and_speed(made):
    for recording in made:
        assert recording.x_m.min() == pytest.approx(0.0, abs=1e-6)
        for vehicle in range(recording.vehicles):
            x, y, heading, speed = recording.track(vehicle).T
            step = np.diff(x) + 1j * np.diff(y)
            assert (np.diff(x) > 0).all()
            np.testing.assert_allclose(np.abs(step) / 0.1, speed[1:], atol=0.3)
            np.testing.assert_allclose(np.angle(step), heading[1:], atol=0.02)


def test_lanes_are_found_where_they_are(made):
    for recording in made:
        assert recording.road.lanes == 3
        for lane in range(2):
            left, right = recording.road.lane(lane)
            width = np.hypot(*(left - right).T)
            np.testing.assert_allclose(width, LANE_M, atol=0.35)
            assert np.hypot(*(left[-1] - left[0])) > 650
        ramp = recording.road.lane(2)[0]
        assert np.hypot(*(ramp[-1] - ramp[0])) < 300
        points = np.stack([recording.x_m, recording.y_m], 1)
        lane = recording.road.lane_index(points)
        expected = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 2, 2, 2])[recording.row_vehicle]
        assert (lane == expected).mean() > 0.99


def test_the_frame_leads_back_to_the_map(made):
    first, second = (recording.provenance["frame"] for recording in made)
    turn = first["angle_rad"] - second["angle_rad"]
    assert abs(np.angle(np.exp(1j * turn))) > 2.9
    assert abs(first["origin_x_m"] - EASTING_M) < 3000


def test_project_and_points_are_inverse():
    x = np.arange(0.0, 1000.0, 20.0)
    line = ReferenceLine(np.stack([x, 1e-4 * (x - 500) ** 2], 1))
    rng = np.random.default_rng(0)
    station, offset = rng.uniform(30, 950, 200), rng.uniform(-15, 15, 200)
    found = line.project(line.points(station, offset))
    np.testing.assert_allclose(found[0], station, atol=0.05)
    np.testing.assert_allclose(found[1], offset, atol=0.01)


def test_a_biased_heading_does_not_bend_the_line():
    """Half a degree would be 26 m over 3 km."""
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 3000, 60_000)
    y = rng.choice([0.0, 3.7], 60_000) + rng.normal(0, 0.2, 60_000)
    line = follow(np.stack([x, y], 1), np.full(60_000, np.radians(0.5)))
    assert np.ptp(line.points_m[:, 1]) < 0.5


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("yaw", "bearing", "line 1: column 'yaw' is missing"),
        (",30.0,", ",quick,", "line 2, column 7 (velocity_magnitude): 'quick' is not a number"),
        (
            ",30.0,",
            ",-30.0,",
            "column 'velocity_magnitude': vehicle 1, frame 0: its speed",
        ),
        ("2024-10-07 06", "yesterday 06", "line 2, column 'timestamp': 'yesterday"),
    ],
)
def test_bad_input_is_named(tmp_path, old, new, words):
    path = tmp_path / "bad.csv"
    motorway(path, seconds=2.0)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError) as error:
        read_recordings(DlrHighway(), path)
    assert words in str(error.value)


def test_a_second_row_in_one_frame_is_named(tmp_path):
    path = tmp_path / "bad.csv"
    motorway(path, seconds=2.0)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[5]]) + "\n")
    with pytest.raises(InputError, match=f"line {len(lines) + 1}, column .* second row"):
        read_recordings(DlrHighway(), path)


def test_a_changed_archive_is_refused(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("folder/a.csv", "1")
    unpack(archive, sha256(archive), tmp_path / "whole")
    assert (tmp_path / "whole" / "folder" / "a.csv").read_text() == "1"
    with pytest.raises(InputError, match="SHA-256"):
        unpack(archive, "0" * 64, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_the_real_motorway():
    root = Path(os.environ.get("PPUU_DATA") or Path.home() / ".cache" / "ppuu")
    path = root / "dlr-highway" / DATASETS["dlr-highway"].trajectories
    if not path.is_file():
        pytest.skip("not downloaded; python -m data.download dlr-highway")
    north, south = read_recordings(DlrHighway(), path)
    assert (north.vehicles, south.vehicles) == (281, 161)
    for recording in (north, south):
        assert recording.frames == 3000
        assert recording.road.lanes == 3
        assert recording.provenance["report"]["on_road_share"] > 0.999
        for lane in range(2):
            left, right = recording.road.lane(lane)
            assert 3.2 < np.median(np.hypot(*(left - right).T)) < 4.0
