"""Driving costs: identities, hand-computed values, gradients of every term."""

import dataclasses
import math

import pytest
import torch

from ppuu.costs import (
    Comfort,
    Contact,
    DrivingCost,
    DrivingCostConfig,
    Lane,
    Offroad,
    Pace,
    Proximity,
    Uncertainty,
)
from ppuu.geometry import to_local, to_world
from ppuu.raster import RasterConfig
from ppuu.road import Road
from ppuu.rollout import Futures, Rollout
from tests.rollouts import rollout_among

PROXIMITY = Proximity(1.2, 2.0, 0.5, 1.5, 0.9)
RASTER_COSTS = [PROXIMITY, Contact(1.5, 0.7), Lane(), Offroad(0.5)]
IDS = ["proximity", "contact", "lane", "offroad"]
CAR = (4.5, 1.8)


def generic(batch=2, futures=3, time=2, raster=None, seed=0) -> Rollout:
    """Smooth random images, an ego somewhat away from where they are drawn at."""
    raster = raster or RasterConfig(21, 9)
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    size = (raster.rows, raster.columns)
    pose = torch.cat([40 * random(batch, time, 2), 3 * random(batch, time, 1)], -1)
    offset = (random(batch, time, 3) - 0.5) * torch.tensor([3.0, 1.5, 0.4])
    states = torch.cat([to_world(offset, pose), 2 + 8 * random(batch, time, 1)], -1)
    return Rollout(
        states,
        actions=random(batch, time, 2) * 0.4 - 0.2,
        previous_action=random(batch, 2) * 0.4 - 0.2,
        size_m=torch.tensor([4.43, 1.87], dtype=torch.float64) + 0.1 * random(batch, 2),
        futures=Futures(
            random(batch, futures, time, *size), random(batch, time, 2, *size), pose, raster
        ),
        step_s=0.3,
    )


def check_gradients(cost, rollout: Rollout, inputs=("states", "actions")) -> None:
    """Finite differences, exact almost everywhere: the costs are piecewise smooth in the pose."""
    leaves = [getattr(rollout, name).clone().requires_grad_() for name in inputs]

    def value(*tensors):
        return cost(dataclasses.replace(rollout, **dict(zip(inputs, tensors, strict=True))))

    assert torch.autograd.gradcheck(value, leaves, eps=1e-8, atol=1e-5, rtol=1e-4)
    total = value(*leaves).sum()
    gradients = torch.autograd.grad(total, leaves, allow_unused=True)
    assert any(g is not None and g.abs().sum() > 1e-6 for g in gradients)


@pytest.mark.parametrize("cost", RASTER_COSTS, ids=IDS)
def test_gradients_of_raster_costs(cost):
    check_gradients(cost, generic(), ("states",))


def test_gradients_of_comfort():
    check_gradients(Comfort(), generic(time=5), ("states", "actions", "previous_action"))


def test_gradients_of_the_whole():
    cost = DrivingCost()
    check_gradients(lambda rollout: cost.total(cost.evaluate(rollout)[0]), generic())


def test_gradients_of_disagreement():
    rollout = generic(futures=4)
    uncertainty = Uncertainty(2, hinge=0.0).double()
    uncertainty.expert_mean.fill_(-1e-3)

    def disagreement(rollout):
        costs = 0.1 * DrivingCost().evaluate(rollout)[1]
        return uncertainty.disagreement(uncertainty.variances(rollout, costs))

    assert (disagreement(rollout) > 1e-4).all()
    check_gradients(disagreement, rollout, ("states",))


def test_gradients_beyond_the_view():
    uncertainty = Uncertainty(1)
    rollout = generic()
    far = rollout.states + torch.tensor([6.0, 1.0, 0, 0])
    rollout = dataclasses.replace(rollout, states=far)
    assert (uncertainty.beyond_view(rollout) > 0.1).all()
    check_gradients(uncertainty.beyond_view, rollout, ("states",))


def test_pixels_seen_from_the_ego():
    """From the image to the world, and from there into the ego's frame."""
    rollout = generic()
    whole = rollout.around_ego(1e3, 1e3)
    assert whole.pixel.shape[2] == rollout.futures.raster.rows * rollout.futures.raster.columns
    grid = rollout.futures.raster.pixel_centres_m(dtype=torch.float64)
    flat = torch.cat([grid, torch.zeros_like(grid[..., :1])], -1).expand(2, 2, -1, -1, -1)
    world = to_world(flat, rollout.futures.pose[:, :, None, None])
    own = to_local(world, rollout.states[:, :, None, None, :3])
    torch.testing.assert_close(whole.ahead_m, own[..., 0].flatten(2))
    torch.testing.assert_close(whole.left_m, own[..., 1].flatten(2))


def test_a_window_is_a_part_of_the_whole():
    rollout = generic()
    whole, window = rollout.around_ego(1e3, 1e3), rollout.around_ego(3.0, 1.5)
    assert window.pixel.shape[2] < whole.pixel.shape[2]
    torch.testing.assert_close(window.ahead_m, whole.ahead_m.gather(2, window.pixel))
    torch.testing.assert_close(window.left_m, whole.left_m.gather(2, window.pixel))
    inside = (whole.ahead_m.abs() < 3.0) & (whole.left_m.abs() < 1.5)
    found = torch.zeros_like(inside).scatter(2, window.pixel, True)
    assert inside.any()
    assert (found | ~inside).all()


def mass(cost, value):
    """The mass under the mask: the cost itself, but contact is 1 - exp(-mass)."""
    return -torch.log1p(-value) if isinstance(cost, Contact) else value


@pytest.mark.parametrize("cost", RASTER_COSTS, ids=IDS)
def test_costs_are_sums_over_all_pixels(cost):
    """Of the whole image: the window that is looked at leaves nothing out."""
    rollout = generic()
    whole, image = rollout.around_ego(1e3, 1e3), cost.image(rollout)
    mask = cost.mask(rollout, whole.ahead_m, whole.left_m).unflatten(2, image.shape[-2:])
    area = rollout.futures.raster.metres_per_pixel**2
    found = mass(cost, cost.per_future(rollout))
    for b in range(2):
        for k in range(image.shape[1]):
            for t in range(2):
                total = sum(
                    mask[b, t, r, c] * image[b, k, t, r, c]
                    for r in range(mask.shape[2])
                    for c in range(mask.shape[3])
                )
                torch.testing.assert_close(found[b, k, t], area * total)
    torch.testing.assert_close(cost(rollout), cost.per_future(rollout).mean(1))


@pytest.mark.parametrize("cost", RASTER_COSTS, ids=IDS)
def test_costs_are_linear_in_the_images(cost):
    rollout, other = generic(seed=0), generic(seed=1)

    def among(vehicles, road):
        futures = dataclasses.replace(rollout.futures, vehicles=vehicles, road=road)
        return mass(cost, cost.per_future(dataclasses.replace(rollout, futures=futures)))

    a, b = rollout.futures, other.futures
    torch.testing.assert_close(
        among(2 * a.vehicles - 3 * b.vehicles, 2 * a.road - 3 * b.road),
        2 * among(a.vehicles, a.road) - 3 * among(b.vehicles, b.road),
    )


def test_moving_the_world_changes_no_cost():
    rollout = generic()
    origin = torch.tensor([-200.0, 90.0, 2.5], dtype=torch.float64)
    moved = dataclasses.replace(
        rollout,
        states=to_world(rollout.states, origin),
        futures=dataclasses.replace(rollout.futures, pose=to_world(rollout.futures.pose, origin)),
    )
    here, there = DrivingCost().evaluate(rollout), DrivingCost().evaluate(moved)
    for name in here[0]:
        torch.testing.assert_close(here[0][name], there[0][name])
    torch.testing.assert_close(here[1], there[1])
    view = Uncertainty(1).beyond_view
    torch.testing.assert_close(view(rollout), view(moved))


def test_the_whole_is_the_weighted_sum():
    rollout = generic()
    weights = {
        field.name.removesuffix("_weight"): 1.5 + number
        for number, field in enumerate(dataclasses.fields(DrivingCostConfig))
        if field.name.endswith("_weight")
    }
    config = DrivingCostConfig(**{f"{name}_weight": value for name, value in weights.items()})
    terms, per_future = DrivingCost(config).evaluate(rollout)
    assert set(terms) == set(weights)
    expected = sum(weight * getattr(config, name)(rollout) for name, weight in weights.items())
    torch.testing.assert_close(DrivingCost(config).total(terms), expected)
    torch.testing.assert_close(
        per_future.mean(1),
        weights["proximity"] * terms["proximity"] + weights["contact"] * terms["contact"],
    )


def test_nobody_there_no_proximity_and_no_contact():
    rollout = rollout_among()
    assert PROXIMITY(rollout) == 0
    assert Contact(1.5, 0.7)(rollout) == 0


def leader(gap, speed=10.0, lateral=0.0):
    return rollout_among([(4.5 + gap, lateral, 0.0, *CAR)], [(0.0, 0.0, 0.0, speed)])


def test_a_closer_leader_costs_more():
    for cost, gaps in ((PROXIMITY, (-2, 0, 3, 6, 9, 12)), (Contact(1.5, 0.7), (-3, -2, -1, 0, 1))):
        values = [float(cost(leader(gap))) for gap in gaps]
        assert values == sorted(values, reverse=True)
        assert len(set(values)) == len(values)
        assert min(values) > 0
    assert PROXIMITY(leader(1.2 * 10.0 + 2.0 + 0.7)) == 0
    assert Contact(1.5, 0.7)(leader(1.5 + 0.7)) == 0


def test_a_leader_costs_more_at_speed():
    values = [float(PROXIMITY(leader(8.0, speed))) for speed in (4.0, 6.0, 8.0, 10.0, 15.0)]
    assert values[0] == 0
    assert values[1:] == sorted(set(values[1:]))


def test_the_next_lane_is_no_concern():
    assert PROXIMITY(leader(-4.5, lateral=3.7)) == 0
    assert Contact(1.5, 0.7)(leader(-4.5, lateral=3.7)) == 0
    assert PROXIMITY(leader(-4.5, lateral=2.0)) > 0


def test_costs_push_away_from_the_danger():
    # Leader close ahead: less speed, further back.  Neighbour touching on the left: to the right.
    rollout = leader(3.0)
    states = rollout.states.clone().requires_grad_()
    PROXIMITY(dataclasses.replace(rollout, states=states)).sum().backward()
    assert states.grad[0, 0, 0] > 0
    assert states.grad[0, 0, 3] > 0
    rollout = rollout_among([(1.0, 2.2, 0.0, *CAR)])
    for cost in (PROXIMITY, Contact(1.5, 0.7)):
        states = rollout.states.clone().requires_grad_()
        cost(dataclasses.replace(rollout, states=states)).sum().backward()
        assert states.grad[0, 0, 1] > 0


def test_contact_is_the_area_shared():
    """Within the margins the mask is 1: of a box well inside the ego all the area counts."""
    rollout = rollout_among([(0.3, 0.2, 0.0, 1.5, 0.9)], size=(6.0, 3.0))
    torch.testing.assert_close(
        Contact(1.5, 0.7)(rollout), torch.tensor([[1 - math.exp(-1.5 * 0.9)]], dtype=torch.float64)
    )


def test_proximity_of_a_far_spot_by_hand():
    """A spot straight ahead weighs 1 - distance from the bumper / safe distance."""
    spot, distance = 0.3, 6.0
    rollout = rollout_among([(0.5 * CAR[0] + distance, 0.0, 0.0, spot, spot)])
    safe = 1.2 * 10.0 + 2.0
    expected = (1 - distance / safe) * spot**2 / (CAR[0] * CAR[1])
    # The spot is spread over the pixels it touches, half a pixel at most.
    assert float(PROXIMITY(rollout)) == pytest.approx(expected, rel=0.05)


ROAD = Road.straight(400.0, 3, 3.7)


def on_road(y, heading=0.0):
    return rollout_among(states=[(200.0, y, heading, 10.0)], road=ROAD)


def test_lane_lines_under_the_ego():
    in_the_middle = [float(Lane()(on_road(3.7 * (lane + 0.5)))) for lane in range(3)]
    on_a_line = [float(Lane()(on_road(3.7 * line))) for line in (1, 2)]
    # Lines are as wide as a pixel, and the ego's axis lies between two columns: a line is shared by
    # the pixels half a pixel (1/6 of the triangle's reach) to its left and right.
    assert in_the_middle == pytest.approx([1 / 6] * 3, abs=0.01)
    assert on_a_line == pytest.approx([5 / 6] * 2, abs=0.01)
    across = [float(Lane()(on_road(3.7 * 1.5 + shift))) for shift in (0.0, 0.5, 0.9, 1.3, 1.85)]
    assert across == sorted(across)
    half_way = float(Lane()(on_road(3.7 * 1.25)))
    assert half_way == pytest.approx(0.5, abs=0.1)
    assert Lane()(on_road(100.0)) == 0


def test_share_off_the_road():
    assert float(Offroad(0.5)(on_road(3.7 * 1.5))) == 0
    inside_mask = (4.5 + 0.5) * (1.8 + 0.5) / (4.5 * 1.8)
    # Wholly off the road the mask, fading over 0.5 m on each side, adds up to more than the box.
    assert float(Offroad(0.5)(on_road(-30.0))) == pytest.approx(inside_mask, rel=0.07)
    values = [float(Offroad(0.5)(on_road(y))) for y in (2.0, 1.2, 0.8, 0.4, 0.0, -0.5, -1.0, -3.0)]
    assert values == sorted(values)
    assert values[0] == 0
    assert values[4] == pytest.approx(0.5 * inside_mask, rel=0.1)


def test_comfort_by_hand():
    actions = torch.tensor([[[3.0, 0.02], [0.0, 0.0]]], dtype=torch.float64)
    rollout = rollout_among(
        states=[(0, 0, 0, 10.0), (3, 0, 0, 10.0)], actions=actions, previous_action=(1.2, -0.01)
    )
    first = 1.0 + (0.02 * 100 / 2.0) ** 2 + (1.8 / 0.3 / 6.0) ** 2 + (0.03 / 0.3 / 0.1) ** 2
    second = (-3.0 / 0.3 / 6.0) ** 2 + (0.02 / 0.3 / 0.1) ** 2
    torch.testing.assert_close(
        Comfort(3.0, 2.0, 6.0, 0.1)(rollout), torch.tensor([[first, second]], dtype=torch.float64)
    )
    still = rollout_among(states=[(0, 0, 0, 10.0)] * 3)
    assert (Comfort(3.0, 2.0, 6.0, 0.1)(still) == 0).all()


def test_disagreement_is_standardised_along_expert_paths():
    generator = torch.Generator().manual_seed(0)
    costs = torch.rand(200, 5, 3, generator=generator) * torch.tensor([1.0, 2.0, 4.0])
    images = torch.rand(200, 5, 3, 4, 2, generator=generator)
    raster = RasterConfig(4, 2)
    nowhere = rollout_among(states=[(0, 0, 0, 1.0)] * 3, raster=raster)
    futures = dataclasses.replace(nowhere.futures.repeat(200), vehicles=images)
    rollout = dataclasses.replace(nowhere, futures=futures)
    uncertainty = Uncertainty(3, hinge=0.5, of_images=True)
    told = uncertainty.variances(rollout, costs)
    bounded = 1 - torch.exp(-costs)
    variance = ((bounded - bounded.mean(1, keepdim=True)) ** 2).sum(1) / 4
    torch.testing.assert_close(told[:, 0], variance)
    pixels = ((images - images.mean(1, keepdim=True)) ** 2).sum(1) / 4
    torch.testing.assert_close(told[:, 1], pixels.mean((2, 3)))
    uncertainty.fit(told)
    torch.testing.assert_close(uncertainty.expert_mean, told.mean(0))
    torch.testing.assert_close(uncertainty.expert_deviation, told.std(0))
    standard = uncertainty.standardised(told)
    torch.testing.assert_close(standard.mean(0), torch.zeros(2, 3), atol=1e-4, rtol=0)
    torch.testing.assert_close(standard.std(0), torch.ones(2, 3), atol=1e-4, rtol=0)
    found = uncertainty.disagreement(told)
    torch.testing.assert_close(found, (standard - 0.5).clamp(min=0).sum(1), atol=1e-4, rtol=0)
    # Replicas that agree cost nothing; a shorter horizon uses the first steps.
    assert (Uncertainty(3).variances(rollout, costs[:, :1].expand(-1, 5, -1)) == 0).all()
    torch.testing.assert_close(uncertainty.disagreement(told[..., :2]), found[:, :2])


def test_metres_beyond_the_view():
    raster = RasterConfig(40, 20, 0.5)
    pose = [(0.0, 0.0, 0.0)]

    def beyond(x, y):
        rollout = rollout_among(states=[(x, y, 0.0, 1.0)], pose=pose, raster=raster)
        return float(Uncertainty(1).beyond_view(rollout))

    assert beyond(0.0, 0.0) == 0
    assert beyond(10.0 - 2.25, 5.0 - 0.9) == 0
    assert beyond(10.0 - 2.25 + 0.7, 0.0) == pytest.approx(0.7)
    assert beyond(-10.0, -5.0) == pytest.approx(2.25 + 0.9)


def test_pace_by_hand():
    rollout = rollout_among(states=[(0, 0, 0, 10.0), (3, 0, 0, 13.0)])
    assert (Pace(3.0)(rollout) == 0).all()  # a model that tells no pace
    pace = torch.tensor([[13.0, 12.0]], dtype=torch.float64)
    futures = dataclasses.replace(rollout.futures, pace_mps=pace)
    rollout = dataclasses.replace(rollout, futures=futures)
    expected = torch.tensor([[1.0, 1 / 9]], dtype=torch.float64)
    torch.testing.assert_close(Pace(3.0)(rollout), expected)
    check_gradients(Pace(3.0), rollout, ("states",))
