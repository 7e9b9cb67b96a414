"""Splatting conserves mass and is the adjoint of bilinear sampling."""

import torch

from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.splat import splat
from ppuu.perception.warp import sample

CONFIG = RasterConfig(11, 7, 0.5)
IMAGES = 3


def random_points(count=200, inside=False, seed=0):
    """Positions in metres, in or also around the image, and masses."""
    generator = torch.Generator().manual_seed(seed)
    reach = torch.tensor([CONFIG.rows - 1, CONFIG.columns - 1], dtype=torch.float64)
    reach = 0.5 * CONFIG.metres_per_pixel * (reach if inside else reach + 6)
    where = (2 * torch.rand(count, 2, generator=generator, dtype=torch.float64) - 1) * reach
    mass = torch.rand(count, generator=generator, dtype=torch.float64)
    image = torch.randint(IMAGES, (count,), generator=generator)
    return mass, where[:, 0], where[:, 1], image


def test_mass_inside_is_conserved():
    mass, ahead, left, image = random_points(inside=True)
    result = splat(mass, ahead, left, image, IMAGES, CONFIG).sum((1, 2))
    expected = torch.stack([mass[image == k].sum() for k in range(IMAGES)])
    torch.testing.assert_close(result, expected)


def test_mass_outside_is_dropped():
    far = torch.tensor([50.0, -50.0, 0.0, 0.0])
    side = torch.tensor([0.0, 0.0, 50.0, -50.0])
    canvas = splat(torch.ones(4), far, side, torch.zeros(4, dtype=torch.int64), 1, CONFIG)
    assert (canvas == 0).all()


def test_splatting_is_the_adjoint_of_sampling():
    mass, ahead, left, image = random_points()
    generator = torch.Generator().manual_seed(1)
    other = torch.randn(IMAGES, CONFIG.rows, CONFIG.columns, generator=generator).double()
    splat_product = (splat(mass, ahead, left, image, IMAGES, CONFIG) * other).sum()
    samples = sample(other[image][:, None], ahead[:, None, None], left[:, None, None], CONFIG)
    torch.testing.assert_close(splat_product, (mass * samples[:, 0, 0, 0]).sum())


def test_no_displacement_changes_nothing():
    generator = torch.Generator().manual_seed(2)
    image = torch.rand(IMAGES, CONFIG.rows, CONFIG.columns, generator=generator).double()
    grid = CONFIG.pixel_centres_m(dtype=torch.float64)
    owner = torch.arange(IMAGES)[:, None, None].expand_as(image)
    where = grid.expand(IMAGES, -1, -1, -1)
    carried = splat(
        image.flatten(), where[..., 0].flatten(), where[..., 1].flatten(), owner.flatten(),
        IMAGES, CONFIG,
    )  # fmt: skip
    torch.testing.assert_close(carried, image)
    # Two pixels ahead and one to the right: the picture moves up and to the right.
    moved = splat(
        image.flatten(), where[..., 0].flatten() + 1.0, where[..., 1].flatten() - 0.5,
        owner.flatten(), IMAGES, CONFIG,
    )  # fmt: skip
    torch.testing.assert_close(moved[:, :-2, 1:], image[:, 2:, :-1])
    assert (moved[:, -2:] == 0).all()
    assert (moved[:, :, 0] == 0).all()


def test_gradients_away_from_pixel_edges():
    mass, ahead, left, image = random_points(count=12, seed=3)
    pixel = CONFIG.metres_per_pixel

    # Between 0.2 and 0.8 of the way from one pixel centre to the next (both counts are odd).
    def generic(value):
        share = value / pixel
        return ((share.floor() + 0.2 + 0.6 * (share - share.floor())) * pixel).requires_grad_()

    ahead, left = generic(ahead), generic(left)
    mass.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda m, a, b: splat(m, a, b, image, IMAGES, CONFIG), (mass, ahead, left)
    )
