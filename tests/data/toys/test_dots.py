"""Dots stand where they are said to stand, and move by what they are said to be told."""

import pytest
import torch

from data.toys.dots import SIDE, STEP_PIXELS, DotsConfig, draw_dots
from ppuu.runtime.errors import InputError


def drawn(seed=0, batch=32, **settings):
    return draw_dots(DotsConfig(**settings), batch, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("task", ["single", "three"])
def test_the_centre_of_brightness_is_the_position(task):
    dots = drawn(task=task, steps=4)
    images = dots.images.double()
    centres = (torch.arange(SIDE) + 0.5).double() / SIDE
    total = images.sum((-2, -1))
    rows = (images.sum(-1) * centres).sum(-1) / total
    columns = (images.sum(-2) * centres).sum(-1) / total
    inside = ((dots.positions - 0.5).abs() < 0.5 - 8 / SIDE).all(-1)
    assert inside.sum() > 10
    found = torch.stack([rows, columns], dim=-1)
    torch.testing.assert_close(found[inside], dots.positions[inside].double(), atol=1e-3, rtol=0)


def test_the_action_is_what_the_first_dot_did():
    dots = drawn(task="three")
    moved = dots.positions[:, 1:, 0] - dots.positions[:, :-1, 0]
    torch.testing.assert_close(moved * SIDE / STEP_PIXELS, dots.actions, atol=1e-5, rtol=0)
    assert dots.actions.norm(dim=-1).max() <= 1.0 + 1e-5


def test_the_third_dot_stands_still_and_the_second_owes_nothing_to_the_action():
    dots = drawn(task="three", batch=512)
    assert (dots.positions[:, 1:, 2] == dots.positions[:, :1, 2]).all()
    other = dots.positions[:, 1:, 1] - dots.positions[:, :-1, 1]
    pair = torch.stack([other.flatten(), dots.actions.flatten()])
    assert torch.corrcoef(pair)[0, 1].abs() < 0.04


@pytest.mark.parametrize("noise", ["uniform", "structured"])
def test_noise_is_new_in_every_frame_or_fixed(noise):
    clean = drawn(steps=3)
    for fixed in (False, True):
        noisy = drawn(steps=3, noise=noise, fixed=fixed, strength=0.5)
        assert torch.equal(noisy.positions, clean.positions)
        extra = noisy.images - clean.images
        assert extra.min() > -1e-6
        assert extra.max() < 0.5 + 1e-6
        same = torch.allclose(extra[:, 0], extra[:, 1], atol=1e-6)
        assert same == fixed
        assert not torch.allclose(extra[0], extra[1], atol=1e-2)


def test_senseless_dots_are_refused():
    with pytest.raises(InputError):
        DotsConfig(steps=0)
