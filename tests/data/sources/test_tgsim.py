"""TGSIM: generated traffic, written as the columns are described, comes back."""

import numpy as np
import pytest

from data.sources.tgsim import Tgsim
from ppuu.runtime.errors import InputError

from ..as_recorded import read_recordings
from ..layouts.tgsim import TOP_M, write
from ..layouts.two_way import Rows, assert_recovered, both_ways, generated


def up(recording):
    """Its frame leads to minus y of the file; the rows' y is that plus the image's height."""
    frame = dict(recording.provenance["frame"])
    frame["origin_y_m"] += TOP_M
    recording.provenance["frame"] = frame
    return recording


@pytest.mark.parametrize("hyphens", [True, False])
def test_a_road_comes_back_by_direction(tmp_path, hyphens):
    rows = both_ways(generated())
    path = write(tmp_path / "I294.csv", rows, np.full(len(rows), 2), hyphens)
    made = read_recordings(Tgsim(), path)
    assert [recording.name for recording in made] == ["I294-run-2-east", "I294-run-2-west"]
    for recording in made:
        assert recording.provenance["report"]["on_road_share"] > 0.99
        assert recording.road.lanes >= 6
    # Heading and speed are derived from positions over a second.
    made = [up(recording) for recording in made]
    assert_recovered(made, rows, position_m=0.03, heading_rad=0.06, speed_mps=0.6)


def test_every_run_is_a_recording_even_where_numbers_repeat(tmp_path):
    rows = both_ways(generated())
    rows = rows.of(rows.vehicle < 10_000)
    twice = Rows(**{key: np.tile(values, 2) for key, values in vars(rows).items()})
    path = write(tmp_path / "I90.csv", twice, np.repeat([1, 3], len(rows)))
    made = read_recordings(Tgsim(), path)
    assert [recording.name for recording in made] == ["I90-run-1", "I90-run-3"]
    assert made[0].content_hash == made[1].content_hash


def test_walkers_of_foggy_bottom_are_left_out(tmp_path):
    rows = both_ways(generated())
    rows = rows.of(rows.vehicle < 10_000)
    path = write(tmp_path / "foggy.csv", rows)
    lines = path.read_text().splitlines()
    kinds = np.array([line.split(",")[0] for line in lines[1:]])
    first = kinds == kinds[0]
    for k in np.flatnonzero(first) + 1:
        fields = lines[k].split(",")
        fields[7] = "0"
        lines[k] = ",".join(fields)
    path.write_text("\n".join(lines))
    (made,) = read_recordings(Tgsim(), path)
    assert made.name == "foggy"
    assert int(kinds[0]) not in made.vehicle_id
    assert made.provenance["report"]["dropped"]["pedestrians, cyclists and scooters"] == first.sum()


SMALL = """id,time,xloc_kf,yloc_kf,lane_kf,length_smoothed,width_smoothed,run_index
""" + "".join(f"7,{k / 10},{k * 2.0},30.5,1,4.5,1.8,1\n" for k in range(20))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("xloc_kf", "x", "line 1: column 'xloc-kf' is missing"),
        ("7,0.3,", "7,soon,", "line 5"),
        ("7,0.3,", "7.5,0.3,", "line 5, column 'id': 7.5 is not a whole number"),
        ("7,0.3,", "7,0.2,", "second row of this vehicle"),
        ("7,0.3,6.0", "7,0.3,1e300", "line 5, column 'xloc-kf': vehicle 7, frame 3: x = 1e+300 m"),
    ],
)
def test_bad_input_is_named(tmp_path, old, new, words):
    path = tmp_path / "bad.csv"
    assert old in SMALL
    path.write_text(SMALL.replace(old, new, 1))
    with pytest.raises(InputError) as error:
        read_recordings(Tgsim(), path)
    assert words in str(error.value)
    assert str(path) in str(error.value)
