"""The policy that owns a planner and a source of predictions."""

from dataclasses import dataclass, replace

import pytest
import torch

from ppuu.costs import DrivingCost
from ppuu.driving.motion import motion
from ppuu.driving.vehicle_limits import VehicleLimits
from ppuu.kinematics import ActionBounds, action_between, rollout, step
from ppuu.perception.goal import NODE_SPACING_M, Goal
from ppuu.perception.observation import ObservationConfig, observe
from ppuu.perception.privileged_state import PrivilegedState
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap
from ppuu.planners import PLANNERS, CemPlanner, GradientPlanner, Planner
from ppuu.planners.base import value_and_gradient
from ppuu.policies import NetworkPolicyConfig
from ppuu.policies.features import TracksConfig
from ppuu.policies.initial_plans import initial_plans
from ppuu.policies.planning import PlanningConfig, PlanningPolicy
from ppuu.policies.planning_cost import PlanningCost, aggregate_risk
from ppuu.prediction_sources import ModelSource, RecordedSource
from ppuu.predictions import Rollout
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError
from ppuu.runtime.pytree import mapped
from ppuu.units import LANE_WIDTH_M
from ppuu.world_models import (
    ConstantVelocity,
    CoupledConfig,
    Ensemble,
    TokensConfig,
    tracks_spec,
)
from tests.helpers import Car, straight_recording

SEEN = ObservationConfig(vehicles=6)
COARSE = ObservationConfig(2, 3, RasterConfig(64, 24), vehicles=6)
FAST = PlanningConfig(GradientPlanner(iterations=4), replan_every=1)


def situation(recording, egos, frame, seen=SEEN):
    """What egos of a recording see, and the truth about it."""
    scene, roads = Scene.build([recording]), RoadMap.build([recording.road], seen.raster)
    ego, frame = torch.tensor(egos), torch.full((len(egos),), frame)
    others = scene.neighbours(frame, ego)
    truth = PrivilegedState(
        scene, ego, frame, others.boxes, others.speed_mps, others.valid, roads
    )  # fmt: skip
    return observe(scene, roads, seen, ego, frame), truth


def closing_in(seen=SEEN):
    """Four egos who close in on somebody ahead, or are closed in upon."""
    places = [(0, 10, 0), (22, 5, 0), (5, 9, 1), (30, 4, 1), (-14, 14, 1), (12, 7, 2), (34, 3, 2)]
    cars = [Car(float(x), lane, float(speed)) for x, speed, lane in places]
    return situation(straight_recording(cars), [0, 2, 4, 5], 9, seen)


@pytest.fixture(scope="module")
def dense():
    return closing_in()


def tokens(seed=0, dropout=0.1):
    torch.manual_seed(seed)
    model = TokensConfig(SEEN, hidden=8, pair=4, heads=1, dropout=dropout).build()
    torch.nn.init.normal_(model.action_head[-1].weight, std=0.3)
    return ModelSource(model.requires_grad_(False).eval())


class Counting(Planner):
    """Counts its plans and hands on to another."""

    def __init__(self, inner):
        self.inner, self.batches = inner, []

    def plan(self, cost, starts, generator, deadline_s=None):
        self.batches.append(len(starts))
        return self.inner.plan(cost, starts, generator, deadline_s)


def test_samples_are_merged_as_named():
    costs = torch.tensor([[[1.0, 5.0, 3.0, 9.0, 2.0, 4.0]]])
    assert aggregate_risk(costs, "mean") == costs.mean()
    assert aggregate_risk(costs, "max") == 9.0
    assert aggregate_risk(costs, "cvar") == 7.0
    alike = torch.full((3, 2, 4), 2.5)
    assert all((aggregate_risk(alike, how) == 2.5).all() for how in ("mean", "max", "cvar"))
    for count in range(1, 8):
        drawn = torch.rand(25, 2, count, generator=torch.Generator().manual_seed(count))
        mean, most = aggregate_risk(drawn, "mean"), aggregate_risk(drawn, "max")
        tail = aggregate_risk(drawn, "cvar")
        assert (mean <= tail + 1e-6).all() and (tail <= most + 1e-6).all()


def planning_cost(source, seen, config):
    """What a policy's planner would lower."""
    observation, truth = seen
    generator = torch.Generator().manual_seed(0)
    prediction = source.predict(observation, truth, config.steps, config.samples, generator)
    replicas = None
    if config.uncertainty_weight:
        replicas = source.replicas(observation, config.steps, config.replicas, generator)
    previous = torch.zeros_like(observation.ego[:, -1, :2])
    return PlanningCost(
        observation, previous, prediction, replicas, config, source.frames_per_step, source.dt_s
    )


def cost_of(source, seen, config, candidates=3):
    """Costs of random action sequences, and these."""
    rows = len(seen[0].ego)
    generator = torch.Generator().manual_seed(1)
    actions = torch.rand(rows, candidates, config.steps, 2, generator=generator) - 0.5
    return planning_cost(source, seen, config)(actions), actions


@pytest.mark.parametrize("risk", ["mean", "max", "cvar"])
def test_a_plan_costs_what_its_drive_costs(dense, risk):
    """One sample: the driving cost of each path, one by one, discounted and averaged."""
    config = PlanningConfig(steps=5, discount=0.9, risk=risk, samples=2)
    found, actions = cost_of(RecordedSource(tracks_spec(SEEN)), dense, config)
    observation, truth = dense
    predict = RecordedSource(tracks_spec(SEEN)).predict(observation, truth, 5, 1, torch.Generator())
    cost = DrivingCost(config.cost)
    for candidate in range(3):
        physical = actions[:, candidate : candidate + 1] * ActionBounds().largest(actions)
        limits = VehicleLimits.of(observation.size_m[:, None])
        state, before = observation.ego[:, -1, None], torch.zeros(4, 1, 2)
        states, done = [], []
        for number in range(5):
            for _ in range(3):
                state, before = motion(state, physical[:, :, number], before, limits, 0.1)
                done.append(before)
            states.append(state)
        states = torch.stack(states, dim=2)
        actions_done = torch.stack(done, dim=2).unflatten(2, (5, 3)).mean(3)
        drive = Rollout(
            states, actions_done, torch.zeros(4, 1, 2), observation.size_m,
            predict(states, actions_done), 0.3,
        )  # fmt: skip
        total = cost.evaluate(drive).total[:, 0]
        expected = (total * 0.9 ** torch.arange(5)).mean(1)
        torch.testing.assert_close(found[:, candidate], expected, atol=1e-4, rtol=1e-4)


def test_alike_samples_cost_the_same_however_merged(dense):
    source = ModelSource(ConstantVelocity(tracks_spec(SEEN)))
    single, _ = cost_of(source, dense, PlanningConfig())
    for how in ("mean", "max", "cvar"):
        several, _ = cost_of(source, dense, PlanningConfig(samples=5, risk=how))
        torch.testing.assert_close(several, single, atol=1e-4, rtol=1e-4)


def test_risk_is_dearer_than_the_mean(dense):
    source = tokens()
    mean, tail, most = (
        cost_of(source, dense, PlanningConfig(samples=6, risk=how))[0]
        for how in ("mean", "cvar", "max")
    )
    assert (mean <= tail + 1e-5).all() and (tail <= most + 1e-5).all()
    assert (most - mean).max() > 1e-3


def test_uncertainty_costs_where_replicas_disagree(dense):
    free, _ = cost_of(tokens(), dense, PlanningConfig())
    priced, _ = cost_of(tokens(), dense, PlanningConfig(uncertainty_weight=2.0))
    assert (priced >= free).all() and (priced - free).max() > 1e-2
    with pytest.raises(InputError, match="has no dropout, so its replicas would be equal"):
        cost_of(tokens(dropout=0.0), dense, PlanningConfig(uncertainty_weight=2.0))
    with pytest.raises(InputError, match="is not a learned model"):
        cost_of(RecordedSource(tracks_spec(SEEN)), dense, PlanningConfig(uncertainty_weight=1.0))


def test_uncertainty_is_a_function_of_the_actions_in_a_coupled_model_too(dense):
    seen = ObservationConfig(2, 3, vehicles=8)
    torch.manual_seed(0)
    model = CoupledConfig(seen, features=8, latent=4, ego="kinematic").build()
    source = ModelSource(model.requires_grad_(False).eval())
    places = [(0, 10, 0), (22, 5, 0), (5, 9, 1), (30, 4, 1)]
    cars = [Car(float(x), lane, float(speed)) for x, speed, lane in places]
    observation, _ = situation(straight_recording(cars), [0, 2], 9, seen)
    replicas = source.replicas(observation, 2, 3, torch.Generator().manual_seed(0))
    actions = torch.zeros(2, 2, 2, 2)
    start = observation.ego[:, -1, None].expand(-1, 2, -1)
    states = rollout(start, actions, 0.1, held=3)
    first, again = (replicas(states, actions).vehicles for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first[:, :, 0], first[:, :, 1])


@pytest.mark.parametrize("name", PLANNERS)
@pytest.mark.parametrize("kind", ["recorded", "tokens"])
def test_every_planner_lowers_the_cost_with_every_source(dense, name, kind):
    source = RecordedSource(tracks_spec(SEEN)) if kind == "recorded" else tokens()
    policy = PlanningPolicy(source, PlanningConfig(PLANNERS[name], steps=4, samples=2))
    action = policy.act(*dense)
    assert (action.abs() <= torch.tensor([6.0, 0.065])).all()
    plan, cost = policy.decision.plan, policy.decision.cost
    starts = initial_plans(torch.zeros(4, 4, 2), dense[0].ego[:, -1], ActionBounds(), 0.3)
    assert (plan.cost <= cost(starts).min(1).values + 1e-4).all()
    assert (plan.cost < cost(starts).min(1).values - 1e-3).any()


@pytest.mark.parametrize("weight", [0.0, 20.0])
def test_an_environments_plan_does_not_depend_on_the_rest(dense, weight):
    observation, truth = dense
    config = replace(FAST, samples=3, risk="max", uncertainty_weight=weight)
    together = PlanningPolicy(tokens(), config)
    alone = PlanningPolicy(tokens(), config)
    row = torch.tensor([2])
    for _ in range(3):
        whole = together.act(observation, truth)
        single = alone.act(observation.take(row), truth.take(row))
        torch.testing.assert_close(single, whole[row], atol=1e-4, rtol=1e-3)
        # Others start afresh; it does not.
        together.reset(torch.tensor([True, True, False, True]))


def coupled(seed=0, dropout=0.3):
    torch.manual_seed(seed)
    config = CoupledConfig(COARSE, features=8, latent=4, dropout=dropout, ego="kinematic")
    return config.build().requires_grad_(False).eval()


def learned(kind):
    """A model with weights that were drawn, or an ensemble of three."""
    build, ensemble = MODELS[kind]
    if not ensemble:
        return build(0)
    return Ensemble([build(seed) for seed in range(3)]).requires_grad_(False).eval()


def in_double(kind):
    """A model of a kind, and what it sees, in double precision."""
    model = learned(kind).double()
    observation, truth = closing_in(model.observation)
    doubled = mapped(observation, lambda t: t.double() if t.is_floating_point() else t)
    return ModelSource(model), (doubled, truth)


UNCERTAIN = PlanningConfig(steps=3, samples=2, uncertainty_weight=50.0, replicas=3)
MODELS = {
    "tokens": (lambda seed: tokens(seed, dropout=0.3).predictor, False),
    "an ensemble": (lambda seed: tokens(seed).predictor, True),
    "coupled": (coupled, False),
    "an ensemble of coupled ones": (coupled, True),
}


def random_actions(rows, candidates, steps):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(rows, candidates, steps, 2, generator=generator, dtype=torch.float64) - 0.5


@pytest.mark.parametrize("kind", MODELS)
def test_a_plan_under_uncertainty_does_not_depend_on_the_rest(kind):
    """Costs, gradients and plans of a row, alone and among others."""
    source, (observation, truth) = in_double(kind)
    row = torch.tensor([2])
    whole = planning_cost(source, (observation, truth), UNCERTAIN)
    alone = planning_cost(source, (observation.take(row), truth.take(row)), UNCERTAIN)
    actions = random_actions(4, 3, 3)
    free = planning_cost(source, (observation, truth), replace(UNCERTAIN, uncertainty_weight=0.0))
    with torch.no_grad():
        assert (whole(actions) - free(actions))[row].min() > 1e-3, "replicas should disagree"
    costs, slopes = value_and_gradient(whole, actions)
    cost, slope = value_and_gradient(alone, actions[row])
    torch.testing.assert_close(cost, costs[row], atol=1e-11, rtol=0)
    torch.testing.assert_close(slope, slopes[row], atol=1e-11, rtol=0)
    starts = initial_plans(actions[:, 0], observation.ego[:, -1], ActionBounds(), 0.3)
    for planner in (GradientPlanner(iterations=2), CemPlanner(8, iterations=2, elites=3)):
        plans = planner.plan(whole, starts, torch.Generator().manual_seed(0))
        plan = planner.plan(alone, starts[row], torch.Generator().manual_seed(0))
        torch.testing.assert_close(plan.actions, plans.actions[row], atol=1e-11, rtol=0)
        torch.testing.assert_close(plan.cost, plans.cost[row], atol=1e-11, rtol=0)


@pytest.mark.parametrize("kind", MODELS)
def test_identical_candidates_cost_exactly_the_same(kind):
    """Nothing is drawn while costs are computed, wherever in the population a candidate stands."""
    cost = planning_cost(*in_double(kind), UNCERTAIN)
    actions = random_actions(4, 2, 3)
    with torch.no_grad():
        costs = cost(actions.repeat(1, 5, 1, 1)).unflatten(1, (5, 2))
        assert torch.equal(costs, costs[:, :1].expand_as(costs))
        assert torch.equal(costs[:, 0], cost(actions))
    assert (costs[..., 0] != costs[..., 1]).all()


@pytest.mark.parametrize("kind", MODELS)
def test_candidates_cost_the_same_in_chunks_as_at_once(kind, monkeypatch):
    cost = planning_cost(*in_double(kind), UNCERTAIN)
    sizes = []

    def listening(states, actions):
        sizes.append(states.shape[1])
        return cost.prediction(states, actions)

    heard = replace(cost, prediction=listening)
    actions = random_actions(4, 7, 3)
    with torch.no_grad():
        at_once = heard(actions)
        assert sizes == [7]
        # Four egos with three replicas each: two candidates at a time, or one where none fits.
        for most, expected in ((24, [2, 2, 2, 1]), (5, [1] * 7)):
            sizes.clear()
            monkeypatch.setattr("ppuu.policies.planning_cost._MAX_ROWS", most)
            torch.testing.assert_close(heard(actions), at_once, atol=1e-12, rtol=0)
            assert sizes == expected


@dataclass(frozen=True, eq=False)
class CountingSource(ModelSource):
    """Counts what it is asked for, and keeps what it answers."""

    def __post_init__(self):
        object.__setattr__(self, "told", [])

    def predict(self, *arguments):
        self.told.append(super().predict(*arguments))
        return self.told[-1]


def test_one_prediction_serves_populations_of_all_sizes(dense, monkeypatch):
    """It is computed once a plan, and nothing is kept for each size."""
    calls, model = [], tokens().predictor
    begin = model.begin
    monkeypatch.setattr(model, "begin", lambda seen: calls.append(1) or begin(seen))
    source = CountingSource(model)
    config = PlanningConfig(CemPlanner(64, iterations=5, elites=4, population_decay=0.6), steps=4)
    policy = PlanningPolicy(source, config)
    policy.act(*dense)
    assert len(calls) == len(source.told) == 1
    cost = policy.decision.cost
    nothing = torch.zeros(4, 1, 4, 4), torch.zeros(4, 1, 4, 2)
    prediction = source.told[0](*nothing)
    kept = set(vars(prediction)), set(vars(cost))
    for candidates in (1, 2, 3, 5, 8, 13, 21):
        cost(torch.zeros(4, candidates, 4, 2))
        assert cost.prediction(*(v.expand(-1, candidates, -1, -1) for v in nothing)) is prediction
    assert (set(vars(prediction)), set(vars(cost))) == kept
    assert len(calls) == 1


def test_planning_draws_nothing_from_the_global_random_state(dense):
    policy = PlanningPolicy(
        ModelSource(learned("tokens")), replace(UNCERTAIN, planner=CemPlanner(16, elites=4))
    )
    before = torch.get_rng_state()
    first = policy.act(*dense)
    assert torch.equal(torch.get_rng_state(), before)
    policy.reset(torch.ones(4, dtype=torch.bool))
    torch.manual_seed(12345)
    assert torch.equal(policy.act(*dense), first)


def test_who_stands_among_moving_traffic_pulls_away():
    """From one start, a zero plan: descent leaves standstill, where the speed is clamped."""
    cars = [Car(0.0, 1, 0.0), Car(30.0, 1, 9.0), Car(-30.0, 0, 9.0), Car(40.0, 2, 9.0)]
    observation, truth = situation(straight_recording(cars), [0], 9)
    config = PlanningConfig(GradientPlanner(iterations=8), starts=1)
    policy = PlanningPolicy(RecordedSource(tracks_spec(SEEN)), config)
    ego = observation.ego[:, -1]
    assert ego[0, 3] == 0
    first = policy.act(observation, truth)
    assert first[0, 0] > 0.3
    nothing = torch.zeros(1, 1, config.steps, 2)
    assert policy.decision.plan.cost < policy.decision.cost(nothing)[:, 0] - 0.1


def test_a_reset_episode_is_a_new_one(dense):
    used, fresh = (PlanningPolicy(RecordedSource(tracks_spec(SEEN)), FAST) for _ in range(2))
    first = fresh.act(*dense)
    used.act(*dense)
    second = used.act(*dense)
    assert not torch.equal(first, second), "a warm start should make a difference"
    used.reset(torch.tensor([True, False, True, False]))
    third = used.act(*dense)
    torch.testing.assert_close(third[[0, 2]], first[[0, 2]])
    assert not torch.allclose(third[[1, 3]], first[[1, 3]], atol=1e-4)


def test_between_plans_the_last_one_is_followed(dense):
    counting = Counting(FAST.planner)
    policy = PlanningPolicy(RecordedSource(tracks_spec(SEEN)), PlanningConfig(counting))
    actions = [policy.act(*dense) for _ in range(3)]
    assert counting.batches == [4]
    plan = policy.decision.plan.actions * torch.tensor([6.0, 0.065])
    # A step is three frames; what is done is what the vehicle can do.
    ego, limits = dense[0].ego, VehicleLimits.of(dense[0].size_m)
    before = action_between(ego[:, -2], ego[:, -1], SEEN.stride * 0.1)
    for frame, action in enumerate(actions):
        asked = torch.lerp(plan[:, 0], plan[:, 1], frame / 3)
        before = limits.project(asked, before, ego[:, -1, 3], 0.1)
        torch.testing.assert_close(action, before)
    # Who starts anew plans at once, the others when it is their turn.
    policy.reset(torch.tensor([True, False, False, False]))
    policy.act(*dense)
    policy.reset(torch.tensor([True, False, False, False]))
    policy.act(*dense)
    assert counting.batches == [4, 4, 1]


def test_the_next_search_begins_with_the_rest_of_the_plan(dense):
    """Six frames of two steps, then a plan that begins with the third."""
    starts = []

    class Telling(Planner):
        def plan(self, cost, first, generator, deadline_s=None):
            starts.append(first[:, 0])
            return FAST.planner.plan(cost, first, generator, deadline_s)

    policy = PlanningPolicy(
        RecordedSource(tracks_spec(SEEN)), PlanningConfig(Telling(), replan_every=6)
    )
    for _ in range(6):
        policy.act(*dense)
    plan = policy.decision.plan.actions
    policy.act(*dense)
    assert len(starts) == 2
    torch.testing.assert_close(starts[1][:, :-2], plan[:, 2:])
    torch.testing.assert_close(starts[1][:, -2:], plan[:, -1:].expand(-1, 2, -1))


def test_who_starts_anew_does_not_change_what_was_decided(dense):
    policy = PlanningPolicy(RecordedSource(tracks_spec(SEEN)), FAST)
    action = policy.act(*dense)
    plan = policy.decision.plan.actions
    before = [value.clone() for value in (action, plan, policy.planned_path_m())]
    policy.reset(torch.ones(4, dtype=torch.bool))
    after = action, plan, policy.planned_path_m()
    assert all(torch.equal(*pair) for pair in zip(after, before, strict=True))


def test_a_source_of_another_frame_rate_is_refused(dense):
    policy = PlanningPolicy(RecordedSource(tracks_spec(SEEN, dt_s=0.2)), FAST)
    with pytest.raises(InputError, match=r"0.1 s between .* works with 0.2 s"):
        policy.act(*dense)


def test_a_standing_queue_is_not_run_into():
    """Toward a standing car at 10 m/s, 25 m ahead, walls of cars on both sides."""
    cars = [Car(0.0, lane=1), Car(29.5, lane=1, speed_mps=0.0)]
    cars += [Car(5.0 * k, lane=lane, speed_mps=0.0) for lane in (0, 2) for k in range(-2, 12)]
    seen = ObservationConfig(vehicles=24)
    observation, truth = situation(straight_recording(cars), [0], 9, seen)
    policy = PlanningPolicy(ModelSource(ConstantVelocity(tracks_spec(seen))), PlanningConfig())
    ego = observation.ego[:, -1]
    for _ in range(60):
        moved = torch.cat([observation.ego[:, 1:], ego[:, None]], dim=1)
        action = policy.act(replace(observation, ego=moved), truth)
        ego = step(ego, action, 0.1)
    gap = 29.5 - 4.5 - float(ego[0, 0])
    assert 0.3 < gap < 8.0
    assert float(ego[0, 3]) < 0.5
    assert abs(float(ego[0, 1]) - 6.0) < 0.5


def test_time_budget_and_path_for_pictures(dense):
    policy = PlanningPolicy(RecordedSource(tracks_spec(SEEN)), replace(FAST, deadline_s=0.0))
    assert policy.planned_path_m() is None and policy.plan_snapshots() == {}
    policy.act(*dense)
    assert len(policy.decision.plan.cost_by_iteration) == 2
    path = policy.planned_path_m()
    assert path.shape == (4, 11, 2)
    torch.testing.assert_close(path[:, 0], dense[0].ego[:, -1, :2])
    paths = policy.decision.paths()
    assert paths.shape[:2] == policy.decision.plan.candidate_costs.shape
    assert policy.decision.prediction().states.shape[:4] == (4, 1, 1, 10)


def test_manoeuvres_shift_by_a_lane():
    ego = torch.tensor([[0.0, 0.0, 0.0, 15.0]])
    starts = initial_plans(torch.zeros(1, 10, 2), ego, ActionBounds(), 0.3)
    states = rollout(ego[:, None].expand(-1, 5, -1), starts * torch.tensor([6.0, 0.065]), 0.3)
    end = states[0, :, -1]
    assert end[2, 1] == pytest.approx(3.7, abs=0.4)
    assert end[3, 1] == pytest.approx(-3.7, abs=0.4)
    assert end[2:4, 2].abs().max() < 0.02
    assert end[1].tolist() == pytest.approx([45.0, 0.0, 0.0, 15.0], abs=1e-4)
    assert end[4, 3] == pytest.approx(6.0, abs=1e-4)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"replicas": 1}, {"discount": 0.0}])
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(InputError):
        PlanningConfig(**wrong)


class Listening(Planner):
    """Takes down what a search begins with, and finds the first of it."""

    def plan(self, cost, starts, generator, deadline_s=None):
        self.starts = starts
        return GradientPlanner(iterations=1).plan(cost, starts[:, :1], generator, deadline_s)


def driver(seen=SEEN):
    torch.manual_seed(2)
    policy = NetworkPolicyConfig(TracksConfig(seen, hidden=8, heads=2), hidden=8).build()
    for value in policy.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return policy.requires_grad_(False).eval()


def test_a_policys_own_drive_is_where_a_search_begins(dense):
    """Step by step among the same others, as it would drive there."""
    observation, truth = dense
    policy, planner = driver(), Listening()
    config = PlanningConfig(planner, steps=5)
    PlanningPolicy(source := RecordedSource(tracks_spec(SEEN)), config, policy).act(
        observation, truth
    )
    assert planner.starts.shape[1] == 1 + config.starts
    plain = Listening()
    PlanningPolicy(source, replace(config, planner=plain)).act(observation, truth)
    torch.testing.assert_close(planner.starts[:, 1:], plain.starts)
    generator = torch.Generator().manual_seed(0)
    around = source.predict(observation, truth, 5, 1, generator)(
        torch.zeros(4, 1, 5, 4), torch.zeros(4, 1, 5, 2)
    )
    seen, ego = observation, observation.ego[:, -1]
    limits = VehicleLimits.of(observation.size_m)
    before = action_between(observation.ego[:, -2], ego, SEEN.stride * 0.1)
    for number in range(5):
        action, done = policy(seen), []
        for _ in range(3):
            ego, before = motion(ego, action, before, limits, 0.1)
            done.append(before)
        begun = planner.starts[:, 0, number] * config.bounds.largest(action)
        torch.testing.assert_close(begun, torch.stack(done).mean(0), atol=1e-5, rtol=1e-4)
        seen = around.next_observation(seen, ego, number)


def test_a_policy_that_sees_more_than_the_source_is_refused():
    seen = replace(SEEN, frames=7)
    with pytest.raises(InputError, match="the policy observes"):
        PlanningPolicy(tokens(), FAST, driver(seen))


def test_a_plan_reaches_to_the_next_one():
    with pytest.raises(InputError, match="replan_every 7 frames, but a plan of 2 steps ends"):
        PlanningPolicy(tokens(), PlanningConfig(steps=2, replan_every=7))


def test_a_goal_draws_the_plan_into_its_lane():
    """An empty road: after some seconds of planning, the ego is in the lane of its goal."""
    recording = straight_recording([Car(0.0, 1, 10.0)], frames=60)
    observation, truth = situation(recording, [0], 9)
    ego = observation.ego[:, -1]
    line = torch.stack([torch.arange(0.0, 400.0, NODE_SPACING_M), torch.zeros(100)], dim=1)
    for aside in (-LANE_WIDTH_M, LANE_WIDTH_M):
        policy = PlanningPolicy(ModelSource(ConstantVelocity()), PlanningConfig())
        goal = Goal(
            line[None] + ego[:, None, :2] * torch.tensor([0.0, 1.0]),
            ego.new_tensor([200.0]),
            ego.new_ones(1).bool(),
        )
        goal = replace(goal, line_m=goal.line_m + torch.tensor([0.0, aside]))
        state = observation.ego
        for _ in range(60):
            action = policy.act(replace(observation, ego=state, goal=goal), truth)
            state = torch.cat([state[:, 1:], step(state[:, -1:], action[:, None], 0.1)], dim=1)
        assert abs(float(goal.place(state[:, -1:, :2]).lateral_m)) < 0.5
