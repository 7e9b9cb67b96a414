"""Latents of scenes and vehicles: merging, splitting, locality and priors."""

from dataclasses import replace

import pytest
import torch
from torch import distributions

from ppuu.geometry import to_world
from ppuu.perception.observation import ObservationConfig
from ppuu.runtime.errors import InputError
from ppuu.world_models import Latent, TokensConfig, posterior_noise
from ppuu.world_models.token_latents import (
    POSTERIOR_TIMES,
    displacement_features,
    merge_latents,
    posterior_steps,
    split_latents,
)
from tests.helpers import dense_recording
from tests.rollouts import TINY, tiny_clips

STEPS = 4
SMALL = TokensConfig(
    ObservationConfig(3, 3, TINY, vehicles=8), hidden=8, pair=8, scene_latent=1, dropout=0.0
)
CONFIGS = {
    f"{span}-{prior}": replace(SMALL, latent_span=span, prior=prior)
    for span in ("step", "rollout")
    for prior in ("standard", "learned")
}


def perturbed(config):
    """A model as after some training: nothing is zero."""
    torch.manual_seed(0)
    model = config.build().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model


@pytest.fixture(scope="module")
def batch():
    clips = tiny_clips([dense_recording(per_lane=3, frames=60)], 3 * STEPS, SMALL.observation)
    return clips, clips.batch(torch.arange(0, len(clips), 90), images=False)


@pytest.fixture(scope="module", params=CONFIGS.values(), ids=CONFIGS.keys())
def model(request):
    return perturbed(request.param)


def test_divergence_is_that_of_torch():
    values = torch.randn(4, 7, 5, dtype=torch.float64)
    posterior, prior = Latent(*values[:2]), Latent(*values[2:])

    def normal(latent):
        return distributions.Normal(latent.mean, (0.5 * latent.log_variance).exp())

    expected = distributions.kl_divergence(normal(posterior), normal(prior)).sum(-1)
    torch.testing.assert_close(posterior.divergence(prior), expected)
    assert (posterior.divergence(posterior) == 0).all()


def test_noise_stands_for_a_sample():
    latent = Latent(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, 2.0]]))
    noise = torch.tensor([[0.5, -1.0]])
    torch.testing.assert_close(latent.reparameterize(noise), torch.tensor([[1.5, -2.0 - torch.e]]))
    assert not latent.detach().mean.requires_grad


def test_latents_are_merged_and_split():
    parameters = torch.arange(12.0).view(
        1, 2, 6
    )  # two tokens; means and log-variances of 1 + 2 latents
    valid = torch.tensor([[True, True]])
    latent = merge_latents(parameters, valid, shared=1)
    torch.testing.assert_close(latent.mean, torch.tensor([[3.0, 1, 2, 7, 8]]))
    split = split_latents(latent.mean, 2, shared=1)
    torch.testing.assert_close(split, torch.tensor([[[3.0, 1, 2], [3.0, 7, 8]]]))
    # An empty slot has the standard normal, and no part in the shared latent.
    one_vehicle = merge_latents(parameters, torch.tensor([[True, False]]), shared=1)
    torch.testing.assert_close(one_vehicle.mean, torch.tensor([[0.0, 1, 2, 0, 0]]))
    torch.testing.assert_close(one_vehicle.log_variance, torch.tensor([[3.0, 4, 4, 0, 0]]))
    one = merge_latents(parameters[:, :1], valid[:, :1], shared=1)
    torch.testing.assert_close(one_vehicle.divergence(), one.divergence())


def test_constant_velocity_has_no_displacement():
    start = torch.tensor([[[100.0, 50.0, 0.3, 12.0]]])
    seconds = torch.tensor([0.3, 3.0])
    ahead = torch.stack([12.0 * seconds, 0 * seconds, 0 * seconds, 0 * seconds + 12.0], -1)
    then = to_world(ahead, start[0])[None, None]
    valid = torch.ones(1, 1, 2, dtype=torch.bool)
    features = displacement_features(start, then, valid, seconds)
    torch.testing.assert_close(features, torch.zeros(1, 1, 8), atol=1e-4, rtol=0)
    # A decimetre to the left is 0.1 at any position and heading.
    aside = to_world(ahead + torch.tensor([0.0, 0.1, 0.0, 0.0]), start[0])[None, None]
    displacement = displacement_features(start, aside, valid, seconds)[0, 0]
    torch.testing.assert_close(displacement[[1, 5]], torch.tensor([0.1, 0.1]), atol=1e-3, rtol=0)
    assert (displacement_features(start, aside, ~valid, seconds) == 0).all()


@pytest.mark.parametrize("steps", [1, 4, 10, 17])
def test_posterior_steps_end_with_the_last(steps):
    looked_at = posterior_steps(steps)
    assert len(looked_at) == POSTERIOR_TIMES
    assert looked_at == sorted(looked_at)
    assert looked_at[0] >= 0 and looked_at[-1] == steps - 1


def test_noise_becomes_latents_through_the_prior(model, batch):
    """Rolling out by hand, a latent drawn at every step or only at the first."""
    _, clip = batch
    noise = torch.randn(len(clip.ego), 1, STEPS, model.spec.latent)
    predicted = model.rollout(clip.observation, noise).states[:, 0, 0]
    state, latent = model.begin(clip.observation), None
    for step in range(STEPS):
        if latent is None or model.spec.latent_span == "step":
            prior = model.prior(state)
            latent = noise[:, 0, step] if prior is None else prior.reparameterize(noise[:, 0, step])
        state, _ = model.advance(state, None, latent)
        torch.testing.assert_close(predicted[:, step], state.now[:, 1:])


def test_later_noise_is_for_latents_of_steps_alone(model, batch):
    _, clip = batch
    noise = torch.randn(len(clip.ego), 1, STEPS, model.spec.latent)
    other = noise.clone()
    other[:, :, 1:] += 1.0
    one, two = (model.rollout(clip.observation, one_noise).states for one_noise in (noise, other))
    assert torch.equal(one, two) == (model.spec.latent_span == "rollout")
    torch.testing.assert_close(one[:, :, :, 0], two[:, :, :, 0])


def test_an_untrained_prior_is_the_standard_normal(batch):
    _, clip = batch
    model = CONFIGS["step-learned"].build()
    prior = model.prior(model.begin(clip.observation))
    assert (prior.mean == 0).all() and (prior.log_variance == 0).all()
    fixed = CONFIGS["step-standard"].build()
    assert fixed.prior(fixed.begin(clip.observation)) is None


def test_the_shared_latent_moves_all_and_its_own_one_vehicle(batch):
    """The shared latent affects all vehicles in the first step, a vehicle's own only itself."""
    _, clip = batch
    model = perturbed(CONFIGS["rollout-standard"])
    valid = clip.observation.tracks.valid_now

    def moved(which):
        noise = torch.zeros(2, len(clip.ego), 1, 1, model.spec.latent)
        noise[1, ..., which] = 3.0
        a, b = (model.rollout(clip.observation, n).states[:, 0, 0, 0] for n in noise)
        return (a - b).abs().amax(-1) > 0

    assert moved(0)[valid].all()
    # The ego's latents come first; this one is the first neighbour's.
    own = moved(SMALL.scene_latent + SMALL.latent)
    assert own[:, 0].all() and not own[:, 1:].any()


def test_the_posterior_of_a_rollout_reads_all_of_it(model, batch):
    clips, clip = batch
    target = clips.target(clip, model, STEPS)
    late = replace(target, tracks=target.tracks.clone())
    late.tracks[:, :, -1, 1] += 2.0  # who changes lanes at the very end
    state = model.begin(clip.observation)
    first, then = (model.posterior(state, t, 0) for t in (target, late))
    assert torch.equal(first.mean, then.mean) == (model.spec.latent_span == "step")
    last = model.posterior(state, late, STEPS - 1)
    assert torch.equal(last.mean, then.mean) == (model.spec.latent_span == "rollout")


@pytest.mark.parametrize("sizes", [{"latent": 0, "scene_latent": 0}, {"scene_latent": -1}])
def test_some_latent_is_needed(sizes):
    with pytest.raises(InputError, match="must not be negative, nor both 0"):
        replace(SMALL, **sizes)


def test_a_shared_latent_alone_is_possible(batch):
    _, clip = batch
    model = perturbed(replace(SMALL, latent=0, scene_latent=3))
    assert model.spec.latent == 3
    states = model.predict(clip.observation, 2, 2, torch.Generator().manual_seed(0)).states[:, 0]
    valid = clip.observation.tracks.valid_now[:, None].expand(-1, 2, -1)
    assert (states[:, 0] - states[:, 1])[valid].abs().max() > 0


def test_posterior_noise_reproduces_the_posteriors_rollout(model, batch):
    clips, clip = batch
    target = clips.target(clip, model, STEPS)
    noise = posterior_noise(model, clip.observation, target, torch.Generator().manual_seed(3))
    assert noise.shape == (len(clip.ego), STEPS, model.spec.latent)
    predicted = model.rollout(clip.observation, noise[:, None]).states[:, 0, 0]
    generator = torch.Generator().manual_seed(3)
    state, latent = model.begin(clip.observation), None
    for step in range(STEPS):
        if latent is None or model.spec.latent_span == "step":
            latent = model.posterior(state, target, step).sample(generator)
        state, _ = model.advance(state, None, latent)
        torch.testing.assert_close(predicted[:, step], state.now[:, 1:], atol=1e-3, rtol=1e-4)
