"""exiD, inD and rounD: generated traffic written in their layout, and what the reader makes."""

from dataclasses import replace

import numpy as np
import pytest

from data.roads.frame import LocalFrame
from data.sources.levelx import LevelX
from ppuu.runtime.errors import InputError

from ..as_recorded import read_recordings
from ..layouts import levelx
from ..layouts.two_way import Rows, assert_recovered, at_rate, both_ways, generated

ANGLE_RAD = 0.6
"""The motorway leads to the north-east."""


@pytest.fixture(scope="module")
def truth():
    return both_ways(generated()).seen_from(LocalFrame(-30.0, 200.0, -ANGLE_RAD))


@pytest.fixture(scope="module")
def made(tmp_path_factory, truth):
    path = levelx.write(tmp_path_factory.mktemp("exid"), at_rate(truth, 25.0), walkers=2)
    return read_recordings(LevelX(), path)


def test_what_was_generated_comes_back(made, truth):
    """Linear interpolation from 10 Hz to the file's 25 and back costs up to a centimetre."""
    assert [recording.name for recording in made] == ["location4-07-east", "location4-07-west"]
    assert {recording.dt_s for recording in made} == {0.1}
    assert_recovered(made, truth, position_m=0.01, heading_rad=0.005, speed_mps=0.03)


def test_both_directions_drive_along_x_with_lanes_from_the_tracks(made):
    for recording in made:
        assert np.abs(recording.heading_rad).max() < 0.5
        assert recording.x_m.min() == pytest.approx(0.0, abs=1.0)
        assert recording.road.lanes >= 6
        assert recording.provenance["report"]["on_road_share"] > 0.99
        assert recording.provenance["utm_origin_m"] == [293487.1, 5629711.5]


def test_who_has_no_size_is_left_out_and_counted(made, truth):
    dropped = made[0].provenance["report"]["dropped"]
    frames = len(np.unique(at_rate(truth, 25.0).frame))
    assert dropped["pedestrian, not a vehicle with a size"] == 2 * frames
    assert "pedestrian, not a vehicle with a size" not in made[1].provenance["report"]["dropped"]


def crossing() -> Rows:
    """Two cars through an intersection, one to the north, one to the west."""
    frame = np.arange(60)
    along, zero = 0.4 * frame - 12.0, np.zeros(60)
    size = [zero + 10.0, zero + 4.5, zero + 1.8]
    north = Rows(zero.astype(int) + 1, frame, zero, along, zero + 0.5 * np.pi, *size)
    west = Rows(zero.astype(int) + 2, frame, -along, zero + 9.0, zero + np.pi, *size)
    return Rows(
        **{key: np.concatenate([getattr(north, key), getattr(west, key)]) for key in vars(north)}
    )


def test_an_intersection_keeps_the_axes_of_the_file(tmp_path):
    rows = crossing()
    (made,) = read_recordings(LevelX(), levelx.write(tmp_path, rows))
    assert made.name == "location4-07"
    assert made.provenance["report"]["on_road_share"] == 1.0
    at_10_hz = rows.of(rows.frame % 5 == 0)
    at_10_hz = replace(at_10_hz, frame=at_10_hz.frame // 5 * 2)
    x, y = made.track(0)[::2, :2].T
    np.testing.assert_allclose(x, 0.0, atol=1e-9)
    np.testing.assert_allclose(y, at_10_hz.y_m[:12], atol=1e-5)


def test_a_cyclist_with_a_size_is_left_out_too(tmp_path):
    rows = crossing()
    cyclist = rows.of(rows.vehicle == 2)
    cyclist = replace(cyclist, vehicle=cyclist.vehicle + 1, y_m=cyclist.y_m + 3.0)
    rows = Rows(
        **{key: np.concatenate([getattr(rows, key), getattr(cyclist, key)]) for key in vars(rows)}
    )
    (made,) = read_recordings(LevelX(), levelx.write(tmp_path, rows, kinds={3: "bicycle"}))
    assert made.vehicle_id.tolist() == [1, 2]


@pytest.mark.parametrize(
    "name, old, new, words",
    [
        ("07_tracks.csv", "heading", "yaw", "line 1: column 'heading' is missing"),
        ("07_tracks.csv", "\n7,1,3,", "\n7,1,three,", "line 5, column 3 (frame): 'three' is not a"),
        ("07_tracks.csv", "\n7,1,3,0,0.0,", "\n7,1,3,0,nan,", "line 5, column 5 (xCenter): 'nan'"),
        (
            "07_tracks.csv",
            "\n7,1,3,0,0.0,",
            "\n7,1,3,0,1e300,",
            "line 5, column 'xCenter': vehicle 1",
        ),
        (
            "07_tracks.csv",
            "\n7,1,3,",
            "\n7,1,2,",
            "line 5, column 'trackId', column 'frame': vehicle 1",
        ),
        (
            "07_tracks.csv",
            "\n7,1,3,",
            "\n7,9,3,",
            "line 5, column 'trackId': track 9 is not in 07_tr",
        ),
        ("07_tracksMeta.csv", "class", "kind", "'class' is missing; is it a meta file"),
        ("07_recordingMeta.csv", ",25.0,", ",inf,", "line 2, column 3 (frameRate): 'inf'"),
    ],
)
def test_bad_input_is_named(tmp_path, name, old, new, words):
    path = levelx.write(tmp_path, crossing())
    text = (tmp_path / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as error:
        read_recordings(LevelX(), path)
    assert words in str(error.value)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe\x80", None])
@pytest.mark.parametrize("kind", ["tracks", "tracksMeta", "recordingMeta"])
def test_a_missing_empty_or_binary_file_is_named(tmp_path, kind, content):
    path = levelx.write(tmp_path, crossing())
    name = f"07_{kind}.csv"
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        read_recordings(LevelX(), path)


def test_nobody_with_an_engine(tmp_path):
    path = levelx.write(tmp_path, crossing(), kinds={1: "pedestrian", 2: "bicycle"})
    with pytest.raises(InputError, match="no row of a moving vehicle"):
        read_recordings(LevelX(), path)
