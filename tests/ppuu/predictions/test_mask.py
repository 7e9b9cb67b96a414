"""Masks: trapezoids along and across, their integrals and their slopes."""

import pytest
import torch

from ppuu.predictions import EgoMask, EgoPath
from ppuu.predictions.mask import interval_mass
from tests.exact_mass import trapezoid
from tests.rollouts import crowd, random_masks, rollout_among


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_interval_masses_are_integrals_of_the_trapezoid():
    shape = (200, 5)
    generator = torch.Generator().manual_seed(0)
    low, high = doubles(-9.0, 0.1, 0.0, 0.1, 0.1), doubles(9.0, 6.0, 4.0, 5.0, 3.0)
    drawn = low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)
    centre, extent, half, ahead, behind = drawn.unbind(-1)
    points = 20_000
    share = (torch.arange(points, dtype=torch.float64) + 0.5) / points - 0.5
    place = centre[:, None] + share * extent[:, None]
    heights = trapezoid(*(value.numpy() for value in (place, *drawn[:, 2:, None].unbind(1))))
    expected = torch.from_numpy(heights).mean(1) * extent
    torch.testing.assert_close(
        interval_mass(centre, extent, half, ahead, behind), expected, atol=1e-6, rtol=0
    )
    assert (expected == 0).any() and (expected > 1).any()


def test_gradients_of_interval_masses():
    drawn = 0.5 + 2 * torch.rand(5, 100, generator=torch.Generator().manual_seed(1)).double()
    leaves = [value.requires_grad_() for value in (drawn * doubles(2, 1, 1, 1, 1)[:, None])]
    assert torch.autograd.gradcheck(interval_mass, leaves, eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("half", [0.0, 1.5])
def test_gradients_at_the_corners_are_the_heights_there(half):
    """Where intervals end at the middle or where the flat part does; as images often have it."""
    ends = doubles(-half - 1.0, -half, 0.0, half, half + 2.0)
    centre, extent = (0.5 * (ends[1:] + ends[:-1])).requires_grad_(), ends[1:] - ends[:-1]
    sizes = [torch.full_like(extent, size) for size in (half, 2.0, 1.0)]
    mass = interval_mass(centre, extent, *sizes)
    (result,) = torch.autograd.grad(mass.sum(), centre)
    heights = trapezoid(ends.numpy(), half, 2.0, 1.0)
    torch.testing.assert_close(result, torch.from_numpy(heights[1:] - heights[:-1]))


def test_an_edge_without_a_fade_has_finite_masses_and_gradients():
    rollout = rollout_among([(3.0, 0.0, 0.0, 4.0, 1.0)])
    states = rollout.states.clone().requires_grad_()
    ego = EgoPath(states, rollout.size_m)
    mask = EgoMask.of(ego, ego.half_length_m, 0.0, 0.0, 0.0 * ego.speed_mps + 2.0, 0.0)
    mass = rollout.prediction.vehicle_mass(mask, ego)
    torch.testing.assert_close(mass, torch.full_like(mass, 1.25), atol=1e-3, rtol=0)
    mass.sum().backward()
    assert states.grad.isfinite().all()
    assert states.grad[0, 0, 0, 0] == pytest.approx(1.0)


@pytest.mark.parametrize("drawn", [False, True], ids=["boxes", "images"])
def test_a_mask_over_covered_ground_weighs_its_area(drawn):
    """Half-length 2, fades of 3 ahead and 1 behind, half-width 1, fades of 0.5 to the sides."""
    rollout = rollout_among([(0.0, 0.0, 0.0, 40.0, 14.0)], drawn=drawn)
    mask = EgoMask.of(rollout.ego, 2.0, 3.0, 1.0, 1.0, 0.5)
    mass = rollout.prediction.vehicle_mass(mask, rollout.ego)
    torch.testing.assert_close(mass, torch.full_like(mass, (4 + 1.5 + 0.5) * (2 + 0.5)))


def test_sizes_are_numbers_or_tensors_along_the_path():
    ego = crowd(rows=3, candidates=2, time=4).ego
    mask = EgoMask.of(ego, ego.half_length_m, 0.9 * ego.speed_mps + 2.0, 2, ego.half_width_m, 0.0)
    assert mask.sizes_m.shape == (3, 2, 4, 1, 5)
    half, ahead, behind, wide, side = mask.sizes_m[:, :, :, 0].unbind(-1)
    torch.testing.assert_close(half, (0.5 * ego.size_m[:, :1, None]).expand(3, 2, 4))
    torch.testing.assert_close(wide, (0.5 * ego.size_m[:, 1:, None]).expand(3, 2, 4))
    torch.testing.assert_close(ahead, 0.9 * ego.states[..., 3] + 2.0)
    assert (behind == 2.0).all()
    assert ((side > 0) & (side < 0.01)).all()


def test_masks_side_by_side_weigh_what_they_weigh_alone():
    rollout = crowd()
    masks = [random_masks(rollout.ego, masks=count, seed=count) for count in (1, 2)]
    together = rollout.prediction.vehicle_mass(EgoMask.stack(masks), rollout.ego)
    alone = [rollout.prediction.vehicle_mass(mask, rollout.ego) for mask in masks]
    torch.testing.assert_close(together, torch.cat(alone, dim=-1), atol=0, rtol=0)


def test_an_ego_knows_its_sizes():
    ego = EgoPath(torch.zeros(2, 3, 4, 4), torch.tensor([[4.0, 2.0], [12.0, 2.5]]))
    assert ego.half_length_m.flatten().tolist() == [2.0, 6.0]
    assert ego.half_width_m.flatten().tolist() == [1.0, 1.25]
    assert ego.area_m2.flatten().tolist() == [8.0, 30.0]
    assert ego.area_m2.dim() == 4  # meets a mass
