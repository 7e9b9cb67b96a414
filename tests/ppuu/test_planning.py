"""The policy that owns a planner and a world."""

from dataclasses import replace

import pytest
import torch

from ppuu.costs import DrivingCost
from ppuu.errors import InputError
from ppuu.kinematics import ActionBounds, rollout, step
from ppuu.observation import ObservationConfig, observe
from ppuu.planners import PLANNERS, GradientPlanner, Planner
from ppuu.policies import NetworkPolicyConfig, Surroundings
from ppuu.policies.features import TracksConfig
from ppuu.policies.planning import PlanningConfig, PlanningCost, PlanningPolicy, manoeuvres
from ppuu.policies.planning_cost import merged
from ppuu.raster import RoadMap
from ppuu.rollout import Rollout
from ppuu.scene import Scene
from ppuu.world_models import ConstantVelocity, CoupledConfig, TokensConfig
from ppuu.worlds import PredictedWorld, RecordedWorld
from tests.helpers import Car, straight_recording

SEEN = ObservationConfig(vehicles=6)
FAST = PlanningConfig(GradientPlanner(iterations=4), replan_every=1)


def situation(recording, egos, frame, seen=SEEN):
    """What egos of a recording see, and the truth about it."""
    scene, roads = Scene.build([recording]), RoadMap.build([recording.road], seen.raster)
    ego, frame = torch.tensor(egos), torch.full((len(egos),), frame)
    others = scene.neighbours(frame, ego)
    truth = Surroundings(
        scene, ego, frame, others.boxes, others.speed_mps, others.present, roads
    )  # fmt: skip
    return observe(scene, roads, seen, ego, frame), truth


@pytest.fixture(scope="module")
def dense():
    """Four egos who close in on somebody ahead, or are closed in upon."""
    places = [(0, 10, 0), (22, 5, 0), (5, 9, 1), (30, 4, 1), (-14, 14, 1), (12, 7, 2), (34, 3, 2)]
    cars = [Car(float(x), lane, float(speed)) for x, speed, lane in places]
    return situation(straight_recording(cars), [0, 2, 4, 5], 9)


def tokens(seed=0, dropout=0.1):
    torch.manual_seed(seed)
    model = TokensConfig(SEEN, hidden=8, pair=4, heads=1, dropout=dropout).build()
    torch.nn.init.normal_(model.drive[-1].weight, std=0.3)
    return PredictedWorld(model.requires_grad_(False).eval())


class Counting(Planner):
    """Counts its plans and hands on to another."""

    def __init__(self, inner):
        self.inner, self.batches = inner, []

    def plan(self, cost, starts, generator, deadline_s=None):
        self.batches.append(len(starts))
        return self.inner.plan(cost, starts, generator, deadline_s)


def test_futures_are_merged_as_named():
    costs = torch.tensor([[1.0, 5.0, 3.0, 9.0, 2.0, 4.0]])
    assert merged(costs, "mean") == costs.mean()
    assert merged(costs, "max") == 9.0
    assert merged(costs, "cvar") == 7.0
    alike = torch.full((3, 4), 2.5)
    assert all((merged(alike, how) == 2.5).all() for how in ("mean", "max", "cvar"))
    for count in range(1, 8):
        drawn = torch.rand(50, count, generator=torch.Generator().manual_seed(count))
        mean, most = merged(drawn, "mean"), merged(drawn, "max")
        tail = merged(drawn, "cvar")
        assert (mean <= tail + 1e-6).all() and (tail <= most + 1e-6).all()


def cost_of(world, seen, config, samples=3):
    observation, truth = seen
    foresight = world.foresee(
        observation, truth, config.steps, config.futures, torch.Generator().manual_seed(0)
    )
    replicas = world.replicas(observation, config.steps, 4) if config.uncertainty_weight else None
    previous = torch.zeros(len(observation.ego), 2)
    actions = torch.rand(
        len(observation.ego), samples, config.steps, 2, generator=torch.Generator().manual_seed(1)
    )
    cost = PlanningCost(observation, previous, foresight, replicas, config, 0.3)
    return cost(actions - 0.5), actions - 0.5


@pytest.mark.parametrize("merge", ["mean", "max", "cvar"])
def test_a_plan_costs_what_its_drive_costs(dense, merge):
    """One future: the driving cost of each path, one by one, discounted and averaged."""
    config = PlanningConfig(steps=5, discount=0.9, merge=merge, futures=2)
    found, actions = cost_of(RecordedWorld(SEEN), dense, config)
    observation, truth = dense
    generator = torch.Generator()
    foresight = RecordedWorld(SEEN).foresee(observation, truth, 5, 1, generator)
    cost = DrivingCost(config.cost)
    for sample in range(3):
        physical = actions[:, sample] * ActionBounds().largest(actions)
        states = rollout(observation.ego[:, -1], physical, 0.3)
        drive = Rollout(
            states, physical, torch.zeros(4, 2), observation.size_m,
            foresight(states, physical), 0.3,
        )  # fmt: skip
        total = cost.total(cost.evaluate(drive)[0])
        expected = (total * 0.9 ** torch.arange(5)).mean(1)
        torch.testing.assert_close(found[:, sample], expected, atol=1e-4, rtol=1e-4)


def test_alike_futures_cost_the_same_however_merged(dense):
    for how in ("mean", "max", "cvar"):
        several, _ = cost_of(
            PredictedWorld(ConstantVelocity(SEEN)), dense, PlanningConfig(futures=5, merge=how)
        )
        single, _ = cost_of(PredictedWorld(ConstantVelocity(SEEN)), dense, PlanningConfig())
        torch.testing.assert_close(several, single, atol=1e-4, rtol=1e-4)


def test_risk_is_dearer_than_the_mean(dense):
    world = tokens()
    mean, tail, most = (
        cost_of(world, dense, PlanningConfig(futures=6, merge=how))[0]
        for how in ("mean", "cvar", "max")
    )
    assert (mean <= tail + 1e-5).all() and (tail <= most + 1e-5).all()
    assert (most - mean).max() > 1e-3


def test_uncertainty_costs_where_replicas_disagree(dense):
    torch.manual_seed(0)
    free, _ = cost_of(tokens(), dense, PlanningConfig())
    priced, _ = cost_of(tokens(), dense, PlanningConfig(uncertainty_weight=2.0))
    assert (priced >= free).all() and (priced - free).max() > 1e-2
    agreed, _ = cost_of(tokens(dropout=0.0), dense, PlanningConfig(uncertainty_weight=2.0))
    torch.testing.assert_close(agreed, free, atol=1e-4, rtol=1e-4)
    with pytest.raises(InputError, match="learnt nothing"):
        cost_of(RecordedWorld(SEEN), dense, PlanningConfig(uncertainty_weight=1.0))


def test_uncertainty_is_a_function_of_the_actions_in_a_coupled_model_too(dense):
    seen = ObservationConfig(2, 3, vehicles=8)
    torch.manual_seed(0)
    model = CoupledConfig(seen, features=8, latent=4, ego="kinematic").build()
    world = PredictedWorld(model.requires_grad_(False).eval())
    places = [(0, 10, 0), (22, 5, 0), (5, 9, 1), (30, 4, 1)]
    cars = [Car(float(x), lane, float(speed)) for x, speed, lane in places]
    observation, _ = situation(straight_recording(cars), [0, 2], 9, seen)
    replicas = world.replicas(observation, 2, 3)
    actions = torch.zeros(4, 2, 2)
    states = rollout(observation.ego[:, -1].repeat_interleave(2, 0), actions, 0.3)
    first, again = (replicas(states, actions).vehicles for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first[:, 0], first[:, 1])


@pytest.mark.parametrize("name", PLANNERS)
@pytest.mark.parametrize("world", [RecordedWorld(SEEN), tokens()], ids=["recorded", "tokens"])
def test_every_planner_lowers_the_cost_in_every_world(dense, name, world):
    policy = PlanningPolicy(world, PlanningConfig(PLANNERS[name], steps=4, futures=2))
    action = policy.act(*dense)
    assert (action.abs() <= torch.tensor([6.0, 0.065])).all()
    plan, cost = policy.decision.plan, policy.decision.cost
    starts = manoeuvres(torch.zeros(4, 4, 2), dense[0].ego[:, -1], ActionBounds(), 0.3)
    assert (plan.cost <= cost(starts).min(1).values + 1e-4).all()
    assert (plan.cost < cost(starts).min(1).values - 1e-3).any()


def test_an_environments_plan_does_not_depend_on_the_rest(dense):
    observation, truth = dense
    config = replace(FAST, futures=3, merge="max")
    together = PlanningPolicy(tokens(), config)
    alone = PlanningPolicy(tokens(), config)
    row = torch.tensor([2])
    for _ in range(3):
        whole = together.act(observation, truth)
        single = alone.act(observation.take(row), truth.take(row))
        torch.testing.assert_close(single, whole[row], atol=1e-4, rtol=1e-3)
        # Others start afresh; it does not.
        together.reset(torch.tensor([True, True, False, True]))


def test_a_reset_episode_is_a_new_one(dense):
    used, fresh = (PlanningPolicy(RecordedWorld(SEEN), FAST) for _ in range(2))
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
    policy = PlanningPolicy(RecordedWorld(SEEN), PlanningConfig(counting))
    actions = [policy.act(*dense) for _ in range(3)]
    assert counting.batches == [4]
    plan = policy.decision.plan.actions * torch.tensor([6.0, 0.065])
    # A step is three frames.
    for frame, action in enumerate(actions):
        torch.testing.assert_close(action, torch.lerp(plan[:, 0], plan[:, 1], frame / 3))
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

    policy = PlanningPolicy(RecordedWorld(SEEN), PlanningConfig(Telling(), replan_every=6))
    for _ in range(6):
        policy.act(*dense)
    plan = policy.decision.plan.actions
    policy.act(*dense)
    assert len(starts) == 2
    torch.testing.assert_close(starts[1][:, :-2], plan[:, 2:])
    torch.testing.assert_close(starts[1][:, -2:], plan[:, -1:].expand(-1, 2, -1))


def test_who_starts_anew_does_not_change_what_was_decided(dense):
    policy = PlanningPolicy(RecordedWorld(SEEN), FAST)
    policy.act(*dense)
    before = policy.decision.plan.actions.clone()
    policy.reset(torch.ones(4, dtype=torch.bool))
    assert torch.equal(policy.decision.plan.actions, before)


def test_a_world_of_another_frame_rate_is_refused(dense):
    policy = PlanningPolicy(RecordedWorld(SEEN, dt_s=0.2), FAST)
    with pytest.raises(InputError, match=r"0.1 s between .* works with 0.2 s"):
        policy.act(*dense)


def test_a_standing_queue_is_not_run_into():
    """Toward a standing car at 10 m/s, 25 m ahead, walls of cars on both sides."""
    cars = [Car(0.0, lane=1), Car(29.5, lane=1, speed_mps=0.0)]
    cars += [Car(5.0 * k, lane=lane, speed_mps=0.0) for lane in (0, 2) for k in range(-2, 12)]
    seen = ObservationConfig(vehicles=24)
    observation, truth = situation(straight_recording(cars), [0], 9, seen)
    policy = PlanningPolicy(PredictedWorld(ConstantVelocity(seen)), PlanningConfig())
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
    policy = PlanningPolicy(RecordedWorld(SEEN), replace(FAST, deadline_s=0.0))
    policy.act(*dense)
    assert len(policy.decision.plan.cost_by_iteration) == 2
    path = policy.planned_path_m
    assert path.shape == (4, 11, 2)
    torch.testing.assert_close(path[:, 0], dense[0].ego[:, -1, :2])
    paths = policy.decision.paths()
    assert paths.shape[:2] == policy.decision.plan.candidate_costs.shape
    assert policy.decision.futures().states.shape[:3] == (4, 1, 10)


def test_manoeuvres_shift_by_a_lane():
    ego = torch.tensor([[0.0, 0.0, 0.0, 15.0]])
    starts = manoeuvres(torch.zeros(1, 10, 2), ego, ActionBounds(), 0.3)
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
    PlanningPolicy(world := RecordedWorld(SEEN), config, policy).act(observation, truth)
    assert planner.starts.shape[1] == 1 + config.starts
    plain = Listening()
    PlanningPolicy(world, replace(config, planner=plain)).act(observation, truth)
    torch.testing.assert_close(planner.starts[:, 1:], plain.starts)
    generator = torch.Generator().manual_seed(0)
    around = world.foresee(observation, truth, 5, 1, generator)(
        torch.zeros(4, 5, 4), torch.zeros(4, 5, 2)
    )
    seen, ego = observation, observation.ego[:, -1]
    for number in range(5):
        action = policy(seen)
        for _ in range(3):
            ego = step(ego, action, 0.1)
        begun = planner.starts[:, 0, number] * config.bounds.largest(action)
        torch.testing.assert_close(begun, action, atol=1e-5, rtol=1e-4)
        seen = seen.followed_by(around.at(number), ego)


def test_a_policy_that_sees_more_than_the_world_is_refused():
    seen = replace(SEEN, frames=7)
    with pytest.raises(InputError, match="policy looks at"):
        PlanningPolicy(tokens(), FAST, driver(seen))


def test_a_plan_reaches_to_the_next_one():
    with pytest.raises(InputError, match="replan_every 7 frames, but a plan of 2 steps ends"):
        PlanningPolicy(tokens(), PlanningConfig(steps=2, replan_every=7))
