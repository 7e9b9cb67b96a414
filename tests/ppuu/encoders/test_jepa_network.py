"""The joint-embedding network: shapes, rollouts, independence."""

import pytest
import torch

from ppuu.encoders import (
    ConvConfig,
    GruConfig,
    ImpalaConfig,
    JepaNetwork,
    JepaNetworkConfig,
    LinearProduct,
    MapHead,
    ResidualConfig,
    VectorHead,
    VitConfig,
    as_locations,
)
from ppuu.encoders.norms import SyncBatchNorm
from ppuu.runtime.errors import InputError

ENCODERS = [ConvConfig((4, 8)), ImpalaConfig((4, 8), 1), VitConfig((9, 8), 8, 1, 2)]
HEADS = [MapHead(6), VectorHead(6)]
PREDICTORS = [GruConfig(), ResidualConfig(8, dropout=0.0)]


def jepa(seed=0, **parts):
    torch.manual_seed(seed)
    return JepaNetwork(JepaNetworkConfig(**parts), 3, 29, 24, 2)


def images(batch=3, time=4):
    return torch.rand(batch, time, 3, 29, 24, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("head", HEADS, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("predictor", PREDICTORS, ids=lambda c: type(c).__name__)
def test_an_unroll_of_steps_is_step_after_step(encoder, head, predictor):
    model = jepa(encoder=encoder, head=head, predictor=predictor).eval()
    start, inputs = model.encode(images()[:, 0]), torch.randn(3, 3, 2)
    assert start.shape == (3, 6, *model.grid)
    states = model.unroll(start, inputs)
    assert torch.equal(states[:, 0], start)
    state = start
    for k in range(3):
        state = model.predict(state, inputs[:, k])
        torch.testing.assert_close(states[:, k + 1], state)


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda c: type(c).__name__)
def test_images_are_encoded_one_by_one(encoder):
    model = jepa(encoder=encoder)
    together = model.targets(images())
    alone = model.encode(images()[1:2, 2])
    torch.testing.assert_close(together[1, 2], alone[0], rtol=1e-4, atol=1e-5)


def test_a_vector_is_a_map_of_one_place():
    model = jepa(encoder=ENCODERS[0], head=VectorHead(6))
    assert model.grid == (1, 1)
    assert as_locations(model.targets(images())).shape == (3, 4, 1, 6)


def test_a_linear_product_is_its_merged_matrix():
    product = LinearProduct(5, 3)
    maps = torch.randn(2, 5, 4, 3)
    torch.testing.assert_close(
        product(maps), torch.einsum("ij,bjrc->birc", product.matrix(), maps), rtol=1e-4, atol=1e-6
    )


def test_a_moving_target_gets_no_gradient_and_follows():
    model = jepa(encoder=ENCODERS[0], target_momentum=0.75)
    loss = model.targets(images()).square().mean() + model.encode(images()).square().mean()
    loss.backward()
    assert all(p.grad is None for p in model.target_encoder.parameters())
    with torch.no_grad():
        for fast in model.encoder.parameters():
            fast.add_(1.0)
    pairs = list(zip(model.target_encoder.parameters(), model.encoder.parameters(), strict=True))
    before = [(fast - slow).detach().clone() for slow, fast in pairs]
    model.ema_update()
    for (slow, fast), gap in zip(pairs, before, strict=True):
        torch.testing.assert_close(fast - slow, 0.75 * gap)


def test_what_follows_takes_over_the_statistics_of_a_batch_norm():
    model = jepa(encoder=ENCODERS[0], norm="batch", target_momentum=0.5)
    for _ in range(30):
        model.encode(3.0 + images())
        model.ema_update()
    assert torch.equal(model.target_encoder[-1].variance, model.encoder[-1].variance)
    model.eval()
    torch.testing.assert_close(model.targets(images()), model.encode(images()), atol=0.2, rtol=0.2)


def test_targets_carry_the_encoders_gradient_by_default():
    model = jepa(encoder=ENCODERS[0])
    model.targets(images()).square().mean().backward()
    assert all(p.grad.abs().sum() > 0 for p in model.encoder.parameters())


def test_layer_norm_is_tied_to_predictions():
    model = jepa(encoder=ENCODERS[0], norm="layer")
    states = model.unroll(model.encode(images()[:, 0]), torch.randn(3, 2, 2))
    locations = as_locations(states)
    torch.testing.assert_close(
        locations.mean(-1), torch.zeros(locations.shape[:-1]), atol=1e-5, rtol=0
    )


def test_the_projector_is_for_objectives_only():
    model = jepa(encoder=ENCODERS[0], projector=7)
    target = model.targets(images())
    assert model.project(target, target).target.shape[-1] == model.projected_features == 7
    assert target.shape[2] == 32


def test_joint_batch_norm_is_torchs_with_one_process():
    ours, theirs = SyncBatchNorm(4), torch.nn.BatchNorm2d(4)
    for _ in range(3):
        maps = 3.0 * torch.randn(16, 4, 5, 2) + 1.0
        torch.testing.assert_close(ours(maps), theirs(maps), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.mean, theirs.running_mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.variance, theirs.running_var, rtol=2e-2, atol=0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: JepaNetworkConfig(target_momentum=1.0),
        lambda: JepaNetworkConfig(linear_layers=-1),
        lambda: ConvConfig(()),
        lambda: ConvConfig((4, 4, 4, 4, 4, 4)).build(3, 29, 24),
        lambda: VitConfig(width=10, heads=4),
        lambda: MapHead(0),
        lambda: ResidualConfig(dropout=1.0),
    ],
)
def test_senseless_parts_are_refused(wrong):
    with pytest.raises(InputError):
        wrong()
