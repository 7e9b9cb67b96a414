"""Tables of unknown cameras: units, axes and points of reference as the mapping says."""

import json
import re
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from data.sources.generic import Columns, GenericCsv, Lane, Mapping, Units, read_mapping
from ppuu.runtime.errors import InputError

from ..as_recorded import read_recordings
from ..layouts import generic
from ..layouts.two_way import assert_recovered, at_rate, both_ways, generated

CARS = ("camera-east", "camera-west")


@pytest.fixture(scope="module")
def truth():
    return both_ways(generated())


def test_si_units(tmp_path, truth):
    made = read_recordings(GenericCsv(), generic.write(tmp_path, *generic.plain(truth)))
    assert tuple(recording.name for recording in made) == CARS
    assert_recovered(made, truth, 1e-6, 1e-6, 1e-6, ends=0)


def test_american_units_front_bumper_and_y_down_at_30_hz(tmp_path, truth):
    columns, mapping = generic.american(at_rate(truth, 30.0), 30.0)
    made = read_recordings(GenericCsv(), generic.write(tmp_path, columns, mapping, ";"))
    assert_recovered(made, truth, 1e-6, 1e-6, 1e-6, ends=0)


def test_boxes_in_pixels(tmp_path, truth):
    made = read_recordings(GenericCsv(), generic.write(tmp_path, *generic.boxes(truth, 0.05)))
    assert_recovered(made, truth, 1e-6, 0.06, speed_mps=0.5, ends=0)


def test_front_bumper_without_headings(tmp_path, truth):
    columns, mapping = generic.american(truth, 10.0)
    columns = {key: columns[key] for key in columns if key not in ("Yaw", "Speed")}
    mapping["columns"] |= {"heading": "", "speed": ""}
    made = read_recordings(GenericCsv(), generic.write(tmp_path, columns, mapping, ";"))
    # The heading is that of a towed box; where it starts within a lane change it is not known.
    assert_recovered(made, truth, 0.5, 0.25, speed_mps=0.5, ends=0)


def test_rear_bumper_and_constant_size(tmp_path, truth):
    columns, mapping = generic.plain(truth)
    columns["x"] = truth.x_m - 2.0 * np.cos(truth.heading_rad)
    columns["y"] = truth.y_m - 2.0 * np.sin(truth.heading_rad)
    mapping["columns"] |= {"length": "", "width": ""}
    mapping |= {"length_m": 4.0, "width_m": 1.9, "position": "rear"}
    made = read_recordings(GenericCsv(), generic.write(tmp_path, columns, mapping))
    assert_recovered(made, truth, 1e-6, 1e-6, 1e-6, size_m=20.0, ends=0)
    assert set(made[0].length_m.tolist()) == {4.0}


def test_several_recordings_in_one_table(tmp_path, truth):
    columns, mapping = generic.plain(truth)
    columns["site"] = np.where(truth.frame < 20, "north", "south")
    mapping["columns"]["recording"] = "site"
    mapping["name"] = "bridge"
    made = read_recordings(GenericCsv(), generic.write(tmp_path, columns, mapping))
    winds = ("east", "west")
    assert [one.name for one in made] == [
        f"bridge-{s}-{w}" for s in ("north", "south") for w in winds
    ]
    for recordings, early in ((made[:2], True), (made[2:], False)):
        own = truth.of((truth.frame < 20) == early)
        assert_recovered(recordings, own, 1e-6, 1e-6, 1e-6, ends=0)


def test_lanes_of_the_mapping_go_with_their_direction(tmp_path, truth):
    columns, mapping = generic.american(truth, 10.0)
    foot = generic.FOOT_M
    onward = {"left": [[0, 5 / foot], [500 / foot, 5 / foot]]}
    onward["right"] = [[0, 31 / foot], [500 / foot, 31 / foot]]
    back = {"left": [[500 / foot, -5 / foot], [0, -5 / foot]]}
    back["right"] = [[500 / foot, -31 / foot], [0, -31 / foot]]
    mapping["lanes"] = [onward, back]
    made = read_recordings(GenericCsv(), generic.write(tmp_path, columns, mapping, ";"))
    for recording in made:
        assert recording.road.lanes == 1
        left, right = recording.road.lane(0)
        assert left[1, 0] > left[0, 0] and left[0, 1] > right[0, 1]
        assert recording.provenance["report"]["on_road_share"] > 0.98


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TOML needs Python 3.11")
def test_toml_says_the_same_as_json(tmp_path):
    toml, other = tmp_path / "camera.toml", tmp_path / "camera.json"
    toml.write_text(
        'frame_rate_hz = 30\nlength_m = 4.5\nwidth_m = 1.8\n[columns]\nframe = "n"\n'
        '[units]\nspeed = "km/h"\n[[lanes]]\n'
        "left = [[0, 4], [100, 4]]\nright = [[0, 0], [100, 0]]\n"
    )
    values = {"frame_rate_hz": 30, "length_m": 4.5, "width_m": 1.8, "columns": {"frame": "n"}}
    lane = {"left": [[0, 4], [100, 4]], "right": [[0, 0], [100, 0]]}
    other.write_text(json.dumps(values | {"units": {"speed": "km/h"}, "lanes": [lane]}))
    assert read_mapping(toml) == read_mapping(other)
    toml.write_text("frame_rate_hz = = 3")
    with pytest.raises(InputError, match=r"camera.toml: not readable as .toml \(.*line 1"):
        read_mapping(toml)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TOML needs Python 3.11")
def test_the_example_has_every_key_and_its_default():
    path = Path(__file__).parents[3] / "docs" / "camera-example.toml"
    example = read_mapping(path)
    names = ("vehicle", "x", "y", "frame", "heading", "speed", "length", "width")
    columns = Columns(**{name: "id" if name == "vehicle" else name for name in names})
    assert example == Mapping(frame_rate_hz=25.0, columns=columns)
    text = path.read_text()
    for part in (Mapping, Columns, Units, Lane):
        for field in fields(part):
            assert re.search(rf"(?m)^(# )?(\[*)?{field.name}\b", text), field.name


@pytest.mark.parametrize(
    "change, words",
    [
        ({"frame_rate": 30}, "unknown key 'frame_rate'; did you mean 'frame_rate_hz'?"),
        ({"columns": {"speeed": "v"}}, ".columns: unknown key 'speeed'; did you mean 'speed'?"),
        ({"units": {"speed": "knots"}}, ".units.speed: 'knots' is not one of m/s, km/h"),
        ({"frame_rate_hz": "fast"}, ".frame_rate_hz: 'fast' is not of type float"),
        ({"frame_rate_hz": 0}, "frame_rate_hz is 0"),
        (
            {"position": "rear", "columns": {"frame": "n", "length": "l", "width": "w"}},
            "needs columns.heading",
        ),
        ({"columns": {"frame": "n", "time": "t"}}, "either columns.frame or columns.time"),
        ({"length_m": 4.5}, "either columns.length or a positive length_m"),
        ({"units": {"position": "px"}}, "positive units.metres_per_pixel"),
        ({"delimiter": ""}, "delimiter '' is not one character"),
        ({"lanes": [{"left": [[0, 1]], "right": [[0, 1], [2, 3]]}]}, "lanes[0]: left and right"),
        ({"lanes": [{"left": [[0, 1]]}]}, "'right' is missing"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_named(tmp_path, truth, change, words):
    columns, mapping = generic.plain(truth.of(truth.frame < 2))
    path = generic.write(tmp_path, columns, mapping | change)
    with pytest.raises(InputError) as error:
        read_recordings(GenericCsv(), path)
    assert words in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "camera.json"))


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("yaw", "yew", "line 1: no column 'yaw' for heading; did you mean 'yew'?"),
        ("171,1,", "171,one,", "line 3, column 2 (frame): 'one' is not a"),
        ("171,1,", "171,0,", "line 3, column 'id', column 'n': vehicle 171, frame 0"),
        ("171,1,", "171,1000000000000,", "line 3, column 'n': 1000000000000 is out of range"),
        ("171,1,", "171,1,nan,", "line 3: 9 columns instead of 8; correct or"),
    ],
)
def test_a_bad_table_is_named(tmp_path, truth, old, new, words):
    path = generic.write(tmp_path, *generic.plain(truth))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as error:
        read_recordings(GenericCsv(), path)
    assert words in str(error.value)
    assert str(path) in str(error.value)


def test_times_off_the_frame_rate_are_named(tmp_path, truth):
    columns, mapping = generic.american(truth, 10.0)
    columns["Time"] = columns["Time"] + 40 * (truth.frame == 5)
    path = generic.write(tmp_path, columns, mapping, ";")
    with pytest.raises(InputError, match=r"line 7, column 'Time': .* between two frames"):
        read_recordings(GenericCsv(), path)


def test_without_a_mapping_the_message_says_how(tmp_path):
    path = tmp_path / "camera.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"no camera\.toml or camera\.json beside it"):
        read_recordings(GenericCsv(), path)


@pytest.mark.parametrize("text", ["[]", "{}", "{", '"x"', "[" * 100_000])
def test_a_mapping_file_that_is_none_is_named(tmp_path, text):
    (tmp_path / "camera.json").write_text(text)
    with pytest.raises(InputError, match=r"camera\.json: "):
        read_mapping(tmp_path / "camera.json")


def with_decimal_commas(tmp_path: Path, truth, delimiter: str, decimal: str) -> Path:
    """Numbers as in most of Europe; in quotes where the comma parts the fields, too."""
    columns, mapping = generic.plain(truth)
    path = generic.write(tmp_path, columns, mapping | {"delimiter": delimiter, "decimal": decimal})
    header, *lines = path.read_text().splitlines()
    quote = '"' if delimiter == "," else ""
    fields = [[f"{quote}{f.replace('.', ',')}{quote}" for f in line.split(",")] for line in lines]
    path.write_text(
        "\n".join([header.replace(",", delimiter), *(delimiter.join(row) for row in fields)]) + "\n"
    )
    return path


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_decimal_commas_are_read_as_the_mapping_says_and_else_refused(tmp_path, truth, delimiter):
    made = read_recordings(GenericCsv(), with_decimal_commas(tmp_path, truth, delimiter, ","))
    assert_recovered(made, truth, 1e-6, 1e-6, 1e-6, ends=0)
    path = with_decimal_commas(tmp_path, truth, delimiter, ".")
    with pytest.raises(InputError, match=r"line 2, column 3 \(x\): .* has a comma; set decimal in"):
        read_recordings(GenericCsv(), path)
    path = generic.write(tmp_path, *generic.plain(truth))
    mapping = json.loads(path.with_suffix(".json").read_text()) | {"decimal": ","}
    path.with_suffix(".json").write_text(json.dumps(mapping))
    with pytest.raises(InputError, match=r"line 2, column 3 \(x\): .* has a point; set decimal in"):
        read_recordings(GenericCsv(), path)
