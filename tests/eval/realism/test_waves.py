"""Waves of known speed."""

from dataclasses import replace

import numpy as np
import pytest

from eval.realism.pairs import Pairs
from eval.realism.waves import wave_speed

DT_S = 0.1


def traffic(wave_mps, seed=0, amplitude_mps=2.0, entries=100):
    """Vehicles in a field of speeds that travels at ``wave_mps``; noise with a memory of 60 m."""
    random = np.random.default_rng(seed)
    node_m = 10.0
    white = random.standard_normal(2000)
    kernel = np.exp(-0.5 * (np.arange(-20, 21) * node_m / 60.0) ** 2)
    field = np.convolve(white, kernel / np.linalg.norm(kernel), "same")
    nodes = node_m * (np.arange(len(field)) - 1000)
    columns = []
    for vehicle in range(entries):
        x, time_s = 0.0, 5.0 * vehicle
        while x < 500.0:
            speed = max(7.0 + amplitude_mps * np.interp(x - wave_mps * time_s, nodes, field), 0.5)
            columns.append((vehicle, time_s, x, speed))
            x, time_s = x + speed * DT_S, time_s + DT_S
    vehicle, time_s, x, speed = np.array(columns).T
    vehicle, zero = vehicle.astype(int), np.zeros(len(x))
    return Pairs(
        vehicle, vehicle, zero.astype(int), time_s, x, x + 15.0, speed, speed, zero, zero + 4.5
    )


@pytest.fixture(scope="module")
def upstream():
    return traffic(-5.0)


def test_a_wave_travels_at_its_speed(upstream):
    waves = wave_speed(upstream)
    assert waves.speed_mps == pytest.approx(-5.0, abs=0.3) and waves.correlation > 0.7


def test_another_wave_at_another():
    assert wave_speed(traffic(-8.0, seed=1)).speed_mps == pytest.approx(-8.0, abs=0.5)


def test_slow_spells_that_move_with_the_vehicles_are_no_waves():
    assert np.isnan(wave_speed(traffic(6.0, seed=2)).speed_mps)


def test_constant_speed_has_none(upstream):
    steady = replace(upstream, speed_mps=np.full(len(upstream.x_m), 7.0))
    assert np.isnan(wave_speed(steady).speed_mps)


def test_neither_the_order_of_rows_nor_the_place_nor_the_clock_matter(upstream):
    order = np.random.default_rng(0).permutation(len(upstream.x_m))
    columns = {name: getattr(upstream, name)[order] for name in ("follower", "time_s", "x_m")}
    shuffled = replace(upstream, speed_mps=upstream.speed_mps[order], **columns)
    later = replace(upstream, x_m=upstream.x_m + 5000.0, time_s=upstream.time_s + 360.0)
    for other in (shuffled, later):
        assert wave_speed(other).speed_mps == wave_speed(upstream).speed_mps


def test_recordings_side_by_side_are_not_mixed(upstream):
    """Two recordings of one road at one time: pooled, each counts as if alone."""
    two = Pairs(
        **{
            name: np.tile(getattr(upstream, name), 2)
            for name in Pairs.__dataclass_fields__
            if name not in {"recording", "follower"}
        },
        recording=np.repeat([0, 1], len(upstream.x_m)),
        follower=np.concatenate([upstream.follower, upstream.follower + 1000]),
    )
    one, pooled = wave_speed(upstream), wave_speed(two)
    assert pooled.speed_mps == one.speed_mps
    assert pooled.correlation == pytest.approx(one.correlation, abs=1e-12)
