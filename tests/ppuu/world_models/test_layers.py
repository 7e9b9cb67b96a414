"""PPUU's blocks: the published layers, at any size of raster."""

import pytest
import torch

from ppuu.perception.raster_image import RasterConfig
from ppuu.runtime.errors import InputError
from ppuu.world_models.layers import (
    Bottleneck,
    ImageDecoder,
    StateHead,
    feature_size,
    image_encoder,
    mlp,
)


def weights(module):
    return sum(weight.numel() for weight in module.parameters())


def test_the_blocks_have_the_published_layers():
    """Weights counted by hand from the published table: kernels x in x out, and a bias each."""
    size = feature_size(RasterConfig())
    assert size == (14, 3)
    cases = [
        (image_encoder(60, 256, 0.1), 16 * (60 * 64 + 64 * 128 + 128 * 256) + 64 + 128 + 256),
        (image_encoder(3, 256, 0.1), 16 * (3 * 64 + 64 * 128 + 128 * 256) + 64 + 128 + 256),
        (mlp((80, 256, 256, 10752), 0.1), 81 * 256 + 257 * 256 + 257 * 10752),
        (Bottleneck(256, 0.1, size),
         256 * 256 * (16 + 4 + 4 + 12) + 4 * 256 + 1537 * 256 + 257 * 1536),
        (ImageDecoder(256, 0.1, RasterConfig()),
         256 * 128 * 16 + 128 * 64 * 25 + 64 * 3 * 4 + 128 + 64 + 3),
        (StateHead(256, 0.1, size, 4),
         256 * 256 * (16 + 4) + 2 * 256 + 513 * 256 + 257 * 256 + 257 * 4),
    ]  # fmt: skip
    for block, expected in cases:
        assert weights(block) == expected


@pytest.mark.parametrize("rows, columns", [(117, 24), (64, 24), (95, 31), (100, 40)])
def test_features_go_down_and_up_again_at_any_raster(rows, columns):
    raster = RasterConfig(rows, columns)
    size = feature_size(raster)
    features = image_encoder(3, 8, 0.0)(torch.rand(2, 3, rows, columns))
    assert features.shape == (2, 8, *size)
    assert Bottleneck(8, 0.0, size)(features).shape == features.shape
    assert ImageDecoder(8, 0.0, raster)(features).shape == (2, 3, rows, columns)
    assert StateHead(8, 0.0, size, 4)(features).shape == (2, 4)


def test_the_bottleneck_connects_all_positions():
    torch.manual_seed(0)
    block = Bottleneck(8, 0.0, (14, 3)).double()
    features = torch.randn(1, 8, 14, 3, dtype=torch.float64, requires_grad=True)
    output = block(features)[0].sum(0)
    for place in (output[0, 0], output[13, 2]):
        (gradient,) = torch.autograd.grad(place, features, retain_graph=True)
        assert (gradient[0].abs().sum(0) > 0).all()


def test_dropout_is_everywhere_but_after_the_last_layer():
    block = mlp((4, 64, 64, 3), 0.5)
    values = torch.randn(5, 4)
    assert not torch.equal(block(values), block(values))
    block.eval()
    torch.testing.assert_close(block(values), block(values), rtol=0, atol=0)
    assert isinstance(block[-1], torch.nn.Linear)


def test_a_raster_that_is_too_small_is_refused():
    with pytest.raises(InputError, match=r"40 x 24 pixels is too small.*64 x 24"):
        feature_size(RasterConfig(40, 24))
