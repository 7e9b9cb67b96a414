"""INTERACTION: generated traffic written in its layout, and what the reader makes of it."""

from dataclasses import replace

import numpy as np
import pytest

from data.roads.frame import LocalFrame
from data.sources.interaction import Interaction
from ppuu.runtime.errors import InputError

from ..as_recorded import read_recordings
from ..layouts import interaction
from ..layouts.two_way import OPPOSITE, assert_recovered, both_ways, generated

ORIGIN = LocalFrame(-1000.0, -950.0, 0.0)


@pytest.fixture(scope="module")
def truth():
    return both_ways(generated())


def test_what_was_generated_comes_back(tmp_path, truth):
    path = interaction.write(tmp_path / "vehicle_tracks_000.csv", truth, walkers=5)
    made = read_recordings(Interaction(), path)
    assert [one.name for one in made] == ["vehicle_tracks_000-east", "vehicle_tracks_000-west"]
    assert_recovered(made, truth.seen_from(ORIGIN), 0.001, 0.001, 0.002, ends=0)
    assert made[0].provenance["report"]["dropped"]["agent_type pedestrian/bicycle"] == 5
    for recording in made:
        assert recording.road.lanes >= 6
        assert recording.provenance["report"]["on_road_share"] > 0.99


@pytest.fixture(scope="module")
def scenes(tmp_path_factory, truth):
    """Two scenes of two seconds; numbers start anew, so they stand for other vehicles."""
    second = truth.frame >= 20
    path = tmp_path_factory.mktemp("interaction") / "merging_train.csv"
    rows = replace(truth, frame=truth.frame - 20 * second)
    return interaction.write(path, rows, case=1 + second)


def test_each_scene_is_a_recording_and_all_share_the_road(scenes, truth):
    made = read_recordings(Interaction(), scenes)
    names = [f"merging_train-{wind}-case{k}" for wind in ("east", "west") for k in (1, 2)]
    assert [recording.name for recording in made] == names
    for k, recording in enumerate(made):
        assert recording.frames <= 20
        own = (truth.vehicle >= OPPOSITE) == (k >= 2)
        own &= (truth.frame >= 20) == bool(k % 2)
        rows = replace(truth, frame=truth.frame - 20 * (k % 2)).of(own).seen_from(ORIGIN)
        assert_recovered([recording], rows, 0.001, 0.001, 0.002, ends=0)
    for one, other in (made[:2], made[2:]):
        np.testing.assert_array_equal(one.road.left_m, other.road.left_m)


def test_only_the_first_scenes(scenes):
    made = read_recordings(Interaction(cases=1), scenes)
    assert [recording.name for recording in made] == ["merging_train-east", "merging_train-west"]


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("psi_rad", "yaw", "line 1: column 'psi_rad' is missing"),
        ("\n1.0,171,1,", "\n1.0,171,first,", "line 3, column 3 (frame_id): 'first' is not a"),
        (
            "\n1.0,171,1,",
            "\n1.0,171,0,",
            "line 3, column 'track_id', column 'frame_id': v",
        ),
        ("\n1.0,171,1,", "\n1.0,P7,1,", "line 3, column 'track_id': 'P7' is not a number"),
        ("\n1.0,171,1,", "\n1.0,10.5,1,", "line 3, column 'track_id': 10.5 is not a whole number"),
        ("\n1.0,171,1,", "\n1.5,171,1,", "line 3, column 'case_id': 1.5 is not a whole number"),
        (",car,", ",tram,", "line 2, column 'agent_type': 'tram'"),
    ],
)
def test_bad_input_is_named(scenes, tmp_path, old, new, words):
    text = scenes.read_text()
    assert old in text
    path = tmp_path / "bad.csv"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as error:
        read_recordings(Interaction(), path)
    assert words in str(error.value)
    assert str(path) in str(error.value)


def test_a_car_without_a_size_is_named(tmp_path, truth):
    path = interaction.write(tmp_path / "a.csv", truth.of(truth.frame < 15), walkers=1)
    path.write_text(path.read_text().replace("pedestrian/bicycle", "car").replace("P1", "1"))
    with pytest.raises(InputError, match=r"line \d+, column 'psi_rad': '' is not a number"):
        read_recordings(Interaction(), path)


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe\x80", b"track_id\n1\n"])
def test_an_empty_or_binary_file_is_named(tmp_path, content):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.csv"):
        read_recordings(Interaction(), path)


def test_nobody_with_an_engine(tmp_path, truth):
    path = interaction.write(tmp_path / "a.csv", truth.of(truth.frame < 0), walkers=3)
    with pytest.raises(InputError, match="no row has the agent_type 'car'"):
        read_recordings(Interaction(), path)
