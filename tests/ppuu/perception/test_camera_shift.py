"""The shift between cameras: continuous, steep at the seams only, of a known size."""

import pytest
import torch

from ppuu.perception.camera_shift import CameraShift

CAMERA_M, SEAM_M, SHIFT_M = 70.0, 7.0, 0.5


@pytest.fixture(scope="module")
def shift():
    sizes = (torch.full((2000,), value).double() for value in (CAMERA_M, SEAM_M, SHIFT_M))
    return CameraShift.draw(*sizes, generator=torch.Generator().manual_seed(0))


def test_variance_is_that_of_interpolated_ends(shift):
    at = shift.at(torch.linspace(-1000, 1000, 500).double().expand(2000, -1))
    # The mean of (1 - f)² + f² over a stretch is two thirds.
    assert at.var().item() == pytest.approx(2 / 3 * SHIFT_M**2, rel=0.05)


def test_it_is_continuous_and_steep_at_seams_only(shift):
    x = torch.arange(0, 10 * CAMERA_M, 0.01).double()
    values = _first(shift).at(x[None])[0]
    slope = values.diff() / 0.01
    ends = _first(shift).ends_m
    assert slope.abs().max() <= (ends.max() - ends.min()) / SEAM_M + 1e-6
    place = (x[:-1] - _first(shift).first_m).remainder(CAMERA_M)
    assert slope[place < SEAM_M].abs().mean() > 3 * slope[place >= SEAM_M].abs().mean()


def test_seams_are_anywhere_along_a_camera(shift):
    assert shift.first_m.min() >= 0 and shift.first_m.max() < CAMERA_M
    assert shift.first_m.mean().item() == pytest.approx(CAMERA_M / 2, rel=0.05)


def _first(shift):
    return CameraShift(*(value[:1] for value in vars(shift).values()))
