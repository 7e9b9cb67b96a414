"""Goals: places along a lane, by geometry."""

import math
from dataclasses import replace

import pytest
import torch

from ppuu.perception.goal import NODE_SPACING_M, Goal


def bend(radius_m: float, nodes: int = 40) -> Goal:
    """A left bend around (0, radius), beginning at the origin along x."""
    angle = NODE_SPACING_M / radius_m * torch.arange(nodes, dtype=torch.float64)
    line = radius_m * torch.stack([angle.sin(), 1.0 - angle.cos()], dim=-1)
    return Goal(line[None], torch.tensor([100.0], dtype=torch.float64), torch.ones(1).bool())


@pytest.mark.parametrize("radius_m", [100.0, 400.0, 1e6])
def test_places_along_a_bend(radius_m):
    station = torch.linspace(2.0, 140.0, 70, dtype=torch.float64)
    lateral = torch.linspace(-8.0, 8.0, 70, dtype=torch.float64)
    angle, inner = station / radius_m, radius_m - lateral
    points = torch.stack([inner * angle.sin(), radius_m - inner * angle.cos()], dim=-1)
    place = bend(radius_m).place(points[None])
    assert (place.lateral_m[0] - lateral).abs().max() <= 2.5**2 / (2 * radius_m) + 1e-6
    # Beside a bend the way is shorter or longer than along it, by the offset over the radius.
    away = 0.6 * NODE_SPACING_M * lateral.abs() / radius_m
    assert ((place.left_m[0] - (100.0 - station)).abs() <= away + 1e-3).all()


def test_the_line_goes_on_straight_beyond_its_ends():
    goal = bend(1e9, nodes=5)
    points = torch.tensor([[[-30.0, 1.0], [80.0, -2.0]]], dtype=torch.float64)
    place = goal.place(points)
    torch.testing.assert_close(place.left_m[0], torch.tensor([130.0, 20.0], dtype=torch.float64))
    torch.testing.assert_close(
        place.lateral_m[0], torch.tensor([1.0, -2.0], dtype=torch.float64), atol=1e-4, rtol=0
    )


def test_places_do_not_depend_on_the_frame_of_the_world():
    goal = bend(150.0)
    points = 20.0 * torch.randn(1, 3, 4, 2, generator=torch.Generator().manual_seed(0)).double()
    angle = 1.1
    turn = torch.tensor(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    ).double()
    shift = torch.tensor([500.0, -70.0]).double()
    moved = replace(goal, line_m=goal.line_m @ turn + shift).place(points @ turn + shift)
    here = goal.place(points)
    torch.testing.assert_close(moved.lateral_m, here.lateral_m)
    torch.testing.assert_close(moved.left_m, here.left_m)


def test_elements_of_a_batch_do_not_depend_on_each_other():
    one, other = bend(150.0), bend(400.0)
    both = Goal(
        *(torch.cat(pair) for pair in zip(vars(one).values(), vars(other).values(), strict=True))
    )
    points = torch.tensor([[[10.0, 1.0]], [[50.0, 4.0]]], dtype=torch.float64)
    place = both.place(points)
    for row, goal in enumerate((one, other)):
        assert place.lateral_m[row] == goal.place(points[row : row + 1]).lateral_m
    twice = both.repeat(2).place(points.repeat_interleave(2, 0))
    torch.testing.assert_close(twice.left_m[::2], place.left_m)
    assert both.take(torch.tensor([1])).place(points[1:]).left_m == place.left_m[1]
