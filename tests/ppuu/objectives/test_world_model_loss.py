"""The loss of world models: what latents cost, and how often, and who is drawn to whom."""

from dataclasses import replace

import pytest
import torch

from ppuu.objectives import WorldModelLossConfig, world_model_loss
from ppuu.objectives.world_model import balanced_divergence
from ppuu.perception.observation import ObservationConfig
from ppuu.runtime.errors import InputError
from ppuu.world_models import Latent, TokensConfig, TokensWorldModel
from tests.helpers import dense_recording
from tests.rollouts import TINY, tiny_clips

STEPS = 3


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussians(gradient=True):
    torch.manual_seed(0)
    values = torch.randn(4, 3, 2, dtype=torch.float64, requires_grad=gradient)
    return values, Latent(*values[:2]), Latent(*values[2:])


def test_balance_moves_gradients_and_no_values():
    def pulls(balance):
        values, posterior, prior = gaussians()
        divergence = balanced_divergence(posterior, prior, balance)
        torch.testing.assert_close(divergence, posterior.divergence(prior))
        (gradient,) = torch.autograd.grad(divergence.sum(), values)
        return gradient[:2], gradient[2:]

    values, posterior, prior = gaussians()
    (plain,) = torch.autograd.grad(posterior.divergence(prior).sum(), values)
    for balance in (0.2, 0.5, 0.8):
        of_posterior, of_prior = pulls(balance)
        torch.testing.assert_close(of_posterior, (1.0 - balance) * plain[:2])
        torch.testing.assert_close(of_prior, balance * plain[2:])


def test_a_fixed_prior_takes_no_share():
    values, posterior, _ = gaussians()
    for balance in (0.2, 0.8):
        (gradient,) = torch.autograd.grad(
            balanced_divergence(posterior, None, balance).sum(), values, retain_graph=True
        )
        (plain,) = torch.autograd.grad(posterior.divergence().sum(), values, retain_graph=True)
        torch.testing.assert_close(gradient, plain)


class Noting(TokensWorldModel):
    """Counts how often its posterior is asked, and notes the latents it is given."""

    asked, latents = 0, ()

    def posterior(self, state, target, step):
        self.asked += 1
        return Latent(*(torch.full((len(state.now), self.spec.latent), v) for v in (7.0, -60.0)))

    def advance(self, state, ego, latent):
        self.latents = (*self.latents, latent)
        return super().advance(state, ego, latent)


CONFIG = TokensConfig(ObservationConfig(3, 3, TINY, vehicles=4), hidden=8, pair=8)


@pytest.fixture(scope="module")
def case():
    clips = tiny_clips([dense_recording(per_lane=3, frames=60)], 3 * STEPS, CONFIG.observation)
    clip = clips.batch(torch.arange(0, len(clips), 4), images=False)
    model = CONFIG.build()
    return model, clip.observation, clips.target(clip, model, STEPS)


@pytest.mark.parametrize("span", ["step", "rollout"])
def test_a_latent_is_drawn_and_paid_for_once_a_span(case, span):
    _, observation, target = case
    toy = Noting(replace(CONFIG, latent_span=span))
    config = WorldModelLossConfig(latent_dropout=0.25)
    terms = world_model_loss(toy, observation, target, config, seeded())
    times = STEPS if span == "step" else 1
    assert toy.asked == times
    # The posterior says 7 and is certain, so its clips are known by what the model was given.
    inferred = torch.stack([(latent == 7.0).all(1) for latent in toy.latents], dim=1)
    assert 0.65 < inferred.float().mean() < 0.85
    same = all(torch.equal(latent, toy.latents[0]) for latent in toy.latents)
    assert same == (span == "rollout")
    each = 0.5 * toy.spec.latent * (7.0**2 - 1.0 + 60.0)
    paid = each * inferred[:, :times].sum(1).float().mean()
    torch.testing.assert_close(terms.named["kl_divergence"], paid)


def test_some_nats_are_free(case):
    model, observation, target = case

    def divergence(free):
        torch.manual_seed(0)  # dropout of the model
        config = WorldModelLossConfig(latent_dropout=0.0, free_nats=free)
        terms = world_model_loss(model, observation, target, config, seeded())
        return terms.named["kl_divergence"].item()

    whole = divergence(0.0)
    assert divergence(0.1) == pytest.approx(whole - 0.1 * STEPS, rel=1e-4)
    assert divergence(1e3) == 0.0


@pytest.mark.parametrize(
    "wrong", [{"kl_balance": 0.0}, {"kl_balance": 1.0}, {"latent_dropout": 1.5}]
)
def test_shares_must_be_shares(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        WorldModelLossConfig(**wrong)
