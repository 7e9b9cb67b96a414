"""Models that read a history frame by frame: the recurrent one and CortexNet."""

from dataclasses import fields, replace

import pytest
import torch

from ppuu.geometry import to_world
from ppuu.objectives import WorldModelLossConfig, world_model_loss
from ppuu.raster import VEHICLES
from ppuu.world_models import CortexNetConfig, RecurrentConfig
from tests.helpers import dense_recording
from tests.rollouts import TINY_OBSERVATION, tiny_clips

STEPS = 3
CONFIGS = {
    "recurrent": RecurrentConfig(TINY_OBSERVATION, channels=(4, 8), latent=4, dropout=0.3),
    "cortexnet": CortexNetConfig(TINY_OBSERVATION, channels=(4, 8), latent=4, dropout=0.3),
}


@pytest.fixture(scope="module")
def batch():
    clips = tiny_clips([dense_recording(per_lane=4, frames=60)], 12)
    return clips, clips.batch(torch.arange(3, len(clips), 80))


@pytest.fixture(scope="module", params=CONFIGS.values(), ids=CONFIGS.keys())
def config(request):
    return request.param


@pytest.fixture
def model(config):
    """As after some training: nothing is zero any more."""
    torch.manual_seed(0)
    model = config.build().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model


def test_an_untrained_cortexnet_copies(batch):
    _, clip = batch
    last = clip.observation.images[:, -1:, VEHICLES]
    told = CONFIGS["cortexnet"].build().imagine(clip.observation, STEPS, 1).vehicles[:, 0]
    torch.testing.assert_close(told, last.expand(-1, STEPS, -1, -1))


def test_an_untrained_recurrent_model_keeps_velocities(batch):
    _, clip = batch
    torch.manual_seed(0)
    fresh = CONFIGS["recurrent"].build().eval()
    moved = fresh.imagine(clip.observation, STEPS, 1).flow.metres
    ratio = moved / moved[:, :, :1]
    expected = torch.arange(1.0, STEPS + 1)[:, None].expand(-1, 2)
    torch.testing.assert_close(ratio[:, 0].nanmean(0), expected)


def test_futures_are_those_of_their_latents_and_nobody_elses(model, batch):
    """Neither other clips, other futures, nor the ego's path have a part in them."""
    _, clip = batch
    seen, count = clip.observation, len(clip.ego)
    latents = torch.randn(count, 2, STEPS, model.latent_size)
    together = model.imagine(seen, STEPS, 2, torch.randn(count, STEPS, 4), latents)
    for element in range(count):
        one = seen.take(torch.tensor([element]))
        for future in range(2):
            alone = model.imagine(one, STEPS, 1, latents=latents[element, future][None, None])
            torch.testing.assert_close(
                together.vehicles[element, future], alone.vehicles[0, 0], atol=1e-5, rtol=1e-4
            )
    assert (together.vehicles[:, 0] - together.vehicles[:, 1]).abs().max() > 1e-3
    assert ((together.vehicles >= 0) & (together.vehicles <= 1)).all()


def test_a_picture_is_decoded_wherever_one_is_wanted(model, batch):
    _, clip = batch
    latents = torch.randn(len(clip.ego), 1, STEPS, model.latent_size)
    whole = model.imagine(clip.observation, STEPS, 1, latents=latents)
    state = model.encode(clip.observation)
    for step in range(STEPS):
        state = model.advance(state, None, latents[:, 0, step])
    last = model.decode([state], clip.observation, 1)
    torch.testing.assert_close(last.vehicles[:, :, 0], whole.vehicles[:, :, -1])
    torch.testing.assert_close(last.road[:, 0], whole.road[:, -1])
    torch.testing.assert_close(last.pose[:, 0], whole.pose[:, -1])


def test_nothing_depends_on_the_site(model, batch):
    _, clip = batch
    seen = clip.observation
    moved = replace(seen, ego=to_world(seen.ego, torch.tensor([30.0, -20.0, 1.0])))
    latents = torch.randn(len(clip.ego), 1, STEPS, model.latent_size)
    here, there = (model.imagine(s, STEPS, 1, latents=latents).vehicles for s in (seen, moved))
    torch.testing.assert_close(here, there, atol=5e-3, rtol=0)


def test_every_frame_of_the_history_counts(model, batch):
    _, clip = batch
    seen = clip.observation
    latents = torch.zeros(len(clip.ego), 1, 1, model.latent_size)
    told = model.imagine(seen, 1, 1, latents=latents).vehicles
    for frame in range(TINY_OBSERVATION.frames):
        images = seen.images.clone()
        images[:, frame] = images[:, frame].flip(-1)
        other = model.imagine(replace(seen, images=images), 1, 1, latents=latents).vehicles
        assert (told - other).abs().max() > 1e-4, frame


def test_repeat_puts_copies_side_by_side(model, batch):
    _, clip = batch
    state = model.encode(clip.observation)
    repeated = model.repeat(state, 2)
    for name in (field.name for field in fields(state)):
        one, many = getattr(state, name), getattr(repeated, name)
        if name == "steps":
            assert one == many == 0
        for a, b in zip(*((v if isinstance(v, tuple) else (v,)) for v in (one, many)), strict=True):
            if isinstance(a, torch.Tensor):
                torch.testing.assert_close(b[::2], a)
                torch.testing.assert_close(b[1::2], a)


def test_dropout_spares_the_history_and_its_own_mode(model, batch):
    _, clip = batch
    latents = torch.randn(len(clip.ego), 1, STEPS, model.latent_size).expand(-1, 3, -1, -1)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    varied = model.imagine(clip.observation, STEPS, 3, latents=latents).vehicles
    assert varied.var(1).amax() > 1e-6
    # No statistics are gathered on the way.
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_everything_learns(model, batch):
    clips, clip = batch
    truth = clips.truth(clip, model, STEPS)
    torch.manual_seed(0)
    config = WorldModelLossConfig(divergence_weight=1e-4)
    terms = world_model_loss(model, clip.observation, truth, config)
    terms.total.backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name


def test_a_few_updates_lower_the_loss(config, batch):
    """Of vehicles that all drift to the left in the truth, as if the road were turned."""
    torch.manual_seed(0)
    model = config.build()
    clips, clip = batch
    ahead = torch.arange(3, 3 * STEPS + 1, 3)
    truth = clips.truth(clip, model, STEPS)
    poses = model.image_poses(clip.observation, truth.ego)
    poses[..., 1] -= 0.5 * torch.arange(1, STEPS + 1)
    flow, known = clips.flow(clip, ahead, poses)
    images = replace(
        truth.images, vehicles=clips.draw_vehicles(clip, ahead, poses), flow=flow, flow_known=known
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        terms = world_model_loss(
            model, clip.observation, replace(truth, images=images), WorldModelLossConfig()
        )
        optimizer.zero_grad()
        terms.total.backward()
        optimizer.step()
        losses.append(terms.named["vehicles"].item())
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
