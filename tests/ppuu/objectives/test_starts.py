"""Other beginnings of the same clip."""

from __future__ import annotations

import pytest
import torch

from ppuu.geometry import to_local
from ppuu.objectives import StartConfig, perturbed_starts
from ppuu.perception.observation import Observation
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.vehicle_raster import draw_vehicles
from ppuu.runtime.errors import InputError

RASTER = RasterConfig()
DT_S, STRIDE, FRAMES, SPEED = 0.1, 3, 4, 8.0


def history(left_m: float = 0.0, heading: float = 0.3) -> Observation:
    """An ego at constant speed beside a parked car, drawn exactly; 0.5 m further left if asked."""
    ago = torch.arange(FRAMES - 1, -1, -1) * STRIDE * DT_S
    along = torch.tensor([torch.tensor(heading).cos(), torch.tensor(heading).sin()])
    across = torch.tensor([-along[1], along[0]])
    position = -SPEED * ago[:, None] * along + left_m * across
    ego = torch.cat(
        [position, torch.full((FRAMES, 1), heading), torch.full((FRAMES, 1), SPEED)], dim=1
    )
    car = torch.cat([6.0 * along + 3.0 * across, torch.tensor([heading, 4.5, 1.9])])
    images = torch.zeros(FRAMES, 3, RASTER.rows, RASTER.columns)
    images[:, 1] = draw_vehicles(
        ego[:, :3], car.expand(FRAMES, 1, 5), torch.ones(FRAMES, 1, dtype=torch.bool), RASTER
    )
    return Observation(images[None], ego[None], torch.tensor([[4.5, 1.9]]))


def start(config: StartConfig) -> Observation:
    generator = torch.Generator().manual_seed(0)
    return perturbed_starts(history(), config, RASTER, DT_S, STRIDE, generator)


def test_the_first_start_is_the_recorded_one():
    varied = start(StartConfig(copies=3))
    torch.testing.assert_close(varied.ego[0], history().ego[0])
    torch.testing.assert_close(varied.images[0], history().images[0], atol=1e-5, rtol=0)
    assert len(varied.ego) == len(varied.images) == len(varied.size_m) == 3


def test_a_shift_moves_the_whole_history_and_its_images():
    varied = start(StartConfig(copies=2, speed_mps=0.0, lateral_m=0.5, heading_rad=0.0))
    moved = to_local(varied.ego[1], history().ego[0])
    shift = moved[0, 1]
    assert abs(shift) > 0.05
    torch.testing.assert_close(moved[:, 1], shift.expand(FRAMES))
    torch.testing.assert_close(moved[:, 0], torch.zeros(FRAMES), atol=1e-5, rtol=0)
    redrawn = history(left_m=float(shift))
    error = (varied.images[1, :, 1] - redrawn.images[0, :, 1]).abs().sum((1, 2))
    assert (error < 0.25 * redrawn.images[0, :, 1].sum((1, 2))).all()


def test_another_speed_fits_the_past():
    varied = start(StartConfig(copies=2, speed_mps=2.0, lateral_m=0.0, heading_rad=0.0))
    ego = varied.ego[1]
    assert abs(float(ego[-1, 3]) - SPEED) > 0.1
    torch.testing.assert_close(ego[-1, :2], history().ego[0, -1, :2])
    driven = ego[:, :2].diff(dim=0).norm(dim=1) / (STRIDE * DT_S)
    torch.testing.assert_close(driven, ego[1:, 3])


def test_speeds_stay_positive_and_turns_are_about_the_present_pose():
    varied = start(StartConfig(copies=64, speed_mps=20.0, lateral_m=0.0, heading_rad=0.1))
    assert float(varied.ego[..., 3].min()) >= 0.0
    torch.testing.assert_close(
        varied.ego[:, -1, :2], history().ego[:, -1, :2].expand(64, 2), atol=1e-5, rtol=0
    )
    turned = to_local(varied.ego, varied.ego[:, -1:])
    assert float(turned[..., 1].abs().max()) < 1e-4


@pytest.mark.parametrize(
    "change", [{"speed_mps": float("nan")}, {"lateral_m": -1.0}, {"copies": 0}]
)
def test_deviations_are_numbers(change):
    with pytest.raises(InputError, match="starts: "):
        StartConfig(**change)
