"""Replaying by clipped actions: against the same thing a car and a frame at a time."""

import dataclasses
import math

import numpy as np
import pytest

from eval.protocols.replayed import as_replayed, curvature_limit_radpm
from tests.helpers import Car, straight_recording

SCALE = 24 / 3.7


def by_loops(recording, vehicle):
    """One car's rear bumper, direction and speed in pixels, from the published rules."""
    length = float(recording.length_m[vehicle]) * SCALE
    points = [(x * SCALE - length / 2, y * SCALE) for x, y, _, _ in recording.track(vehicle)]
    speeds, directions = [], []
    for a, b in zip(points[:-1], points[1:], strict=True):
        dx, dy = b[0] - a[0], b[1] - a[1]
        distance = math.hypot(dx, dy)
        speeds.append(distance / 0.1)
        directions.append((dx / distance, dy / distance) if distance > 1e-6 else directions[-1])
    speeds.append(speeds[-1])
    directions.append(directions[-1])
    rolling = [k for k, v in enumerate(speeds) if v / SCALE >= 5 * 0.3048]
    (x, y), v = points[0], speeds[0]
    dx, dy = directions[rolling[0]] if rolling else (1.0, 0.0)
    limit = 0.01 * min((25 / length) ** 2, 1)
    found = []
    for k in range(len(points)):
        found.append((x, y, dx, dy, v))
        if k + 1 == len(points):
            break
        a = min(max((speeds[k + 1] - v) / 0.1, -40), 40)
        ox, oy = -dy, dx
        wanted = directions[k + 1]
        b = ((wanted[0] - dx) * ox + (wanted[1] - dy) * oy) / (v * 0.1 + 1e-6)
        b = min(max(b, -limit), limit)
        x, y = x + v * dx * 0.1, y + v * dy * 0.1
        dx, dy = dx + ox * b * v * 0.1, dy + oy * b * v * 0.1
        norm = math.hypot(dx, dy)
        dx, dy, v = dx / norm, dy / norm, v + a * 0.1
    return np.array(found)


@pytest.fixture(scope="module")
def wild():
    """Cars that jerk and swerve more than the clips allow, of several lengths and durations."""
    cars = [
        Car(0.0, speed_mps=12.0),
        Car(40.0, lane=1, frames=60, length_m=16.0, width_m=2.5, to_lane=2, change_frame=10),
        Car(90.0, lane=2, first_frame=15, frames=2),
        Car(130.0, speed_mps=0.0, length_m=3.2),
        Car(-40.0, lane=1, speed_mps=7.0, first_frame=5, frames=80),
    ]
    recording = straight_recording(cars, frames=120)
    random = np.random.default_rng(3)
    shaken = np.isin(recording.row_vehicle, [0, 1, 4])
    steps = shaken[:, None] * random.normal(0, [0.25, 0.06], (recording.rows, 2))
    return dataclasses.replace(
        recording, x_m=recording.x_m + steps[:, 0], y_m=recording.y_m + steps[:, 1]
    )


def test_it_is_the_loop_over_cars_and_frames(wild):
    replayed = as_replayed(wild)
    drift = np.hypot(replayed.x_m - wild.x_m, replayed.y_m - wild.y_m)
    assert drift.max() > 1.0
    for vehicle in range(wild.vehicles):
        if wild.vehicle_id[vehicle] == 103:
            continue  # it stands: no direction to take
        expected = by_loops(wild, vehicle)
        track = replayed.track(vehicle)
        half = 0.5 * float(wild.length_m[vehicle]) * SCALE
        heading = np.arctan2(expected[:, 3], expected[:, 2])
        np.testing.assert_allclose(track[:, 2], heading, atol=1e-5)
        np.testing.assert_allclose(track[:, 3] * SCALE, expected[:, 4], atol=1e-4)
        centre = expected[:, :2] + half * expected[:, 2:4]
        np.testing.assert_allclose(track[:, :2] * SCALE, centre, atol=1e-3)


def test_who_stands_stays(wild):
    before, after = wild.track(3), as_replayed(wild).track(3)
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_smooth_driving_is_repeated():
    cars = [Car(0.0), Car(30.0, lane=1, to_lane=2), Car(60.0, speed_mps=20.0, frames=50)]
    recording = straight_recording(cars, frames=120)
    replayed = as_replayed(recording)
    assert (replayed.frame == recording.frame).all()
    # The rear bumper repeats the recorded place; the front points where the car goes.
    half = 0.5 * recording.length_m[recording.row_vehicle]
    heading = replayed.heading_rad
    rear = (replayed.x_m - half * np.cos(heading), replayed.y_m - half * np.sin(heading))
    np.testing.assert_allclose(rear[0], recording.x_m - half, atol=0.02)
    np.testing.assert_allclose(rear[1], recording.y_m, atol=0.02)
    turning = recording.row_vehicle == 1
    assert heading[turning].max() > 0.15
    np.testing.assert_allclose(heading[~turning], 0.0, atol=1e-6)


def test_noisy_headings_do_not_count():
    recording = straight_recording([Car(0.0, speed_mps=1.0)], frames=80)
    noise = np.random.default_rng(0).normal(0, 0.2, recording.rows)
    noisy = dataclasses.replace(recording, heading_rad=recording.heading_rad + noise)
    np.testing.assert_allclose(as_replayed(noisy).y_m, recording.y_m, atol=1e-6)


def test_too_hard_a_brake_is_not_repeated():
    """From 20 m/s to a stop at 10 m/s²; the replay brakes at 6.17 m/s² and ends further on."""
    recording = straight_recording([Car(0.0, speed_mps=20.0)], frames=80)
    speed = np.clip(20.0 - 1.0 * np.arange(80), 0, 20)
    x = np.concatenate([[0.0], np.cumsum(0.1 * speed)[:-1]])
    braking = dataclasses.replace(recording, x_m=x, speed_mps=speed)
    replayed = as_replayed(braking)
    assert np.diff(replayed.speed_mps).min() == pytest.approx(-0.1 * 40 / SCALE, abs=1e-4)
    shortfall = 20**2 / 2 * (SCALE / 40 - 1 / 10)
    assert replayed.x_m[-1] - braking.x_m[-1] == pytest.approx(shortfall, abs=0.3)


def test_lorries_turn_less():
    limits = curvature_limit_radpm(np.array([3.0, 25 / SCALE, 16.0]))
    assert limits[:2] == pytest.approx([0.01 * SCALE] * 2)
    assert limits[2] == pytest.approx(0.01 * SCALE * (25 / (16 * SCALE)) ** 2)
