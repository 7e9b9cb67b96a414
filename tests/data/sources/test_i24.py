"""I-24 MOTION: generated traffic, written as the documents are described, comes back."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from data.sources.i24 import I24Motion, documents
from ppuu.runtime.errors import InputError

from ..as_recorded import read_recordings
from ..layouts import i24
from ..layouts.two_way import OPPOSITE, assert_recovered, at_rate, both_ways, generated


def in_driving_direction(rows):
    """The rows as the reader turns them: half a turn for the carriageway to the west."""
    numbers = np.unique(rows.vehicle, return_inverse=True)[1] + 1
    sign = np.where(rows.vehicle < OPPOSITE, 1.0, -1.0)
    heading = np.where(sign > 0, rows.heading_rad, rows.heading_rad - np.pi)
    return replace(
        rows, vehicle=numbers, x_m=sign * rows.x_m, y_m=sign * rows.y_m, heading_rad=heading
    )


@pytest.mark.parametrize("a_line", [False, True])
def test_both_carriageways_come_back(tmp_path, a_line):
    truth = both_ways(generated())
    path = i24.write(tmp_path / "day.json", at_rate(truth, i24.HZ), a_line)
    made = read_recordings(I24Motion(), path)
    assert [recording.name for recording in made] == ["day-east-1", "day-west-1"]
    for recording in made:
        assert recording.provenance["report"]["on_road_share"] > 0.99
    # Linear interpolation at a rate that does not divide; heading and speed from positions.
    assert_recovered(
        made, in_driving_direction(truth), position_m=0.05, heading_rad=0.06, speed_mps=0.6
    )


def test_y_may_grow_to_the_right_or_to_the_left(tmp_path):
    rows = at_rate(both_ways(generated()), i24.HZ)
    path = i24.write(tmp_path / "day.json", rows)
    text = json.loads(path.read_text())
    for document in text:
        document["y_position"] = [-value for value in document["y_position"]]
    other = tmp_path / "other" / "day.json"
    other.parent.mkdir()
    other.write_text(json.dumps(text))
    for one, two in zip(*(read_recordings(I24Motion(), p) for p in (path, other)), strict=True):
        assert one.content_hash == two.content_hash


def test_periods_are_cut_by_the_clock(tmp_path):
    rows = at_rate(both_ways(generated()), i24.HZ)
    path = i24.write(tmp_path / "day.json", rows)
    whole = sum(len(raw.frame) for raw in I24Motion().read(path))
    parts = list(I24Motion(minutes=1 / 60).read(path))
    assert len(parts) >= 8
    assert len({raw.name for raw in parts}) == len(parts)
    assert sum(len(raw.frame) for raw in parts) == whole
    for raw in parts:
        assert raw.frame.min() >= 0 and raw.frame.max() < 10


def test_a_gap_is_not_bridged(tmp_path):
    rows = at_rate(both_ways(generated()), i24.HZ)
    document = max(i24.documents(rows), key=lambda found: len(found["timestamp"]))
    for key in ("timestamp", "x_position", "y_position"):
        del document[key][40:70]
    path = tmp_path / "gap.json"
    path.write_text(json.dumps([document]))
    (raw,) = I24Motion().read(path)
    assert np.diff(np.sort(raw.frame)).max() > 10


def test_a_large_array_is_read_in_little_memory(tmp_path):
    document = {f"field {k}": "x" * 2000 for k in range(50)}
    path = tmp_path / "large.json"
    with path.open("w") as file:
        file.write("[\n" + ",".join([json.dumps(document)] * 300) + "\n]\n")
    assert path.stat().st_size > 29e6
    tracemalloc.start()
    assert sum(1 for _, _, found in documents(path) if found == document) == 300
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6


def small(**changes):
    document = {
        "direction": 1,
        "timestamp": [100.0 + k / 25 for k in range(60)],
        "x_position": [4.0 * k for k in range(60)],
        "y_position": [18.0] * 60,
        "length": 15.0,
        "width": 6.0,
    }
    return {key: value for key, value in (document | changes).items() if value != "absent"}


SMALL = json.dumps([small(), small(direction=-1)], indent=1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"direction": 0}, "trajectory 1: direction is 0"),
        ({"direction": [1]}, "trajectory 1: direction is [1]"),
        ({"length": "absent"}, "trajectory 1: 'length' is missing"),
        ({"width": -6.0}, "its box has no size"),
        ({"x_position": [1.0]}, "differ in length (60, 1, 60)"),
        ({"x_position": ["far"] * 60}, "'x_position' holds something that is not a number"),
        ({"y_position": [float("nan")] * 60}, "'y_position' holds something that is not a number"),
        ({"timestamp": [0.0] * 60}, "its timestamps do not increase"),
        ({"timestamp": [1e9 * k for k in range(60)]}, "they must be seconds"),
    ],
)
def test_bad_documents_are_named(tmp_path, changes, words):
    path = tmp_path / "bad.json"
    path.write_text("[\n" + json.dumps(small(**changes)) + "]\n")
    with pytest.raises(InputError) as error:
        read_recordings(I24Motion(), path)
    assert words in str(error.value)
    assert f"{path}, line 2, column " in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it holds no trajectory"),
        ("[]", "it holds no trajectory"),
        ("[1]", "line 1, column 2: a trajectory document must stand here"),
        (SMALL[:-4], "column"),
        (SMALL[:-1], "the array is not closed"),
        (SMALL + "x", "something follows the closing bracket"),
        (SMALL.replace("},", "}", 1), "a comma or the closing bracket is missing"),
        (SMALL.replace('"direction": 1', '"direction" 1', 1), "line 3, column 15: not JSON"),
        ("[" + '{"a":' * 100_000, "nested too deeply"),
    ],
    ids=range(9),
)
def test_bad_json_is_named(tmp_path, text, words):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_recordings(I24Motion(), path)
    assert words in str(error.value)
    assert str(path) in str(error.value)
