"""Objectives against independent formulas, and what must not change them."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from ppuu.encoders import EmbeddingRollout
from ppuu.encoders.regularizers import (
    BarlowTwinsConfig,
    DclConfig,
    DirectClrConfig,
    InfoNceConfig,
    InverseDynamics,
    Mcr2Config,
    PixelDecoder,
    SigRegConfig,
    TiCoConfig,
    VicRegConfig,
    time_similarity,
)
from ppuu.encoders.regularizers.dcl import dcl_loss
from ppuu.encoders.regularizers.info_nce import info_nce_loss, nt_xent_loss
from ppuu.encoders.regularizers.mcr2 import coding_rate
from ppuu.encoders.regularizers.sigreg import epps_pulley
from ppuu.encoders.regularizers.vicreg import squared_covariance, std_hinge
from ppuu.runtime.errors import InputError

CONFIGS = [
    VicRegConfig(temporal_variance=1.0),
    InfoNceConfig(),
    InfoNceConfig(negatives="both", views="both"),
    InfoNceConfig(negatives="within_sequence"),
    DclConfig(),
    DclConfig(sigma=0.5),
    BarlowTwinsConfig(),
    TiCoConfig(),
    DirectClrConfig(fraction=0.5),
    SigRegConfig(directions=32),
    Mcr2Config(),
]
NAMES = [f"{type(config).__name__}-{k}" for k, config in enumerate(CONFIGS)]


def unrolled(batch=6, time=4, locations=3, features=5, seed=0, requires_grad=False):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, time, locations, features)
    target = torch.randn(shape, generator=generator, dtype=torch.float64)
    predicted = target + 0.3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    predicted[:, 0] = target[:, 0]
    if requires_grad:
        target.requires_grad_()
        predicted.requires_grad_()
    return EmbeddingRollout.of(predicted, target)


def rotation(features, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(
        torch.randn(features, features, generator=generator, dtype=torch.float64)
    )[0]


def build(config, features=5, locations=3):
    return config.build(features, locations).double()


@pytest.mark.parametrize("config", CONFIGS, ids=NAMES)
def test_the_order_of_sequences_and_of_places_does_not_matter(config):
    seen, locations = unrolled(), torch.tensor([2, 0, 1])
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    other = EmbeddingRollout.of(
        seen.predicted[order][:, :, locations], seen.target[order][:, :, locations]
    )
    ours, theirs = build(config)(seen), build(config)(other)
    torch.testing.assert_close(ours.total, theirs.total)


@pytest.mark.parametrize("config", CONFIGS, ids=NAMES)
def test_gradients_agree_with_differences(config):
    seen = unrolled(batch=4, time=3, locations=2, features=4, requires_grad=True)
    loss = build(config, 4, 2).eval()
    if isinstance(config, TiCoConfig | DclConfig) and getattr(config, "sigma", 1.0):
        pytest.skip("detached on purpose")
    torch.autograd.gradcheck(
        lambda p, t: loss(EmbeddingRollout.of(p, t)).total, (seen.predicted, seen.target), atol=1e-4
    )


@pytest.mark.parametrize(
    "config",
    [c for c in CONFIGS if isinstance(c, InfoNceConfig | DclConfig | TiCoConfig | Mcr2Config)],
)
def test_losses_of_angles_are_blind_to_rotations_and_lengths(config):
    seen, turn = unrolled(), 3.0 * rotation(5)
    turned = EmbeddingRollout.of(seen.predicted @ turn, seen.target @ turn)
    torch.testing.assert_close(build(config)(seen).total, build(config)(turned).total)


def test_total_variance_and_covariance_survive_rotations():
    """The sum of squared covariances off and on the diagonal is the squared Frobenius norm."""
    samples = torch.randn(1, 50, 5, dtype=torch.float64)
    turned = samples @ rotation(5)

    def whole(x):
        return 5 * squared_covariance(x, "features") + x.var(1).square().sum()

    torch.testing.assert_close(whole(samples), whole(turned))


def test_covariance_of_independent_axes_is_nothing_and_of_copies_known():
    signs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)[None]
    assert squared_covariance(signs, "features") == 0
    copies = signs[..., :1].expand(-1, -1, 4)
    # Each of 12 covariances is 4/3.
    torch.testing.assert_close(squared_covariance(copies, "features").item(), 12 * (4 / 3) ** 2 / 4)
    torch.testing.assert_close(squared_covariance(copies, "pairs").item(), (4 / 3) ** 2)


def test_both_normalizations_differ_by_features_less_one():
    samples = torch.randn(2, 20, 7, dtype=torch.float64)
    ratio = squared_covariance(samples, "features") / squared_covariance(samples, "pairs")
    assert ratio.item() == pytest.approx(6.0)


def test_vicreg_is_the_formula_in_numpy():
    seen, config = unrolled(), VicRegConfig(3.0, 2.0, 0.5, "features", temporal_variance=0.7)
    p, z = seen.predicted.numpy(), seen.target.numpy()
    variance, covariance, temporal = [], [], []
    for t in range(4):
        for k in range(3):
            x = z[:, t, k]
            variance.append(np.maximum(0, 1 - np.sqrt(x.var(0, ddof=1) + 1e-4)).mean())
            c = np.cov(x.T)
            covariance.append((c**2).sum() - (np.diag(c) ** 2).sum())
    for n in range(6):
        for k in range(3):
            x = z[n, 1:, k]
            temporal.append(np.maximum(0, 1 - np.sqrt(x.var(0, ddof=1) + 1e-4)).mean())
    expected = (
        3.0 * ((p - z)[:, 1:] ** 2).mean()
        + 2.0 * np.mean(variance)
        + 0.5 * np.mean(covariance) / 5
        + 0.7 * np.mean(temporal)
    )
    assert build(config)(seen).total.item() == pytest.approx(expected)


def test_what_is_constant_in_a_sequence_costs_only_the_temporal_variance():
    """The failure in one line: perfect prediction, variance and covariance; a frozen embedding."""
    signs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    frozen = signs[:, None, None].expand(-1, 6, -1, -1)
    terms = build(VicRegConfig(temporal_variance=1.0), 2)(EmbeddingRollout.of(frozen, frozen))
    named = {name: value.item() for name, value in terms.named.items()}
    assert named["prediction"] == named["variance"] == named["covariance"] == 0.0
    assert named["temporal_variance"] == pytest.approx(0.99)


def test_negatives_of_the_same_sequence_see_through_a_frozen_embedding():
    frozen = torch.eye(4, dtype=torch.float64)[:, None, None].expand(-1, 6, -1, -1)
    seen = EmbeddingRollout.of(frozen, frozen)
    across = build(InfoNceConfig(temperature=0.05), 4)(seen).total
    within = build(InfoNceConfig(temperature=0.05, negatives="within_sequence"), 4)(seen).total
    assert across.item() == pytest.approx(0.0, abs=1e-6)
    assert within.item() == pytest.approx(math.log(5))


def test_contrast_of_equal_embeddings_is_chance():
    same = torch.ones(2, 8, 3, dtype=torch.float64)
    assert info_nce_loss(same, same, 0.1).item() == pytest.approx(math.log(8))
    assert nt_xent_loss(same, same, 0.1).item() == pytest.approx(math.log(15))


def test_one_view_is_the_formula_in_numpy():
    a, b = unrolled().predicted[:, 1, 0], unrolled().target[:, 1, 0]
    x, y = (v.numpy() / np.linalg.norm(v.numpy(), axis=1, keepdims=True) for v in (a, b))
    s = np.exp(x @ y.T / 0.3)
    expected = -0.5 * np.mean(np.log(np.diag(s) / s.sum(0)) + np.log(np.diag(s) / s.sum(1)))
    assert info_nce_loss(a[None], b[None], 0.3).item() == pytest.approx(expected)


def test_nt_xent_is_the_softplus_of_decoupled_contrast():
    """Putting the positive back into the denominator: log(e^s + S) - s = log(1 + e^(log S - s))."""
    seen = unrolled(batch=7)
    p, t = seen.predicted[:, 1].transpose(0, 1), seen.target[:, 1].transpose(0, 1)
    decoupled = dcl_loss(p, t, 0.2)
    torch.testing.assert_close(nt_xent_loss(p, t, 0.2), functional.softplus(decoupled).mean())


def test_weights_of_decoupled_contrast_average_to_one():
    """So the weighted form only shifts attention; equal pairs make it the plain form."""
    same = torch.randn(1, 6, 5, dtype=torch.float64)
    torch.testing.assert_close(
        dcl_loss(same, same, 0.1),
        dcl_loss(same, same, 0.1, 0.5),
    )
    seen = unrolled()
    p, t = seen.predicted[:, 1].transpose(0, 1), seen.target[:, 1].transpose(0, 1)
    gain = dcl_loss(p, t, 0.1) - dcl_loss(p, t, 0.1, 0.5)
    positive = functional.cosine_similarity(p, t, dim=-1)
    weight = 1.0 + gain[:, 0] * 0.1 / positive
    torch.testing.assert_close(weight.mean(1), torch.ones(3, dtype=torch.float64))


def test_barlow_twins_is_nothing_for_independent_axes_and_known_for_copies():
    signs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    z = signs[:, None, None].expand(-1, 3, -1, -1)
    assert build(BarlowTwinsConfig(), 2)(EmbeddingRollout.of(z, z)).total.item() == pytest.approx(
        0, abs=1e-8
    )
    copies = z[..., :1].expand(-1, -1, -1, 2)
    terms = build(BarlowTwinsConfig(0.1), 2)(EmbeddingRollout.of(copies, copies))
    assert terms.total.item() == pytest.approx(0.1 * 2, rel=1e-4)


def test_tico_is_the_formula_and_remembers():
    seen, loss = unrolled(locations=1), build(TiCoConfig(0.75, 2.0), locations=1).train()
    memory = np.zeros((5, 5))
    for _ in range(3):
        p, z = (x[:, 1:].reshape(-1, 5).numpy() for x in (seen.predicted, seen.target))
        p, z = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (p, z))
        memory = 0.75 * memory + 0.25 * z.T @ z / len(z)
        expected = 1 - (p * z).sum(1).mean() + 2.0 * np.einsum("ni,ij,nj->n", z, memory, z).mean()
        assert loss(seen).total.item() == pytest.approx(expected)
    kept = loss.state_dict()["covariance"].clone()
    loss.eval()(seen)
    torch.testing.assert_close(loss.state_dict()["covariance"], kept)


def test_direct_clr_neither_sees_nor_moves_the_other_features():
    seen = unrolled(features=10, requires_grad=True)
    build(DirectClrConfig(fraction=0.3), 10)(seen).total.backward()
    assert seen.target.grad[..., :3].abs().sum() > 0
    assert seen.target.grad[..., 3:].abs().sum() == 0


def test_sigreg_vanishes_for_the_exact_normal():
    """Quantiles of the normal: the test per sample goes to 0 as they get finer."""

    def per_sample(n, scale=1.0):
        middle = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        quantiles = scale * math.sqrt(2.0) * torch.erfinv(2.0 * middle - 1.0)
        return epps_pulley(quantiles[None, :, None]).item() / n

    assert per_sample(100) < 1e-4
    assert per_sample(10_000) < 1e-8
    assert per_sample(10_000, scale=0.5) > 1e-2


def test_sigreg_of_a_point_at_zero_is_the_integral():
    """All samples 0: n * 2 * integral of w (1 - w)^2 from 0 to 3, by a much finer rule."""
    t = np.linspace(0, 3, 100_001)
    w = np.exp(-(t**2) / 2)
    expected = 8 * 2 * np.trapezoid(w * (1 - w) ** 2, t)
    zeros = torch.zeros(1, 8, 4, dtype=torch.float64)
    assert epps_pulley(zeros).item() == pytest.approx(expected, rel=1e-3)


def test_directions_of_sigreg_are_new_for_each_batch_and_resume():
    seen, loss = unrolled(batch=20), SigRegConfig(directions=4).build(5).train()
    first, second = (loss(seen).named["normality"].item() for _ in range(2))
    assert first != second
    other = SigRegConfig(directions=4).build(5).train()
    other(seen)
    again = SigRegConfig(directions=4).build(5).train()
    again.load_state_dict(other.state_dict())
    assert again(seen).named["normality"].item() == second


def test_mcr2_is_the_formula_in_numpy():
    """Gaussian elimination instead of Cholesky, and the sum over classes as the paper writes it."""
    seen, precision = unrolled(time=2, locations=1), 0.3
    p, z = (x[:, 1, 0].numpy() for x in (seen.predicted, seen.target))
    p, z = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (p, z))
    m, d = 12, 5

    def log_det(products, count):
        return np.log(np.linalg.det(np.eye(d) + d / (count * precision) * products))

    whole = 0.5 * log_det(p.T @ p + z.T @ z, m)
    classes = sum(
        2 / (2 * m) * log_det(np.outer(a, a) + np.outer(b, b), 2) for a, b in zip(p, z, strict=True)
    )
    terms = build(Mcr2Config(precision))(seen)
    assert terms.named["rate"].item() == pytest.approx(whole)
    assert terms.named["rate_of_pairs"].item() == pytest.approx(classes)
    assert terms.total.item() == pytest.approx(classes - whole)


def test_the_coding_rate_is_the_same_from_either_product():
    wide = torch.randn(4, 9, dtype=torch.float64)
    eye = torch.eye(9, dtype=torch.float64)
    expected = 0.5 * torch.logdet(eye + 9 / (4 * 0.5) * wide.mT @ wide)
    torch.testing.assert_close(coding_rate(wide, 0.5), expected)


def test_inverse_dynamics_can_read_a_difference():
    positions = torch.randn(16, 5, 1, 2)
    loss = InverseDynamics(2, 2)
    with torch.no_grad():
        eye = torch.eye(2)
        loss.predictor.weight.copy_(torch.cat([-eye, eye], dim=1))
        loss.predictor.bias.zero_()
    assert loss(positions, positions[:, :, 0].diff(dim=1)).item() == pytest.approx(0, abs=1e-10)


def test_time_similarity_of_a_steady_walk_is_its_squared_step():
    walk = torch.arange(5.0)[None, :, None, None].expand(3, -1, 2, 4)
    assert time_similarity(3 * walk).item() == 9.0


@pytest.mark.parametrize("grid", [(1, 1), (14, 3)])
def test_a_pixel_decoder_learns_one_image(grid):
    torch.manual_seed(0)
    pixel_decoder, image = PixelDecoder(8, grid, 2, 29, 13, width=8), torch.rand(1, 2, 29, 13)
    embedding = torch.randn(1, 8, *grid)
    optimizer = torch.optim.Adam(pixel_decoder.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = functional.mse_loss(pixel_decoder(embedding), image)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("deviation", [0.5, 2.0])
def test_lacking_deviation(deviation):
    samples = deviation * torch.tensor([-1.0, 1.0]).repeat(50)[None, :, None]
    expected = max(0.0, 1.0 - math.sqrt(deviation**2 * 100 / 99 + 1e-4))
    assert std_hinge(samples, 1.0).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: VicRegConfig(variance=-1.0),
        lambda: InfoNceConfig(temperature=0.0),
        lambda: DclConfig(temperature=-1.0),
        lambda: BarlowTwinsConfig(-1.0),
        lambda: TiCoConfig(momentum=1.0),
        lambda: DirectClrConfig(fraction=0.0),
        lambda: SigRegConfig(directions=0),
        lambda: Mcr2Config(0.0),
    ],
)
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(InputError):
        wrong()
