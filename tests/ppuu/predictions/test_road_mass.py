"""Lane lines and off-road area under masks: by hand, turned, at every pixel size."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import LocalRoad, RoadMap
from ppuu.predictions import EgoMask, EgoPath
from ppuu.predictions.road_mass import mapped_road_mass
from ppuu.recordings.road import Road
from ppuu.units import LINE_WIDTH_M
from tests.helpers import dense_recording
from tests.rollouts import as_images, crowd, random_masks, rollout_among

ROAD = RoadMap.build([dense_recording().road], RasterConfig())
CHANNELS = ["lanes", "offroad"]
LANE_M = 3.7
STRAIGHT = Road.straight(160.0, 3, LANE_M, start_m=-80.0)


def turned(road: Road, turn: float, origin=(0.0, 0.0)) -> Road:
    """The same road elsewhere."""
    cos, sin = math.cos(turn), math.sin(turn)
    matrix = np.array([[cos, sin], [-sin, cos]])
    return Road(road.lane_pointer, road.left_m @ matrix + origin, road.right_m @ matrix + origin)


NODE_M = RasterConfig().metres_per_pixel / 3
"""Of the grid that a road is stored on; so exactly is its edge known."""


def masses(channel, y, sizes, heading=0.0, turn=0.0, origin=(0.0, 0.0), **more):
    """Under one mask, along a path across a road that lies somewhere."""
    cos, sin = math.cos(turn), math.sin(turn)
    x = 3.3
    states = [
        (cos * x - sin * left + origin[0], sin * x + cos * left + origin[1], heading + turn, 9.0)
        for left in y
    ]
    rollout = rollout_among(states=states, road=turned(STRAIGHT, turn, origin), **more)
    mask = EgoMask.of(rollout.ego, *sizes)
    return rollout.prediction.road_mass(mask, rollout.ego, channel)[0, 0, 0, :, 0]


def test_area_off_the_road_by_hand():
    """On the road none, far off it the mask's whole area, astride the edge half of it."""
    result = masses("offroad", [1.5 * LANE_M, -30.0, 0.0], (2.25, 0.5, 0.5, 0.9, 0.5))
    area = (4.5 + 0.5) * (1.8 + 0.5)
    assert result[0] == 0
    assert float(result[1]) == pytest.approx(area, rel=1e-6)
    assert float(result[2]) == pytest.approx(0.5 * area, abs=NODE_M * (4.5 + 0.5))


def test_the_further_off_the_road_the_more():
    y = torch.linspace(2.5, -2.5, 21).tolist()
    result = masses("offroad", y, (2.25, 0.5, 0.5, 0.9, 0.5))
    assert (result.diff() >= 0).all()
    assert result[0] == 0 and result[-1] > 10


def test_the_area_of_a_line_by_hand():
    """Alone under the mask it is as long as the mask and as wide as lines are."""
    assert (masses("lanes", [0.5 * LANE_M, -30.0], (2.0, 1.0, 3.0, 0.8, 0.4)) == 0).all()
    y = (LANE_M + torch.linspace(-0.5, 0.5, 31)).tolist()
    result = masses("lanes", y, (2.0, 1.0, 3.0, 1.2, 0.4))
    expected = (4.0 + 2.0) * LINE_WIDTH_M
    assert float(result.mean()) == pytest.approx(expected, rel=0.01)
    torch.testing.assert_close(result, torch.full_like(result, expected), atol=0, rtol=0.06)


@pytest.mark.parametrize("metres_per_pixel", [1.0, LANE_M / 6, 0.3, 0.2])
@pytest.mark.parametrize("drawn", [False, True], ids=["map", "picture"])
def test_lines_are_equally_wide_at_every_pixel_size(metres_per_pixel, drawn):
    """Anywhere in the middle lane, on average, they cover their share of a lane."""
    raster = RasterConfig(
        round(14 / metres_per_pixel), round(14 / metres_per_pixel), metres_per_pixel
    )
    shift = LANE_M * ((torch.arange(50) + 0.5) / 50 - 0.5)
    sizes = (2.25, 0.5, 0.5, 0.0, 0.5 * LANE_M)
    result = masses("lanes", (1.5 * LANE_M + shift).tolist(), sizes, raster=raster, drawn=drawn)
    area = (4.5 + 0.5) * 0.5 * LANE_M
    assert float(result.mean()) == pytest.approx(area * LINE_WIDTH_M / LANE_M, rel=0.01)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("heading", [0.0, 0.15])
def test_a_road_that_lies_elsewhere_weighs_the_same(channel, heading):
    """Up to the grid that it is stored on."""
    y = torch.linspace(-2.0, 13.0, 40).tolist()
    sizes = (2.25, 0.5, 0.5, 0.9, 0.95)
    original = masses(channel, y, sizes, heading)
    transformed = masses(channel, y, sizes, heading, turn=0.6, origin=(7.3, -2.1))
    assert original.max() > 1
    assert (original - transformed).abs().max() < NODE_M * (4.5 + 0.5)
    assert float((original - transformed).mean()) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("channel", CHANNELS)
def test_gradients_by_the_ego_and_the_masks(channel):
    rollout = crowd(rows=2, candidates=2, dtype=torch.float64, road=ROAD)
    leaves = (rollout.states, random_masks(rollout.ego).sizes_m)
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]

    def value(states, sizes):
        ego = EgoPath(states, rollout.size_m)
        return rollout.prediction.road_mass(EgoMask.from_sizes(sizes), ego, channel)

    assert torch.autograd.gradcheck(value, leaves, eps=1e-8, atol=1e-4)
    gradients = torch.autograd.grad(value(*leaves).sum(), leaves)
    assert all(gradient.abs().max() > 1e-2 for gradient in gradients)


@pytest.mark.parametrize("channel", CHANNELS)
def test_sizes_with_gradients_give_the_same_masses(channel):
    rollout = crowd(rows=20, candidates=3, road=ROAD)
    mask = random_masks(rollout.ego)
    fixed = rollout.prediction.road_mass(mask, rollout.ego, channel)
    sizes = mask.sizes_m.clone().requires_grad_()
    moving = rollout.prediction.road_mass(EgoMask.from_sizes(sizes), rollout.ego, channel)
    torch.testing.assert_close(moving.detach(), fixed, atol=1e-4, rtol=1e-4)
    moving.sum().backward()
    assert sizes.grad.abs().max() > 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["compiled", "tensors"])
def test_each_row_has_a_road_of_its_own(dtype):
    """Rows on two roads, together and alone."""
    roads = RoadMap.build([STRAIGHT, turned(STRAIGHT, 0.0, (0.0, 1.0))], RasterConfig())
    rollout = crowd(rows=4, candidates=2, dtype=dtype)
    states = rollout.states - torch.tensor([100.0, 0.0, 0.0, 0.0], dtype=dtype)
    which, mask = torch.tensor([0, 1, 1, 0]), random_masks(rollout.ego)
    prediction = replace(rollout.prediction, road=LocalRoad(roads, which))
    together = prediction.road_mass(mask, EgoPath(states, rollout.size_m), "lanes")
    for row in range(4):
        one = slice(row, row + 1)
        alone = mapped_road_mass(
            LocalRoad(roads, which[one]), EgoMask.from_sizes(mask.sizes_m[one]),
            EgoPath(states[one], rollout.size_m[one]), "lanes",
        )  # fmt: skip
        torch.testing.assert_close(alone[0], together[row, :, 0], atol=1e-12, rtol=0)
    other = replace(prediction, road=LocalRoad(roads, 1 - which))
    apart = other.road_mass(mask, EgoPath(states, rollout.size_m), "lanes") - together
    assert apart.abs().amax((1, 2, 3, 4)).min() > 0.1


@pytest.mark.parametrize("drawn", [False, True], ids=["map", "picture"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["compiled", "tensors"])
def test_each_mask_looks_at_its_own_channel(drawn, dtype):
    """As if they were asked one after the other."""
    rollout = crowd(rows=4, candidates=2, dtype=dtype, road=ROAD)
    rollout = as_images(rollout, 0.5) if drawn else rollout
    mask, ego = random_masks(rollout.ego), rollout.ego
    each = mask.unbind()
    channels = [CHANNELS[number % 2] for number in range(len(each))]
    assert len(set(channels)) == 2
    together = rollout.prediction.road_mass(mask, ego, *channels)
    for number, (one, channel) in enumerate(zip(each, channels, strict=True)):
        alone = rollout.prediction.road_mass(one, ego, channel)
        assert torch.equal(alone[..., 0], together[..., number])
    assert (together.diff(dim=-1).abs().amax((0, 1, 2, 3)) > 0.1).all()


def test_channels_that_do_not_fit_the_masks_are_refused():
    rollout = crowd(rows=1, candidates=1, road=ROAD)
    with pytest.raises(ValueError, match="channels"):
        rollout.prediction.road_mass(random_masks(rollout.ego), rollout.ego, *CHANNELS * 5)
