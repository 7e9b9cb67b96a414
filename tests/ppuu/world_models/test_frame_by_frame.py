"""Models that read a history frame by frame: the recurrent one and CortexNet."""

from dataclasses import fields, replace

import pytest
import torch

from ppuu.geometry import to_world
from ppuu.objectives import WorldModelLossConfig, world_model_loss
from ppuu.perception.raster_image import VEHICLES
from ppuu.runtime.pytree import repeat
from ppuu.world_models import CortexNetConfig, RecurrentConfig
from tests.helpers import dense_recording
from tests.rollouts import TINY_OBSERVATION, tiny_clips

STEPS = 3
CONFIGS = {
    "recurrent": RecurrentConfig(TINY_OBSERVATION, channels=(4, 8), latent=4, dropout=0.3),
    "cortexnet": CortexNetConfig(TINY_OBSERVATION, channels=(4, 8), latent=4, dropout=0.3),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def batch():
    clips = tiny_clips([dense_recording(per_lane=4, frames=60)], 12)
    return clips, clips.batch(torch.arange(3, len(clips), 80))


@pytest.fixture(scope="module", params=CONFIGS.values(), ids=CONFIGS.keys())
def config(request):
    return request.param


@pytest.fixture
def model(config):
    """As after some training: nothing is zero."""
    torch.manual_seed(0)
    model = config.build().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model


def test_an_untrained_cortexnet_copies(batch):
    _, clip = batch
    last = clip.observation.images[:, -1:, VEHICLES]
    fresh = CONFIGS["cortexnet"].build()
    predicted = fresh.predict(clip.observation, STEPS, 1, seeded()).vehicles[:, 0, 0]
    torch.testing.assert_close(predicted, last.expand(-1, STEPS, -1, -1))


def test_an_untrained_recurrent_model_keeps_velocities(batch):
    _, clip = batch
    torch.manual_seed(0)
    fresh = CONFIGS["recurrent"].build().eval()
    moved = fresh.predict(clip.observation, STEPS, 1, seeded()).flow.displacement_m
    ratio = moved / moved[:, :, :1]
    expected = torch.arange(1.0, STEPS + 1)[:, None].expand(-1, 2)
    torch.testing.assert_close(ratio[:, 0].nanmean(0), expected)


def test_a_sample_depends_on_its_own_noise_alone(model, batch):
    """Not on other clips, other samples or the ego's path."""
    _, clip = batch
    observation, count = clip.observation, len(clip.ego)
    noise = torch.randn(count, 2, STEPS, model.spec.latent)
    together = model.rollout(observation, noise, torch.randn(count, 1, STEPS, 4)).vehicles[:, 0]
    for element in range(count):
        one = observation.take(torch.tensor([element]))
        for sample in range(2):
            alone = model.rollout(one, noise[element, sample][None, None])
            torch.testing.assert_close(
                together[element, sample], alone.vehicles[0, 0, 0], atol=1e-5, rtol=1e-4
            )
    assert (together[:, 0] - together[:, 1]).abs().max() > 1e-3
    assert ((together >= 0) & (together <= 1)).all()


def test_images_can_be_decoded_at_any_step(model, batch):
    _, clip = batch
    noise = torch.randn(len(clip.ego), 1, STEPS, model.spec.latent)
    whole = model.rollout(clip.observation, noise)
    state = model.begin(clip.observation)
    for step in range(STEPS):
        state, _ = model.advance(state, None, noise[:, 0, step])
    last = model.decode([state], clip.observation, 1)
    torch.testing.assert_close(last.vehicles[:, :, :, 0], whole.vehicles[:, :, :, -1])
    torch.testing.assert_close(last.road[:, :, :, 0], whole.road[:, :, :, -1])
    torch.testing.assert_close(last.pose[:, :, 0], whole.pose[:, :, -1])


def test_nothing_depends_on_the_site(model, batch):
    _, clip = batch
    observation = clip.observation
    moved = replace(observation, ego=to_world(observation.ego, torch.tensor([30.0, -20.0, 1.0])))
    noise = torch.randn(len(clip.ego), 1, STEPS, model.spec.latent)
    original, transformed = (model.rollout(s, noise).vehicles for s in (observation, moved))
    torch.testing.assert_close(original, transformed, atol=5e-3, rtol=0)


def test_every_frame_of_the_history_counts(model, batch):
    _, clip = batch
    observation = clip.observation
    noise = torch.zeros(len(clip.ego), 1, 1, model.spec.latent)
    predicted = model.rollout(observation, noise).vehicles
    for frame in range(TINY_OBSERVATION.frames):
        images = observation.images.clone()
        images[:, frame] = images[:, frame].flip(-1)
        other = model.rollout(replace(observation, images=images), noise).vehicles
        assert (predicted - other).abs().max() > 1e-4, frame


def test_repeat_puts_copies_side_by_side(model, batch):
    _, clip = batch
    state = model.begin(clip.observation)
    repeated = repeat(state, 2)
    for name in (field.name for field in fields(state)):
        one, many = getattr(state, name), getattr(repeated, name)
        if name == "steps":
            assert one == many == 0
        for a, b in zip(*((v if isinstance(v, tuple) else (v,)) for v in (one, many)), strict=True):
            if isinstance(a, torch.Tensor):
                torch.testing.assert_close(b[::2], a)
                torch.testing.assert_close(b[1::2], a)


def test_dropout_in_training_differs_by_sample_and_gathers_no_statistics(model, batch):
    _, clip = batch
    noise = torch.randn(len(clip.ego), 1, STEPS, model.spec.latent).expand(-1, 3, -1, -1)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    varied = model.rollout(clip.observation, noise).vehicles
    assert varied.var(2).amax() > 1e-6
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_everything_learns(model, batch):
    clips, clip = batch
    target = clips.target(clip, model, STEPS)
    config = WorldModelLossConfig(kl_weight=1e-4)
    terms = world_model_loss(model, clip.observation, target, config, seeded())
    terms.total.backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name


def test_a_few_updates_lower_the_loss(config, batch):
    """Of vehicles that all drift to the left in the truth, as if the road were turned."""
    torch.manual_seed(0)
    model = config.build()
    clips, clip = batch
    ahead = torch.arange(3, 3 * STEPS + 1, 3)
    target = clips.target(clip, model, STEPS)
    poses = model.image_poses(clip.observation, target.ego)
    poses[..., 1] -= 0.5 * torch.arange(1, STEPS + 1)
    flow, valid = clips.flow(clip, ahead, poses)
    images = replace(
        target.images, vehicles=clips.draw_vehicles(clip, ahead, poses), flow=flow, flow_valid=valid
    )
    target = replace(target, images=images)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses, generator = [], seeded()
    for _ in range(40):
        terms = world_model_loss(model, clip.observation, target, WorldModelLossConfig(), generator)
        optimizer.zero_grad()
        terms.total.backward()
        optimizer.step()
        losses.append(terms.named["vehicles"].item())
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
