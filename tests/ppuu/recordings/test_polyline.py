"""Stations along polylines, and projection onto them."""

import numpy as np
import pytest

from ppuu.recordings.polyline import Polyline, arc_length_m

CORNER = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 5.0]])


def test_arc_length():
    np.testing.assert_array_equal(arc_length_m(CORNER), [0.0, 10.0, 15.0])


def test_points_beside_a_corner():
    points = np.array([[4.0, 1.0], [4.0, -2.0], [9.0, 4.0], [11.5, 3.0]])
    foot = Polyline(CORNER).project(points, extended=False)
    assert foot.segment.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(foot.along_m, [4.0, 4.0, 4.0, 3.0])
    np.testing.assert_allclose(foot.offset_m, [1.0, -2.0, 1.0, -1.5])


@pytest.mark.parametrize(("extended", "along"), [(True, [-3.0, 9.0]), (False, [0.0, 5.0])])
def test_beyond_the_ends(extended, along):
    foot = Polyline(CORNER).project(np.array([[-3.0, 1.0], [10.5, 9.0]]), extended)
    assert foot.segment.tolist() == [0, 1]
    np.testing.assert_allclose(foot.along_m, along)
    np.testing.assert_allclose(foot.offset_m, [1.0, -0.5])


def test_the_nearest_of_many_segments_of_a_circle():
    angle = np.linspace(0.0, 2.0, 400)
    line = Polyline(100.0 * np.stack([np.sin(angle), 1 - np.cos(angle)], 1))
    at = np.random.default_rng(0).uniform(0.1, 1.9, 300)
    radius = np.random.default_rng(1).uniform(80.0, 120.0, 300)
    points = np.array([0.0, 100.0]) + radius[:, None] * np.stack([np.sin(at), -np.cos(at)], 1)
    foot = line.project(points, extended=False)
    np.testing.assert_allclose(line.station_m(foot), 100.0 * at, atol=0.1)
    np.testing.assert_allclose(foot.offset_m, 100.0 - radius, atol=2e-3)
