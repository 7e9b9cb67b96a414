"""MPER: what of the recording a policy is held against, in which kind of model."""

import pytest
import torch

from ppuu.policies import NetworkPolicyConfig
from ppuu.policies.features import PixelsConfig
from tests.helpers import dense_recording
from tests.ppuu.world_models.test_coupled import CONFIG, KINDS, built
from tests.rollouts import tiny_clips
from train.policy_methods import expert_regularised

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
    torch.manual_seed(0)
    return loss(draw(picked, torch.Generator().manual_seed(0)))


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
