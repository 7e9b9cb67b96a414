"""highD: generated traffic written in its layout, and what the reader makes of it."""

import numpy as np
import pytest

from data.roads.frame import LocalFrame
from data.sources.highd import HighD
from ppuu.runtime.errors import InputError

from ..as_recorded import read_recordings
from ..layouts import highd
from ..layouts.two_way import HALF_MEDIAN_M, assert_recovered, at_rate, both_ways, generated


@pytest.fixture(scope="module")
def truth():
    return both_ways(generated())


def lines_m() -> np.ndarray:
    """Of the carriageway towards +x: six lanes and the ramp as a seventh."""
    return -HALF_MEDIAN_M - 3.7 * np.arange(8)


@pytest.fixture(scope="module")
def made(tmp_path_factory, truth):
    folder = tmp_path_factory.mktemp("highd")
    return read_recordings(HighD(), highd.write(folder, at_rate(truth, 25.0), lines_m()))


def test_what_was_generated_comes_back(made, truth):
    """Corners are rounded to 1 cm, and headings are inferred from positions so rounded."""
    assert [recording.name for recording in made] == ["highd-01-upper", "highd-01-lower"]
    assert {recording.dt_s for recording in made} == {0.1}
    in_image = truth.seen_from(LocalFrame(0.0, highd.TOP_M, 0.0))
    assert_recovered(made, in_image, position_m=0.02, heading_rad=0.06, speed_mps=0.1)


def test_both_directions_drive_along_x_on_their_marked_lanes(made):
    source = generated()
    lane = source.road.lane_index(np.stack([source.x_m, source.y_m], 1))
    keys = zip(source.vehicle_id[source.row_vehicle], source.frame, strict=True)
    lane_of = dict(zip(keys, lane, strict=True))
    for recording in made:
        assert np.abs(recording.heading_rad).max() < 0.5
        assert recording.road.lanes == 7
        assert recording.x_m.min() > 0
        assert recording.provenance["report"]["on_road_share"] == 1.0
        found = recording.road.lane_index(np.stack([recording.x_m, recording.y_m], 1))
        number = recording.vehicle_id[recording.row_vehicle] % 10_000
        frame = recording.frame + recording.provenance["first_frame"]
        expected = np.array([lane_of[key] for key in zip(number, frame, strict=True)])
        assert (found == expected)[expected >= 0].mean() > 0.999
        right_m = recording.road.lane(6)[1]
        np.testing.assert_allclose(right_m[:, 1], 0.0, atol=0.01)


def test_the_files_own_rate_can_be_kept(tmp_path, truth):
    rows = at_rate(truth.of(truth.frame < 15), 25.0)
    made = read_recordings(HighD(frame_rate_hz=25.0), highd.write(tmp_path, rows, lines_m()))
    assert {recording.dt_s for recording in made} == {0.04}
    in_image = rows.seen_from(LocalFrame(0.0, highd.TOP_M, 0.0))
    assert_recovered(made, in_image, position_m=0.011, heading_rad=0.1, ends=0)


def test_a_direction_without_traffic_gives_no_recording(tmp_path, truth):
    rows = at_rate(truth.of((truth.frame < 15) & (truth.vehicle < 10_000)), 25.0)
    made = read_recordings(HighD(), highd.write(tmp_path, rows, lines_m()))
    assert [recording.name for recording in made] == ["highd-01-lower"]


@pytest.mark.parametrize(
    "name, old, new, words",
    [
        ("01_tracks.csv", "xVelocity", "vx", "line 1: column 'xVelocity' is missing"),
        ("01_tracks.csv", "\n2,171,", "\n2,10x2,", "line 4, column 2 (id): '10x2' is not a"),
        (
            "01_tracks.csv",
            "\n2,171,",
            "\n1,171,",
            "line 4, column 'id', column 'frame': vehicle",
        ),
        ("01_tracks.csv", "\n2,171,", "\n2,171,1,", "line 4: 10 columns instead of 9"),
        ("01_tracks.csv", "\n2,171,", "\n2,99,", "track 99 is not in 01_tracksMeta.csv"),
        ("01_tracks.csv", "\n2,171,", "\n2,171,9999999", "lies"),
        (
            "01_tracksMeta.csv",
            ",Car,2",
            ",Car,3",
            "line 2, column 'drivingDirection': 3; it must",
        ),
        ("01_tracksMeta.csv", "drivingDirection", "heading", "'drivingDirection' is missing"),
        ("01_recordingMeta.csv", "1,25,", "1,0,", "line 2, column 'frameRate': frame_rate_hz is 0"),
        ("01_recordingMeta.csv", "1,25,", "1,often,", "line 2, column 2 (frameRate): 'often'"),
        ("01_recordingMeta.csv", ";", ":", "column 'upperLaneMarkings': '"),
    ],
)
def test_bad_input_is_named(tmp_path, truth, name, old, new, words):
    path = highd.write(tmp_path, at_rate(truth.of(truth.frame < 15), 25.0), lines_m())
    text = (tmp_path / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as error:
        read_recordings(HighD(), path)
    assert words in str(error.value)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"\x00\xff\xfe\x80", None])
@pytest.mark.parametrize("kind", ["tracks", "tracksMeta", "recordingMeta"])
def test_a_missing_empty_or_binary_file_is_named(tmp_path, truth, kind, content):
    path = highd.write(tmp_path, at_rate(truth.of(truth.frame < 3), 25.0), lines_m())
    name = f"01_{kind}.csv"
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        read_recordings(HighD(), path)


def test_another_file_name_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"give the file NN_tracks\.csv"):
        read_recordings(HighD(), tmp_path / "01_recordingMeta.csv")
