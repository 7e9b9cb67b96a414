"""Other frame rates: straight motion survives exactly, gaps stay gaps, frame 0 stays in time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.raw_tracks import RawTracks
from data.sources.resample import resampled
from ppuu.runtime.errors import InputError


def tracks(frame: np.ndarray, hz: float, vehicle: np.ndarray | None = None) -> RawTracks:
    """12 m/s along x, 1 m/s to the left, turning by 0.8 rad/s through half a turn."""
    time = frame / hz
    ones = np.ones(len(frame))
    return RawTracks(
        name="a",
        file="a.csv",
        dt_s=1.0 / hz,
        road=None,
        vehicle=np.ones(len(frame), int) if vehicle is None else vehicle,
        frame=frame,
        x_m=12.0 * time,
        y_m=1.0 * time,
        heading_rad=np.angle(np.exp(1j * (0.8 * time + 3.0))),
        speed_mps=10.0 + time,
        length_m=4.5 * ones,
        width_m=1.8 * ones,
        line=np.arange(len(frame)) + 2,
    )


@given(
    st.sampled_from([10.0, 12.5, 23.976, 25.0, 29.97, 30.0, 50.0]), st.integers(-7, 7), st.data()
)
@settings(max_examples=60, deadline=None)
def test_straight_motion_survives(hz, first, data):
    to_hz = data.draw(st.sampled_from([5.0, 10.0, 20.0]))
    frame = first + np.arange(60)
    order = np.random.default_rng(first + 7).permutation(60)
    made = resampled(tracks(frame[order], hz), to_hz)
    time = np.sort(made.frame) / to_hz
    # Every new frame between the first and the last recorded one, each once.
    expected = np.arange(np.ceil(first / hz * to_hz - 1e-6), (first + 59) / hz * to_hz + 1e-6)
    np.testing.assert_array_equal(np.sort(made.frame), expected)
    by_time = np.argsort(made.frame)
    np.testing.assert_allclose(made.x_m[by_time], 12.0 * time, atol=1e-6)
    np.testing.assert_allclose(made.speed_mps[by_time], 10.0 + time, atol=1e-6)
    turn = np.exp(1j * (made.heading_rad[by_time] - 0.8 * time - 3.0))
    np.testing.assert_allclose(turn, 1.0, atol=1e-6)
    assert made.dt_s * to_hz == pytest.approx(1.0)


def test_curved_motion_is_a_millimetre_off():
    raw = tracks(np.arange(100), 25.0)
    raw.x_m[:] = 0.5 * 5.0 * (np.arange(100) / 25.0) ** 2
    made = resampled(raw, 10.0)
    assert np.abs(made.x_m - 2.5 * (made.frame / 10.0) ** 2).max() < 0.0011


def test_a_gap_is_not_bridged():
    frame = np.concatenate([np.arange(0, 21), np.arange(40, 61)])
    made = resampled(tracks(frame, 25.0), 10.0)
    assert made.frame.tolist() == [*range(0, 9), *range(16, 25)]


def test_two_vehicles_are_not_mixed():
    frame = np.array([0, 1, 2, 3, 4, 5])
    made = resampled(tracks(frame, 20.0, np.array([1, 1, 1, 2, 2, 2])), 10.0)
    assert list(zip(made.vehicle, made.frame, strict=True)) == [(1, 0), (1, 1), (2, 2)]
    assert made.line.tolist() == [2, 4, 6]


def test_rows_left_out_are_counted_and_the_rate_is_kept_in_mind():
    made = resampled(tracks(np.arange(26), 25.0), 10.0)
    assert len(made.frame) + made.left_out["from 25 to 10 frames a second"] == 26
    assert made.provenance["recorded_hz"] == 25.0


def test_the_same_rate_changes_nothing():
    raw = tracks(np.arange(5), 10.0)
    assert resampled(raw, 10.0) is raw


@pytest.mark.parametrize("hz", [0.0, -10.0, np.nan, np.inf, 1e9])
def test_no_camera_has_such_a_rate(hz):
    with pytest.raises(InputError, match="frame_rate_hz is"):
        resampled(tracks(np.arange(5), 25.0), hz)


def test_a_second_row_in_one_frame_is_named():
    with pytest.raises(InputError, match=r"a.csv, line 4: vehicle 1, frame 1: a second row"):
        resampled(tracks(np.array([0, 1, 1, 2]), 25.0), 10.0)
