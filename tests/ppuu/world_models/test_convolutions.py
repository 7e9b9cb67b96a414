"""Fast convolutions are torch's, forwards and backwards."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from ppuu.world_models.convolutions import Conv2d, ConvTranspose2d

CASES = [
    ("few positions", Conv2d, (16, 32, 4, 2, 1), (9, 7)),
    ("many positions", Conv2d, (4, 8, 4, 2, 1), (41, 24)),
    ("uneven stride", Conv2d, (8, 8, (4, 1), (2, 1), (1, 0)), (7, 2)),
    ("rows left over", Conv2d, (8, 8, 4, (2, 1), 1), (14, 3)),
    ("transposed", ConvTranspose2d, (16, 8, 4, 2, 1), (7, 3)),
    ("odd", ConvTranspose2d, (8, 4, 5, 2, (0, 1)), (14, 6)),
    ("odd columns", ConvTranspose2d, (8, 8, (4, 3), 2, (0, 1)), (6, 2)),
    ("one column", ConvTranspose2d, (8, 8, (4, 1), (2, 1), (1, 0)), (3, 2)),
]
ROUNDING = 0.02
"""Of bfloat16 against single precision, relative to the largest value; measured up to 0.008."""


@pytest.fixture(params=CASES, ids=[case[0] for case in CASES])
def pair(request):
    """A layer, torch's own with the same weights, and an input."""
    _, kind, sizes, shape = request.param
    torch.manual_seed(0)
    fast, plain = kind(*sizes), getattr(nn, kind.__name__)(*sizes)
    plain.load_state_dict(fast.state_dict())
    return fast, plain, torch.randn(3, sizes[0], *shape)


def passes(layer, values, bfloat16):
    """Result and all gradients."""
    values = values.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        result = layer(values)
    torch.manual_seed(1)
    gradient = torch.randn(result.shape).to(result.dtype)
    return result, *torch.autograd.grad(result, [values, layer.weight, layer.bias], gradient)


def test_in_single_precision_they_are_torchs_own(pair):
    fast, plain, values = pair
    for result, expected in zip(
        passes(fast, values, False), passes(plain, values, False), strict=True
    ):
        torch.testing.assert_close(result, expected, rtol=0, atol=0)


def test_in_bfloat16_they_differ_by_rounding_alone(pair):
    fast, plain, values = pair
    exact = passes(plain, values, False)
    for result, expected in zip(passes(fast, values, True), exact, strict=True):
        assert result.shape == expected.shape
        assert (result.float() - expected).abs().max() < ROUNDING * expected.abs().max()
    learnt = passes(fast, values, True)[0]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(fast(values), learnt)
    assert passes(fast, values, True)[0].dtype == torch.bfloat16
    assert passes(fast, values, True)[2].dtype == torch.float32


def test_what_follows_may_work_in_place(pair):
    fast, _, values = pair
    gradients = []
    for inplace in (True, False):
        with torch.autocast("cpu", torch.bfloat16):
            result = functional.leaky_relu(fast(values), 0.2, inplace=inplace)
        gradients.append(torch.autograd.grad(result.float().sum(), fast.weight))
    torch.testing.assert_close(*gradients)


def test_whole_modules_in_bfloat16_and_maps_over_a_batch(pair):
    fast, plain, values = pair
    torch.testing.assert_close(torch.vmap(fast)(values[:, None])[:, 0], plain(values))
    fast.bfloat16()
    largest = ROUNDING * plain(values).abs().max()
    for result in (fast(values.bfloat16()), torch.vmap(fast)(values[:, None].bfloat16())[:, 0]):
        assert (result.float() - plain(values)).abs().max() < largest


def test_gradients_map_over_members(pair):
    """Of weights and input; also where what follows works in place."""
    fast, _, values = pair
    members = {
        name: torch.stack([p, -2.0 * p]).detach().requires_grad_()
        for name, p in fast.named_parameters()
    }
    values.requires_grad_()

    def activated(weights):
        with torch.autocast("cpu", torch.bfloat16):
            result = torch.func.functional_call(fast, weights, values)
            return functional.leaky_relu(result, 0.2, inplace=True).float()

    leaves = [values, *members.values()]
    together = torch.autograd.grad(torch.vmap(activated)(members).square().sum(), leaves)
    alone = [activated({name: p[k] for name, p in members.items()}) for k in range(2)]
    apart = torch.autograd.grad(sum(result.square().sum() for result in alone), leaves)
    for actual, expected in zip(together, apart, strict=True):
        assert (actual - expected).abs().max() < ROUNDING * expected.abs().max()


@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_convolution_adds_up_over_channels(bfloat16):
    torch.manual_seed(0)
    layer, values = Conv2d(9, 8, 4, 2, 1), torch.randn(2, 9, 20, 12)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        parts = [layer.partial(values[:, part], part) for part in (slice(3), slice(3, None))]
        whole = layer(values)
    assert parts[0].dtype == whole.dtype
    assert layer.bias is not None
    off = (parts[0] + parts[1] + layer.bias[:, None, None] - whole).abs().max()
    assert off < (ROUNDING if bfloat16 else 1e-5) * whole.abs().max()
