"""The decoupled world model: predictions without training, invariances, and training."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import distributions

from ppuu.geometry import to_world
from ppuu.objectives import WorldModelLossConfig, world_model_loss
from ppuu.perception.flow import block_matching_flow
from ppuu.perception.observation import Observation, ObservationConfig
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap, draw_road
from ppuu.perception.vehicle_raster import draw_boxes
from ppuu.recordings.road import Road
from ppuu.runtime.pytree import repeat
from ppuu.world_models import DecoupledConfig, Latent
from tests.helpers import dense_recording
from tests.rollouts import TINY_MODEL, tiny_clips

DT_S = 0.1
RASTER = RasterConfig()
FLOW_AHEAD_MPS = 0.35
FLOW_LEFT_MPS = 0.15
"""Tolerances of block matching; the largest measured errors of the cases below are 0.23 and
0.09 m/s."""
WARPED_OVERLAP = 0.8
"""Soft overlap of predicted and true image after 0.9 s; measured 0.89 and more."""


MAX_ENTERING = 0.03
"""Largest coverage of entering vehicles that an untrained model predicts."""


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(boxes, raster=RASTER):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(len(boxes), -1, 5)
    return draw_boxes(boxes, torch.ones(boxes.shape[:2], dtype=torch.bool), raster)


def moving_car(ahead_mps, left_mps, at, seconds):
    """A car seen from a common frame at several times."""
    return drawn([[(at[0] + ahead_mps * s, at[1] + left_mps * s, 0.0, 4.6, 1.9)] for s in seconds])


VELOCITIES = [(0.0, 0.0), (3.0, 0.0), (-5.0, 0.0), (6.5, 0.5), (-1.3, -1.0), (0.0, 1.2)]


@pytest.mark.parametrize("velocity", VELOCITIES)
@pytest.mark.parametrize("at", [(10.0, 0.0), (-12.3, 3.8), (0.2, -3.7)])
def test_block_matching_measures_the_velocity(velocity, at):
    ago = torch.tensor([0.9, 0.6, 0.3, 0.0])
    images = moving_car(*velocity, at, (-ago).tolist())[None]
    flow = block_matching_flow(images, ago, RASTER)[0]
    weight = images[0, -1]
    mean = (flow * weight).sum((1, 2)) / weight.sum()
    assert mean[0] == pytest.approx(velocity[0], abs=FLOW_AHEAD_MPS)
    assert mean[1] == pytest.approx(velocity[1], abs=FLOW_LEFT_MPS)
    # Where nothing is near, nothing moves.
    assert flow[:, weight.flip(0) > 0.5].abs().max() < 0.1 or abs(at[0]) < 5


def observation_of(ego_mps, cars, config: ObservationConfig, road=None, heading=0.0):
    """What an ego at constant speed sees of cars at constant velocity.

    ``cars`` are ``(ahead, left, speed ahead, speed left)`` relative to the ego's present pose and
    to the ground.
    """
    seconds = -config.lags() * DT_S
    ego = torch.zeros(config.frames, 4)
    # Start far from the origin: nothing may depend on where in the world this is.
    ego[:, 0] = 500.0 + ego_mps * seconds * torch.cos(torch.tensor(heading))
    ego[:, 1] = 5.5 + ego_mps * seconds * torch.sin(torch.tensor(heading))
    ego[:, 2], ego[:, 3] = heading, ego_mps
    vehicles = drawn(
        [
            [(x + (u - ego_mps) * s, y + v * s, 0.0, 4.6, 1.9) for x, y, u, v in cars]
            for s in seconds.tolist()
        ],
        config.raster,
    )
    static = torch.zeros(config.frames, 2, config.raster.rows, config.raster.columns)
    if road is not None:
        roads = RoadMap.build([road], config.raster)
        which = torch.zeros(config.frames, dtype=torch.int64)
        static = draw_road(ego[:, :3], which, roads, config.raster)
    images = torch.stack([static[:, 0], vehicles, static[:, 1]], 1)
    return Observation(images[None], ego[None], torch.tensor([[4.6, 1.9]]))


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(0)
    return DecoupledConfig(channels=(4, 8, 8)).build().eval()


def overlap(a, b):
    return torch.minimum(a, b).sum((-2, -1)) / torch.maximum(a, b).sum((-2, -1))


def test_an_untrained_model_keeps_velocities(untrained):
    cars = [(12.0, 0.1, 13.0, 0.0), (-15.0, 3.7, 16.0, 0.0), (5.0, -3.8, 8.0, 0.3)]
    observation = observation_of(12.0, cars, untrained.config.observation)
    vehicles = untrained.predict(observation, 3, 2, seeded()).vehicles[0, 0]
    seconds = 0.3 * torch.arange(1, 4)
    truth = drawn(
        [
            [(x + (u - 12.0) * s, y + v * s, 0.0, 4.6, 1.9) for x, y, u, v in cars]
            for s in seconds.tolist()
        ]
    )
    # Newcomers are painted faintly wherever they might have come from by then.
    carried = torch.where(vehicles < MAX_ENTERING, 0.0, vehicles)
    assert overlap(carried, truth).min() > WARPED_OVERLAP
    # What stands still in the picture would have missed.
    still = observation.images[0, -1, 1].expand_as(truth)
    assert overlap(still, truth)[-1] < 0.6
    # A vehicle neither grows nor fades: its area stays the same to 10 %.
    mass = carried.sum((-2, -1))
    torch.testing.assert_close(mass, truth.sum((-2, -1)).expand(2, -1), rtol=0.1, atol=0)


def test_an_empty_road_stays_empty(untrained):
    """Entering vehicles are near the edges only, with low coverage before training."""
    observation = observation_of(12.0, [], untrained.config.observation)
    vehicles = untrained.predict(observation, 3, 1, seeded()).vehicles[0, 0, 0]
    assert vehicles.max() < MAX_ENTERING
    # Within 0.9 s none gets further in than 10 m along the road and 3 m across it.
    assert (vehicles[:, 17:-17, 5:-5] == 0).all()


def test_images_are_in_the_constant_velocity_frame(untrained):
    observation = observation_of(12.0, [(10.0, 0.0, 12.0, 0.0)], untrained.config.observation)
    prediction = untrained.predict(observation, 4, 1, seeded())
    seconds = 0.3 * torch.arange(1, 5)
    expected = torch.stack([500 + 12 * seconds, 5.5 + 0 * seconds, 0 * seconds], -1)
    torch.testing.assert_close(prediction.pose[0, 0], expected)
    path = torch.randn(1, 4, 4)
    torch.testing.assert_close(untrained.image_poses(observation, path)[0], expected)


def test_the_road_is_warped(untrained):
    """A road that ends ahead, and lanes that shift: seen from the constant-velocity frame."""

    # The right lane ends 20 m ahead of the ego, the left one begins 10 m behind.
    def lane(start, end, right_edge):
        return tuple(np.array([[start, y], [end, y]]) for y in (right_edge + 3.7, right_edge))

    road = Road.from_lanes([lane(490.0, 900.0, 3.7), lane(300.0, 520.0, 0.0)])
    config = untrained.config.observation
    observation = observation_of(10.0, [], config, road)
    prediction = untrained.predict(observation, 4, 1, seeded())
    roads = RoadMap.build([road], RASTER)
    truth = draw_road(prediction.pose[0, 0], torch.zeros(4, dtype=torch.int64), roads, RASTER)
    # Beyond the front edge the model cannot know: rows that were seen.
    for step in range(4):
        first = int(10.0 * 0.3 * (step + 1) / RASTER.metres_per_pixel) + 2
        difference = (prediction.road[0, 0, 0, step, :, first:] - truth[step, :, first:]).abs()
        assert difference.mean() < 0.01
        assert difference.max() < 0.6
    unmoved = (observation.images[0, -1][[0, 2]] - truth[-1]).abs()[:, 10:].mean()
    assert unmoved > 0.03


def test_the_prediction_does_not_depend_on_the_site():
    torch.manual_seed(0)
    model = perturbed(TINY_MODEL.build()).eval()
    observation = observation_of(12.0, [(8.0, 0.0, 10.0, 0.0)], TINY_MODEL.observation)
    moved = dataclasses.replace(
        observation, ego=to_world(observation.ego, torch.tensor([30.0, -20.0, 1.0]))
    )
    noise = torch.randn(1, 2, 3, model.spec.latent)
    original, transformed = model.rollout(observation, noise), model.rollout(moved, noise)
    torch.testing.assert_close(original.vehicles, transformed.vehicles, atol=2e-3, rtol=0)
    torch.testing.assert_close(original.road, transformed.road, atol=2e-3, rtol=0)


def perturbed(model, scale=0.3):
    """Weights as after some training: no head is zero."""
    with torch.no_grad():
        for head in (model.initial_motion_head, model.motion_change_head):
            head[-1].weight.normal_(0, scale, generator=torch.Generator().manual_seed(1))
    return model


@pytest.fixture(scope="module")
def batch():
    """Three clips of dense traffic."""
    clips = tiny_clips([dense_recording()])
    return clips, clips.batch(torch.tensor([5, 400, 900]))


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return perturbed(TINY_MODEL.build()).eval()


def test_the_prediction_does_not_depend_on_the_ego(tiny, batch):
    """One serves all candidates."""
    _, clip = batch
    noise = torch.randn(3, 2, 4, tiny.spec.latent)
    paths = [None, clip.future[:, None, 2:12:3], torch.randn(3, 5, 4, 4)]
    first, *others = (tiny.rollout(clip.observation, noise, path) for path in paths)
    for other in others:
        torch.testing.assert_close(other.vehicles, first.vehicles, rtol=0, atol=0)
        torch.testing.assert_close(other.road, first.road, rtol=0, atol=0)
    assert not tiny.spec.conditioned_on_ego


def test_samples_depend_on_seed_and_latents(tiny, batch):
    _, clip = batch

    def predicted(seed, model=tiny):
        return model.predict(clip.observation, 3, 2, seeded(seed)).vehicles[:, 0]

    torch.testing.assert_close(predicted(0), predicted(0), rtol=0, atol=0)
    assert (predicted(0) - predicted(1)).abs().max() > 1e-3
    assert (predicted(0)[:, 0] - predicted(0)[:, 1]).abs().max() > 1e-3
    assert ((predicted(0) >= 0) & (predicted(0) <= 1)).all()
    torch.manual_seed(0)
    fresh = predicted(0, TINY_MODEL.build().eval())
    torch.testing.assert_close(fresh[:, 0], fresh[:, 1])


def test_each_sample_is_that_of_its_noise(tiny, batch):
    """Batching samples and elements changes nothing: one at a time gives the same."""
    _, clip = batch
    noise = torch.randn(3, 2, 3, tiny.spec.latent)
    together = tiny.rollout(clip.observation, noise)
    for element in range(3):
        one = Observation(
            *(
                getattr(clip.observation, key)[element : element + 1]
                for key in ("images", "ego", "size_m")
            )
        )
        for sample in range(2):
            alone = tiny.rollout(one, noise[element : element + 1, sample : sample + 1])
            torch.testing.assert_close(
                together.vehicles[element, 0, sample], alone.vehicles[0, 0, 0],
                atol=1e-5, rtol=1e-4,
            )  # fmt: skip


def test_one_step_is_the_first_of_many(tiny, batch):
    _, clip = batch
    noise = torch.randn(3, 1, 4, tiny.spec.latent)
    long = tiny.rollout(clip.observation, noise)
    short = tiny.rollout(clip.observation, noise[:, :, :1])
    torch.testing.assert_close(long.vehicles[:, :, :, :1], short.vehicles)


def test_repeat_puts_copies_side_by_side(tiny, batch):
    _, clip = batch
    state = tiny.begin(clip.observation)
    repeated = repeat(state, 3)
    for field in dataclasses.fields(state):
        one, many = getattr(state, field.name), getattr(repeated, field.name)
        if isinstance(one, int):
            assert one == many
            continue
        for copy in range(9):
            torch.testing.assert_close(many[copy], one[copy // 3])


def test_in_training_samples_of_the_same_noise_differ_by_dropout_alone(tiny, batch):
    _, clip = batch
    noise = torch.randn(3, 1, 3, tiny.spec.latent).expand(-1, 4, -1, -1)
    agreed = tiny.rollout(clip.observation, noise).vehicles
    torch.testing.assert_close(agreed, agreed[:, :, :1].expand_as(agreed))
    tiny.train()
    varied = tiny.rollout(clip.observation, noise).vehicles
    assert varied.var(2).amax() > 1e-6
    # The history is encoded without dropout: all start from one state.
    first, second = tiny.begin(clip.observation), tiny.begin(clip.observation)
    torch.testing.assert_close(first.features, second.features)
    torch.testing.assert_close(first.initial_motion, second.initial_motion)


def test_divergence_is_that_of_torch():
    mean, log_variance = torch.randn(7, 5), torch.randn(7, 5)
    latent = Latent(mean, log_variance)
    normal = distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = distributions.kl_divergence(normal, distributions.Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(latent.divergence(), expected)
    standard = Latent(torch.zeros(2, 3), torch.zeros(2, 3))
    assert (standard.divergence() == 0).all()
    wide = Latent(mean[:1].expand(20000, 5), log_variance[:1].expand(20000, 5))
    sample = wide.sample(seeded())
    torch.testing.assert_close(sample.mean(0), mean[0], atol=0.08, rtol=0)
    torch.testing.assert_close(sample.std(0), normal.scale[0], atol=0.08, rtol=0)


def test_the_posterior_reads_the_target(tiny, batch):
    clips, clip = batch
    state = tiny.begin(clip.observation)
    target = clips.target(clip, tiny, 3)
    first, second = (tiny.posterior(state, target, step) for step in (0, 2))
    assert first.mean.shape == (3, tiny.spec.latent)
    assert (first.mean - second.mean).abs().max() > 1e-4


def loss_of(model, clips, clip, steps=3, latent_dropout=0.5):
    weights = WorldModelLossConfig(latent_dropout=latent_dropout, kl_weight=1e-4)
    target = clips.target(clip, model, steps)
    return world_model_loss(model, clip.observation, target, weights, seeded())


def test_the_loss_is_the_sum_of_its_terms(tiny, batch):
    terms = loss_of(tiny, *batch)
    named = terms.named
    expected = named["vehicles"] + named["road"] + 1e-4 * named["kl_divergence"]
    expected = expected + 0.06 * named["flow_m"]
    torch.testing.assert_close(terms.total, expected)
    assert set(terms.scalars()) == {"loss", *named}
    # Every weight has a gradient: nothing is cut off from the loss.
    terms.total.backward()
    for name, parameter in tiny.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_without_posterior_samples_there_is_no_divergence(tiny, batch):
    assert loss_of(tiny, *batch, latent_dropout=1.0).named["kl_divergence"] == 0
    assert loss_of(tiny, *batch, latent_dropout=0.0).named["kl_divergence"] > 0


def test_a_few_updates_lower_the_loss(batch):
    torch.manual_seed(0)
    model = TINY_MODEL.build()
    # A world that an untrained model gets wrong: everything drifts to the left in the truth.
    clips, clip = batch
    ahead = torch.tensor([3, 6, 9])
    target = clips.target(clip, model, 3)
    poses = model.image_poses(clip.observation, target.ego)
    poses[..., 1] -= torch.tensor([0.5, 1.0, 1.5])
    flow, valid = clips.flow(clip, ahead, poses)
    drifted = clips.draw_vehicles(clip, ahead, poses)
    images = dataclasses.replace(target.images, vehicles=drifted, flow=flow, flow_valid=valid)
    target = dataclasses.replace(target, images=images)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses, generator = [], seeded()
    for _ in range(40):
        terms = world_model_loss(model, clip.observation, target, WorldModelLossConfig(), generator)
        optimizer.zero_grad()
        terms.total.backward()
        optimizer.step()
        losses.append(terms.named["vehicles"].item())
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
