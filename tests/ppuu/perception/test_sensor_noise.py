"""Noise on histories: the covariance of the sensor, one sensor and one share a clip."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from ppuu.perception.sensor_noise import HALF_WINDOW_S, SensorNoise
from ppuu.perception.sensors import DRONE, EXACT, NGSIM, NoisePart, Sensor
from ppuu.recordings.tracks import Tracks
from ppuu.runtime.errors import InputError

LAGS = torch.tensor([9, 6, 3, 0])
PLAIN = Sensor(along=(NoisePart(0.5, 0.6),), across=(NoisePart(0.1, 0.4),))


def tracks(batch=300, slots=8, lags=LAGS, speed_mps=10.0, dt_s=0.1, heading=0.0):
    """Vehicles at constant velocity."""
    states = torch.zeros(batch, slots, len(lags), 4)
    path = -lags * dt_s * speed_mps + 10.0 * torch.arange(slots)[:, None]
    states[..., 0] = path * np.cos(heading)
    states[..., 1] = path * np.sin(heading)
    states[..., 2], states[..., 3] = heading, speed_mps
    valid = torch.ones(batch, slots, len(lags), dtype=torch.bool)
    return Tracks(states, valid, torch.ones(batch, slots, 2), torch.arange(slots).repeat(batch, 1))


def errors(sensors=(PLAIN,), seed=0, lags=LAGS, dt_s=0.1, whole=False, **values):
    """Errors of all states; ``whole`` divides the shares out."""
    exact = tracks(lags=lags, dt_s=dt_s, **values)
    generator = torch.Generator().manual_seed(seed)
    noisy = SensorNoise(sensors, dt_s, lags).add_to(exact, generator)
    error = noisy.states - exact.states
    if whole:
        generator.manual_seed(seed)
        torch.randint(len(sensors), (len(error),), generator=generator)
        error = error / torch.rand(len(error), 1, 1, 1, generator=generator)
    return error.double()


@pytest.mark.parametrize(
    "lags, dt_s", [(LAGS, 0.1), (torch.arange(19, -1, -1), 0.1), (torch.tensor([10, 5, 0]), 0.04)]
)
def test_positions_have_the_autocovariance_of_recordings(lags, dt_s):
    """At any time step and length, the same as the filter that recordings are drawn with."""
    error = errors(batch=2000, lags=lags, dt_s=dt_s, whole=True)
    for axis, part in ((0, PLAIN.along[0]), (1, PLAIN.across[0])):
        response = lfilter(*part.recursion(dt_s), np.eye(1, 1000)[0])
        found = torch.cov(error[..., axis].flatten(0, 1).T).numpy()
        distance = (lags[:, None] - lags).abs().numpy()
        expected = np.array([response[k:] @ response[: 1000 - k] for k in range(20)])[distance]
        np.testing.assert_allclose(found, expected, atol=0.05 * part.std_m**2)


def test_velocities_are_slopes_of_the_noisy_positions():
    """Against lines fitted to a long series of positions, as recordings get their velocities."""
    random = np.random.default_rng(0)
    series = lfilter(*PLAIN.along[0].recursion(0.1), random.standard_normal(200_000))[1000:]
    half = round(HALF_WINDOW_S / 0.1)
    window = np.lib.stride_tricks.sliding_window_view(series, 2 * half + 1)
    slope = np.polyfit(0.1 * np.arange(-half, half + 1), window.T, 1)[0]
    error = errors(batch=3000, whole=True)
    assert error[..., 3].std().item() == pytest.approx(slope.std(), rel=0.03)
    # Also together with the positions before: 0.6 s ago, say.
    expected = np.mean(slope[6:] * series[half:-half][:-6])
    found = (error[..., 3, 3] * error[..., 1, 0]).mean().item()
    assert abs(expected) > 0.05
    assert found == pytest.approx(expected, rel=0.1)


def test_headings_follow_from_positions_across():
    error = errors(batch=3000, whole=True)[..., 2]
    fast = errors(batch=3000, whole=True, speed_mps=20.0)[..., 2]
    assert fast.std().item() == pytest.approx(0.5 * error.std().item(), rel=0.01)
    turned = errors(heading=0.5)
    along = turned[..., 0] * np.cos(0.5) + turned[..., 1] * np.sin(0.5)
    torch.testing.assert_close(along, errors()[..., 0], atol=1e-4, rtol=0)


def test_standing_vehicles_stay_where_they_seem_to_be():
    error = errors(speed_mps=0.0)
    assert error[..., :2].abs().max() > 0.3
    assert torch.equal(error, error[:, :, -1:].expand_as(error))
    assert not error[..., 3].any()
    crawling = errors(speed_mps=0.3)[..., 0].diff(dim=-1).std()
    assert crawling < 0.5 * errors(speed_mps=3.0)[..., 0].diff(dim=-1).std()


def test_vehicles_do_not_reverse():
    exact = tracks(speed_mps=0.5)
    noisy = SensorNoise([NGSIM], 0.1, LAGS).add_to(exact, torch.Generator().manual_seed(0))
    assert noisy.states[..., 3].min() == 0.0


def test_each_clip_draws_one_sensor_and_one_share():
    small, large = (Sensor(along=(NoisePart(std_m, 0.6),)) for std_m in (0.0005, 0.5))
    error = errors([EXACT, small, large], batch=3000, slots=50)[..., 0]
    size = error.flatten(1).std(1)
    drawn = torch.bucketize(size, torch.tensor([1e-6, 6e-4]).double())
    np.testing.assert_allclose(torch.bincount(drawn) / 3000, 1 / 3, atol=0.03)
    # The share is the same for all vehicles, and evenly between none and all.
    halves = error.view(3000, 2, -1).std(-1)[drawn == 2]
    assert torch.corrcoef(halves.T)[0, 1] > 0.9
    quarters = torch.tensor([0.25, 0.5, 0.75]).double()
    np.testing.assert_allclose(size[drawn == 2].quantile(quarters) / 0.5, quarters, atol=0.05)


def test_seams_move_all_vehicles_of_a_clip_alike():
    seams = Sensor(camera_m=70.0, seam_m=7.0, shift_m=1.0)
    exact = tracks(slots=2)
    exact = replace(exact, states=exact.states[:, :1].repeat(1, 2, 1, 1))
    noisy = SensorNoise([seams], 0.1, LAGS).add_to(exact, torch.Generator().manual_seed(0))
    error = noisy.states - exact.states
    assert torch.equal(error[:, 0], error[:, 1])
    assert error[..., 0].std() > 0.3 and not error[..., 1].any()
    # The speed's error integrates to the position's.
    moved = error[:, 0, -1, 0] - error[:, 0, 0, 0]
    mean = error[:, 0, :, 3].mean(-1) * 0.9
    assert torch.corrcoef(torch.stack([moved, mean]))[0, 1] > 0.9


def test_exact_changes_nothing_and_draws_nothing():
    exact, generator = tracks(), torch.Generator().manual_seed(3)
    before = generator.get_state()
    assert SensorNoise([EXACT], 0.1, LAGS).add_to(exact, generator) is exact
    assert torch.equal(generator.get_state(), before)


def test_a_share_of_zero_is_exact(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.zeros(shape))
    exact = tracks()
    noisy = SensorNoise([NGSIM], 0.1, LAGS).add_to(exact, torch.Generator())
    assert torch.equal(noisy.states, exact.states)


@pytest.mark.parametrize("sensor", [DRONE, NGSIM])
@pytest.mark.parametrize("dt_s, frames", [(0.04, 40), (0.5, 3)])
def test_every_rate_and_length(sensor, dt_s, frames):
    lags = torch.arange(frames - 1, -1, -1)
    error = errors([sensor], lags=lags, dt_s=dt_s, batch=50)
    assert error.isfinite().all() and error[..., :2].std() > 0.01


def test_the_seed_decides():
    assert torch.equal(errors([NGSIM, DRONE], 1), errors([NGSIM, DRONE], 1))
    assert not torch.equal(errors([NGSIM, DRONE], 1), errors([NGSIM, DRONE], 2))


def test_no_sensor_is_refused():
    with pytest.raises(InputError, match="at least one"):
        SensorNoise([], 0.1, LAGS)
