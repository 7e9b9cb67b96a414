"""Noise on tracks: its distribution and its seed."""

import pytest
import torch

from ppuu.perception.track_noise import TrackNoise
from ppuu.recordings.tracks import Tracks
from ppuu.runtime.errors import InputError

NOISE = TrackNoise(position_m=0.1, heading_rad=0.01, speed_mps=0.3)


def tracks(batch=400, slots=8, frames=4, speed_mps=10.0):
    states = torch.zeros(batch, slots, frames, 4)
    states[..., 3] = speed_mps
    valid = torch.ones(batch, slots, frames, dtype=torch.bool)
    return Tracks(states, valid, torch.ones(batch, slots, 2), torch.arange(slots).repeat(batch, 1))


def noise_of(seed=0, noise=NOISE, **values):
    exact = tracks(**values)
    return noise.add_noise(exact, torch.Generator().manual_seed(seed)).states - exact.states


def test_standard_deviations_are_a_random_fraction():
    error = noise_of()
    whole = torch.tensor([0.1, 0.1, 0.01, 0.3])
    share = error.flatten(1, 2).std(1) / whole
    # Evenly between 0 and 1, and the same for all four quantities of a scene.
    assert share.amax() < 1.5 and share.amin() < 0.05
    torch.testing.assert_close(share.mean(0), torch.full((4,), 0.5), atol=0.05, rtol=0)
    assert torch.corrcoef(share.T).min() > 0.8
    torch.testing.assert_close(error.mean((0, 1, 2)), torch.zeros(4), atol=0.01, rtol=0)


def test_noise_is_independent_over_time():
    error = noise_of(batch=2000)[..., 0]
    assert torch.corrcoef(error.flatten(0, 1).T).fill_diagonal_(0).abs().max() < 0.05


def test_noise_depends_on_the_seed_and_zero_changes_nothing():
    assert torch.equal(noise_of(1), noise_of(1))
    assert not torch.equal(noise_of(1), noise_of(2))
    exact = tracks()
    assert TrackNoise().add_noise(exact, torch.Generator()) is exact


def test_standing_vehicles_do_not_reverse():
    error = noise_of(speed_mps=0.0)[..., 3]
    assert error.min() == 0 < error.max()


def test_negative_noise_is_refused():
    with pytest.raises(InputError, match="speed_mps -1"):
        TrackNoise(speed_mps=-1.0)
