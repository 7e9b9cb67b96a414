"""An ensemble is a loop over its members, in one batch; replicas share their latents."""

from dataclasses import replace

import pytest
import torch

from ppuu.perception.observation import ObservationConfig
from ppuu.predictions import Target
from ppuu.runtime.errors import InputError
from ppuu.world_models import Ensemble, MemberReplicas, TokensConfig
from tests.helpers import dense_recording
from tests.rollouts import TINY, TINY_MODEL, tiny_clips

TOKENS = TokensConfig(ObservationConfig(3, 3, TINY, vehicles=8), hidden=8, pair=8, dropout=0.3)
PIXELS = replace(TINY_MODEL, dropout=0.3)
STEPS = 3


def members(config, count=3):
    """Models that differ."""
    result = []
    for seed in range(count):
        torch.manual_seed(seed)
        model = config.build().eval().requires_grad_(False)
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
        result.append(model)
    return result


EXPECTANT = replace(TOKENS, scene_latent=1, latent_span="rollout", prior="learned")


@pytest.fixture(
    scope="module", params=[TOKENS, EXPECTANT, PIXELS], ids=["tokens", "learned", "pixels"]
)
def case(request):
    """Members, a batch of histories, and what holds the prediction."""
    config = request.param
    clips = tiny_clips([dense_recording(per_lane=3, frames=60)], 12, config.observation)
    observation = clips.batch(torch.arange(0, len(clips), 60)).observation
    return members(config), observation, "vehicles" if config is PIXELS else "states"


@pytest.mark.parametrize("samples", [3, 5, 2])
def test_an_ensemble_is_a_loop_over_its_members(case, samples):
    models, observation, key = case
    together = Ensemble(models)
    noise = torch.randn(len(observation.ego), samples, STEPS, together.spec.latent)
    prediction = together.rollout(observation, noise)
    assert prediction.samples == samples
    assert getattr(prediction, key).shape[:4] == (len(observation.ego), 1, samples, STEPS)

    def alone(member, k):
        return models[member].rollout(observation, noise[:, k : k + 1])

    for k in range(samples):
        one = getattr(prediction, key)[:, 0, k]
        expected = getattr(alone(k % 3, k), key)[:, 0, 0]
        torch.testing.assert_close(one, expected, atol=5e-4, rtol=1e-4)
        # … and no other member's.
        assert (one - getattr(alone((k + 1) % 3, k), key)[:, 0, 0]).abs().max() > 0.01
    torch.testing.assert_close(prediction.pose, alone(0, 0).pose)
    if key == "vehicles":  # each sample has the road of its own member
        for k in range(samples):
            road = alone(k % 3, k).road
            torch.testing.assert_close(
                prediction.road[:, :, k], road[:, :, 0], atol=1e-3, rtol=1e-3
            )


def test_replicas_share_their_latents(case):
    models, observation, key = case

    def replicated(model, count):
        generator = torch.Generator().manual_seed(3)
        replicas = model.replicas(count, generator)
        return getattr(replicas.predict(observation, STEPS, replicas.count, generator), key)[:, 0]

    # Equal members cannot disagree …
    one, other = replicated(Ensemble([models[0], models[0]]), 2).unbind(1)
    torch.testing.assert_close(one, other)
    # … different ones and dropout can; a model's mode stays as it was.
    for model in (Ensemble(models), models[0]):
        assert replicated(model, 3).var(1).max() > 0
        assert not model.training


def test_replicas_are_the_members_without_noise(case):
    """Latent spaces of the members are unrelated; only the mean is comparable."""
    models, observation, key = case
    generator = torch.Generator().manual_seed(3)
    replicas = Ensemble(models).replicas(3, generator)
    assert isinstance(replicas, MemberReplicas)
    prediction = getattr(replicas.predict(observation, STEPS, 3, generator), key)
    silence = torch.zeros(len(observation.ego), 1, STEPS, models[0].spec.latent)
    for k, model in enumerate(models):
        alone = getattr(model.rollout(observation, silence), key)
        torch.testing.assert_close(prediction[:, :, k], alone[:, :, 0], atol=5e-4, rtol=1e-4)


def test_members_must_have_one_configuration():
    models = members(TOKENS, 2)
    with pytest.raises(InputError, match="at least two"):
        Ensemble(models[:1])
    with pytest.raises(InputError, match="same configuration"):
        Ensemble([models[0], PIXELS.build()])


def test_an_ensemble_has_the_models_spec():
    models = members(TOKENS, 2)
    together = Ensemble(models)
    # But for the embedding: each member has one of its own.
    assert models[0].spec.embedding > 0
    assert together.spec == replace(models[0].spec, embedding=0)
    assert sum(w.numel() for w in together.parameters()) == 2 * sum(
        w.numel() for w in models[0].parameters()
    )


def test_an_ensemble_has_no_posterior_and_says_so_in_one_line(case):
    models, observation, _ = case
    together = Ensemble(models)
    target = Target(torch.zeros(len(observation.ego), STEPS, 4))
    with pytest.raises(InputError, match="an ensemble has no posterior") as error:
        together.posterior(together.begin(observation), target, 0)
    assert "\n" not in str(error.value)
