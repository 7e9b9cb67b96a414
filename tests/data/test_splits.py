"""Splits by time do not share a frame; PPUU's split by vehicle covers every vehicle once."""

import numpy as np
import pytest

from data.splits import GAP_S, by_vehicle, time_windows, window
from ppuu.errors import InputError
from ppuu.recording import Recording
from ppuu.road import Road


def recording(frames: int, vehicles: int = 1) -> Recording:
    """``vehicles`` cars side by side, straight on, present throughout."""
    rows = frames * vehicles
    return Recording(
        frame=np.tile(np.arange(frames), vehicles),
        x_m=np.tile(np.arange(frames) * 1.0, vehicles),
        y_m=np.repeat(np.arange(vehicles) * 4.0, frames),
        heading_rad=np.zeros(rows),
        speed_mps=np.full(rows, 10.0),
        vehicle_pointer=np.arange(vehicles + 1) * frames,
        vehicle_id=np.arange(vehicles),
        length_m=np.full(vehicles, 4.5),
        width_m=np.full(vehicles, 1.8),
        road=Road.straight(frames, vehicles, 4.0),
    )


@pytest.mark.parametrize("frames", [600, 601, 3000, 9999])
def test_windows_are_ordered_and_separated_by_the_gap(frames):
    windows = time_windows(frames, 0.1)
    train, val, test = (windows[name] for name in ("train", "val", "test"))
    assert train.first == 0 and test.last == frames
    assert val.first - train.last == test.first - val.last == GAP_S / 0.1
    usable = train.frames + val.frames + test.frames
    shares = np.array([train.frames, val.frames, test.frames]) / usable
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=2 / usable)
    assert (windows["all"].first, windows["all"].last) == (0, frames)


def test_a_short_recording_is_one_split():
    short = recording(599)
    assert window(short, "all").frames == 599
    with pytest.raises(InputError, match="--split all"):
        window(short, "test")
    assert window(recording(600), "test").last == 600


def test_an_unknown_split_is_named():
    with pytest.raises(InputError, match="no split 'dev'"):
        window(recording(700), "dev")


def test_by_vehicle_partitions_and_repeats():
    many = recording(2, vehicles=25)
    parts = {name: by_vehicle(many, name) for name in ("train", "val", "test")}
    assert [len(part) for part in parts.values()] == [20, 2, 3]
    np.testing.assert_array_equal(np.sort(np.concatenate([*parts.values()])), np.arange(25))
    np.testing.assert_array_equal(parts["test"], by_vehicle(many, "test"))
