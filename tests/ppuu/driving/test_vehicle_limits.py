"""What a vehicle can do: the limits hold for any sequence, and nothing else is changed."""

import dataclasses
import math

import pytest
import torch

from ppuu.driving.lorries import LORRY_LENGTH_M
from ppuu.driving.motion import drive, motion
from ppuu.driving.vehicle_limits import CAR, LORRY, VehicleLimits
from ppuu.geometry import wrap_angle
from ppuu.kinematics import rollout, step
from ppuu.runtime.errors import InputError

DT_S = 0.1
GRAVITY_MPS2 = 9.81
SIZES_M = torch.tensor([[4.5, 1.8], [12.0, 2.5]], dtype=torch.float64)
KINDS = (CAR, LORRY)


def demanding(rows=400, time=60, seed=0, correlated=True):
    """States, random actions far beyond the limits, and the limits of cars and lorries in turn."""
    generator = torch.Generator().manual_seed(seed)
    state = torch.randn(rows, 4, generator=generator, dtype=torch.float64) * 5
    state[:, 3] = 30.0 * torch.rand(rows, generator=generator, dtype=torch.float64)
    actions = torch.randn(rows, time, 2, generator=generator, dtype=torch.float64)
    if correlated:  # held, so that limits are pushed against for long
        actions = actions[:, ::6].repeat_interleave(6, 1)[:, :time]
    actions = actions * actions.new_tensor([8.0, 0.08])
    return state, actions, VehicleLimits.of(SIZES_M.repeat(rows // 2, 1))


def driven(state, actions, limits):
    """States before each frame, actions done in it and before it."""
    before, states, done = torch.zeros_like(actions[:, 0]), [state], []
    for action in actions.unbind(1):
        state, before = motion(state, action, before, limits, DT_S)
        states.append(state)
        done.append(before)
    done = torch.stack(done, 1)
    previous = torch.cat([torch.zeros_like(done[:, :1]), done[:, :-1]], 1)
    return torch.stack(states, 1), done, previous


@pytest.fixture(scope="module", params=[True, False], ids=["held", "white"])
def drives(request):
    state, actions, limits = demanding(correlated=request.param)
    return *driven(state, actions, limits), actions


def by_kind(name):
    value = torch.tensor([getattr(kind, name) for kind in KINDS], dtype=torch.float64)
    return value.repeat(200)[:, None]


def test_no_sequence_leaves_the_friction_circle(drives):
    states, done, _, asked = drives
    speed = states[:, :-1, 3]
    demand = torch.hypot(done[..., 0], done[..., 1] * speed.square())
    grip = GRAVITY_MPS2 * by_kind("friction")
    assert (demand <= grip * (1 + 1e-9)).all()
    asked = torch.hypot(asked[..., 0], asked[..., 1] * speed.square())
    assert ((demand > 0.999 * grip) & (asked > grip)).double().mean() > 0.05
    # Measured on the path itself: the heading's change over the time, times the mean speed, which
    # in a frame may exceed that at its beginning.
    turn = wrap_angle(states[:, 1:, 2] - states[:, :-1, 2])
    mean = 0.5 * (states[:, 1:, 3] + speed)
    along = (states[:, 1:, 3] - speed) / DT_S
    measured = torch.hypot(along, turn / DT_S * mean)
    faster = (mean / speed.clamp(min=1e-3)).clamp(min=1.0).square()
    assert (measured <= grip * faster * (1 + 1e-9)).all()
    assert (measured <= 1.05 * grip).double().mean() > 0.95


def test_no_sequence_exceeds_power_brakes_or_top_speed(drives):
    states, done, _, asked = drives
    speed, acceleration = states[:, :-1, 3], done[..., 0]
    power = by_kind("power_wpkg")
    assert (acceleration * speed <= power * (1 + 1e-9)).all()
    at_full_power = (acceleration * speed > 0.999 * power) & (asked[..., 0] > acceleration)
    assert at_full_power.double().mean() > 0.02
    assert (acceleration >= -by_kind("braking_mps2")).all()
    assert (states[..., 3] <= by_kind("top_speed_mps") + 1e-9).all()
    assert (states[..., 3] >= 0).all()


def test_the_wheels_turn_no_faster_than_they_can(drives):
    """In steering angle; d curvature / dt = steering rate / (wheelbase cos² angle) follows."""
    states, done, previous, _ = drives
    wheelbase = by_kind("wheelbase_m")
    turned = torch.atan(wheelbase * done[..., 1]) - torch.atan(wheelbase * previous[..., 1])
    most = DT_S * by_kind("steering_rate_radps")
    # Beyond only where the ego has become too fast for its bend: there the tyres slide.
    held = GRAVITY_MPS2 * by_kind("friction") / states[:, :-1, 3].square().clamp(min=1e-6)
    sliding = done[..., 1].abs() >= held * (1 - 1e-9)
    assert (turned.abs() <= most + 1e-9)[~sliding].all()
    assert (turned.abs() > 0.999 * most).double().mean() > 0.05
    assert (done[..., 1].abs() <= previous[..., 1].abs())[sliding & (turned.abs() > most)].all()
    angle = torch.atan(wheelbase * done[..., 1]).abs()
    assert (angle <= by_kind("steering_angle_rad") + 1e-9).all()


@pytest.mark.parametrize("kind", KINDS)
def test_full_lock_integrates_the_rate_of_the_curvature(kind):
    """Against scipy's integrator of the differential equation."""
    from scipy.integrate import solve_ivp

    length = 4.5 if kind is CAR else 12.0
    limits = VehicleLimits.of(torch.tensor([[length, 2.0]], dtype=torch.float64))
    action = torch.zeros(1, 2, dtype=torch.float64)
    for _ in range(10):
        action = limits.project(torch.tensor([[0.0, 9.0]]).double(), action, action[:, 0], DT_S)

    def rate(_, curvature):
        cos = math.cos(math.atan(curvature[0] * kind.wheelbase_m))
        return [kind.steering_rate_radps / (kind.wheelbase_m * cos**2)]

    exact = solve_ivp(rate, (0.0, 1.0), [0.0], rtol=1e-10, atol=1e-12).y[0, -1]
    assert float(action[0, 1]) == pytest.approx(exact, rel=1e-7)
    for _ in range(20):
        action = limits.project(torch.tensor([[0.0, 9.0]]).double(), action, action[:, 0], DT_S)
    largest = math.tan(kind.steering_angle_rad) / kind.wheelbase_m
    assert float(action[0, 1]) == pytest.approx(largest)


def test_a_projection_is_feasible_and_stays(drives):
    states, done, previous, asked = drives
    limits = VehicleLimits.of(SIZES_M.repeat(200, 1)[:, None])
    again = limits.project(done, previous, states[:, :-1, 3], DT_S)
    torch.testing.assert_close(again, done, rtol=0, atol=1e-9)
    # Whatever is well within the limits is not touched, to the last digit.
    small = asked * asked.new_tensor([0.02, 0.002])
    moderate = states[:, :-1, 3].clamp(max=25.0)
    untouched = limits.project(small, torch.zeros_like(small), moderate, DT_S)
    inside = (small[..., 0] * moderate < 0.9 * by_kind("power_wpkg")).all(1)
    assert inside.double().mean() > 0.8
    assert torch.equal(untouched[inside], small[inside])


def test_an_action_beyond_the_circle_keeps_its_direction():
    limits = VehicleLimits.of(SIZES_M[:1])
    # 7.5 m/s2 to the side, beside 6 m/s2 of braking.
    asked = torch.tensor([[-6.0, 0.012]], dtype=torch.float64)
    done = limits.project(asked, 0 * asked, torch.tensor([25.0], dtype=torch.float64), DT_S)
    assert float(done[0, 1] / done[0, 0]) == pytest.approx(0.012 / -6.0)
    assert math.hypot(done[0, 0], done[0, 1] * 625) == pytest.approx(0.9 * GRAVITY_MPS2)


def test_wheels_that_cannot_be_turned_back_leave_less_for_the_brakes():
    limits = VehicleLimits.of(SIZES_M[:1])
    before, speed = torch.tensor([[0.0, 0.065]]).double(), torch.tensor([11.5]).double()
    done = limits.project(torch.tensor([[-8.0, 0.065]]).double(), before, speed, DT_S)
    tangent = 0.065 * CAR.wheelbase_m
    back = (tangent - math.tan(0.04)) / (1 + tangent * math.tan(0.04)) / CAR.wheelbase_m
    assert float(done[0, 1]) == pytest.approx(back)
    left = math.sqrt((0.9 * GRAVITY_MPS2) ** 2 - (back * 11.5**2) ** 2)
    assert float(done[0, 0]) == pytest.approx(-left) and left < 8.0


def test_a_u_turn_at_30_mps_is_impossible():
    """Half a circle takes longer and wider than the tyres allow, whatever is asked for."""
    state = torch.tensor([[0.0, 0.0, 0.0, 30.0]], dtype=torch.float64)
    actions = torch.tensor([0.0, 0.065], dtype=torch.float64).expand(1, 300, 2)
    path = drive(state, actions, state[:, :2] * 0, VehicleLimits.of(SIZES_M[:1]), DT_S).states[0]
    half = int((path[:, 2] > math.pi).nonzero()[0])
    assert DT_S * half > math.pi * 30.0 / (0.9 * GRAVITY_MPS2) - 2 * DT_S
    assert path[:half, 1].max() > 2 * 30.0**2 / (0.9 * GRAVITY_MPS2) - 1.0
    free = rollout(state, actions, DT_S)[0]
    assert free[:half, 1].max() < 40.0  # without limits, 58 m/s2 to the side


def test_full_throttle_accelerates_as_the_power_allows():
    """v² grows by 2 P t, the work of a constant power."""
    state = torch.tensor([[0.0, 0.0, 0.0, 20.0]], dtype=torch.float64)
    actions = torch.tensor([8.0, 0.0], dtype=torch.float64).expand(1, 600, 2)
    path = drive(state, actions, state[:, :2] * 0, VehicleLimits.of(SIZES_M[:1]), DT_S).states[0]
    time_s = DT_S * torch.arange(1, 101)
    expected = (20.0**2 + 2 * CAR.power_wpkg * time_s).sqrt()
    torch.testing.assert_close(path[:100, 3], expected.double(), rtol=5e-3, atol=0)
    assert path[-1, 3] == pytest.approx(CAR.top_speed_mps)


def test_who_is_too_fast_need_not_brake_but_cannot_accelerate():
    limits = VehicleLimits.of(SIZES_M[1:])
    speed = torch.tensor([40.0], dtype=torch.float64)
    asked = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    assert limits.project(asked, asked * 0, speed, DT_S)[0, 0] == 0.0


def test_kinds_by_length_and_friction():
    size = torch.tensor([[LORRY_LENGTH_M, 2.0], [LORRY_LENGTH_M + 0.1, 2.0]])
    plain, wet = VehicleLimits.of(size).values, VehicleLimits.of(size, 0.5).values
    torch.testing.assert_close(plain[0], torch.tensor(CAR.values))
    torch.testing.assert_close(plain[1], torch.tensor(LORRY.values))
    torch.testing.assert_close(wet[:, 0], 0.5 * plain[:, 0])
    assert torch.equal(wet[:, 1:], plain[:, 1:])
    with pytest.raises(InputError, match="friction -1"):
        dataclasses.replace(CAR, friction=-1.0)


@pytest.mark.parametrize("held", [1, 3])
def test_a_drive_is_repeated_motion(held):
    state, actions, limits = demanding(time=10)
    path = drive(state, actions, torch.zeros_like(actions[:, 0]), limits, DT_S, held)
    states, done, _ = driven(state, actions.repeat_interleave(held, 1), limits)
    torch.testing.assert_close(path.states, states[:, held::held], rtol=0, atol=1e-10)
    torch.testing.assert_close(path.actions, done.unflatten(1, (10, held)).mean(2))
    torch.testing.assert_close(path.last_action, done[:, -1])
    # And motion is a step of the kinematics with a feasible action.
    torch.testing.assert_close(states[:, 1], step(state, done[:, 0], DT_S), rtol=0, atol=1e-12)


def test_within_the_limits_a_drive_is_the_kinematics_alone():
    state, actions, limits = demanding(time=12)
    state[:, 3] = state[:, 3].clamp(3.0, 20.0)
    actions = actions * actions.new_tensor([0.01, 0.001])
    path = drive(state, actions, torch.zeros_like(actions[:, 0]), limits, DT_S, 3)
    torch.testing.assert_close(path.states, rollout(state, actions, DT_S, 3), rtol=0, atol=1e-12)


@pytest.mark.parametrize("held", [1, 3])
def test_gradients(held):
    """Against finite differences, through every limit; almost everywhere."""
    state, actions, limits = demanding(rows=12, time=4, seed=3)
    before = 0.3 * actions[:, -1].clone()
    leaves = [value.requires_grad_() for value in (state, actions, before)]
    torch.autograd.gradcheck(lambda *of: tuple(drive(*of, limits, DT_S, held)), leaves)
    torch.autograd.gradcheck(
        lambda s, a, b: motion(s, a[:, 0], b, limits, DT_S), leaves, nondet_tol=0.0
    )


def test_candidates_share_start_and_limits():
    state, actions, _ = demanding(rows=8, time=5)
    limits = VehicleLimits.of(SIZES_M[:, None])
    state, before = state[:2, None].requires_grad_(), torch.zeros(2, 1, 2, dtype=torch.float64)
    together = drive(state.expand(-1, 4, -1), actions.unflatten(0, (2, 4)), before, limits, DT_S, 3)
    together.states.sum().backward()
    each = state.detach().expand(-1, 4, -1).flatten(0, 1).requires_grad_()
    kinds = VehicleLimits.of(SIZES_M.repeat_interleave(4, 0))
    alone = drive(each, actions, torch.zeros(8, 2, dtype=torch.float64), kinds, DT_S, 3)
    alone.states.sum().backward()
    torch.testing.assert_close(together.states.flatten(0, 1), alone.states)
    assert state.grad is not None and each.grad is not None
    torch.testing.assert_close(state.grad[:, 0], each.grad.unflatten(0, (2, 4)).sum(1))
