"""The quintic lane-change profile."""

import numpy as np
import torch

from ppuu.driving.lane_change_path import (
    STEEPEST_SLOPE,
    quintic,
    quintic_second_derivative,
    quintic_slope,
)


def test_starts_and_ends_without_speed_and_acceleration():
    ends = np.array([0.0, 1.0])
    np.testing.assert_array_equal(quintic(ends), [0.0, 1.0])
    np.testing.assert_array_equal(quintic_slope(ends), 0.0)
    np.testing.assert_array_equal(quintic_second_derivative(ends), 0.0)


def test_slope_and_curvature_are_the_derivatives():
    progress = torch.linspace(0, 1, 101, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(quintic(progress).sum(), progress, create_graph=True)
    torch.testing.assert_close(slope, quintic_slope(progress))
    (curvature,) = torch.autograd.grad(slope.sum(), progress)
    torch.testing.assert_close(curvature, quintic_second_derivative(progress.detach()))
    assert float(slope.detach().max()) == STEEPEST_SLOPE
