"""Walls stop, doors do not, and images show both."""

import pytest
import torch

from data.toys.rooms import (
    SIDE,
    STEP_PIXELS,
    Layout,
    RoomsConfig,
    draw_rooms,
    draw_tasks,
    moved,
    picture,
)
from ppuu.runtime.errors import InputError


def one(wall=14.0, door=10.0):
    return Layout(torch.tensor([wall]), torch.tensor([door]))


def go(start, action, steps, layout):
    place = torch.tensor([start]) / SIDE
    for _ in range(steps):
        place = moved(place, torch.tensor([action]), layout)
    return (place * SIDE)[0].tolist()


def test_in_the_open_a_step_is_the_action():
    assert go([5.0, 5.0], [0.5, -0.5], 1, one()) == pytest.approx([6.0, 4.0], abs=1e-5)
    # No further than a step.
    assert go([5.0, 5.0], [4.0, 3.0], 1, one()) == pytest.approx([6.6, 6.2], abs=1e-5)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_wall_stops_and_the_door_does_not(sign):
    start, far = 14.0 - 6.0 * sign, 14.0 + 6.0 * sign
    stopped = go([20.0, start], [0.0, sign], 20, one())
    assert stopped == pytest.approx([20.0, 14.0 - sign], abs=1e-4)
    assert go([10.0, start], [0.0, sign], 6, one())[1] == pytest.approx(far, abs=1e-4)


def test_along_the_wall_one_slides_to_the_door():
    row, column = go([20.0, 10.0], [-0.6, 0.8], 12, one())
    assert column > 14.0
    assert row < 13.0


def test_outside_is_nowhere():
    assert go([5.0, 5.0], [-1.0, 0.0], 9, one())[0] == pytest.approx(2.0)


def test_sequences_obey_their_actions_and_some_pass_the_door():
    config = RoomsConfig(steps=12, shift_pixels=4.0, shift_door=True)
    rooms = draw_rooms(config, 512, torch.Generator().manual_seed(0))
    step = rooms.positions.diff(dim=1) * SIDE / STEP_PIXELS
    free = (step - rooms.actions).abs().amax(-1) < 1e-4
    assert 0.6 < free.float().mean() < 0.99
    # Nobody is faster than the action, and nobody goes backwards.
    assert (step.abs() <= rooms.actions.abs() + 0.51).all()
    wall = rooms.images[:, 0, 1].sum(1).argmax(1)
    side = rooms.positions[..., 1] * SIDE > wall[:, None] + 0.5
    assert 0.02 < (side[:, 0] != side[:, -1]).float().mean() < 0.4


def test_the_dot_is_where_it_is_said_to_be():
    rooms = draw_rooms(RoomsConfig(steps=2), 16, torch.Generator().manual_seed(0))
    dot, centres = rooms.images[:, :, 0].double(), (torch.arange(SIDE) + 0.5).double() / SIDE
    total = dot.sum((-2, -1))
    found = torch.stack([(dot.sum(-1) * centres).sum(-1), (dot.sum(-2) * centres).sum(-1)], dim=-1)
    found = found / total[..., None]
    inside = (rooms.positions - 0.5).abs().amax(-1) < 0.5 - 5 / SIDE
    torch.testing.assert_close(found[inside], rooms.positions[inside].double(), atol=2e-3, rtol=0)


def test_a_wall_has_one_gap():
    wall = picture(torch.full((1, 2), 0.2), one(door=9.0))[0, 1]
    solid = wall[:, 13:15].amax(1) > 0.4
    assert [row for row in range(SIDE) if not solid[row]] == [6, 7, 8, 9, 10, 11]


def test_goals_are_in_the_other_room():
    layout, start, goal = draw_tasks(
        RoomsConfig(shift_pixels=4.0), 64, torch.Generator().manual_seed(0)
    )
    wall = layout.wall / SIDE
    assert ((start[:, 1] < wall) != (goal[:, 1] < wall)).all()
    assert (start[:, 1] < wall).float().mean().item() == pytest.approx(0.5, abs=0.2)


def test_senseless_rooms_are_refused():
    with pytest.raises(InputError):
        RoomsConfig(shift_pixels=9.0)
