"""What policies learn from: which parts of a recording count in which kind of model, and chance."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from ppuu.objectives import AdversarialConfig, StartConfig, UnrollConfig
from ppuu.policies import NetworkPolicyConfig
from ppuu.policies.features import PixelsConfig
from tests.helpers import dense_recording
from tests.ppuu.world_models.test_coupled import CONFIG, KINDS, built
from tests.rollouts import tiny_clips
from train.batches.goals import GoalMix
from train.policy_methods import expert_regularised, uncertainty_regularised

STEPS = 3


@pytest.fixture(scope="module")
def picked():
    clips = tiny_clips([dense_recording()], config=CONFIG.observation)
    return clips, torch.tensor([5, 400, 900])


@pytest.fixture
def policy():
    torch.manual_seed(0)
    policy = NetworkPolicyConfig(PixelsConfig(CONFIG.observation, (4, 4, 4)), 8).build()
    with torch.no_grad():
        policy.head.last.weight.normal_(0, 0.1)
    return policy


def told(kind, policy, picked):
    model = built(KINDS[kind]).requires_grad_(False)
    draw, loss = expert_regularised(policy, model, STEPS)
    generator = torch.Generator().manual_seed(0)
    return loss(draw(picked, generator), generator)


@pytest.mark.parametrize("kind", KINDS)
def test_images_count_where_the_model_moves_the_ego(kind, policy, picked):
    """Elsewhere they are constants of the actions, and would only make the loss look larger."""
    terms = told(kind, policy, picked)
    answering = kind in ("coupled", "deterministic")
    assert ({"vehicles", "road"} <= terms.named.keys()) == answering
    torch.testing.assert_close(terms.total, torch.stack(list(terms.named.values())).sum())


def test_images_teach_the_policy(policy, picked):
    """Gradients reach it through the model's images alone."""
    terms = told("coupled", policy, picked)
    (terms.named["vehicles"] + terms.named["road"]).backward()
    assert policy.head.last.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("latents", ["prior", "posterior"])
@pytest.mark.parametrize("kind", ["coupled", "action-free"])
def test_an_update_is_a_function_of_the_batch_and_its_generator(kind, latents, policy, picked):
    """Drives before it, starts, masks, latents: nothing is drawn from the global random state."""
    clips, index = picked
    seen = dataclasses.replace(CONFIG.observation, vehicles=4)
    clips = tiny_clips(clips.recordings, config=seen)
    model = built(KINDS[kind]).requires_grad_(False)
    config = UnrollConfig(
        steps=STEPS, replicas=2, latents=latents, adversarial=AdversarialConfig(every=1),
        starts=StartConfig(copies=2, drive_steps=3),
    )  # fmt: skip
    stream = SimpleNamespace(sample=lambda count: (clips, torch.arange(count)))

    def update(seed):
        draw, loss = uncertainty_regularised(policy, model, stream, config, 4, None, GoalMix())
        generator = torch.Generator().manual_seed(seed)
        terms = loss(draw((clips, index), generator), generator)
        (gradient,) = torch.autograd.grad(terms.total, policy.head.last.bias)
        return torch.cat([terms.total[None], gradient])

    before = torch.get_rng_state()
    first = update(0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(12345)
    assert torch.equal(update(0), first)
    assert not torch.allclose(update(1), first)
