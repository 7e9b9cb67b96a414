"""MPUR's unroll: which gradients exist, which must not, and what is shared by the replicas."""

import dataclasses

import pytest
import torch

from ppuu.costs import DrivingCost, Uncertainty
from ppuu.driving import motion
from ppuu.driving.vehicle_limits import VehicleLimits
from ppuu.geometry import to_local
from ppuu.kinematics import rollout as roll
from ppuu.objectives import (
    StartConfig,
    UnrollConfig,
    expert_path_loss,
    fit_expert_scale,
    imitation_loss,
    perturbed_starts,
    policy_loss,
    predicted_traffic,
    rollout_noise,
)
from ppuu.objectives.policy_unroll import expert_variances
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.warp import warp
from ppuu.policies import NetworkPolicy, NetworkPolicyConfig
from ppuu.policies.features import PixelsConfig
from ppuu.policies.learned_costs import ValueFunction
from ppuu.policies.unroll import ModelTraffic, unroll
from ppuu.predictions import ImageTarget, Target
from ppuu.runtime.errors import InputError
from ppuu.world_models import CoupledConfig, Ensemble
from tests.helpers import dense_recording
from tests.rollouts import TINY, TINY_MODEL, TINY_OBSERVATION, tiny_clips

STEPS = 4
CONFIG = UnrollConfig(steps=STEPS, replicas=3, hinge=0.0)
DT_S = 0.1


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def clip():
    clips = tiny_clips([dense_recording()])
    return clips.batch(torch.randint(len(clips), (6,), generator=seeded()))


def built(dropout=0.4):
    """A frozen model with heads that are not zero."""
    torch.manual_seed(0)
    model = dataclasses.replace(TINY_MODEL, dropout=dropout).build()
    with torch.no_grad():
        for head in (model.initial_motion_head, model.motion_change_head):
            head[-1].weight.normal_(0, 0.5)
    return model.requires_grad_(False).eval()


@pytest.fixture
def model():
    return built()


@pytest.fixture
def policy():
    torch.manual_seed(0)
    policy = NetworkPolicyConfig(PixelsConfig(TINY_OBSERVATION, (4, 4, 4)), 8).build()
    with torch.no_grad():
        policy.head.last.weight.normal_(0, 0.1)
    return policy


def unrolled(policy, model, clip, config=CONFIG, seed=0, starts=None, stepwise=False):
    """Through replicas of a model, from recorded starts if no others are given."""
    generator, seen = seeded(seed), clip.observation
    starts = seen if starts is None else starts
    replicas = model.replicas(config.replicas, generator)
    noise = rollout_noise(replicas, seen, config.steps, generator)
    if stepwise:
        traffic = ModelTraffic(replicas, starts, noise, config.replicas)
    else:
        traffic = predicted_traffic(replicas, seen, starts, noise, config.replicas)
    previous = clip.previous_action.repeat_interleave(len(starts.ego) // len(seen.ego), 0)
    return unroll(policy, traffic, starts, previous, config.steps, model.frames_per_step, DT_S)


def without_replicas(policy, model, clip, seed=0, samples=3):
    """Several samples of one model, alike since they share the noise."""
    noise = rollout_noise(model, clip.observation, STEPS, seeded(seed))
    traffic = predicted_traffic(model, clip.observation, clip.observation, noise, samples)
    return unroll(
        policy, traffic, clip.observation, clip.previous_action, STEPS, model.frames_per_step, DT_S
    )


class Fixed(NetworkPolicy):
    """Given actions, one a call, whatever is seen; remembers what it was shown."""

    def __init__(self, actions):
        torch.nn.Module.__init__(self)
        self.actions, self.shown = actions, []

    def forward(self, observation, generator=None):
        self.shown.append(observation)
        return self.actions[:, len(self.shown) - 1]


def fixed_actions(batch=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor([1.0, 0.01])
    return (torch.randn(batch, STEPS, 2, generator=generator) * scale).requires_grad_()


def test_states_are_those_of_the_held_actions(model, clip):
    actions = fixed_actions()
    rollout = unrolled(Fixed(actions), model, clip)
    seen = clip.observation
    expected = motion.drive(
        seen.ego[:, -1], actions, clip.previous_action, VehicleLimits.of(seen.size_m), DT_S,
        held=model.frames_per_step,
    )  # fmt: skip
    torch.testing.assert_close(rollout.states[:, 0], expected.states, atol=1e-4, rtol=0)
    torch.testing.assert_close(rollout.actions[:, 0], expected.actions)
    assert 0.1 < torch.isclose(expected.actions, actions).float().mean() < 0.99
    assert rollout.step_s == pytest.approx(0.3)
    assert rollout.prediction.vehicles.shape == (6, 1, 3, STEPS, TINY.rows, TINY.columns)
    poses = model.image_poses(clip.observation, rollout.states[:, 0])
    torch.testing.assert_close(rollout.prediction.pose[:, 0], poses)


def test_a_model_gives_the_same_step_by_step_as_at_once(model, clip):
    """With a policy in between; replicas, and a model that ignores the path."""
    at_once = unrolled(Fixed(fixed_actions()), model, clip)
    told, advance = [], model.advance

    def listens(state, ego, latent):
        told.append(ego)
        return advance(state, ego, latent)

    model.advance = listens
    stepwise = unrolled(Fixed(fixed_actions()), model, clip, stepwise=True)
    ours, theirs = stepwise.prediction, at_once.prediction
    torch.testing.assert_close(ours.vehicles, theirs.vehicles)
    torch.testing.assert_close(ours.road, theirs.road)
    torch.testing.assert_close(ours.pose, theirs.pose)
    cost = DrivingCost(CONFIG.cost)
    torch.testing.assert_close(cost.evaluate(stepwise).total, cost.evaluate(at_once).total)
    assert len(told) == STEPS
    for number, ego in enumerate(told):
        expected = stepwise.states[:, 0, number].repeat_interleave(3, 0)
        torch.testing.assert_close(ego, expected)
        assert ego.requires_grad


COARSE = ObservationConfig(3, 3, RasterConfig(64, 24))


def coupled(ego, members=1):
    """A model, or an ensemble, that answers to the ego, and clips it can see."""
    clip = tiny_clips([dense_recording()], config=COARSE).batch(torch.arange(0, 600, 100))
    torch.manual_seed(0)
    config = CoupledConfig(COARSE, features=8, latent=4, ego=ego)
    models = [config.build().requires_grad_(False).eval() for _ in range(members)]
    return models[0] if members == 1 else Ensemble(models).eval(), clip


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("ego", ["kinematic", "model"])
def test_a_conditioned_model_is_advanced_along_the_path(ego, members):
    """The same as if the model, or an ensemble, had been told the whole path at once."""
    model, clip = coupled(ego, members)
    replicas = model.replicas(3, seeded())
    noise = rollout_noise(replicas, clip.observation, STEPS, seeded(1))
    traffic = predicted_traffic(replicas, clip.observation, clip.observation, noise, 3)
    drive = unroll(
        Fixed(fixed_actions()), traffic, clip.observation, clip.previous_action, STEPS,
        model.frames_per_step, DT_S,
    )  # fmt: skip
    start = clip.observation.ego[:, None, -1]
    kinematic = roll(start, drive.actions, DT_S, held=3)
    if ego == "kinematic":
        # Frame by frame, the actions done differ a little from their mean over a step.
        torch.testing.assert_close(drive.states, kinematic, rtol=0, atol=0.05)
        path = drive.states
    else:
        # The model moves its ego, told where the kinematics would move it from there.
        assert (drive.states - kinematic).abs().max() > 1e-3
        ends = torch.cat([start[:, :, None], drive.states[:, :, :-1]], dim=2)
        path = roll(ends, drive.actions[:, :, :, None], DT_S, held=3)[:, :, :, 0]
    shared = noise[:, None].expand(-1, 3, -1, -1)
    at_once = replicas.rollout(clip.observation, shared, path)
    # Where the model moves the ego, each replica has its own; the path is that of the first.
    told = slice(None) if ego == "kinematic" else slice(1)
    ours, theirs = drive.prediction, at_once
    torch.testing.assert_close(ours.vehicles[:, :, told], theirs.vehicles[:, :, told])
    torch.testing.assert_close(ours.pose, theirs.pose)
    assert ours.vehicles.var(2).amax() > 1e-8


def test_latents_are_shared_and_dropout_is_not(model, clip):
    varied = unrolled(Fixed(fixed_actions()), model, clip).prediction.vehicles
    assert varied.var(2).amax() > 1e-5
    agreed, other = (
        without_replicas(Fixed(fixed_actions()), model, clip, seed).prediction.vehicles
        for seed in (0, 1)
    )
    torch.testing.assert_close(agreed, agreed[:, :, :1].expand_as(agreed))
    assert (agreed - other).abs().amax() > 1e-4


def test_the_policy_sees_the_first_replica_from_where_it_is(model, clip):
    policy = Fixed(fixed_actions())
    rollout = unrolled(policy, model, clip)
    assert len(policy.shown) == STEPS
    torch.testing.assert_close(policy.shown[0].images, clip.observation.images)
    for number in range(1, STEPS):
        seen = policy.shown[number]
        torch.testing.assert_close(seen.images[:, :-1], policy.shown[number - 1].images[:, 1:])
        torch.testing.assert_close(seen.ego[:, -1], rollout.states[:, 0, number - 1])
        expected = warp(
            rollout.prediction.vehicles[:, 0, 0, number - 1 : number],
            rollout.prediction.pose[:, 0, number - 1],
            rollout.states[:, 0, number - 1, :3],
            TINY,
        )
        torch.testing.assert_close(seen.images[:, -1, 1:2], expected)


def test_images_are_constants(model, policy, clip):
    fixed = Fixed(fixed_actions())
    rollout = unrolled(fixed, model, clip)
    assert rollout.states.requires_grad
    prediction = rollout.prediction
    for images in (prediction.vehicles, prediction.road, prediction.pose):
        assert not images.requires_grad
    assert not any(seen.images.requires_grad for seen in fixed.shown)
    # The ego's own history is not: the policy answers to where it has driven.
    assert fixed.shown[-1].ego.requires_grad


def test_every_part_of_the_policy_learns(model, policy, clip):
    uncertainty = Uncertainty(STEPS, CONFIG.hinge)
    terms = policy_loss(unrolled(policy, model, clip), uncertainty, CONFIG)
    terms.total.backward()
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        assert torch.isfinite(parameter.grad).all()
    assert all(parameter.grad is None for parameter in model.parameters())


def gradient(actions, model, clip, config, of="total", seed=0):
    uncertainty = Uncertainty(STEPS, config.hinge)
    uncertainty.expert_std.fill_(1e-3)
    rollout = unrolled(Fixed(actions), model, clip, config, seed)
    terms = policy_loss(rollout, uncertainty, config)
    value = terms.total if of == "total" else terms.named[of]
    return torch.autograd.grad(value, actions)[0], value


def test_every_action_is_judged(model, clip):
    found, _ = gradient(fixed_actions(), model, clip, CONFIG)
    assert (found.abs().sum((0, 2)) > 0).all()


def test_the_regulariser_reaches_the_actions(model, clip):
    """The published regulariser would have no gradient in a decoupled model; this one has."""
    actions = fixed_actions()
    found, value = gradient(actions, model, clip, CONFIG, of="uncertainty")
    assert value > 0
    assert found.abs().sum() > 1e-6
    # Both the acceleration and the curvature of the first action matter to it.
    assert (found[:, 0].abs().sum(0) > 1e-7).all()
    # It is the gradient: a small step along it lowers the disagreement, same replicas.
    step = 1e-3 / found.abs().amax((0, 1)) * torch.tensor([1.0, 0.01])
    moved = (actions - step * found).detach().requires_grad_()
    _, lower = gradient(moved, model, clip, CONFIG, of="uncertainty")
    expected = (step * found * found).sum()
    assert (value - lower).item() == pytest.approx(expected.item(), rel=0.2)


def test_without_weight_the_regulariser_has_no_say(model, clip):
    actions = fixed_actions()
    off = dataclasses.replace(CONFIG, uncertainty_weight=0.0)
    found, total = gradient(actions, model, clip, off)
    # The same as a loss that has never heard of uncertainty.
    rollout = unrolled(Fixed(actions), model, clip, off)
    costs = DrivingCost(off.cost).evaluate(rollout)
    outside = rollout.prediction.outside_view_m(rollout.ego)
    discount = off.discount ** torch.arange(STEPS)
    plain = ((costs.total + off.view_weight * outside) * discount).mean()
    torch.testing.assert_close(total, plain)
    torch.testing.assert_close(found, torch.autograd.grad(plain, actions)[0])
    on, _ = gradient(actions, model, clip, dataclasses.replace(CONFIG, uncertainty_weight=1.0))
    assert (on - found).abs().max() > 1e-6


def test_the_loss_is_the_discounted_sum_of_its_terms(model, clip):
    config = dataclasses.replace(CONFIG, discount=1.0)
    uncertainty = Uncertainty(STEPS, config.hinge)
    rollout = unrolled(Fixed(fixed_actions()), model, clip)
    terms = policy_loss(rollout, uncertainty, config)
    weights = {name: term.weight for name, term in DrivingCost(config.cost).terms().items()}
    weights |= {"uncertainty": config.uncertainty_weight, "outside_view": config.view_weight}
    expected = sum(weight * terms.named[name] for name, weight in weights.items())
    torch.testing.assert_close(terms.total, expected)


def test_experts_set_the_scale(model, clip):
    ahead = torch.arange(1, STEPS + 1) * model.frames_per_step - 1
    path = clip.future[:, ahead], clip.actions[:, ahead]

    def variances(model, uncertainty):
        return expert_variances(model, clip.observation, *path, CONFIG, uncertainty, seeded())

    told = variances(model, Uncertainty(STEPS))
    assert told.shape == (6, 1, STEPS)
    assert not told.requires_grad
    assert told.amax() > 0
    include_predictions = Uncertainty(STEPS, include_predictions=True)
    assert variances(model, include_predictions)[:, 1].amax() > 0
    with pytest.raises(InputError, match="has no dropout, so its replicas would be equal"):
        variances(built(dropout=0.0), include_predictions)


def test_after_the_fit_experts_have_no_mean_disagreement_and_unit_deviation(model, clip):
    ahead = torch.arange(1, STEPS + 1) * model.frames_per_step - 1
    uncertainty = Uncertainty(STEPS)
    recorded = [(clip.observation, clip.future, clip.actions)]
    fit_expert_scale(uncertainty, model, CONFIG, recorded, seeded())
    path = clip.future[:, ahead], clip.actions[:, ahead]
    variances = expert_variances(model, clip.observation, *path, CONFIG, uncertainty, seeded())
    scaled = uncertainty.standardise(variances[:, None])[:, 0, :, variances.std(0)[0] > 1e-5]
    assert scaled.numel() > 0
    torch.testing.assert_close(scaled.mean(0), torch.zeros_like(scaled[0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled.std(0), torch.ones_like(scaled[0]), atol=1e-4, rtol=0)


def test_imitation_by_hand(policy, clip):
    policy.normalizer.action_std.copy_(torch.tensor([2.0, 0.01]))
    target = clip.actions[:, 0] + 0.1
    terms = imitation_loss(policy, clip.observation, target)
    error = (policy(clip.observation) - target).detach()
    squared = (error[:, 0] / 2.0).square() + (error[:, 1] / 0.01).square()
    torch.testing.assert_close(terms.total.detach(), 0.5 * squared.mean())


@pytest.mark.parametrize("wrong", [{"replicas": 1}, {"steps": 0}])
def test_one_replica_cannot_disagree(wrong):
    with pytest.raises(InputError, match=r"replicas . at least 2"):
        UnrollConfig(**wrong)


def test_starts_are_the_recorded_one_and_others_like_it(clip):
    config = StartConfig(copies=3, speed_mps=1.5, lateral_m=0.3, heading_rad=0.02)
    starts = perturbed_starts(
        clip.observation, config, TINY, DT_S, TINY_OBSERVATION.stride, seeded()
    )
    assert len(starts.ego) == 18
    ours = clip.observation
    torch.testing.assert_close(starts.ego[::3], ours.ego, atol=1e-4, rtol=0)
    torch.testing.assert_close(starts.images[::3], ours.images, atol=1e-3, rtol=0)
    torch.testing.assert_close(starts.size_m, ours.size_m.repeat_interleave(3, 0))
    for copy in (1, 2):
        present, recorded = starts.ego[copy::3, -1], ours.ego[:, -1]
        # A shift to the side, and none along the road.
        local = to_local(present, recorded)
        assert local[:, 0].abs().max() < 1e-4
        assert (local[:, 1].abs() > 1e-4).all()
        # The positions of the history fit its speeds (the traffic drives at constant speed).
        moved = (starts.ego[copy::3, 1:, :2] - starts.ego[copy::3, :-1, :2]).norm(dim=-1)
        seconds = DT_S * TINY_OBSERVATION.stride
        torch.testing.assert_close(
            moved, starts.ego[copy::3, 1:, 3] * seconds, atol=2e-3, rtol=1e-3
        )


def test_starts_share_the_prediction_of_their_clip(model, policy, clip):
    """Each drives as it would drive alone in it."""
    config, seen = StartConfig(copies=2), clip.observation
    starts = perturbed_starts(seen, config, TINY, DT_S, TINY_OBSERVATION.stride, seeded())
    together = unrolled(policy, model, clip, starts=starts)
    assert together.prediction.vehicles.shape[:4] == (6, 1, 3, STEPS)
    assert together.states.shape == (6, 2, STEPS, 4)
    total = DrivingCost(CONFIG.cost).evaluate(together).total
    for copy in range(2):
        own = starts.take(torch.arange(copy, 12, 2))
        alone = unrolled(policy, model, clip, starts=own)
        torch.testing.assert_close(together.prediction.vehicles, alone.prediction.vehicles)
        torch.testing.assert_close(together.states[:, copy], alone.states[:, 0])
        expected = DrivingCost(CONFIG.cost).evaluate(alone).total
        torch.testing.assert_close(total[:, copy], expected[:, 0], atol=1e-5, rtol=1e-5)


def test_starts_of_a_conditioned_model_have_their_own_predictions():
    """Of the same noise and masks as if each were alone."""
    model, clip = coupled("kinematic")
    starts = perturbed_starts(
        clip.observation, StartConfig(copies=2), COARSE.raster, DT_S, COARSE.stride, seeded()
    )
    together = unrolled(Fixed(fixed_actions(12)), model, clip, starts=starts)
    assert together.states.shape == (12, 1, STEPS, 4)
    for copy in range(2):
        rows = torch.arange(copy, 12, 2)
        actions = fixed_actions(12)[rows]
        alone = unrolled(Fixed(actions), model, clip, starts=starts.take(rows))
        ours, theirs = together.prediction.vehicles[rows], alone.prediction.vehicles
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(together.states[rows], alone.states)
    assert not torch.allclose(together.prediction.vehicles[::2], together.prediction.vehicles[1::2])


def test_unrolling_draws_nothing_from_the_global_random_state(model, policy, clip):
    before = torch.get_rng_state()
    terms = policy_loss(unrolled(policy, model, clip), Uncertainty(STEPS), CONFIG)
    assert torch.equal(torch.get_rng_state(), before)
    again = policy_loss(unrolled(policy, model, clip), Uncertainty(STEPS), CONFIG)
    assert torch.equal(terms.total, again.total)


def test_who_drives_the_experts_path_pays_nothing(model, clip):
    """And a metre across costs more than one along."""
    expert = clip.future[:, [2, 5, 8, 11]]
    rollout = unrolled(Fixed(fixed_actions()), model, clip)
    rollout = dataclasses.replace(rollout, states=expert[:, None])
    assert expert_path_loss(rollout, expert).total == 0
    left = torch.stack([-expert[..., 2].sin(), expert[..., 2].cos()], dim=-1)
    ahead = torch.stack([expert[..., 2].cos(), expert[..., 2].sin()], dim=-1)
    paid = []
    for direction in (left, ahead):
        off = torch.cat([expert[..., :2] + direction, expert[..., 2:]], dim=-1)
        paid.append(
            expert_path_loss(dataclasses.replace(rollout, states=off[:, None]), expert).total
        )
    assert paid[0] > 2 * paid[1] > 0


def test_who_sees_what_the_expert_saw_pays_nothing_for_it(model, clip):
    rollout = unrolled(Fixed(fixed_actions()), model, clip)
    seen = dataclasses.replace(rollout.prediction, flow=None)
    rollout = dataclasses.replace(rollout, prediction=seen)
    images = ImageTarget(seen.vehicles[:, 0, 0], seen.road[:, 0, 0], torch.arange(STEPS))
    expert = rollout.states[:, 0]
    target = Target(expert, images=images)
    assert expert_path_loss(rollout, expert, target).total == 0
    other = dataclasses.replace(images, vehicles=1.0 - images.vehicles)
    terms = expert_path_loss(rollout, expert, dataclasses.replace(target, images=other))
    assert terms.total == terms.named["vehicles"] > 0.1


def test_vehicles_that_the_recording_has_lost_are_far_from_everything():
    tracks = torch.zeros(1, 2, 3, 4)
    valid = torch.tensor([[[True, True, False], [True, True, True]]])
    target = Target(torch.zeros(1, 3, 4), tracks, valid)
    assert torch.equal(target.placed_tracks[..., 0] > 1e4, ~valid)
    assert torch.equal(tracks, torch.zeros_like(tracks))


def test_a_value_counts_as_the_steps_that_follow(model, clip):
    class Judge(ValueFunction):
        """Ten times the speed at the end."""

        def __init__(self):
            torch.nn.Module.__init__(self)

        def forward(self, observation):
            return 10.0 * observation.ego[:, -1, 3]

    actions, generator = fixed_actions(), seeded()
    replicas = model.replicas(3, generator)
    noise = rollout_noise(replicas, clip.observation, STEPS, generator)
    judged = unroll(
        Fixed(actions), predicted_traffic(replicas, clip.observation, clip.observation, noise, 3),
        clip.observation, clip.previous_action, STEPS, model.frames_per_step, DT_S, Judge(),
    )  # fmt: skip
    torch.testing.assert_close(judged.value, 10.0 * judged.states[:, :, -1, 3])
    uncertainty = Uncertainty(STEPS)
    more = (
        policy_loss(judged, uncertainty, CONFIG).total
        - policy_loss(dataclasses.replace(judged, value=None), uncertainty, CONFIG).total
    )
    expected = CONFIG.discount**STEPS * judged.value.mean() / STEPS
    torch.testing.assert_close(more, expected)
    assert torch.autograd.grad(more, actions)[0][:, 0, 0].abs().min() > 0
