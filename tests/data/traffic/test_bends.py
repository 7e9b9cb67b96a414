"""Traffic in bends: still on the road, still moving where it heads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.traffic import PRESETS, generate, simulate
from data.traffic.bends import Bend, bent
from data.traffic.road import SECTION_M, Highway, Ramp
from data.traffic.simulate import record

from ..drivers_without_learning import overlapping_rows


@pytest.fixture(scope="module")
def straight():
    """20 s of `free-flow`, which is straight."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "_WARM_UP_S", 20.0)
        return generate(PRESETS["free-flow"], 20.0, seed=3)


def bend(radius_m, seed=0):
    return Bend.draw(np.random.default_rng(seed), radius_m)


def test_the_line_turns_as_its_curvature_says_and_no_more_than_asked():
    line = bend(800.0)
    turned = np.gradient(line.heading_rad, line.station_m)
    np.testing.assert_allclose(turned[1:-1], line.curvature_radpm[1:-1], atol=1e-7)
    course = np.arctan2(np.diff(line.y_m), np.diff(line.x_m))
    middle = 0.5 * (line.heading_rad[1:] + line.heading_rad[:-1])
    np.testing.assert_allclose(course, middle, atol=1e-6)
    # A wave is 1200 m at most, so half of one, with its peak, lies in the section or nearly.
    assert 0.7 / 800.0 < np.abs(line.curvature_radpm).max() <= 1 / 800.0


def test_the_section_begins_at_the_origin():
    line = bend(800.0)
    assert line.at(line.x_m, np.zeros(1)) == line.at(line.y_m, np.zeros(1)) == 0.0


def test_in_an_endless_radius_nothing_changes(straight):
    found = bent(straight, bend(1e12))
    for key in ("x_m", "y_m", "heading_rad", "speed_mps"):
        np.testing.assert_allclose(getattr(found, key), getattr(straight, key), atol=1e-4)


def test_heading_and_speed_are_those_of_the_motion(straight):
    found = bent(straight, bend(400.0))
    within = np.diff(found.row_vehicle) == 0
    dx, dy = np.diff(found.x_m)[within], np.diff(found.y_m)[within]

    def middle(values):
        return 0.5 * (values[1:] + values[:-1])[within]

    np.testing.assert_allclose(np.hypot(dx, dy) / 0.1, middle(found.speed_mps), atol=0.02)
    off = np.arctan2(dy, dx) - middle(found.heading_rad)
    assert np.abs(np.angle(np.exp(1j * off))).max() < 0.005


def test_who_drives_inside_has_less_to_go():
    """On a circle, speeds go with the radius."""
    station = np.linspace(-60.0, SECTION_M + 60.0, 1201)
    radius = 500.0
    angle = station / radius
    circle = Bend(
        station, radius * np.sin(angle), radius * (1 - np.cos(angle)), angle,
        np.full_like(station, 1 / radius),
    )  # fmt: skip
    x, y = circle.place(station, np.full_like(station, 20.0))
    np.testing.assert_allclose(np.hypot(x, y - radius), radius - 20.0, atol=0.02)


def test_vehicles_stay_in_their_lanes_and_apart(straight):
    found = bent(straight, bend(600.0))
    lane = straight.road.lane_index(np.stack([straight.x_m, straight.y_m], 1))
    after = found.road.lane_index(np.stack([found.x_m, found.y_m], 1))
    assert (lane == after).mean() > 0.999  # a few stand on a line
    assert overlapping_rows(found) == 0


def test_lanes_of_a_bent_road_leave_no_gap():
    """Where a vehicle crosses the line between two lanes it is on one of them, at any station."""
    ramp = Ramp(merge_start_m=76.4, merge_end_m=245.5)
    highway = Highway(main_lanes=2, ramp=ramp, lane_width_m=3.41, smallest_radius_m=250.0)
    preset = replace(PRESETS["free-flow"], highway=highway)
    recording = record(preset, 0.1, seed=3, warm_up_s=1.0)
    line = Bend.draw(np.random.default_rng([3, 1]), 250.0)
    station = np.linspace(0.0, ramp.merge_end_m, 5000)
    for left in (0.0, 3.41):
        beside = np.stack(line.place(station, np.full(len(station), left)), axis=1)
        outside = ~recording.road.drivable(beside)
        assert not outside.any()
