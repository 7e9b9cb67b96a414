"""The benchmark of MPUR compares the same computation: without dropout both ways agree."""

import pytest
import torch

from eval.benchmarks import original_policy
from eval.benchmarks.policies import MEMBERS, PoliciesBenchmark
from ppuu.costs import Uncertainty
from ppuu.objectives import UnrollConfig, policy_loss, predicted_traffic, rollout_noise
from ppuu.perception.observation import ObservationConfig
from ppuu.policies import NetworkPolicyConfig
from ppuu.policies.features import PixelsConfig
from ppuu.policies.unroll import unroll
from ppuu.runtime.errors import InputError
from ppuu.world_models import CoupledConfig
from tests.helpers import dense_recording
from tests.rollouts import tiny_clips

SEEN = ObservationConfig(3, 1)
MODEL = CoupledConfig(SEEN, frames_per_step=1, features=8, latent=3, dropout=0.0, residual="values")
CONFIG = UnrollConfig(steps=3, replicas=2)


def test_the_original_s_way_gives_the_same_loss_and_gradients():
    clips = tiny_clips([dense_recording()], horizon=3, config=SEEN)
    clip = clips.batch(torch.arange(2))
    torch.manual_seed(0)
    model = MODEL.build().requires_grad_(False)
    policy = NetworkPolicyConfig(PixelsConfig(SEEN, (4, 4, 4)), 8).build()
    with torch.no_grad():
        policy.head.last.weight.normal_(0, 0.1)
    uncertainty = Uncertainty(3, include_predictions=True)
    uncertainty.expert_mean.fill_(1.0)  # agreement is far below what experts see
    seen, before = clip.observation, clip.previous_action
    theirs = original_policy.loss(
        policy, model, seen, before, CONFIG, uncertainty, torch.Generator().manual_seed(1)
    ).total
    slopes = torch.autograd.grad(theirs, list(policy.parameters()))
    # Without dropout replicas would be alike: two samples of the model itself.
    noise = rollout_noise(model, seen, 3, torch.Generator().manual_seed(1))
    traffic = predicted_traffic(model, seen, seen, noise, 2)
    rollout = unroll(policy, traffic, seen, before, 3, 1, 0.1)
    ours = policy_loss(rollout, uncertainty, CONFIG).total
    torch.testing.assert_close(ours, theirs)
    for slope, expected in zip(
        torch.autograd.grad(ours, list(policy.parameters())), slopes, strict=True
    ):
        torch.testing.assert_close(slope, expected, atol=1e-5, rtol=1e-3)


def test_a_row_is_timed():
    (row,) = PoliciesBenchmark(("tokens",), batch=1, frames=3, replicas=2, repeats=1).run()
    assert row["name"] in MEMBERS and row["seconds"].value > 0 and "ratio" not in row


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"members": ("nope",)}, "--members nope"),
        ({"batch": 0}, "--batch 0"),
        ({"repeats": 0}, "--repeats 0"),
        ({"members": ("tokens",), "frames": 31}, "--frames 31: 'tokens'"),
    ],
)
def test_sizes_of_no_use_are_refused(options, complaint):
    with pytest.raises(InputError, match=complaint):
        PoliciesBenchmark(**options).run()
