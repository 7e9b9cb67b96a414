"""PPUU's forward model: its size, what its images answer to, and where gradients run."""

import dataclasses

import pytest
import torch

import train.world_model
from ppuu.costs import DrivingCost
from ppuu.geometry import to_world
from ppuu.kinematics import action_between, rollout
from ppuu.objectives import WorldModelLossConfig, world_model_loss
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.raster_image import CHANNELS, RasterConfig
from ppuu.predictions import Rollout
from ppuu.runtime.checkpoint import Checkpoint
from ppuu.runtime.errors import InputError
from ppuu.world_models import CoupledConfig, Ensemble, coupled
from ppuu.world_models.convolutions import Conv2d
from tests.helpers import Car, dense_recording, straight_recording
from tests.rollouts import tiny_clips

RASTER = RasterConfig(64, 24)
CONFIG = CoupledConfig(ObservationConfig(3, 3, RASTER), features=8, latent=4)
KINDS = {
    "coupled": CONFIG,
    "kinematic": dataclasses.replace(CONFIG, ego="kinematic"),
    "action-free": dataclasses.replace(CONFIG, ego="kinematic", action="state"),
    "deterministic": dataclasses.replace(CONFIG, latent=0, residual="values"),
}
STEPS = 3
BATCH = 3


@pytest.fixture(scope="module")
def batch():
    clips = tiny_clips([dense_recording()], config=CONFIG.observation)
    return clips, clips.batch(torch.tensor([5, 400, 900]))


def built(config, seed=0):
    """A model whose latents and actions are audible, as after training."""
    torch.manual_seed(seed)
    model = config.build().eval()
    model.normalizer.action_mean.fill_(0.3)  # no action of these clips is zero, then
    with torch.no_grad():
        for part in (model.image_decoder, model.action_encoder):
            for weight in part.parameters():
                weight.mul_(2.0)
    return model


@pytest.fixture(params=KINDS, ids=list(KINDS))
def model(request):
    return built(KINDS[request.param])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def path_of(clip, steps=STEPS):
    """The recorded drive, as the only candidate."""
    return clip.future[:, None, 2 : 3 * steps : 3]


def predicted(model, clip, samples=2, path=None, seed=1):
    path = path_of(clip) if path is None else path
    return model.predict(clip.observation, path.shape[2], samples, seeded(seed), path)


def parameters(**changes):
    config = dataclasses.replace(train.world_model.PRESETS["paper"].model, **changes)
    return sum(weight.numel() for weight in config.build().parameters())


def test_at_its_published_size_it_has_the_published_weights():
    """15.63 and 11.78 million are counted from the published code; exact sums by hand."""
    assert parameters() == 15_633_543
    assert parameters(latent=0) == 11_784_839
    # Without the head that moves the ego, and with five numbers as condition instead of two.
    assert parameters(ego="kinematic") == 15_633_543 - 1_509_380
    assert parameters(ego="kinematic", action="state") == 15_633_543 - 1_509_380 + 3 * 256


def test_predictions_have_the_shapes_and_poses_of_their_kind(model, batch):
    _, clip = batch
    prediction, path = predicted(model, clip), path_of(clip)
    assert prediction.vehicles.shape == (BATCH, 1, 2, STEPS, 64, 24)
    assert prediction.road.shape == (BATCH, 1, 2, STEPS, 2, 64, 24)
    assert ((prediction.vehicles >= 0) & (prediction.vehicles <= 1)).all()
    assert model.spec.conditioned_on_ego
    poses = model.image_poses(clip.observation, path[:, 0])
    torch.testing.assert_close(poses, path[:, 0, :, :3])
    if not model.spec.moves_ego:
        torch.testing.assert_close(prediction.pose[:, 0], poses)
    else:
        # The head is untrained: its deviation from constant velocity is small.
        assert 0 < (prediction.pose[:, 0] - poses)[..., :2].abs().max() < 2.0


def test_every_candidate_is_predicted_as_if_it_were_alone(model, batch):
    """Samples of different candidates have the same noise."""
    _, clip = batch
    actions = torch.tensor([[-4.0, 0.02], [1.0, -0.01], [0.0, 0.0]])[None, :, None]
    actions = actions.expand(BATCH, 3, 3 * STEPS, 2)
    start = clip.observation.ego[:, None, -1].expand(-1, 3, -1)
    paths = rollout(start, actions, 0.1)[:, :, 2::3]
    noise = torch.randn(BATCH, 2, STEPS, model.spec.latent)
    together = model.rollout(clip.observation, noise, paths)
    assert together.vehicles.shape[:4] == (BATCH, 3, 2, STEPS)
    for k in range(3):
        alone = model.rollout(clip.observation, noise, paths[:, k : k + 1])
        for key in ("vehicles", "road", "pose"):
            one = getattr(together, key)[:, k]
            torch.testing.assert_close(one, getattr(alone, key)[:, 0], atol=1e-4, rtol=1e-4)


def test_images_follow_the_ego(model, batch):
    _, clip = batch
    actions = torch.tensor([-4.0, 0.02]).expand(BATCH, 3 * STEPS, 2)
    other = rollout(clip.observation.ego[:, -1], actions, 0.1)[:, None, 2::3]
    original, transformed = predicted(model, clip), predicted(model, clip, path=other)
    assert (original.vehicles - transformed.vehicles).abs().max() > 1e-3
    with pytest.raises(AssertionError, match="needs the ego's next state"):
        model.predict(clip.observation, 1, 1, seeded())


def test_the_prediction_does_not_depend_on_the_site(model, batch):
    _, clip = batch
    model.double()
    observation = dataclasses.replace(
        clip.observation,
        **{key: getattr(clip.observation, key).double() for key in ("images", "ego", "size_m")},
    )
    moved = torch.tensor([300.0, -20.0, 2.0], dtype=torch.float64)
    transformed = dataclasses.replace(observation, ego=to_world(observation.ego, moved))
    path = path_of(clip).double()
    torch.manual_seed(0)
    noise = torch.randn(BATCH, 2, STEPS, model.spec.latent, dtype=torch.float64)
    first = model.rollout(observation, noise, path)
    second = model.rollout(transformed, noise, to_world(path, moved))
    torch.testing.assert_close(first.vehicles, second.vehicles)
    torch.testing.assert_close(first.road, second.road)
    expected = to_world(first.pose, moved)
    torch.testing.assert_close(second.pose, expected)


def test_the_seed_decides_and_samples_are_those_of_their_noise(model, batch):
    _, clip = batch
    first = predicted(model, clip).vehicles
    torch.testing.assert_close(first, predicted(model, clip).vehicles, rtol=0, atol=0)
    differ = (first[:, :, 0] - first[:, :, 1]).abs().max()
    assert differ == 0 if model.spec.latent == 0 else differ > 1e-4
    noise = torch.randn(BATCH, 2, STEPS, model.spec.latent)
    path = path_of(clip)
    together = model.rollout(clip.observation, noise, path)
    for k in range(2):
        alone = model.rollout(clip.observation, noise[:, k : k + 1], path)
        torch.testing.assert_close(together.vehicles[:, :, k], alone.vehicles[:, :, 0])


def test_step_by_step_is_the_same(model, batch):
    _, clip = batch
    noise = torch.randn(BATCH, 1, STEPS, model.spec.latent)
    path = path_of(clip)
    together = model.rollout(clip.observation, noise, path)
    state = model.begin(clip.observation)
    for step in range(STEPS):
        state, _ = model.advance(state, path[:, 0, step], noise[:, 0, step])
        one = model.decode([state], clip.observation, 1)
        torch.testing.assert_close(one.vehicles[:, :, :, 0], together.vehicles[:, :, :, step])
        torch.testing.assert_close(one.road[:, :, :, 0], together.road[:, :, :, step])
        torch.testing.assert_close(one.pose[:, :, 0], together.pose[:, :, step])


def test_a_model_that_moves_the_ego_tells_where_and_others_believe(model, batch):
    _, clip = batch
    path, noise = path_of(clip)[:, 0], torch.randn(BATCH, model.spec.latent)
    state, ego = model.advance(model.begin(clip.observation), path[:, 0], noise)
    pose = model.decode([state], clip.observation, 1).pose[:, 0, 0]
    torch.testing.assert_close(pose, ego[:, :3])
    assert torch.equal(ego, path[:, 0]) != model.spec.moves_ego


def test_a_state_is_a_history_and_so_is_what_was_predicted(model, batch):
    """Encoding the predicted images as if they had been seen goes on in the same way."""
    _, clip = batch
    latents = torch.randn(BATCH, 2, model.spec.latent)
    path = path_of(clip)[:, 0]
    state, ego = model.advance(model.begin(clip.observation), path[:, 0], latents[:, 0])
    prediction = model.decode([state], clip.observation, 1)
    lanes, offroad = prediction.road[:, 0, 0, 0].unbind(1)
    image = torch.stack([lanes, prediction.vehicles[:, 0, 0, 0], offroad], dim=1)
    observation = dataclasses.replace(
        clip.observation,
        images=torch.cat([clip.observation.images[:, 1:], image[:, None]], dim=1),
        ego=torch.cat([clip.observation.ego[:, 1:], ego[:, None]], dim=1),
    )
    later, _ = model.advance(state, path[:, 1], latents[:, 1])
    again, _ = model.advance(model.begin(observation), path[:, 1], latents[:, 1])
    torch.testing.assert_close(later.image, again.image)
    torch.testing.assert_close(later.ego, again.ego)


def cost_gradient(model, clip, weigh):
    """Of weighted costs along a path, and how much of it comes through images alone."""
    actions = torch.zeros(BATCH, 3 * STEPS, 2, requires_grad=True)
    states = rollout(clip.observation.ego[:, -1], actions, 0.1)[:, 2::3]
    latent = torch.zeros(BATCH, model.spec.latent)
    state, egos, parts = model.begin(clip.observation), [], []
    for step in range(STEPS):
        state, ego = model.advance(state, states[:, step], latent)
        egos.append(ego)
        parts.append(model.decode([state], clip.observation, 1))
    driven = Rollout(
        torch.stack(egos, dim=1)[:, None], actions[:, None, ::3], clip.previous_action[:, None],
        clip.observation.size_m, type(parts[0]).concatenate(parts), 0.3,
    )  # fmt: skip
    (gradient,) = torch.autograd.grad(weigh(driven), actions)
    return driven, gradient


def test_the_gradient_of_a_cost_reaches_the_actions(model, batch):
    _, clip = batch
    model.requires_grad_(False)

    def cost(driven):
        return DrivingCost().evaluate(driven).total.sum()

    driven, gradient = cost_gradient(model, clip, cost)
    assert gradient.isfinite().all()
    assert (gradient[:, :3].abs().amax((1, 2)) > 0).all()
    offset = driven.prediction.offset(driven.ego)
    torch.testing.assert_close(offset, torch.zeros_like(offset))
    # Either through the network, or through the masks: never twice.
    if model.spec.moves_ego:
        _, through = cost_gradient(
            model, clip, lambda d: d.prediction.vehicles[..., -1, :, :].sum()
        )
        assert (through[:, :3].abs().amax((1, 2)) > 0).all()
    else:
        assert not driven.prediction.vehicles.requires_grad


def test_the_estimated_speed_is_that_of_the_lane():
    """Ego at 6 m/s, 10 m/s ahead and behind, 3 m/s beside; alone it is the ego's own."""
    cars = [Car(0.0, 1, 6.0), Car(16.0, 1, 10.0), Car(-20.0, 1, 10.0), Car(8.0, 0, 3.0)]
    for some, speed in ((cars, 10.0), (cars[:1], 6.0)):
        clips = tiny_clips([straight_recording(some)], config=ObservationConfig(4, 3))
        clip = clips.batch((clips.ego == 0).nonzero()[:1, 0])
        model = CoupledConfig(ObservationConfig(4, 3), features=8).build().eval()
        estimate = predicted(model, clip).motion.speed.speed_mps
        torch.testing.assert_close(estimate, torch.full((1,), speed), atol=0.5, rtol=0)


@pytest.mark.parametrize("kind", ["coupled", "kinematic"])
def test_masks_are_shifted_only_where_the_kinematics_move_the_ego(kind, batch):
    _, clip = batch

    def ahead(driven):
        return driven.prediction.offset(driven.ego)[:, 0, -1, 0].sum()

    _, gradient = cost_gradient(built(KINDS[kind]), clip, ahead)
    if kind == "coupled":
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-6, rtol=0)
    else:
        # Metres ahead that the last of nine frames' poses gains for each m/s2 in the first.
        torch.testing.assert_close(
            gradient[:, 0, 0], torch.full((BATCH,), 0.1 * 0.1 * (9 - 0.5)), atol=1e-4, rtol=1e-3
        )


def test_an_action_free_model_is_not_told_the_action(batch, monkeypatch):
    _, clip = batch
    model = built(KINDS["action-free"])
    assert model.action_encoder[0].in_features == 5

    def refuse(*_):
        raise RuntimeError("asked for the action")

    monkeypatch.setattr(coupled, "action_between", refuse)
    predicted(model, clip)
    with pytest.raises(RuntimeError, match="asked for the action"):
        predicted(built(KINDS["kinematic"]), clip)
    # At standstill, where curvature is undefined, a turn is still an input.
    present = torch.tensor([[3.0, 1.0, 0.2, 0.0]])
    features = model.action_features(present, present + torch.tensor([0.0, 0.0, 0.015, 0.0]))
    expected = torch.tensor([[0.0, 0.0, 1.0, 1.0, 0.0]])
    torch.testing.assert_close(features, expected, atol=2e-4, rtol=0)


def test_the_model_is_told_the_action_that_was_driven(batch):
    _, clip = batch
    model = built(CONFIG)
    model.normalizer.fit(torch.randn(500, 2) * torch.tensor([1.0, 0.01]), torch.randn(50, 14))
    actions = torch.tensor([[0.5, 0.004], [-1.0, -0.01], [0.0, 0.0]])
    present = torch.tensor([[5.0, 1.0, 3.1, 8.0]]).expand(3, 4)
    then = rollout(present, actions[:, None].expand(-1, 3, -1), 0.1)[:, -1]
    torch.testing.assert_close(action_between(present, then, 0.3), actions, atol=1e-5, rtol=1e-3)
    mean, deviation = model.normalizer.action_mean, model.normalizer.action_std
    torch.testing.assert_close(
        model.action_features(present, then), (actions - mean) / deviation, atol=1e-2, rtol=1e-2
    )


@pytest.mark.parametrize("training", [False, True])
def test_a_history_is_encoded_once_for_all_samples(batch, monkeypatch, training):
    _, clip = batch
    model = built(CONFIG).train(training)
    rows, pixels = [], []
    model.image_encoder[-1].register_forward_hook(
        lambda _, inputs, output: rows.append(len(output))
    )
    partial = Conv2d.partial

    def counted(layer, values, channels):
        pixels.append((len(values), values.shape[1] // CHANNELS))
        return partial(layer, values, channels)

    monkeypatch.setattr(Conv2d, "partial", counted)
    predicted(model, clip, samples=5)
    frames = CONFIG.observation.frames
    assert pixels[0] == (BATCH, frames)
    shares = [
        [(BATCH, frames - step)] * (step < frames) + [(5 * BATCH, min(step, frames))]
        for step in range(1, STEPS)
    ]
    assert pixels[1:] == [pair for share in shares for pair in share]
    assert rows == [BATCH] + [5 * BATCH] * (STEPS - 1)


def test_replicas_differ_by_dropout_alone(model, batch):
    _, clip = batch
    path = path_of(clip)
    noise = torch.randn(BATCH, 1, STEPS, model.spec.latent).expand(-1, 4, -1, -1)
    agreed = model.rollout(clip.observation, noise, path).vehicles
    torch.testing.assert_close(agreed, agreed[:, :, :1].expand_as(agreed))
    varied = model.replicas(4, seeded()).rollout(clip.observation, noise, path).vehicles
    assert varied.var(2).flatten(1).amax(1).min() > 1e-6
    assert not model.training


def test_an_ensemble_is_its_members(batch):
    _, clip = batch
    models = [built(CONFIG, seed).requires_grad_(False) for seed in range(2)]
    together, steps = Ensemble(models), CONFIG.observation.frames + 2  # nothing recorded is left
    path = path_of(clip).repeat(1, 1, 2, 1)[:, :, :steps]
    noise = torch.randn(BATCH, 2, steps, together.spec.latent)
    prediction, moved = together.rollout(clip.observation, noise, path), []
    for k, one in enumerate(models):
        alone = one.rollout(clip.observation, noise[:, k : k + 1], path)
        torch.testing.assert_close(
            prediction.vehicles[:, :, k], alone.vehicles[:, :, 0], atol=1e-4, rtol=1e-4
        )
        _, ego = one.advance(one.begin(clip.observation), path[:, 0, 0], noise[:, k, 0])
        moved.append(ego)
    torch.testing.assert_close(
        prediction.pose, models[0].rollout(clip.observation, noise[:, :1], path).pose
    )
    state = together.repeated(together.begin(clip.observation), 1, 2)
    then = path[:, 0, 0].repeat_interleave(2, 0)
    _, ego = together.advance(state, then, noise[:, :, 0].flatten(0, 1))
    assert together.spec.moves_ego
    torch.testing.assert_close(ego, torch.stack(moved, dim=1).flatten(0, 1))


def test_candidates_of_an_ensemble_are_those_of_its_members(batch):
    """Three samples by two members: the first one predicts two of each candidate."""
    _, clip = batch
    models = [built(CONFIG, seed).requires_grad_(False) for seed in range(2)]
    paths = torch.cat([path_of(clip), path_of(clip) + torch.tensor([0.5, 0.2, 0.01, 1.0])], dim=1)
    noise = torch.randn(BATCH, 3, STEPS, CONFIG.latent)
    prediction = Ensemble(models).rollout(clip.observation, noise, paths).vehicles
    assert prediction.shape[:4] == (BATCH, 2, 3, STEPS)
    for k in range(3):
        alone = models[k % 2].rollout(clip.observation, noise[:, k : k + 1], paths).vehicles
        torch.testing.assert_close(prediction[:, :, k], alone[:, :, 0], atol=1e-4, rtol=1e-4)


def loss_of(model, clips, clip, latent_dropout=0.5, generator=None):
    weights = WorldModelLossConfig(latent_dropout=latent_dropout, kl_weight=1e-4)
    target = clips.target(clip, model, STEPS)
    return world_model_loss(model, clip.observation, target, weights, generator or seeded())


def test_the_loss_is_the_sum_of_its_terms_and_teaches_every_weight(model, batch):
    terms = loss_of(model, *batch)
    named = terms.named
    expected = named["vehicles"] + named["road"] + 1e-4 * named["kl_divergence"]
    expected = expected + 0.01 * named.get("ego", 0.0)
    torch.testing.assert_close(terms.total, expected)
    assert ("ego" in named) == model.spec.moves_ego
    terms.total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_the_target_is_drawn_from_where_the_ego_then_was(model, batch):
    clips, clip = batch
    target = clips.target(clip, model, STEPS)
    later = clips.batch(torch.tensor([5, 400, 900]) + 3 * STEPS)
    torch.testing.assert_close(later.frame, clip.frame + 3 * STEPS)
    images = later.observation.images[:, -1]
    torch.testing.assert_close(target.images.vehicles[:, -1], images[:, 1])
    torch.testing.assert_close(target.images.road[:, -1], images[:, [0, 2]])
    assert target.images.road.shape[1] == STEPS
    assert target.images.flow is None


def test_with_z_dropout_the_posterior_is_not_listened_to(batch):
    """At 1 only the prior is sampled: nothing teaches the posterior, and it costs nothing."""
    clips, clip = batch
    model = built(CONFIG)
    terms = loss_of(model, clips, clip, latent_dropout=1.0)
    assert terms.named["kl_divergence"] == 0
    terms.total.backward()
    for part in (model.posterior_encoder, model.posterior_head):
        assert all(weight.grad is None or (weight.grad == 0).all() for weight in part.parameters())
    assert loss_of(model, clips, clip, latent_dropout=0.0).named["kl_divergence"] > 0


def test_the_posterior_looks_at_all_of_the_next_image(batch):
    clips, clip = batch
    model = built(CONFIG)
    target, state = clips.target(clip, model, STEPS), model.begin(clip.observation)
    posterior_mean = model.posterior(state, target, 1).mean
    for key in ("vehicles", "road"):
        other = getattr(target.images, key).clone()
        other[:, 1] = 0.5
        changed = dataclasses.replace(
            target, images=dataclasses.replace(target.images, **{key: other})
        )
        assert (model.posterior(state, changed, 1).mean - posterior_mean).abs().max() > 1e-4
        torch.testing.assert_close(
            model.posterior(state, changed, 0).mean, model.posterior(state, target, 0).mean
        )


def test_an_untrained_model_repeats_the_last_image(batch):
    _, clip = batch
    torch.manual_seed(0)
    model = CONFIG.build().eval()
    prediction, last = predicted(model, clip, samples=1), clip.observation.images[:, -1]
    assert (prediction.vehicles[:, 0, 0] - last[:, None, 1]).abs().mean() < 0.02
    assert (prediction.road[:, 0, 0] - last[:, None, [0, 2]]).abs().mean() < 0.02


def test_empty_pixels_stay_empty_and_have_gradients(batch):
    _, clip = batch
    model = CONFIG.build().eval()
    *_, last = model.image_decoder.modules()
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    vehicles = predicted(model, clip, samples=1).vehicles[:, 0, 0]
    observed = clip.observation.images[:, -1, 1]
    empty = observed == 0
    torch.testing.assert_close(vehicles[:, -1].detach(), observed, atol=2e-2, rtol=0)
    assert vehicles[:, -1][empty].max() < 1e-6
    vehicles[:, 0][empty].sum().backward()
    assert last.bias.grad is not None and last.bias.grad[1] > 0


def test_a_few_updates_lower_the_loss(model, batch):
    clips, clip = batch
    torch.manual_seed(0)
    fresh = model.config.build()
    optimizer = torch.optim.Adam(fresh.parameters(), lr=1e-2)
    before = float(loss_of(fresh.eval(), clips, clip).total.detach())
    fresh.train()
    generator = seeded(1)
    for _ in range(15):
        terms = loss_of(fresh, clips, clip, generator=generator)
        optimizer.zero_grad()
        terms.total.backward()
        optimizer.step()
    assert loss_of(fresh.eval(), clips, clip).total < 0.9 * before


def test_a_resumed_run_is_an_uninterrupted_one(tmp_path):
    path = tmp_path / "dense.h5"
    dense_recording(per_lane=3, frames=60).save(path)
    preset = train.world_model.PRESETS["coupled-debug"]
    config = dataclasses.replace(preset, model=CONFIG, steps=2, batch=2)

    def fit(out, updates):
        loop = dataclasses.replace(config.loop, updates=updates, schedule="constant", log_every=1)
        train.world_model.main(
            (path,), out, dataclasses.replace(config, loop=loop), split="all", device="cpu"
        )
        return Checkpoint.load(out).model

    whole = fit(tmp_path / "whole", 4)
    fit(tmp_path / "parts", 2)
    parts = fit(tmp_path / "parts", 4)
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=0, atol=0)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"latent": -1}, "latent -1 at least 0"),
        ({"frames_per_step": 0}, "must be positive"),
        ({"dropout": 1.0}, "dropout 1.0"),
        ({"features": 10}, "multiple of 4"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(CONFIG, **change)
