"""The ego's motion: identities, gradients, and how closely recorded tracks are replayed."""

import math

import numpy as np
import pytest
import torch

from data.sources import read_recordings
from data.sources.commonroad import CommonRoad
from ppuu.geometry import to_world
from ppuu.kinematics import ActionBounds, infer_actions, rollout, step
from ppuu.planners import GradientPlanner
from ppuu.runtime.errors import InputError

DT_S = 0.1

SMOOTH_REPLAY_M = 0.02
"""Largest position error on the synthetic tracks below, which change speed by up to 1.2 m/s2 and
change lanes in four seconds; measured 0.009 m."""
US101_MEDIAN_M = 0.02
US101_99_PERCENT_M = 1.0
US101_LARGEST_M = 4.0
"""Position errors of 37213 rows, all 601 tracks of the 20 US-101 windows, with the default action
bounds; measured: median 0.010, 90 % below 0.067, 99 % below 0.82, largest 3.45 m.  The large ones
follow stretches where the (unsmoothed) record speeds up or brakes harder than the 6 m/s2 that the
ego is granted; without a bound on the acceleration (with the one on the curvature) all tracks
stay within 1 m."""


def random_case(batch=64, time=30, seed=0, hard_braking=False):
    generator = torch.Generator().manual_seed(seed)
    state = torch.randn(batch, 4, generator=generator, dtype=torch.float64) * 5
    state[:, 3] = state[:, 3].abs() + (0.0 if hard_braking else 30.0)
    actions = torch.randn(batch, time, 2, generator=generator, dtype=torch.float64)
    actions = actions * actions.new_tensor([4.0, 0.05])
    if hard_braking:
        actions[: batch // 2, : time // 2, 0] -= 6.0
    return state, actions


def repeated(state, actions, held=1):
    states = []
    for t in range(actions.shape[1]):
        for _ in range(held):
            state = step(state, actions[:, t], DT_S)
        states.append(state)
    return torch.stack(states, 1)


@pytest.mark.parametrize("hard_braking", [False, True])
def test_a_rollout_is_repeated_steps(hard_braking):
    state, actions = random_case(hard_braking=hard_braking)
    states = rollout(state, actions, DT_S)
    torch.testing.assert_close(states, repeated(state, actions), rtol=0, atol=1e-10)
    assert (states[..., 3] >= 0).all()
    if hard_braking:
        stopped = states[..., 3] == 0
        # Some stop, and some of those start again.
        assert stopped.any(1).float().mean() > 0.3
        assert (stopped[:, :-1] & ~stopped[:, 1:]).any()


def test_a_standing_car_that_brakes_stays_where_it_is():
    state = torch.tensor([[3.0, -2.0, 0.7, 0.0]])
    actions = torch.tensor([-4.0, 0.05]).expand(1, 20, 2)
    torch.testing.assert_close(rollout(state, actions, DT_S), state[:, None].expand(1, 20, 4))


def test_gradients():
    state, actions = random_case(batch=3, time=5)
    state.requires_grad_(), actions.requires_grad_()
    torch.autograd.gradcheck(lambda s, a: step(s, a, DT_S), (state, actions[:, 0]))
    torch.autograd.gradcheck(lambda s, a: rollout(s, a, DT_S), (state, actions))


def beginnings():
    """Speeds in m/s and accelerations in m/s2, by what happens at standstill."""
    zero = torch.zeros(12, dtype=torch.float64)
    push = torch.tensor([0.0, 2.0], dtype=torch.float64).repeat_interleave(6)
    return {
        "moving": (9.0, zero + 0.5),
        "a zero plan from rest": (0.0, zero),
        "pulling away from rest": (0.0, zero + 1.5),
        "coming to rest exactly": (0.6, -push.flip(0)),
        "through rest and away again": (1.0, 3.0 * push - 2.0),
        "pushing back at rest": (0.0, zero - 2.0),
        "pushing back at rest, then away": (0.0, push - 1.0),
    }


@pytest.mark.parametrize("held", [1, 3])
@pytest.mark.parametrize("name", beginnings())
def test_gradients_are_those_of_repeated_steps(name, held):
    """To actions and initial states, at standstill as well; where the clamp has two slopes, too."""
    speed, acceleration = beginnings()[name]
    generator = torch.Generator().manual_seed(0)
    state = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    state[:, 3] = speed
    actions = 0.05 * torch.randn(5, 12, 2, generator=generator, dtype=torch.float64)
    actions[..., 0] = acceleration
    weight = torch.randn(5, 12, 4, generator=generator, dtype=torch.float64)
    found = []
    for drive in (lambda s, a: rollout(s, a, DT_S, held), lambda s, a: repeated(s, a, held)):
        leaves = state.clone().requires_grad_(), actions.clone().requires_grad_()
        states = drive(*leaves)
        found.append((states.detach(), *torch.autograd.grad((weight * states).sum(), leaves)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    if name == "a zero plan from rest":
        assert (found[0][2][..., 0].abs() > 0).all()


@pytest.mark.parametrize("held", [1, 3])
def test_gradients_of_stops_are_those_of_repeated_steps(held):
    state, actions = random_case(hard_braking=True)
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(*actions.shape[:2], 4, generator=generator, dtype=torch.float64)
    found = []
    for drive in (lambda s, a: rollout(s, a, DT_S, held), lambda s, a: repeated(s, a, held)):
        leaves = state.clone().requires_grad_(), actions.clone().requires_grad_()
        found.append(torch.autograd.grad((weight * drive(*leaves)).sum(), leaves))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


def test_batches_of_several_dimensions_are_flat_batches():
    state, actions = random_case()
    found = rollout(state.view(8, 8, 4), actions.view(8, 8, -1, 2), DT_S)
    torch.testing.assert_close(found.flatten(0, 1), rollout(state, actions, DT_S))
    # One beginning for several candidates: their gradients add up.
    one = state[:1].clone().requires_grad_()
    rollout(one.expand(8, 4), actions[:8], DT_S).sum().backward()
    each = state[:1].repeat(8, 1).requires_grad_()
    rollout(each, actions[:8], DT_S).sum().backward()
    torch.testing.assert_close(one.grad[0], each.grad.sum(0))


def test_a_gradient_planner_pulls_away_from_a_zero_plan_at_rest():
    """Nothing but the speed counts; the plan that stands still is no local optimum of it."""

    def cost(actions):
        largest = ActionBounds().largest(actions)
        start = actions.new_zeros(*actions.shape[:2], 4)
        speed = rollout(start, actions * largest, DT_S, held=3)[..., 3]
        return ((speed - 8.0) / 8.0).square().mean(-1)

    starts = torch.zeros(2, 1, 10, 2)
    plan = GradientPlanner(iterations=20).plan(cost, starts, torch.Generator())
    assert (plan.cost < 0.3 * cost(starts)[:, 0]).all()
    assert (plan.actions[:, 0, 0] > 0.3).all()


@pytest.mark.parametrize("curvature", [0.05, -0.02])
def test_constant_curvature_and_speed_make_a_circle(curvature):
    heading, speed = 0.3, 12.0
    state = torch.tensor([[1.0, 2.0, heading, speed]], dtype=torch.float64)
    actions = torch.tensor([0.0, curvature], dtype=torch.float64).expand(1, 400, 2)
    states = torch.cat([state[:, None], rollout(state, actions, DT_S)], 1)[0]
    radius = 1.0 / curvature
    centre = state[0, :2] + radius * torch.tensor(
        [-math.sin(heading), math.cos(heading)], dtype=torch.float64
    )
    distance = (states[:, :2] - centre).norm(dim=1)
    # Chords as long as the arc: the polygon's radius exceeds the circle's by 1/24 of the squared
    # turn of a step.
    turn = curvature * speed * DT_S
    excess = abs(radius) * turn**2 / 24
    torch.testing.assert_close(
        distance, torch.full_like(distance, abs(radius)), rtol=0, atol=2.1 * excess
    )
    torch.testing.assert_close(states[-1, 2], states[0, 2] + 400 * turn)
    # The vertices of a regular polygon: all equally far from their own centre.
    own = (states[:-1, :2] - states[1:, :2]).norm(dim=1)
    torch.testing.assert_close(own, torch.full_like(own, speed * DT_S))


def test_straight_acceleration_is_exact():
    state = torch.tensor([[0.0, 0.0, 0.0, 5.0]], dtype=torch.float64)
    actions = torch.tensor([1.5, 0.0], dtype=torch.float64).expand(1, 50, 2)
    t = DT_S * torch.arange(1, 51, dtype=torch.float64)
    states = rollout(state, actions, DT_S)[0]
    torch.testing.assert_close(states[:, 0], 5.0 * t + 0.75 * t**2)
    torch.testing.assert_close(states[:, 3], 5.0 + 1.5 * t)


def test_moving_the_world_moves_the_path():
    state, actions = random_case(hard_braking=True)
    origin = torch.tensor([30.0, -70.0, 1.1], dtype=torch.float64)

    def moved(states):
        # Headings are not wrapped by the rollout.
        return torch.cat([to_world(states, origin)[..., :2], states[..., 2:] + turn], -1)

    turn = torch.tensor([1.1, 0.0], dtype=torch.float64)
    torch.testing.assert_close(
        rollout(moved(state), actions, DT_S), moved(rollout(state, actions, DT_S))
    )


def test_bounds():
    bounds = ActionBounds(3.0, 0.1)
    actions = torch.tensor([[5.0, -1.0], [-5.0, 0.05], [1.0, 0.2]])
    expected = torch.tensor([[3.0, -0.1], [-3.0, 0.05], [1.0, 0.1]])
    torch.testing.assert_close(bounds.clamp(actions), expected)
    torch.testing.assert_close(bounds.largest(actions), torch.tensor([3.0, 0.1]))
    with pytest.raises(InputError):
        ActionBounds(0.0)


def smooth_tracks():
    """Positions of cars that change speed and lane smoothly, with heading and speed."""
    t = torch.arange(150, dtype=torch.float64) * DT_S
    tracks = []
    for speed, swing, lane in ((12.0, 2.0, 0.0), (20.0, 0.0, 3.7), (8.0, 3.0, -3.7), (3.0, 2.5, 0)):
        x = speed * t + swing / 0.4 * (1 - torch.cos(0.4 * t))
        share = ((t - 5.0) / 4.0).clamp(0, 1)
        y = lane * 0.5 * (1 - torch.cos(math.pi * share))
        tracks.append(torch.stack([x, y], -1))
    positions = torch.stack(tracks)
    first = positions[:, 1] - positions[:, 0]
    return positions, torch.atan2(first[:, 1], first[:, 0]), first.norm(dim=-1) / DT_S


def test_smooth_tracks_are_replayed():
    positions, heading, speed = smooth_tracks()
    actions, states = infer_actions(positions, heading, speed, DT_S)
    error = (states[..., :2] - positions).norm(dim=-1)
    assert error.max() < SMOOTH_REPLAY_M
    # The states are what the actions lead to.
    torch.testing.assert_close(states[:, 1:], rollout(states[:, 0], actions, DT_S))
    # Nothing harsh is invented: the tracks ask for 1.2 m/s2 at most; where one begins abruptly
    # the damped search overshoots by half.
    assert actions[..., 0].abs().max() < 2.0
    assert actions[..., 1].abs().max() < 0.06


def test_actions_of_a_constant_drive_are_found_again():
    state = torch.tensor([[0.0, 0.0, 0.4, 10.0]], dtype=torch.float64)
    actions = torch.zeros(1, 60, 2, dtype=torch.float64)
    path = torch.cat([state[:, None], rollout(state, actions, DT_S)], 1)
    found, states = infer_actions(path[..., :2], path[:, 0, 2], path[:, 0, 3], DT_S)
    torch.testing.assert_close(found, actions, rtol=0, atol=1e-9)
    torch.testing.assert_close(states, path)
    # A steady turn is found after some frames.
    actions = torch.tensor([0.0, 0.02], dtype=torch.float64).expand(1, 120, 2)
    path = torch.cat([state[:, None], rollout(state, actions, DT_S)], 1)
    found, _ = infer_actions(path[..., :2], path[:, 0, 2], path[:, 0, 3], DT_S)
    torch.testing.assert_close(found[:, 60:], actions[:, 60:], rtol=0, atol=1e-5)


def test_inferred_actions_keep_their_limits():
    positions, heading, speed = smooth_tracks()
    noise = torch.randn(positions.shape, generator=torch.Generator().manual_seed(0))
    actions, states = infer_actions(positions + 0.3 * noise, heading, speed, DT_S, 6.0, 0.065)
    assert actions[..., 0].abs().max() <= 6.0
    assert actions[..., 1].abs().max() <= 0.065
    assert (states[..., 3] >= 0).all()


def test_a_standing_track_asks_for_nothing():
    positions = torch.zeros(1, 20, 2, dtype=torch.float64)
    still = torch.zeros(1, dtype=torch.float64)
    actions, states = infer_actions(positions, still, still, DT_S)
    assert (actions == 0).all()
    assert (states == 0).all()


def us101_errors(folder):
    """Position errors in metres of all rows of all tracks."""
    bounds = ActionBounds()
    errors = []
    for path in sorted(folder.rglob("*.xml*")):
        recording = read_recordings(CommonRoad(), path)[0]
        longest = int(np.diff(recording.vehicle_pointer).max())
        # One batch a window; short tracks stand at their end and are masked.
        row = recording.vehicle_pointer[:-1, None] + np.minimum(
            np.arange(longest), np.diff(recording.vehicle_pointer)[:, None] - 1
        )
        positions = torch.tensor(np.stack([recording.x_m, recording.y_m], -1)[row])
        start = recording.vehicle_pointer[:-1]
        _, states = infer_actions(
            positions,
            torch.tensor(recording.heading_rad[start]).double(),
            torch.tensor(recording.speed_mps[start]).double(),
            recording.dt_s,
            bounds.acceleration_mps2,
            bounds.curvature_radpm,
        )
        error = (states[..., :2] - positions).norm(dim=-1)
        inside = np.arange(longest) < np.diff(recording.vehicle_pointer)[:, None]
        errors.append(error[torch.tensor(inside)])
    return torch.cat(errors)


def test_real_tracks_are_replayed(shared_data):
    folder = shared_data / "ngsim-us101-commonroad"
    if not folder.is_dir():
        pytest.skip(f"no {folder.name} in {shared_data}")
    error = us101_errors(folder)
    assert len(error) > 10_000
    assert error.median() < US101_MEDIAN_M
    assert error.quantile(0.99) < US101_99_PERCENT_M
    assert error.max() < US101_LARGEST_M
