"""The joint-embedding world model: encoding, dependencies, gradients and training."""

import dataclasses

import pytest
import torch

from ppuu.encoders import ConvConfig, JepaNetworkConfig, MapHead, ResidualConfig, VectorHead
from ppuu.encoders.diagnostics import FAILURES
from ppuu.encoders.regularizers import (
    InfoNceConfig,
    InverseMotion,
    ReconstructionConfig,
    SigRegConfig,
    TiCoConfig,
    UntrainedConfig,
    VicRegConfig,
)
from ppuu.objectives import JepaLossConfig, jepa_diagnostics, jepa_loss
from ppuu.perception.flow import block_matching_flow
from ppuu.perception.privileged_state import PrivilegedState
from ppuu.perception.road_map import RoadMap
from ppuu.planners import CemPlanner, GradientPlanner
from ppuu.policies.planning import PlanningConfig, PlanningPolicy
from ppuu.prediction_sources import ModelSource
from ppuu.runtime.config import from_json, to_json
from ppuu.runtime.errors import InputError
from ppuu.runtime.pytree import repeat
from ppuu.world_models import JepaConfig, WorldModelConfig, posterior_noise
from tests.helpers import dense_recording
from tests.rollouts import TINY_OBSERVATION, tiny_clips

NETWORK = JepaNetworkConfig(ConvConfig((4, 8), 2), MapHead(6), ResidualConfig(8))
TINY = JepaConfig(TINY_OBSERVATION, jepa=NETWORK, latent=3, readout=8)
STEPS = 4


@pytest.fixture(scope="module")
def data():
    clips = tiny_clips([dense_recording()])
    clip = clips.batch(torch.arange(0, 200, 25))
    return clips, clip


def model_of(config=TINY, seed=0):
    torch.manual_seed(seed)
    return config.build()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def target_of(data, model):
    clips, clip = data
    return clips.target(clip, model, STEPS, seeded())


def loss_of(data, model, config=None):
    config = config or JepaLossConfig()
    return jepa_loss(model, data[1].observation, target_of(data, model), config, seeded())


def test_encoder_inputs_are_windows_of_true_images(data):
    """And the warped road equals the drawn one, away from the edges."""
    clips, clip = data
    model = model_of()
    target = target_of(data, model)
    stacks = model.stacks(model.begin(clip.observation), target.images.vehicles)
    frames = TINY_OBSERVATION.frames
    assert stacks.shape[1:3] == (STEPS + 1, frames + 2)
    for step in range(1, STEPS + 1):
        assert torch.equal(stacks[:, step, frames - 1], target.images.vehicles[:, step - 1])
        if step > 1:
            assert torch.equal(stacks[:, step, frames - 2], target.images.vehicles[:, step - 2])
    poses = model.image_poses(clip.observation, target.ego)
    road = clips.draw_road(clip, poses)
    assert (stacks[:, 1:, frames:] - road).abs().mean() < 0.02


def test_a_distractor_is_constant_over_a_sequence_and_is_all_that_differs(data):
    model = model_of(dataclasses.replace(TINY, distraction=0.7)).eval()
    target, observation = target_of(data, model), data[1].observation
    state, other = model.begin(observation), model_of().eval().begin(observation)
    assert state.pattern.min() >= 0.0 and 0.5 < state.pattern.max() <= 0.7
    assert not torch.equal(state.embedding, other.embedding)
    vehicles = target.images.vehicles
    apart = model.stacks(state, vehicles) - model.stacks(other, vehicles)
    torch.testing.assert_close(apart, state.pattern[:, None].expand_as(apart), rtol=0, atol=1e-5)
    # Nothing but the encoder is distracted.
    assert torch.equal(state.history, other.history)
    assert torch.equal(state.road, other.road)


def test_a_distractor_is_a_function_of_the_position(data):
    model, observation = model_of(dataclasses.replace(TINY, distraction=0.7)), data[1].observation
    pattern = model.scene(observation).pattern
    assert torch.equal(pattern, model.scene(observation).pattern)
    away = observation.ego + torch.tensor([7.0, -3.0, 0.0, 0.0])
    elsewhere = model.scene(dataclasses.replace(observation, ego=away)).pattern
    for other in (elsewhere, pattern.roll(1, 0)):
        assert (pattern - other).abs().amax((1, 2, 3)).min() > 0.1


@pytest.mark.parametrize("distraction", [0.0, 0.7])
def test_the_first_target_is_the_present(data, distraction):
    model = model_of(dataclasses.replace(TINY, distraction=distraction)).eval()
    state = model.begin(data[1].observation)
    targets = model.targets(state, target_of(data, model))
    torch.testing.assert_close(targets[:, 0], state.embedding, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_training_begins_with_the_first_of_all_embeddings(data, momentum):
    """Encoded by itself, a norm over the batch would make it another one."""
    jepa = dataclasses.replace(TINY.jepa, norm="batch", target_momentum=momentum)
    model = model_of(dataclasses.replace(TINY, jepa=jepa)).train()
    inputs = []
    model.regularizer.register_forward_hook(
        lambda module, arguments, output: inputs.append(arguments[0])
    )
    loss_of(data, model)
    assert torch.equal(inputs[0].predicted[:, 0], inputs[0].online[:, 0])


def test_an_untrained_model_predicts_the_measured_flow(data):
    model, observation = model_of().eval(), data[1].observation
    flow = model.predict(observation, 2, 1, seeded()).flow
    state, owner, pixel = model.begin(observation), flow.batch_index, flow.pixel_index
    ago = TINY_OBSERVATION.lags(state.history.device) * TINY.dt_s
    velocity = block_matching_flow(state.history, ago, model.raster).flatten(2)[owner, :, pixel]
    torch.testing.assert_close(flow.displacement_m[:, 0, 1], 2 * model.step_s * velocity)


def test_the_ego_is_ignored(data):
    model, observation = model_of().eval(), data[1].observation
    noise = torch.randn(len(observation.ego), 1, 2, 3)
    away = torch.full((len(observation.ego), 1, 2, 4), 7.0)
    ours, theirs = (model.rollout(observation, noise, ego) for ego in (None, away))
    assert torch.equal(ours.vehicles, theirs.vehicles)


def test_two_steps_are_a_step_and_a_step(data):
    model, observation = model_of().eval(), data[1].observation
    with torch.no_grad():
        torch.nn.init.normal_(model.readout.last.weight)
    noise = torch.randn(len(observation.ego), 2, 2, 3)
    whole = model.rollout(observation, noise).vehicles
    state = repeat(model.begin(observation), 2)
    for number in range(2):
        state, _ = model.advance(state, None, noise.flatten(0, 1)[:, number])
        alone = model.decode([state], observation, 2)
        torch.testing.assert_close(
            alone.vehicles[:, :, :, 0], whole[:, :, :, number], rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("reconstruct", [False, True])
def test_the_readouts_gradient_ends_at_the_embeddings(data, reconstruct):
    config = dataclasses.replace(TINY, regularizer=ReconstructionConfig()) if reconstruct else TINY
    model = model_of(config)
    with torch.no_grad():
        torch.nn.init.normal_(model.readout.last.weight)
    named = loss_of(data, model).named
    (named["vehicles"] + named["road"] + named["flow_m"]).backward()
    reached = [p.grad is not None and p.grad.abs().sum() > 0 for p in model.jepa.parameters()]
    assert not any(reached)
    assert model.readout.middle.weight.grad.abs().sum() > 0


def test_reconstruction_paints_all_that_the_encoder_is_shown(data):
    """The present and what followed, as predicted."""
    model = model_of(dataclasses.replace(TINY, regularizer=ReconstructionConfig()))
    terms = loss_of(data, model)
    state = model.begin(data[1].observation)
    stacks = model.stacks(state, target_of(data, model).images.vehicles)
    assert 0.0 < terms.named["reconstruction"] < 4.0 * stacks.square().mean()
    terms.named["reconstruction"].backward()
    assert model.jepa.encoder[0].layers[0].weight.grad.abs().sum() > 0
    assert model.jepa.predictor.last.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("regularizer", [VicRegConfig(), SigRegConfig(directions=16), TiCoConfig()])
def test_demands_reach_the_encoder_though_targets_follow_it(data, regularizer):
    """With targets of a moving average; predictions are not looked at here."""
    jepa = dataclasses.replace(NETWORK, target_momentum=0.9)
    model = model_of(dataclasses.replace(TINY, jepa=jepa, regularizer=regularizer))
    terms = loss_of(data, model)
    wanted = {"variance", "covariance", "normality", "covariance_contrast", "time_similarity"}
    for name in wanted & set(terms.named):
        (grad,) = torch.autograd.grad(
            terms.named[name], model.jepa.encoder[0].layers[0].weight, retain_graph=True
        )
        assert grad.abs().sum() > 0
    assert len(wanted & set(terms.named)) >= 2


def test_the_posterior_is_that_of_the_true_embedding(data):
    model = model_of().eval()
    target, state = target_of(data, model), model.begin(data[1].observation)
    targets = model.targets(state, target)
    ours, theirs = (
        model.posterior(state, target, 2),
        model.posterior_head(state.embedding, targets[:, 3]),
    )
    torch.testing.assert_close(ours.mean, theirs.mean, rtol=1e-3, atol=1e-4)
    noise = posterior_noise(model, data[1].observation, target, seeded())
    assert noise.shape == (8, STEPS, 3)


@pytest.mark.parametrize(
    "regularizer",
    [
        VicRegConfig(),
        InfoNceConfig(),
        SigRegConfig(directions=16),
        ReconstructionConfig(),
        UntrainedConfig(),
    ],
    ids=lambda c: type(c).__name__,
)
def test_a_few_updates_lower_the_loss(data, regularizer):
    config = dataclasses.replace(TINY, regularizer=regularizer)
    model = model_of(config)
    before = [weight.clone() for weight in model.jepa.parameters()]
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(12):
        torch.manual_seed(0)  # dropout of the predictor
        terms = loss_of(data, model, JepaLossConfig(inverse_motion=0.1))
        optimizer.zero_grad()
        terms.total.backward()
        optimizer.step()
        losses.append(terms.total.item())
    assert losses[-1] < losses[0]
    kept = [torch.equal(*pair) for pair in zip(before, model.jepa.parameters(), strict=True)]
    assert all(kept) == isinstance(regularizer, UntrainedConfig)


@pytest.mark.parametrize("latent", [0, 3])
@pytest.mark.parametrize("head", [MapHead(6), VectorHead(6)], ids=["map", "vector"])
def test_every_configuration_builds_and_survives_json(data, latent, head):
    jepa = dataclasses.replace(NETWORK, head=head, target_momentum=0.9, projector=7)
    config = dataclasses.replace(TINY, latent=latent, jepa=jepa)
    assert from_json(WorldModelConfig, to_json(config)) == config
    model = model_of(config)
    target, observation = target_of(data, model), data[1].observation
    loss_of(data, model).total.backward()
    values = jepa_diagnostics(model.eval(), observation, target)
    silent = {"input_effect"} if not latent else set()
    assert {failure.value for failure in FAILURES} - silent <= set(values)
    other = model_of(config, seed=1).eval()
    other.load_state_dict(model.state_dict())
    noise = torch.randn(8, 1, 2, latent)
    ours, theirs = (m.rollout(observation, noise) for m in (model, other))
    assert torch.equal(ours.vehicles, theirs.vehicles)
    assert model.embedding(model.begin(observation)).shape == (8, model.spec.embedding)


def replicated(model, observation, count):
    """Vehicles as replicas predict them."""
    generator = seeded()
    replicas = model.replicas(count, generator)
    return replicas.predict(observation, 2, count, generator).vehicles[:, 0]


def test_replicas_differ_by_the_predictors_dropout_alone(data):
    for dropout in (0.5, 0.0):
        predictor = ResidualConfig(8, dropout=dropout)
        jepa = dataclasses.replace(NETWORK, predictor=predictor)
        model = model_of(dataclasses.replace(TINY, jepa=jepa)).eval()
        with torch.no_grad():
            torch.nn.init.normal_(model.readout.last.weight)
        if not dropout:
            with pytest.raises(InputError, match="has no dropout"):
                replicated(model, data[1].observation, 2)
            continue
        drawn = replicated(model, data[1].observation, 2)
        assert (drawn[:, 0] - drawn[:, 1]).abs().max() > 1e-4


def test_inverse_motion_counts_only_where_something_is_seen():
    loss = InverseMotion(3, (2, 2))
    torch.nn.init.zeros_(loss.predictor.weight)
    torch.nn.init.zeros_(loss.predictor.bias)
    embedding, motion, weight = (
        torch.randn(1, 3, 2, 2),
        torch.zeros(1, 2, 8, 8),
        torch.zeros(1, 8, 8),
    )
    assert loss(embedding, embedding, motion, weight).item() == 0.0
    weight[:, 1:3, 1:3] = 0.5
    motion[:, 0] = 3.0
    motion[:, :, 4:] = 1000.0
    assert loss(embedding, embedding, motion, weight).item() == pytest.approx(9.0)


@pytest.mark.parametrize(
    "planner",
    [GradientPlanner(iterations=3), CemPlanner(candidates=16, iterations=2, elites=4)],
    ids=lambda planner: type(planner).__name__,
)
def test_planning_in_it(data, planner):
    """A plan costs no more than any start, and disagreement between replicas is penalized."""
    model = model_of().requires_grad_(False).eval()
    torch.nn.init.normal_(model.readout.last.weight, std=0.2)
    clips, clip = data
    roads, some = RoadMap.build([clips.recordings[0].road], model.raster), torch.arange(2)
    observation, ego, frame = clip.observation.take(some), clip.ego[some], clip.frame[some]
    others = clips.scene.neighbours(frame, ego)
    privileged_state = PrivilegedState(
        clips.scene, ego, frame, others.boxes, others.speed_mps, others.valid, roads
    )
    costs = {}
    for weight in (0.0, 2.0):
        config = PlanningConfig(planner, steps=3, samples=2, starts=2, uncertainty_weight=weight)
        policy = PlanningPolicy(ModelSource(model), config)
        policy.act(observation, privileged_state)
        plan, cost = policy.decision.plan, policy.decision.cost
        still = torch.zeros(len(observation.ego), 1, 3, 2)
        costs[weight] = cost(still)
        assert (plan.cost <= costs[weight][:, 0] + 1e-4).all()
        assert (plan.cost < costs[weight][:, 0] - 1e-3).any()
    assert (costs[2.0] > costs[0.0]).any()
