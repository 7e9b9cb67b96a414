"""Recordings: what is refused, and that the file gives back what was put in."""

import dataclasses
import os

import h5py
import numpy as np
import pytest

from ppuu.recordings.recording import (
    _ROWS,
    _VEHICLES,
    Recording,
    load_recordings,
    save_recordings,
)
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording

ARRAYS = (*_ROWS, *_VEHICLES, "vehicle_pointer")


@pytest.fixture
def recording():
    cars = [Car(0.0, lane=0), Car(40.0, lane=1, first_frame=7, frames=20), Car(-10.0, to_lane=1)]
    return dataclasses.replace(
        straight_recording(cars, frames=60), provenance={"seed": 3, "steps": ["a", "b"]}
    )


def with_value(recording, key, row, value):
    array = getattr(recording, key).copy()
    array[row] = value
    return dataclasses.replace(recording, **{key: array})


def one_line(error, *words):
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message


def test_the_file_gives_back_everything(recording, tmp_path):
    path = tmp_path / "new folder" / "tracks.h5"
    recording.save(path)
    again = Recording.load(path)
    for key in ARRAYS:
        assert getattr(again, key).dtype == getattr(recording, key).dtype
        np.testing.assert_array_equal(getattr(again, key), getattr(recording, key))
    for key in ("lane_pointer", "left_m", "right_m"):
        np.testing.assert_array_equal(getattr(again.road, key), getattr(recording.road, key))
    assert again.dt_s == recording.dt_s
    assert again.name == recording.name
    assert dict(again.provenance) == dict(recording.provenance)
    assert again.content_hash == recording.content_hash
    assert os.listdir(path.parent) == ["tracks.h5"]


def test_one_file_may_hold_several(recording, tmp_path):
    other = dataclasses.replace(
        straight_recording([Car(5.0)], name="other"), provenance={"seed": 4}
    )
    both, alone = tmp_path / "both.h5", tmp_path / "alone.h5"
    save_recordings(both, [recording, other])
    other.save(alone)
    again = load_recordings([both, alone])
    assert [r.content_hash for r in again] == [r.content_hash for r in (recording, other, other)]
    assert [dict(r.provenance) for r in again] == [
        dict(recording.provenance), {"seed": 4}, {"seed": 4}
    ]  # fmt: skip
    # A name that is taken gets a number.
    assert [r.name for r in again] == [recording.name, "other", "other (2)"]
    with pytest.raises(InputError) as error:
        Recording.load(both)
    one_line(error, both, recording.name, "other", "load_recordings")


def test_a_file_holds_some_recording_and_no_name_twice(recording, tmp_path):
    path = tmp_path / "tracks.h5"
    with pytest.raises(InputError) as error:
        save_recordings(path, [recording, recording])
    one_line(error, path, recording.name)
    with pytest.raises(InputError) as error:
        save_recordings(path, [])
    one_line(error, path)
    with pytest.raises(InputError) as error:
        load_recordings([])
    one_line(error, "no recording given")
    assert os.listdir(tmp_path) == []
    recording.save(path)
    damaged(path, lambda file: file.__delitem__("recordings/0"))
    with pytest.raises(InputError) as error:
        load_recordings([path])
    one_line(error, path, "holds no recording")


def test_the_hash_is_of_the_content(recording):
    same = dataclasses.replace(recording, name="other", provenance={})
    assert same.content_hash == recording.content_hash
    road = recording.road
    changed = [
        with_value(recording, "x_m", 5, recording.x_m[5] + 1e-9),
        with_value(recording, "speed_mps", 0, 9.0),
        with_value(recording, "vehicle_id", 1, 7),
        with_value(recording, "width_m", 2, 2.0),
        dataclasses.replace(recording, dt_s=0.04),
        dataclasses.replace(
            recording, road=Road(road.lane_pointer, road.left_m + 1e-9, road.right_m)
        ),
    ]
    hashes = [recording.content_hash] + [other.content_hash for other in changed]
    assert len(set(hashes)) == len(hashes)


def test_rows_by_frame_and_tracks(recording):
    order, pointer = recording.rows_by_frame
    assert sorted(order) == list(range(recording.rows))
    for frame in range(recording.frames):
        rows = order[pointer[frame] : pointer[frame + 1]]
        assert sorted(rows) == list(np.flatnonzero(recording.frame == frame))
    for vehicle in range(recording.vehicles):
        rows = recording.row_vehicle == vehicle
        frames = recording.frame[rows]
        assert recording.first_frame[vehicle] == frames[0]
        assert recording.last_frame[vehicle] == frames[-1]
        np.testing.assert_array_equal(recording.track(vehicle)[:, 0], recording.x_m[rows])


@pytest.mark.parametrize("key", ["x_m", "y_m", "heading_rad", "speed_mps"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_none_is_refused(recording, key, value):
    row = recording.vehicle_pointer[1] + 2
    with pytest.raises(InputError) as error:
        with_value(recording, key, row, value)
    one_line(error, recording.name, "vehicle 101, frame 9", key)


def test_negative_speeds_are_refused(recording):
    with pytest.raises(InputError) as error:
        with_value(recording, "speed_mps", 3, -0.5)
    one_line(error, recording.name, "-0.500")


def test_gaps_in_a_track_are_refused(recording):
    row = recording.vehicle_pointer[1] + 4
    frame = recording.frame.copy()
    frame[row : recording.vehicle_pointer[2]] += 1
    with pytest.raises(InputError) as error:
        dataclasses.replace(recording, frame=frame)
    one_line(error, recording.name, "vehicle 101", "consecutive")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: {"x_m": r.x_m[:-1]}, "row arrays"),
        (lambda r: {"length_m": r.length_m[:-1]}, "vehicle arrays"),
        (lambda r: {"dt_s": 0.0}, "dt_s"),
        (lambda r: {"vehicle_pointer": np.array([0, 0, 60, r.rows])}, "vehicle_pointer"),
        (lambda r: {"vehicle_pointer": np.array([0, 60, 80, r.rows - 1])}, "vehicle_pointer"),
        (lambda r: {"frame": r.frame - 1}, "negative"),
        (lambda r: {"width_m": 0 * r.width_m}, "size"),
    ],
)
def test_inconsistent_arrays_are_refused(recording, change, words):
    with pytest.raises(InputError) as error:
        dataclasses.replace(recording, **change(recording))
    one_line(error, recording.name, words)


def damaged(path, change):
    """The file after ``change`` was made to it."""
    with h5py.File(path, "r+") as file:
        change(file)


def _negative_speed(file):
    file["recordings/1/rows/speed_mps"][3] = -1.0


def _other_format(file):
    file.attrs["format"] = "something"


def _other_version(file):
    file.attrs["schema_version"] = 99


def _no_version(file):
    del file.attrs["schema_version"]


def _no_column(file):
    del file["recordings/1/rows/x_m"]


def _no_json(file):
    file["recordings/1"].attrs["provenance"] = "{"


def _no_name(file):
    del file["recordings/1"].attrs["name"]


def _bad_road(file):
    file["recordings/1/road/left_m"][0] = np.nan


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_negative_speed, "recording 'second': a speed is negative"),
        (_other_format, "not a ppuu recording"),
        (_other_version, "schema version 99"),
        (_no_version, "damaged"),
        (_no_column, "recording 'second': truncated or damaged"),
        (_no_json, "recording 'second': truncated or damaged"),
        (_no_name, "recording 1: truncated or damaged"),
        (_bad_road, "recording 'second': road:"),
    ],
)
def test_bad_files_are_refused_in_one_line_that_names_them(recording, tmp_path, change, words):
    path = tmp_path / "tracks.h5"
    save_recordings(path, [recording, dataclasses.replace(recording, name="second")])
    damaged(path, change)
    with pytest.raises(InputError) as error:
        load_recordings([path])
    one_line(error, path, words)
    assert str(error.value).count(str(path)) == 1
    assert str(error.value).count("second") <= 1


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_files_are_refused(recording, tmp_path, share):
    path = tmp_path / "tracks.h5"
    recording.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError) as error:
        Recording.load(path)
    one_line(error, path, "truncated")


def test_other_files_are_refused(tmp_path):
    text = tmp_path / "notes.h5"
    text.write_text("frame,x\n0,1\n")
    with pytest.raises(InputError) as error:
        Recording.load(text)
    one_line(error, text)
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["x"] = [1]
    with pytest.raises(InputError) as error:
        Recording.load(foreign)
    one_line(error, foreign, "not a ppuu recording")
    with pytest.raises(InputError) as error:
        Recording.load(tmp_path / "nothing.h5")
    one_line(error, "nothing.h5", "no such file")


@pytest.mark.parametrize("there_already", [False, True])
def test_a_failed_save_leaves_no_trace(recording, tmp_path, monkeypatch, there_already):
    path = tmp_path / "tracks.h5"
    if there_already:
        recording.save(path)
    write, calls = h5py.Group.create_dataset, []

    def fails(*arguments, **options):
        calls.append(1)
        if len(calls) == 4:
            raise OSError("No space left on device")
        return write(*arguments, **options)

    monkeypatch.setattr(h5py.Group, "create_dataset", fails)
    with pytest.raises(OSError, match="space"):
        with_value(recording, "x_m", 0, 1.0).save(path)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == (["tracks.h5"] if there_already else [])
    if there_already:
        assert Recording.load(path).content_hash == recording.content_hash


def test_a_file_given_twice_is_refused(recording, tmp_path, monkeypatch):
    recording.save(tmp_path / "one.h5")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"one\.h5: given twice"):
        load_recordings(["one.h5", tmp_path / "one.h5"])
