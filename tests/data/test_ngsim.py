"""NGSIM text files: both layouts, feet, front bumper, y to the right."""

import numpy as np
import pytest

from data import ngsim_text
from data.sources import read_recordings
from data.sources.ngsim import Ngsim
from ppuu.errors import InputError
from ppuu.recording import Recording
from ppuu.road import Road

REAL_ROWS = (
    "2,13,437,1118846980200,16.467,35.381,6451137.641,1873344.962,14.5,4.9,2,40,0,2,0,0,0,0",
    "2,14,437,1118846980300,16.447,39.381,6451140.329,1873342,14.5,4.9,2,40,0,2,0,0,0,0",
)


def line(vehicle, frame, x_ft, y_ft, lane=2, velocity_ftps=40.0, street=None) -> list[str]:
    """One row; ``street`` is the direction (1 to 4) of the 24-column layout."""
    start = [vehicle, frame, 437, 1118846980200 + 100 * frame, x_ft, y_ft, 6451137.6, 1873344.9]
    start += [14.5, 4.9, 2, velocity_ftps, 0.0, lane]
    return [str(field) for field in start + ([1, 2, 3, 4, street, 1] if street else []) + [0] * 4]


def highway(frames=40) -> list[list[str]]:
    """Three lanes of 12 ft, one vehicle in each, 40 ft/s."""
    return [
        line(number, 13 + k, 12.0 * number - 6.0, 35.0 + 4.0 * k, lane=number)
        for number in (1, 2, 3)
        for k in range(frames)
    ]


def write(path, rows, delimiter=" ") -> None:
    path.write_text("".join(delimiter.join(row) + "\n" for row in rows))


@pytest.mark.parametrize("delimiter", [" ", "   ", "\t", ","])
def test_highway(tmp_path, delimiter):
    path = tmp_path / "trajectories-0400-0415.txt"
    write(path, highway(), delimiter)
    made = read_recordings(Ngsim(), path)[0]
    assert (made.name, made.vehicles, made.rows, made.dt_s) == (path.stem, 3, 120, 0.1)
    foot = 0.3048
    # Local Y is the front bumper: the centre lies half of 14.5 ft behind it.
    np.testing.assert_allclose(made.track(0)[:, 0], foot * (35.0 + 4 * np.arange(40) - 7.25))
    np.testing.assert_allclose(made.track(2)[:, 1], -foot * 30.0, atol=1e-9)
    np.testing.assert_allclose(made.heading_rad, 0.0, atol=1e-6)
    np.testing.assert_allclose(made.speed_mps, foot * 40.0, rtol=1e-6)
    np.testing.assert_allclose(made.length_m, foot * 14.5)
    np.testing.assert_allclose(made.width_m, foot * 4.9)
    assert made.provenance["first_frame"] == 13


def test_lanes_come_from_the_lane_column(tmp_path):
    path = tmp_path / "a.txt"
    write(path, highway())
    made = read_recordings(Ngsim(), path)[0]
    assert made.road.lanes == 3
    for index in range(3):
        left, right = made.road.lane(index)
        np.testing.assert_allclose(left[:, 1], -0.3048 * 12 * index, atol=1e-9)
        np.testing.assert_allclose(right[:, 1], -0.3048 * 12 * (index + 1), atol=1e-9)
    assert made.provenance["report"]["on_road_share"] == 1.0


def test_the_real_rows_of_us101(tmp_path):
    """Too few for a track: continued at their own speed."""
    rows = [text.split(",") for text in REAL_ROWS]
    later = [line(2, 15 + k, 16.447, 43.381 + 4.0 * k) for k in range(20)]
    path = tmp_path / "us101.csv"
    write(path, rows + later, ",")
    made = read_recordings(Ngsim(), path)[0]
    assert (made.vehicles, made.rows) == (1, 22)
    assert made.x_m[0] == pytest.approx(0.3048 * (35.381 - 7.25), abs=1e-3)
    assert made.y_m[0] == pytest.approx(-0.3048 * 16.467, abs=0.02)


def test_a_number_used_twice_is_two_tracks(tmp_path):
    path = tmp_path / "a.txt"
    write(path, highway() + [line(1, 500 + k, 6.0, 35.0 + 4.0 * k, lane=1) for k in range(30)])
    made = read_recordings(Ngsim(), path)[0]
    assert made.vehicle_id.tolist() == [1, 1, 2, 3]
    assert made.frames == 500 + 30 - 13


def test_streets(tmp_path):
    """Two directions; the southbound vehicle's centre lies half a length north of its front."""
    rows = [line(1, k, 6.0, 35.0 + 4.0 * k, lane=1, street=2) for k in range(40)]
    rows += [line(2, k, -20.0, 300.0 - 4.0 * k, lane=1, street=4) for k in range(40)]
    path = tmp_path / "street.txt"
    write(path, rows)
    made = read_recordings(Ngsim(), path)[0]
    south = made.track(1)
    np.testing.assert_allclose(south[:, 0], 0.3048 * (300 - 4 * np.arange(40) + 7.25), rtol=1e-6)
    np.testing.assert_allclose(np.abs(south[:, 2]), np.pi, atol=1e-6)
    assert made.road.lanes == 2
    left, right = made.road.lane(1)
    assert left[0, 0] > left[-1, 0]
    assert left[0, 1] < right[0, 1]
    assert made.provenance["report"]["on_road_share"] == 1.0


@pytest.mark.parametrize(
    "row, column, value, words",
    [
        (4, 5, "abc", "line 5, column 6 (local_y_ft): 'abc' is not a number"),
        (4, 0, "1.5x", "line 5, column 1 (vehicle): '1.5x' is not a number"),
        (4, 11, "-40.0", "line 5: vehicle 1, frame 17: its speed is negative (-12.192 m/s)"),
        (4, 1, "16", "line 5: vehicle 1, frame 16: a second row"),
        (4, 5, "nan", "line 5: vehicle 1, frame 17: x_m is not a number"),
        (4, 8, "0", "line 5: vehicle 1, frame 17: its box has no size"),
    ],
)
def test_bad_values_are_named(tmp_path, row, column, value, words):
    rows = highway()
    rows[row][column] = value
    path = tmp_path / "bad.txt"
    write(path, rows)
    with pytest.raises(InputError) as error:
        read_recordings(Ngsim(), path)[0]
    assert words in str(error.value)
    assert str(path) in str(error.value)


def test_missing_columns_are_named(tmp_path):
    path = tmp_path / "bad.txt"
    rows = highway()
    write(path, [row[:13] for row in rows])
    with pytest.raises(InputError, match=r"line 1: 13 columns.*missing: lane"):
        read_recordings(Ngsim(), path)[0]
    write(path, [*rows[:6], rows[6][:9], *rows[7:]])
    with pytest.raises(InputError, match=r"line 7: column 10 \(width_ft\) is missing; it has 9"):
        read_recordings(Ngsim(), path)[0]


def test_a_header_is_explained(tmp_path):
    path = tmp_path / "portal.csv"
    path.write_text("Vehicle_ID,Frame_ID,Total_Frames\n1,2,3\n")
    with pytest.raises(InputError, match="line 1: a header"):
        read_recordings(Ngsim(), path)[0]


def test_an_empty_file_is_named(tmp_path):
    path = tmp_path / "empty.txt"
    path.write_text("")
    with pytest.raises(InputError, match="empty"):
        read_recordings(Ngsim(), path)[0]


def weaving(vehicles=6, frames=200) -> Recording:
    """Cars and a truck that change lanes back and forth, each centre moving along its heading."""
    time_s = np.arange(0, frames * 0.1, 1e-3)
    tracks = []
    for vehicle in range(vehicles):
        heading = 0.1 * np.sin(0.4 * time_s + vehicle)
        speed = 6.0 + vehicle + 2.0 * np.sin(0.3 * time_s)
        x = 30.0 * vehicle + np.cumsum(speed * np.cos(heading)) * 1e-3
        y = 5.5 + np.cumsum(speed * np.sin(heading)) * 1e-3
        tracks.append(np.stack([x, y - y.mean() + 5.5, heading, speed])[:, ::100])
    x, y, heading, speed = np.concatenate(tracks, axis=1)
    return Recording(
        frame=np.tile(np.arange(frames), vehicles),
        x_m=x,
        y_m=y,
        heading_rad=heading,
        speed_mps=speed,
        vehicle_pointer=np.arange(vehicles + 1) * frames,
        vehicle_id=np.arange(vehicles) + 1,
        length_m=np.where(np.arange(vehicles) == 3, 14.0, 4.6),
        width_m=np.full(vehicles, 1.9),
        road=Road.straight(500.0, 3, 3.7, start_m=-20.0),
    )


def test_a_recording_written_as_text_comes_back(tmp_path):
    """A track's first heading is only guessed; the guess is forgotten within two lengths."""
    path = tmp_path / "made.txt"
    made = weaving()
    ngsim_text.write(made, path)
    back = read_recordings(Ngsim(), path)[0]
    assert back.vehicle_id.tolist() == made.vehicle_id.tolist()
    left_edge = made.road.left_m[:, 1].max()
    for vehicle in range(made.vehicles):
        true = made.track(vehicle)
        error = back.track(vehicle) - true + [0, left_edge, 0, 0]
        settled = np.hypot(*(true[:, :2] - true[0, :2]).T) > 2 * made.length_m[vehicle]
        assert np.hypot(error[:, 0], error[:, 1])[settled].max() < 0.02
        assert np.abs(error[settled, 2]).max() < 0.01
        assert np.abs(error[settled, 3]).max() < 0.15
