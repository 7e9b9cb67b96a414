"""Planners on costs whose optimum is known; all those of ``PLANNERS`` are tested."""

import time

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from ppuu.planners import (
    PLANNERS,
    CemPlanner,
    Chain,
    GradientPlanner,
    LbfgsPlanner,
    MppiPlanner,
    NoiseConfig,
)
from ppuu.planners.sampling import coloured_noise
from ppuu.runtime.errors import InputError

HORIZON, ACTIONS = 6, 2
SAMPLERS = [name for name in PLANNERS if name not in ("gradient", "sgd", "lbfgs")]
LOOSE = {"random": 0.5}
"""Share of what is to be gained that may be missed; a tenth for all others."""


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def nothing(batch=1, starts=1):
    return torch.zeros(batch, starts, HORIZON, ACTIONS)


def quadratic(target, weight=(1.0, 1.0)):
    weight = torch.tensor(weight)

    def cost(actions):
        return ((actions - target) ** 2 * weight).sum((2, 3))

    return cost


INSIDE = quadratic(torch.tensor([0.4, -0.3]))
CORNER = quadratic(torch.tensor([3.0, -3.0]))
"""Its bounded optimum is (1, -1) throughout."""


@pytest.mark.parametrize("name", PLANNERS)
def test_the_bottom_of_a_bowl(name):
    plan = PLANNERS[name].plan(INSIDE, nothing(), seeded())
    assert plan.cost < LOOSE.get(name, 0.1) * INSIDE(nothing())[:, 0]
    torch.testing.assert_close(INSIDE(plan.actions[:, None])[:, 0], plan.cost)


@pytest.mark.parametrize("name", PLANNERS)
def test_an_optimum_in_a_corner_of_the_bounds(name):
    start = torch.tensor([0.6, -0.6]).expand(1, 1, HORIZON, ACTIONS)
    plan = PLANNERS[name].plan(CORNER, start, seeded())
    best = CORNER(torch.tensor([1.0, -1.0]).expand_as(start))[0]
    assert plan.actions.abs().max() <= 1.0
    assert plan.candidates.abs().max() <= 1.0
    assert plan.cost - best < LOOSE.get(name, 0.1) * (CORNER(start)[:, 0] - best)


def two_wells(actions):
    """A shallow well around 0, where the search begins, and a deep one around 0.7."""
    place = actions[..., 0].mean(-1)
    shallow = 0.4 * torch.exp(-((place / 0.3) ** 2))
    return 1.0 - shallow - torch.exp(-(((place - 0.7) / 0.3) ** 2))


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_leave_a_shallow_well(name):
    assert two_wells(nothing()) > 0.59
    plan = PLANNERS[name].plan(two_wells, nothing(), seeded())
    assert plan.cost < 0.3


def test_descent_stays_in_its_well_unless_a_start_lies_in_the_other():
    planner = PLANNERS["gradient"]
    assert planner.plan(two_wells, nothing(), seeded()).cost > 0.5
    starts = nothing(starts=2)
    starts[:, 1, :, 0] = 0.6
    assert planner.plan(two_wells, starts, seeded()).cost < 0.05


@pytest.mark.parametrize("name", PLANNERS)
def test_never_dearer_than_the_best_start(name):
    """A rough cost on which hardly any step pays."""
    starts = 2 * torch.rand(4, 3, HORIZON, ACTIONS, generator=seeded(1)) - 1

    def rough(actions):
        return torch.sin(200 * actions).sum((2, 3)) + 5 * (actions - starts[:, 1:2]).abs().sum(
            (2, 3)
        )

    plan = PLANNERS[name].plan(rough, starts, seeded())
    assert (plan.cost <= rough(starts).min(1).values + 1e-5).all()
    torch.testing.assert_close(plan.cost, plan.cost_by_iteration.min(0).values)


@pytest.mark.parametrize("name", PLANNERS)
def test_a_warm_start_at_the_optimum_stays(name):
    best = torch.tensor([0.4, -0.3]).expand(1, 1, HORIZON, ACTIONS)
    plan = PLANNERS[name].plan(INSIDE, best, seeded())
    assert plan.cost <= 1e-6


@pytest.mark.parametrize("name", PLANNERS)
def test_the_same_seed_gives_the_same_plan(name):
    planner = PLANNERS[name]
    once, again = (planner.plan(two_wells, nothing(2, 2), seeded(7)) for _ in range(2))
    for field, value in vars(once).items():
        assert torch.equal(value, getattr(again, field)), field
    if name in SAMPLERS:
        other = planner.plan(two_wells, nothing(2, 2), seeded(8))
        assert not torch.equal(once.candidates, other.candidates)


@pytest.mark.parametrize("name", PLANNERS)
def test_a_plan_does_not_depend_on_the_rest_of_the_batch(name):
    targets = torch.tensor([[0.4, -0.3], [-0.7, 0.2], [3.0, 0.9]])[:, None, None]
    starts = torch.rand(3, 2, HORIZON, ACTIONS, generator=seeded(1)) - 0.5
    together = PLANNERS[name].plan(quadratic(targets), starts, seeded())
    for row in range(3):
        alone = PLANNERS[name].plan(quadratic(targets[row]), starts[row : row + 1], seeded())
        torch.testing.assert_close(alone.actions[0], together.actions[row], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(alone.cost[0], together.cost[row], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", PLANNERS)
def test_when_time_is_up_the_best_so_far_is_returned(name):
    calls = []

    def slow(actions):
        calls.append(time.sleep(0.004))
        return INSIDE(actions)

    late = PLANNERS[name].plan(slow, nothing(), seeded(), deadline_s=0.003)
    few = len(calls)
    full = PLANNERS[name].plan(slow, nothing(), seeded())
    many = len(calls) - few
    assert full.cost <= late.cost <= INSIDE(nothing())[:, 0]
    assert few < many or few == many == 1
    assert len(late.cost_by_iteration) <= len(full.cost_by_iteration)


@pytest.mark.parametrize("name", PLANNERS)
def test_diagnostics_fit_together(name):
    plan = PLANNERS[name].plan(two_wells, nothing(3, 2), seeded())
    batch, candidates = plan.candidate_costs.shape
    assert (batch, plan.candidates.shape[:2]) == (3, (3, candidates))
    assert candidates > 1
    torch.testing.assert_close(two_wells(plan.candidates), plan.candidate_costs)
    assert (
        (plan.effective_candidates >= 1) & (plan.effective_candidates <= candidates + 1e-3)
    ).all()
    assert plan.cost_std_by_iteration.shape == plan.cost_by_iteration.shape
    assert not any(value.requires_grad for value in vars(plan).values())


def test_lbfgs_against_scipy_on_a_narrow_valley():
    """A quadratic with a condition number of 1,000, its optimum partly at the bounds."""
    random = np.random.default_rng(0)
    size = HORIZON * ACTIONS
    turn, _ = np.linalg.qr(random.normal(size=(size, size)))
    matrix = turn @ np.diag(np.logspace(-1.5, 1.5, size)) @ turn.T
    target = 0.5 * random.normal(size=size)

    def cost(actions):
        apart = actions.flatten(2) - torch.from_numpy(target)
        return torch.einsum("bsi,ij,bsj->bs", apart, torch.from_numpy(matrix), apart)

    def scalar(x):
        return (x - target) @ matrix @ (x - target)

    expected = minimize(scalar, np.zeros(size), bounds=[(-1, 1)] * size, method="L-BFGS-B").fun
    plan = LbfgsPlanner(iterations=60).plan(cost, nothing().double(), seeded())
    start = scalar(np.zeros(size))
    assert float(plan.cost) - expected < 1e-3 * (start - expected)
    by_adam = GradientPlanner(iterations=60).plan(cost, nothing().double(), seeded())
    assert plan.cost < by_adam.cost


def test_one_round_of_mppi_is_its_formula():
    planner = MppiPlanner(candidates=64, iterations=1, temperature=0.5, noise=NoiseConfig(0.2, 0.0))
    plan = planner.plan(INSIDE, nothing(), seeded(3))
    noise = torch.randn(64, HORIZON, ACTIONS, generator=seeded(3))
    candidates = (0.2 * noise).clamp(-1, 1)
    weight = torch.exp(-INSIDE(candidates[None])[0] / 0.5)
    weight /= weight.sum()
    mean = (weight[:, None, None] * candidates).sum(0)
    torch.testing.assert_close(plan.candidates[0], candidates)
    torch.testing.assert_close(plan.effective_candidates[0], 1 / weight.square().sum())
    expected = min(INSIDE(mean[None, None])[0, 0], INSIDE(candidates[None])[0].min())
    torch.testing.assert_close(plan.cost[0], expected)


def test_a_cem_round_moves_to_the_elite():
    """Without noise to speak of, the mean of the next round is the elite's."""
    planner = CemPlanner(
        candidates=50, iterations=2, elites=5, reused_elites=0.0, population_decay=1.0,
        momentum=0.0,
        noise=NoiseConfig(0.3, 0.0),
    )  # fmt: skip
    plan = planner.plan(INSIDE, nothing(), seeded(3))
    first = (0.3 * torch.randn(50, HORIZON, ACTIONS, generator=seeded(3))).clamp(-1, 1)
    first = torch.cat([nothing()[0], nothing()[0], first])
    elite = first[INSIDE(first[None])[0].argsort()[:5]]
    torch.testing.assert_close(plan.candidates[0, 0], elite.mean(0))


def test_a_chain_is_never_dearer_than_its_first_part():
    first = CemPlanner(candidates=32, iterations=2, elites=4)
    alone = first.plan(INSIDE, nothing(), seeded())
    chained = Chain(first, GradientPlanner(iterations=10)).plan(INSIDE, nothing(), seeded())
    assert chained.cost < 0.1 * alone.cost


@pytest.mark.parametrize("colour", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("horizon", [9, 10])
def test_the_power_of_noise_falls_with_frequency(colour, horizon):
    noise = coloured_noise((20_000, horizon, 1), colour, seeded(), torch.zeros(1))
    assert noise.var() == pytest.approx(1.0, abs=0.02)
    power = torch.fft.rfft(noise[..., 0].double(), dim=1).abs().square().mean(0)
    frequency = torch.arange(len(power), dtype=torch.float64).clamp(min=1)
    ratio = power[1:] * frequency[1:] ** colour / power[1]
    torch.testing.assert_close(ratio, torch.ones_like(ratio), atol=0.06, rtol=0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: GradientPlanner(iterations=0), lambda: LbfgsPlanner(memory=0),
        lambda: CemPlanner(elites=1), lambda: CemPlanner(momentum=1.0),
        lambda: CemPlanner(min_std=-1.0), lambda: MppiPlanner(candidates=1),
        lambda: MppiPlanner(temperature=0.0), lambda: NoiseConfig(std=0.0),
    ],
)  # fmt: skip
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(InputError):
        wrong()


@pytest.mark.parametrize("name", PLANNERS)
def test_a_cost_that_is_no_number_is_never_the_best(name):
    def torn(actions):
        costs = INSIDE(actions)
        return torch.where(torch.arange(costs.shape[1]) == 1, torch.nan, costs)

    plan = PLANNERS[name].plan(torn, torch.rand(2, 3, 4, 2, generator=seeded()) - 0.5, seeded())
    assert plan.cost.isfinite().all()
    assert plan.actions.isfinite().all()


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", SAMPLERS)
def test_costs_that_are_no_number_do_not_stop_the_search(name, wrong):
    """Where a tenth of the candidates costs nothing that can be compared, the others lead on."""

    def torn(actions):
        costs = INSIDE(actions)
        return torch.where(torch.arange(costs.shape[1]) % 10 == 3, wrong, costs)

    plan = PLANNERS[name].plan(torn, nothing(2), seeded())
    assert plan.candidates.isfinite().all()
    assert (plan.cost < LOOSE.get(name, 0.1) * INSIDE(nothing(2))[:, 0]).all()


def test_one_cost_that_is_no_number_does_not_spoil_the_mean_of_mppi():
    """Its candidate has no weight, and the rest is as if it had not been drawn."""
    planner = MppiPlanner(candidates=32, iterations=2, noise=NoiseConfig(0.3, 0.0))

    def torn(actions):
        costs = INSIDE(actions)
        return torch.where(torch.arange(costs.shape[1]) == 5, torch.nan, costs)

    plan = planner.plan(torn, nothing(), seeded(3))
    first = torch.randn(32, HORIZON, ACTIONS, generator=(generator := seeded(3)))
    second = 0.3 * torch.randn(32, HORIZON, ACTIONS, generator=generator)
    candidates = (0.3 * first).clamp(-1, 1)[torch.arange(32) != 5]
    weight = torch.softmax(-INSIDE(candidates[None])[0] / planner.temperature, dim=0)
    mean = torch.einsum("s,sha->ha", weight, candidates)
    torch.testing.assert_close(plan.candidates[0], (mean + second).clamp(-1, 1))
    assert plan.effective_candidates.isfinite().all()


def test_a_start_that_costs_no_number_is_not_where_mppi_begins():
    starts = nothing(starts=2)
    starts[:, 1] = 0.2

    def torn(actions):
        costs = INSIDE(actions)
        broken = (actions == 0).all(-1).all(-1)
        return torch.where(broken, torch.nan, costs)

    planner = MppiPlanner(candidates=64, iterations=1, noise=NoiseConfig(1e-3, 0.0))
    plan = planner.plan(torn, starts, seeded())
    torch.testing.assert_close(
        plan.candidates.mean((1, 2, 3)), torch.tensor([0.2]), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("floor", [1e-3, 0.05])
def test_the_deviation_of_cem_has_a_floor(floor):
    """Long after the elite has come together, the candidates still differ."""
    planner = CemPlanner(
        candidates=64, iterations=40, elites=2, reused_elites=0.0, population_decay=1.0,
        momentum=0.0,
        noise=NoiseConfig(0.5, 0.0), min_std=floor,
    )  # fmt: skip
    plan = planner.plan(INSIDE, nothing(), seeded())
    fresh = plan.candidates[0, 1:]
    deviation = fresh.std(0)
    assert (deviation > 0.6 * floor).all()
    assert deviation.mean() == pytest.approx(floor, rel=0.5)


def test_alike_costs_leave_cem_alive():
    """All candidates cost the same: the elite is arbitrary, the deviation stays a number."""
    planner = CemPlanner(candidates=16, iterations=5, elites=2, reused_elites=1.0, momentum=0.0)
    plan = planner.plan(lambda actions: 0.0 * actions.sum((2, 3)), nothing(), seeded())
    assert plan.candidates.isfinite().all()
    assert plan.candidates[0].std(0).min() > 0
