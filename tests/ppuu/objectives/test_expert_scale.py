"""The scale of uncertainty along recorded paths."""

import torch

from ppuu.costs import Uncertainty
from ppuu.objectives import UnrollConfig, fit_expert_scale
from ppuu.objectives.policy_unroll import expert_variances
from tests.helpers import dense_recording
from tests.rollouts import TINY_MODEL, tiny_clips

CONFIG = UnrollConfig(steps=3, replicas=4)


def test_experts_have_no_mean_disagreement_and_unit_deviation():
    torch.manual_seed(0)
    model = TINY_MODEL.build().eval()
    clips = tiny_clips([dense_recording(per_lane=3, frames=60)])
    clip = clips.batch(torch.arange(0, 60, 5), images=True)
    uncertainty = Uncertainty(CONFIG.steps)
    recorded = [(clip.observation, clip.future, clip.actions)]
    fit_expert_scale(uncertainty, model, CONFIG, recorded, torch.Generator().manual_seed(1))
    at = [model.frames_per_step * step - 1 for step in (1, 2, 3)]
    variances = expert_variances(
        model, clip.observation, clip.future[:, at], clip.actions[:, at], CONFIG, uncertainty,
        torch.Generator().manual_seed(1),
    )  # fmt: skip
    assert variances.std(0).min() > 0
    scaled = uncertainty.standardised(variances)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(1, 3), atol=1e-3, rtol=0)
    torch.testing.assert_close(scaled.std(0), torch.ones(1, 3), atol=1e-3, rtol=0)
