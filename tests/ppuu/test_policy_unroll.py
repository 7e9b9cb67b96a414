"""MPUR's unroll: which gradients exist, which must not, and what is shared by the replicas."""

import dataclasses

import pytest
import torch

from ppuu.costs import DrivingCost, Uncertainty
from ppuu.errors import InputError
from ppuu.geometry import to_local
from ppuu.kinematics import rollout as roll
from ppuu.learned_costs import ValueFunction
from ppuu.objectives import (
    StartConfig,
    UnrollConfig,
    expert_path_loss,
    expert_variances,
    from_prior,
    imitation_loss,
    policy_loss,
    replicas,
    unroll,
    varied_starts,
)
from ppuu.policies import NetworkPolicy, NetworkPolicyConfig
from ppuu.policies.features import PixelsConfig
from ppuu.raster import warp
from ppuu.world_models.base import TrueImages, Truth
from tests.helpers import dense_recording
from tests.rollouts import TINY, TINY_MODEL, TINY_OBSERVATION, tiny_clips

STEPS = 4
CONFIG = UnrollConfig(steps=STEPS, replicas=3, hinge=0.0)
DT_S = 0.1


@pytest.fixture(scope="module")
def clip():
    clips = tiny_clips([dense_recording()])
    torch.manual_seed(0)
    return clips.batch(torch.randint(len(clips), (6,)))


@pytest.fixture
def model():
    """As in training: frozen, with dropout, and with heads that are not zero."""
    torch.manual_seed(0)
    model = dataclasses.replace(TINY_MODEL, dropout=0.4).build()
    with torch.no_grad():
        for head in (model.present, model.change):
            head[-1].weight.normal_(0, 0.5)
    return model.requires_grad_(False).train()


@pytest.fixture
def policy():
    torch.manual_seed(0)
    policy = NetworkPolicyConfig(PixelsConfig(TINY_OBSERVATION, (4, 4, 4)), 8).build()
    with torch.no_grad():
        policy.head.last.weight.normal_(0, 0.1)
    return policy


def unrolled(policy, model, clip, config=CONFIG, seed=0):
    torch.manual_seed(seed)
    latents = from_prior(model, clip.observation, config.steps)
    surroundings = replicas(model, clip.observation, clip.observation, latents, config.replicas)
    return unroll(
        policy, surroundings, clip.observation, clip.previous_action, config.steps,
        model.frames_per_step, DT_S,
    )  # fmt: skip


class Fixed(NetworkPolicy):
    """Given actions, one a call, whatever is seen; remembers what it was shown."""

    def __init__(self, actions):
        torch.nn.Module.__init__(self)
        self.actions, self.shown = actions, []

    def forward(self, observation):
        self.shown.append(observation)
        return self.actions[:, len(self.shown) - 1]


def fixed_actions(batch=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor([1.0, 0.01])
    return (torch.randn(batch, STEPS, 2, generator=generator) * scale).requires_grad_()


def test_states_are_those_of_the_held_actions(model, clip):
    actions = fixed_actions()
    rollout = unrolled(Fixed(actions), model, clip)
    held = actions.repeat_interleave(model.frames_per_step, 1)
    expected = roll(clip.observation.ego[:, -1], held, DT_S)[:, model.frames_per_step - 1 :: 3]
    torch.testing.assert_close(rollout.states, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(rollout.actions, actions)
    assert rollout.step_s == pytest.approx(0.3)
    assert rollout.futures.vehicles.shape == (6, 3, STEPS, TINY.rows, TINY.columns)
    torch.testing.assert_close(
        rollout.futures.pose, model.image_poses(clip.observation, rollout.states)
    )


def test_the_futures_are_those_the_model_imagines(model, clip):
    """One step at a time with a policy in between, or all at once: the same images."""
    model.eval()
    rollout = unrolled(Fixed(fixed_actions()), model, clip)
    torch.manual_seed(0)
    latents = torch.empty(6, STEPS, model.latent_size).normal_()
    shared = latents[:, None].expand(-1, 3, -1, -1)
    futures = model.imagine(clip.observation, STEPS, 3, latents=shared)
    torch.testing.assert_close(rollout.futures.vehicles, futures.vehicles)
    torch.testing.assert_close(rollout.futures.road, futures.road)


def test_a_coupled_model_is_advanced_along_the_path(model, clip):
    """Step by step as the policy drives; a model that ignores the path gives the same images."""
    model.eval()
    at_once = unrolled(Fixed(fixed_actions()), model, clip)
    told, advance = [], model.advance

    def listens(state, ego, latent):
        told.append(ego)
        return advance(state, ego, latent)

    model.decoupled, model.advance = False, listens
    stepwise = unrolled(Fixed(fixed_actions()), model, clip)
    torch.testing.assert_close(stepwise.futures.vehicles, at_once.futures.vehicles)
    torch.testing.assert_close(stepwise.futures.road, at_once.futures.road)
    torch.testing.assert_close(stepwise.futures.pose, at_once.futures.pose)
    assert len(told) == STEPS
    for number, ego in enumerate(told):
        torch.testing.assert_close(ego, stepwise.states[:, number].repeat_interleave(3, 0))
        assert ego.requires_grad


def test_latents_are_shared_and_dropout_is_not(model, clip):
    varied = unrolled(Fixed(fixed_actions()), model, clip).futures.vehicles
    assert varied.var(1).amax() > 1e-5
    model.eval()
    agreed = unrolled(Fixed(fixed_actions()), model, clip).futures.vehicles
    torch.testing.assert_close(agreed, agreed[:, :1].expand_as(agreed))
    other = unrolled(Fixed(fixed_actions()), model, clip, seed=1).futures.vehicles
    assert (agreed - other).abs().amax() > 1e-4


def test_the_policy_sees_the_first_replica_from_where_it_is(model, clip):
    policy = Fixed(fixed_actions())
    rollout = unrolled(policy, model, clip)
    assert len(policy.shown) == STEPS
    torch.testing.assert_close(policy.shown[0].images, clip.observation.images)
    for number in range(1, STEPS):
        seen = policy.shown[number]
        torch.testing.assert_close(seen.images[:, :-1], policy.shown[number - 1].images[:, 1:])
        torch.testing.assert_close(seen.ego[:, -1], rollout.states[:, number - 1])
        expected = warp(
            rollout.futures.vehicles[:, 0, number - 1 : number],
            rollout.futures.pose[:, number - 1],
            rollout.states[:, number - 1, :3],
            TINY,
        )
        torch.testing.assert_close(seen.images[:, -1, 1:2], expected)


def test_images_are_constants(model, policy, clip):
    fixed = Fixed(fixed_actions())
    rollout = unrolled(fixed, model, clip)
    assert rollout.states.requires_grad
    for images in (rollout.futures.vehicles, rollout.futures.road, rollout.futures.pose):
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
    uncertainty.expert_deviation.fill_(1e-3)
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
    cost = DrivingCost(off.cost)
    terms, _ = cost.evaluate(rollout)
    beyond = Uncertainty(STEPS).beyond_view(rollout)
    discount = off.discount ** torch.arange(STEPS)
    plain = ((cost.total(terms) + off.view_weight * beyond) * discount).mean()
    torch.testing.assert_close(total, plain)
    torch.testing.assert_close(found, torch.autograd.grad(plain, actions)[0])
    on, _ = gradient(actions, model, clip, dataclasses.replace(CONFIG, uncertainty_weight=1.0))
    assert (on - found).abs().max() > 1e-6


def test_the_loss_is_the_discounted_sum_of_its_terms(model, clip):
    config = dataclasses.replace(CONFIG, discount=1.0)
    uncertainty = Uncertainty(STEPS, config.hinge)
    rollout = unrolled(Fixed(fixed_actions()), model, clip)
    terms = policy_loss(rollout, uncertainty, config)
    weights = {
        name: getattr(config.cost, f"{name}_weight")
        for name in DrivingCost(config.cost).evaluate(rollout)[0]
    }
    weights |= {"uncertainty": config.uncertainty_weight, "beyond_view": config.view_weight}
    expected = sum(weight * terms.named[name] for name, weight in weights.items())
    torch.testing.assert_close(terms.total, expected)


def test_experts_set_the_scale(model, clip):
    ahead = torch.arange(1, STEPS + 1) * model.frames_per_step - 1
    path = clip.future[:, ahead], clip.actions[:, ahead]
    told = expert_variances(model, clip.observation, *path, CONFIG, Uncertainty(STEPS))
    assert told.shape == (6, 1, STEPS)
    assert not told.requires_grad
    assert told.amax() > 0
    of_images = Uncertainty(STEPS, of_images=True)
    assert expert_variances(model, clip.observation, *path, CONFIG, of_images)[:, 1].amax() > 0
    model.eval()
    agreed = expert_variances(model, clip.observation, *path, CONFIG, of_images)
    torch.testing.assert_close(agreed, torch.zeros_like(agreed), atol=1e-8, rtol=0)


def test_imitation_by_hand(policy, clip):
    policy.normalizer.action_deviation.copy_(torch.tensor([2.0, 0.01]))
    target = clip.actions[:, 0] + 0.1
    terms = imitation_loss(policy, clip.observation, target)
    error = (policy(clip.observation) - target).detach()
    squared = (error[:, 0] / 2.0).square() + (error[:, 1] / 0.01).square()
    torch.testing.assert_close(terms.total.detach(), 0.5 * squared.mean())


@pytest.mark.parametrize("wrong", [{"replicas": 1}, {"steps": 0}])
def test_one_replica_cannot_disagree(wrong):
    with pytest.raises(InputError, match="two replicas"):
        UnrollConfig(**wrong)


def test_starts_are_the_recorded_one_and_others_like_it(clip):
    config = StartConfig(copies=3, speed_mps=1.5, left_m=0.3, heading_rad=0.02)
    torch.manual_seed(0)
    starts = varied_starts(clip.observation, config, TINY, DT_S, TINY_OBSERVATION.stride)
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


def test_starts_share_the_futures_of_their_clip(model, clip):
    config = dataclasses.replace(CONFIG, starts=StartConfig(copies=2))
    seen = clip.observation
    starts = varied_starts(seen, config.starts, TINY, DT_S, TINY_OBSERVATION.stride)
    latents = from_prior(model, seen, config.steps)
    surroundings = replicas(model, seen, starts, latents, 3)
    future, _ = surroundings(1, starts.ego[:, -1], torch.zeros(12, 2))
    assert future.vehicles.shape[:3] == (12, 3, 1)
    torch.testing.assert_close(future.vehicles[::2], future.vehicles[1::2])
    torch.testing.assert_close(future.pose[::2], future.pose[1::2])


def test_who_drives_the_experts_path_pays_nothing(model, clip):
    """And a metre across costs more than one along."""
    expert = clip.future[:, [2, 5, 8, 11]]
    rollout = dataclasses.replace(unrolled(Fixed(fixed_actions()), model, clip), states=expert)
    assert expert_path_loss(rollout, expert).total == 0
    left = torch.stack([-expert[..., 2].sin(), expert[..., 2].cos()], dim=-1)
    ahead = torch.stack([expert[..., 2].cos(), expert[..., 2].sin()], dim=-1)
    paid = []
    for direction in (left, ahead):
        off = torch.cat([expert[..., :2] + direction, expert[..., 2:]], dim=-1)
        paid.append(expert_path_loss(dataclasses.replace(rollout, states=off), expert).total)
    assert paid[0] > 2 * paid[1] > 0


def test_who_sees_what_the_expert_saw_pays_nothing_for_it(model, clip):
    rollout = unrolled(Fixed(fixed_actions()), model, clip)
    seen = rollout.images
    steps = torch.arange(STEPS)
    images = TrueImages(seen.vehicles[:, 0], seen.road, steps)
    assert expert_path_loss(rollout, rollout.states, images).total == 0
    other = dataclasses.replace(images, vehicles=1.0 - images.vehicles)
    terms = expert_path_loss(rollout, rollout.states, other)
    assert terms.total == terms.named["vehicles"] > 0.1


def test_whom_the_recording_has_lost_stands_in_nobodys_way():
    tracks = torch.zeros(1, 2, 3, 4)
    known = torch.tensor([[[True, True, False], [True, True, True]]])
    truth = Truth(torch.zeros(1, 3, 4), tracks, known)
    assert torch.equal(truth.present[..., 0] > 1e4, ~known)
    assert torch.equal(tracks, torch.zeros_like(tracks))


def test_a_value_counts_as_the_steps_that_follow(model, clip):
    class Judge(ValueFunction):
        """Ten times the speed at the end."""

        def __init__(self):
            torch.nn.Module.__init__(self)

        def forward(self, observation):
            return 10.0 * observation.ego[:, -1, 3]

    actions = fixed_actions()
    rollout = unrolled(Fixed(actions), model, clip)
    torch.manual_seed(0)
    latents = from_prior(model, clip.observation, STEPS)
    judged = unroll(
        Fixed(actions), replicas(model, clip.observation, clip.observation, latents, 3),
        clip.observation, clip.previous_action, STEPS, model.frames_per_step, DT_S, Judge(),
    )  # fmt: skip
    torch.testing.assert_close(judged.value, 10.0 * rollout.states[:, -1, 3])
    uncertainty = Uncertainty(STEPS)
    more = (
        policy_loss(judged, uncertainty, CONFIG).total
        - policy_loss(dataclasses.replace(judged, value=None), uncertainty, CONFIG).total
    )
    expected = CONFIG.discount**STEPS * judged.value.mean() / STEPS
    torch.testing.assert_close(more, expected)
    assert torch.autograd.grad(more, actions)[0][:, 0, 0].abs().min() > 0
