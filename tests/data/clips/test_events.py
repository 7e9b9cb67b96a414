"""Rare events: found at the right frame, in the right clips, and drawn as often as asked for."""

import math

import numpy as np
import pytest
import torch

from data.clips.events import EventWeights, clip_events, clip_weights, row_events
from data.clips.sampler import ClipSampler
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError
from tests.helpers import LANE_WIDTH_M, Car, straight_recording
from tests.rollouts import tiny_clips

HORIZON = 10


def on_road(recording, lanes):
    """The same tracks on another road, given as ``(from_m, to_m, right edge)`` of each lane."""

    def line(start, stop, y):
        return np.array([[start, y], [stop, y]])

    edges = [
        (line(a, b, LANE_WIDTH_M * (k + 1)), line(a, b, LANE_WIDTH_M * k)) for a, b, k in lanes
    ]
    object.__setattr__(recording, "road", Road.from_lanes(edges))
    return recording


def braking(deceleration_mps2, seconds):
    recording = straight_recording([Car(0.0, speed_mps=20.0)], frames=100)
    slower = np.clip(np.arange(100) - 50, 0, round(10 * seconds)) * 0.1 * deceleration_mps2
    recording.speed_mps[:] = 20.0 - slower
    return recording


def test_a_lane_change_happens_where_the_centre_crosses_the_line():
    recording = straight_recording([Car(0.0, to_lane=1), Car(40.0, lane=2)], frames=100)
    recording.y_m[:] -= 0.01  # half way through, at frame 55, it is on the line itself
    events = row_events(recording)
    assert np.flatnonzero(events["lane_change"]).tolist() == [56]
    assert not events["merge"].any() and not events["hard_braking"].any()


@pytest.mark.parametrize(
    ("deceleration_mps2", "seconds", "happens"),
    [(3.3, 1.0, True), (2.9, 2.0, False), (6.0, 0.1, False), (-6.0, 1.0, False)],
)
def test_hard_braking_lasts(deceleration_mps2, seconds, happens):
    found = row_events(braking(deceleration_mps2, seconds))["hard_braking"]
    assert found.any() == happens
    if happens:
        assert np.flatnonzero(found).tolist() == list(range(55, 61))


def test_one_track_s_end_and_the_next_one_s_start_are_no_event():
    cars = [Car(0.0, speed_mps=20.0, frames=30), Car(0.0, lane=2, speed_mps=2.0, first_frame=30)]
    assert not any(found.any() for found in row_events(straight_recording(cars, 60)).values())


def test_a_lane_cut_into_pieces_is_one_lane():
    car = [Car(0.0, lane=1)]
    pieces = [(-100, 30, 1), (30, 70, 1), (70, 900, 1), (-100, 900, 0)]
    recording = on_road(straight_recording(car, 100), pieces)
    assert len(np.unique(recording.road.lane_index(np.c_[recording.x_m, recording.y_m]))) == 3
    assert not row_events(recording)["lane_change"].any()


@pytest.mark.parametrize(
    ("lanes", "merges"),
    [
        ([(-100, 900, 0), (-100, 900, 1)], False),  # both go on
        ([(-100, 150, 0), (-100, 900, 1)], True),  # the right lane ends
        ([(-100, 900, 0), (-100, 150, 1)], False),  # the one changed into ends
        ([(-100, 150, 0), (150, 900, 0), (-100, 900, 1)], False),  # it only seems to
        ([(-100, 150, 0), (-100, 150, 1), (150, 900, 1)], True),  # only the right one ends
    ],
)
def test_a_merge_is_a_lane_change_from_a_lane_that_ends(lanes, merges):
    recording = on_road(straight_recording([Car(0.0, to_lane=1)], 100), lanes)
    events = row_events(recording)
    assert events["lane_change"].sum() == 1
    assert events["merge"].sum() == merges


def test_a_gap_between_the_lanes_hides_no_lane_change():
    recording = straight_recording([Car(0.0, to_lane=2)], 100)
    on_road(recording, [(-100, 900, 0), (-100, 900, 2)])
    assert row_events(recording)["lane_change"].sum() == 1


def test_clips_with_the_event_in_their_future():
    recordings = [
        straight_recording([Car(0.0, lane=1), Car(40.0, to_lane=1)], frames=100),
        braking(4.0, 0.5),
    ]
    recordings[0].y_m[:] -= 0.01
    clips = tiny_clips(recordings, HORIZON)
    found = clip_events(clips)
    assert set(found) == {"lane_change", "hard_braking", "merge"}
    changes = list(zip(clips.ego.tolist(), clips.frame.tolist(), strict=True))
    changes = [pair for pair, happens in zip(changes, found["lane_change"], strict=True) if happens]
    assert changes == [(1, frame) for frame in range(56 - HORIZON, 56)]
    now = clips.frame[found["hard_braking"]] - 100
    assert clips.ego[found["hard_braking"]].unique().tolist() == [2]
    assert now.tolist() == list(range(54 - HORIZON, 56))  # events at rows 54 to 56
    assert not found["merge"].any()


def test_weights_draw_events_as_often_as_asked():
    clips = tiny_clips([straight_recording([Car(0.0), Car(40.0, to_lane=1)], 100)], HORIZON)
    assert clip_weights(clips, EventWeights()) is None
    weights = clip_weights(clips, EventWeights(lane_change=8.0))
    change = clip_events(clips)["lane_change"]
    assert torch.equal(weights, 1.0 + 7.0 * change)
    drawn = ClipSampler(len(clips), len(clips), weights=weights).batch_at(0)
    expected = len(clips) * 8 * 10 / (8 * 10 + len(clips) - 10)
    assert math.floor(expected) - 10 <= change[drawn].sum() <= math.ceil(expected) + 10
    assert change[drawn].sum() > 4 * change.sum()
    none = clip_weights(clips, EventWeights(lane_change=0.0))
    assert torch.equal(none, 1.0 - 1.0 * change)


def test_a_clip_with_two_events_has_the_larger_weight():
    recording = on_road(
        straight_recording([Car(0.0, to_lane=1)], 100), [(-100, 150, 0), (-100, 900, 1)]
    )
    clips = tiny_clips([recording], HORIZON)
    weights = clip_weights(clips, EventWeights(lane_change=2.0, merge=5.0))
    assert set(weights.tolist()) == {1.0, 5.0}


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
def test_a_weight_that_is_none_is_refused(wrong):
    with pytest.raises(InputError, match="weight of merge"):
        EventWeights(merge=wrong)


def test_generated_traffic_has_all_three(dense_traffic):
    recording = dense_traffic
    events = {name: int(found.sum()) for name, found in row_events(recording).items()}
    assert events["lane_change"] > events["merge"] > 0
    ramp = recording.road.lanes - 1
    lane = recording.road.lane_index(np.c_[recording.x_m, recording.y_m])
    merged = row_events(recording)["merge"]
    assert (lane[np.flatnonzero(merged) - 1] == ramp).all()
