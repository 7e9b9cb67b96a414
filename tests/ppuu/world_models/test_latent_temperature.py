"""Sampling latents at a temperature."""

import pytest
import torch

from ppuu.perception.observation import ObservationConfig
from ppuu.runtime.errors import InputError
from ppuu.world_models import LatentTemperature, TokensConfig
from tests.helpers import dense_recording
from tests.rollouts import TINY, tiny_clips

STEPS = 3


@pytest.fixture(scope="module")
def case():
    config = TokensConfig(ObservationConfig(3, 3, TINY, vehicles=6), hidden=8, pair=8)
    clips = tiny_clips([dense_recording(per_lane=3, frames=60)], 3 * STEPS, config.observation)
    torch.manual_seed(0)
    model = config.build().eval().requires_grad_(False)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model, clips.batch(torch.arange(0, len(clips), 60), images=False)


def predicted(model, clip, samples):
    return model.predict(clip.observation, STEPS, samples, torch.Generator().manual_seed(0))


def spread(model, temperature, clip):
    states = predicted(LatentTemperature(model, temperature), clip, 64).states
    return states[:, 0, ..., :2].std(1)[:, -1][clip.observation.tracks.valid_now].mean()


def test_temperature_one_is_the_model(case):
    model, clip = case
    own = predicted(model, clip, 2).states
    torch.testing.assert_close(predicted(LatentTemperature(model, 1.0), clip, 2).states, own)


def test_the_spread_grows_with_the_temperature(case):
    model, clip = case
    cold, warm, whole = (spread(model, t, clip) for t in (0.0, 0.1, 0.2))
    assert cold < 1e-4
    # Small noise passes through in proportion.
    assert whole / warm == pytest.approx(2.0, rel=0.1)


def test_it_predicts_as_its_model_does(case):
    model, clip = case
    tempered = LatentTemperature(model, 0.5)
    for name in ("spec", "observation", "dt_s", "step_s", "frames_per_step", "raster"):
        assert getattr(tempered, name) == getattr(model, name)
    ego = torch.randn(len(clip.ego), STEPS, 4)
    poses, expected = (m.image_poses(clip.observation, ego) for m in (tempered, model))
    torch.testing.assert_close(poses, expected)


def test_a_negative_temperature_is_refused(case):
    with pytest.raises(InputError, match=r"temperature -0\.5"):
        LatentTemperature(case[0], -0.5)
