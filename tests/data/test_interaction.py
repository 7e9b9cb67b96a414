"""INTERACTION: generated traffic written in its layout, and what the reader makes of it."""

from dataclasses import replace

import numpy as np
import pytest

from data.roads.frame import LocalFrame
from data.sources import read_recordings
from data.sources.interaction import Interaction

from .layouts import interaction
from .layouts.two_way import OPPOSITE, assert_recovered, both_ways, generated

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
