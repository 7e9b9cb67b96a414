"""An ensemble is a loop over its members, in one batch; replicas share their latents."""

from dataclasses import replace

import pytest
import torch

from ppuu.errors import InputError
from ppuu.observation import ObservationConfig
from ppuu.world_models import Ensemble, TokensConfig, Truth, replicas
from tests.helpers import dense_recording
from tests.rollouts import TINY, TINY_MODEL, tiny_clips

TOKENS = TokensConfig(ObservationConfig(3, 3, TINY, vehicles=8), hidden=8, pair=8, dropout=0.3)
STEPS = 3


def members(config, count=3):
    """Models that differ."""
    found = []
    for seed in range(count):
        torch.manual_seed(seed)
        model = config.build().eval().requires_grad_(False)
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
        found.append(model)
    return found


EXPECTANT = replace(TOKENS, scene_latent=1, latent_span="rollout", prior="learned")


@pytest.fixture(
    scope="module", params=[TOKENS, EXPECTANT, TINY_MODEL], ids=["tokens", "learned", "pixels"]
)
def case(request):
    """Members, a batch of histories, and what holds the prediction."""
    config = request.param
    clips = tiny_clips([dense_recording(per_lane=3, frames=60)], 12, config.observation)
    observation = clips.batch(torch.arange(0, len(clips), 60)).observation
    return members(config), observation, "vehicles" if config is TINY_MODEL else "states"


@pytest.mark.parametrize("futures", [3, 5, 2])
def test_an_ensemble_is_a_loop_over_its_members(case, futures):
    models, observation, key = case
    together = Ensemble(models)
    latents = torch.randn(len(observation.ego), futures, STEPS, together.latent_size)
    told = together.imagine(observation, STEPS, futures, latents=latents)
    assert getattr(told, key).shape[:3] == (len(observation.ego), futures, STEPS)

    def alone(member, k):
        return models[member].imagine(observation, STEPS, 1, latents=latents[:, k : k + 1])

    for k in range(futures):
        one = getattr(told, key)[:, k]
        torch.testing.assert_close(one, getattr(alone(k % 3, k), key)[:, 0], atol=5e-4, rtol=1e-4)
        # … and no other member's.
        assert (one - getattr(alone((k + 1) % 3, k), key)[:, 0]).abs().max() > 0.01
    torch.testing.assert_close(told.pose, alone(0, 0).pose)
    if key == "vehicles":  # a road for all futures: the mean of what the members' first ones say
        road = torch.stack([alone(m, min(m, futures - 1)).road for m in range(3)]).mean(0)
        torch.testing.assert_close(told.road, road, atol=1e-3, rtol=1e-3)


def test_replicas_share_their_latents(case):
    models, observation, key = case
    together = Ensemble(models)
    # Equal members cannot disagree …
    torch.manual_seed(3)
    same = replicas(Ensemble([models[0], models[0]]), observation, STEPS, 2)
    one, other = getattr(same, key).unbind(1)
    torch.testing.assert_close(one, other)
    # … different ones and dropout can; a model's mode stays as it was.
    for model in (together, models[0]):
        told = getattr(replicas(model, observation, STEPS, 3), key)
        assert told.var(1).max() > 0
        assert not model.training


def test_members_must_fit():
    models = members(TOKENS, 2)
    with pytest.raises(InputError, match="at least two"):
        Ensemble(models[:1])
    with pytest.raises(InputError, match="same configuration"):
        Ensemble([models[0], TINY_MODEL.build()])


def test_an_ensemble_knows_what_a_model_knows():
    models = members(TOKENS, 2)
    together = Ensemble(models)
    for name in ("frames_per_step", "dt_s", "decoupled", "predicts_images", "observation"):
        assert getattr(together, name) == getattr(models[0], name)
    assert sum(w.numel() for w in together.parameters()) == 2 * sum(
        w.numel() for w in models[0].parameters()
    )
    with pytest.raises(NotImplementedError, match="one by one"):
        together.posterior(None, Truth(torch.zeros(1, 1, 4)), 0)
