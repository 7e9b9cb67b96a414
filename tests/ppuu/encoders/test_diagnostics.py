"""Every named failure is made to happen, and its warning is triggered_warnings."""

from functools import cache

import pytest
import torch
from torch.nn import functional

from data.toys.dots import DotsConfig, draw_dots
from ppuu.encoders import (
    ConvConfig,
    EmbeddingRollout,
    GruConfig,
    JepaNetwork,
    JepaNetworkConfig,
    ResidualConfig,
    VectorHead,
)
from ppuu.encoders.diagnostics import (
    FAILURES,
    embedding_diagnostics,
    image_diagnostics,
    input_diagnostics,
    spectrum,
    triggered_warnings,
)
from ppuu.encoders.regularizers import (
    BarlowTwinsConfig,
    InfoNceConfig,
    InverseDynamics,
    VicRegConfig,
    prediction_error,
)

WIDTH = 32
CLEAN = DotsConfig(steps=4)


def seen(task, batch, generator):
    """Dots, four pixels averaged into one, so that a test takes a second."""
    dots = draw_dots(task, batch, generator)
    images = functional.avg_pool2d(dots.images.flatten(0, 1), 4).unflatten(0, (batch, -1))
    return 4.0 * images, dots.actions


@cache
def learned(regularizer=None, task=CLEAN, updates=80, inverse=False):
    """A network after some updates, and its diagnostics."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    config = JepaNetworkConfig(ConvConfig((16, 32), 2, "batch"), VectorHead(WIDTH), GruConfig())
    model, read = JepaNetwork(config, task.dots, 7, 7, 2), InverseDynamics(WIDTH, 2)
    loss = None if regularizer is None else regularizer.build(WIDTH)
    optimizer = torch.optim.Adam([*model.parameters(), *read.parameters()], 3e-3)

    def unrolled(batch):
        images, actions = seen(task, batch, generator)
        targets = model.targets(images)
        states = model.unroll(targets[:, 0], actions)
        return images, actions, targets, model.project(states, targets)

    for _ in range(updates):
        _, actions, _, made = unrolled(32)
        total = prediction_error(made) if loss is None else loss(made).total
        if inverse:
            total = total + read(made.target, actions)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    model.eval()
    images, actions, targets, made = unrolled(256)
    values = embedding_diagnostics(made) | image_diagnostics(model, images[:, 0])
    values |= input_diagnostics(model, targets, actions, actions.roll(1, 0))
    return model, {name: value.item() for name, value in values.items()}


def test_a_healthy_embedding_raises_nothing():
    assert triggered_warnings(learned(VicRegConfig())[1]) == []


@pytest.mark.parametrize("config", [InfoNceConfig(), BarlowTwinsConfig()])
def test_lengths_that_an_objective_leaves_open_raise_nothing(config):
    """Predictions may be longer or shorter than what they foretell."""
    names = triggered_warnings(learned(config)[1])
    assert not {"unpredictive", "averaging", "collapse"} & set(names)
    target = torch.randn(64, 4, 2, 8)
    values = embedding_diagnostics(EmbeddingRollout.of(4.0 * target, target))
    assert values["unexplained"] < 1e-6
    assert values["copy_ratio"] < 1e-6
    assert values["predicted_std"].item() == pytest.approx(1.0, abs=1e-3)


def test_fixed_noise_ends_in_slow_features():
    """On the full images; each of their pixels is noise of its own."""
    torch.manual_seed(0)
    task = DotsConfig(noise="uniform", fixed=True, steps=4)
    generator = torch.Generator().manual_seed(0)
    config = JepaNetworkConfig(ConvConfig((4, 8, 16), 3, "batch"), VectorHead(WIDTH), GruConfig())
    model, loss = JepaNetwork(config, 1, 28, 28, 2), VicRegConfig().build(WIDTH)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(50):
        dots = draw_dots(task, 48, generator)
        targets = model.targets(dots.images)
        made = model.project(model.unroll(targets[:, 0], dots.actions), targets)
        total = loss(made).total
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    values = {name: value.item() for name, value in embedding_diagnostics(made).items()}
    assert "slow-features" in triggered_warnings(values)
    assert "collapse" not in triggered_warnings(values)  # which is why it stays unnoticed
    assert "unpredictive" not in triggered_warnings(values)


def test_inverse_dynamics_alone_has_tunnel_vision():
    three = DotsConfig(task="three", steps=4)
    values = learned(task=three, updates=120, inverse=True)[1]
    assert "tunnel-vision" in triggered_warnings(values)
    assert "collapse" not in triggered_warnings(values)


def test_prediction_alone_collapses():
    assert "collapse" in triggered_warnings(learned(updates=150)[1])


def test_without_covariance_few_directions_are_left():
    values = learned(VicRegConfig(covariance=0.0))[1]
    assert "dimensional-collapse" in triggered_warnings(values)
    assert "collapse" not in triggered_warnings(values)


def test_weights_out_of_balance_predict_nothing():
    """Noise fills more axes than the dot, so that is what gets encoded."""
    config = VicRegConfig(prediction=1.0, variance=100.0, covariance=100.0)
    values = learned(config, DotsConfig(noise="uniform", steps=4))[1]
    assert "unpredictive" in triggered_warnings(values)
    assert "collapse" not in triggered_warnings(values)


@pytest.mark.parametrize("told", [False, True])
def test_a_deterministic_predictor_averages_over_a_fork(told):
    """Half of the sequences go left, half right; it cannot be known, unless a latent says so."""
    torch.manual_seed(0)
    start = 0.3 * torch.randn(256, 1, 1, 4)
    side = (torch.arange(256) % 2 * 2.0 - 1.0)[:, None]
    target = torch.cat([start, start + side[:, None, None]], dim=1)
    predictor = ResidualConfig(16, dropout=0.0).build(4, 1, (1, 1))
    optimizer = torch.optim.Adam(predictor.parameters(), 1e-2)
    for _ in range(100):
        state = start[:, 0, 0, :, None, None]
        ahead = predictor(state, side if told else 0.0 * side)[..., 0, 0]
        made = EmbeddingRollout.of(torch.cat([start, ahead[:, None, None]], dim=1), target)
        optimizer.zero_grad()
        prediction_error(made).backward()
        optimizer.step()
    values = {name: value.item() for name, value in embedding_diagnostics(made).items()}
    assert ("averaging" in triggered_warnings(values)) != told


def test_distances_that_do_not_grow_with_time_are_saturated():
    """All times of a sequence equally apart, as strong contrast within sequences leaves them."""
    apart = 3.0 * torch.eye(6)[None, :, None] + torch.randn(16, 1, 1, 6)
    values = {
        name: value.item()
        for name, value in embedding_diagnostics(EmbeddingRollout.of(apart, apart)).items()
    }
    assert "saturated-distance" in triggered_warnings(values)
    walk = torch.randn(16, 6, 1, 6).cumsum(1)
    values = {
        name: value.item()
        for name, value in embedding_diagnostics(EmbeddingRollout.of(walk, walk)).items()
    }
    assert "saturated-distance" not in triggered_warnings(values)


def test_batch_statistics_leak_while_training_only():
    model, _ = learned(VicRegConfig())
    images, _ = seen(CLEAN, 16, torch.Generator().manual_seed(3))

    def leak():
        values = image_diagnostics(model, images[:, 0])
        return triggered_warnings({name: value.item() for name, value in values.items()})

    assert "batch-leak" not in leak()
    model.train()
    assert "batch-leak" in leak()
    model.eval()


def test_a_predictor_deaf_to_its_input_and_one_that_copies():
    model, _ = learned(VicRegConfig())
    images, actions = seen(CLEAN, 16, torch.Generator().manual_seed(3))
    targets = model.targets(images)
    model.predictor.input.weight.data.zero_()
    values = input_diagnostics(model, targets, actions, actions.roll(1, 0))
    assert triggered_warnings({name: value.item() for name, value in values.items()}) == [
        "input-ignored"
    ]
    learned.cache_clear()
    kept = targets[:, :1].expand_as(targets)
    values = embedding_diagnostics(model.project(kept, targets))
    assert "copying" in triggered_warnings({name: value.item() for name, value in values.items()})


def test_every_failure_is_one_number_away():
    """No warning without its number, and none for numbers in between."""
    for failure in FAILURES:
        beyond = failure.below - 1.0 if failure.below > -1e9 else failure.above + 1.0
        assert triggered_warnings({failure.value: beyond}) == [failure.name]
        within = failure.below if failure.below > -1e9 else failure.above
        assert triggered_warnings({failure.value: within}) == []


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_the_effective_rank_of_equal_axes_is_their_number(rank):
    covariance = torch.diag(torch.cat([torch.ones(rank), torch.zeros(8 - rank)])).double()
    values = spectrum(covariance, 1000)
    assert values["rank"].item() == pytest.approx(rank)
    assert values["rank_fraction"].item() == pytest.approx(rank / 8)
    assert values["off_diagonal"].item() == pytest.approx(0.0, abs=1e-9)


def test_a_small_batch_is_no_collapse():
    """What hardly changes within a sequence spans one direction a sequence, less one."""
    torch.manual_seed(0)
    still = torch.randn(4, 1, 1, 32) + 0.01 * torch.randn(4, 5, 1, 32)
    assert "dimensional-collapse" not in triggered_warnings(
        as_numbers(EmbeddingRollout.of(still, still))
    )
    line = torch.randn(64, 5, 1, 1) * torch.ones(32)
    assert "dimensional-collapse" in triggered_warnings(as_numbers(EmbeddingRollout.of(line, line)))


def as_numbers(unrolled):
    return {name: value.item() for name, value in embedding_diagnostics(unrolled).items()}
