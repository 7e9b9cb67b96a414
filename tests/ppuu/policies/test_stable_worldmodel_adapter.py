"""Our models behind the protocols of stable-worldmodel, and pytorch-mppi beside our MPPI."""

import importlib.util
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
import torch

from ppuu.kinematics import ActionBounds
from ppuu.planners import GradientPlanner, MppiPlanner, NoiseConfig
from ppuu.policies.initial_plans import initial_plans
from ppuu.policies.planning_config import PlanningConfig
from ppuu.policies.stable_worldmodel_adapter import (
    ActionableAdapter,
    CostableAdapter,
    to_info,
)
from tests.helpers import Car, straight_recording
from tests.ppuu.policies.test_planning import situation, tokens

STEPS = 5
CONFIG = PlanningConfig(GradientPlanner(iterations=8), samples=2)


@pytest.fixture(scope="module")
def scene():
    """Two egos who close in on somebody ahead."""
    cars = [Car(0.0, 0, 11.0), Car(24.0, 0, 4.0), Car(3.0, 1, 9.0), Car(26.0, 1, 5.0)]
    observation, truth = situation(straight_recording(cars), [0, 2], 9)
    return to_info(observation, torch.zeros(2, 2)), truth.road_map


def expanded(info, candidates):
    return {
        name: value[:, None].expand(-1, candidates, *value.shape[1:])
        for name, value in info.items()
    }


def test_costs_are_our_own(scene):
    info, road_map = scene
    model = CostableAdapter(tokens(), road_map, CONFIG)
    candidates = torch.rand(2, 7, STEPS, 2, generator=torch.Generator().manual_seed(0)) * 3 - 1.5
    found = model.get_cost(expanded(info, 7), candidates)
    torch.testing.assert_close(found, model.planning_cost(info, STEPS)(candidates.clamp(-1, 1)))
    assert found.std(1).min() > 1e-3
    torch.testing.assert_close(model.criterion(expanded(info, 7), candidates), found)
    # Two actions in a block are two steps.
    blocks = candidates[:, :, :4].reshape(2, 7, 2, 4)
    torch.testing.assert_close(
        model.get_cost(expanded(info, 7), blocks),
        model.get_cost(expanded(info, 7), candidates[:, :, :4]),
    )


def test_actions_continue_a_prefix(scene):
    info, road_map = scene
    model = ActionableAdapter(tokens(), road_map, CONFIG)
    assert model.get_action(info).shape == (2, 2)
    whole = model.get_action(info, horizon=STEPS)
    nothing = torch.zeros_like(whole)
    cost = model.planning_cost(info, STEPS)
    assert (cost(whole[:, None]) < cost(nothing[:, None])).all()
    braking = torch.tensor([-0.8, 0.0]).expand(2, 2, 2)
    tail = model.get_action(info, horizon=3, prefix_actions=braking)
    assert tail.shape == (2, 3, 2)
    after = torch.cat([braking, tail], dim=1)
    alone = torch.cat([braking, nothing[:, :3]], dim=1)
    assert (cost(after[:, None]) <= cost(alone[:, None])).all()


@pytest.fixture(scope="module")
def solvers():
    """Those of stable-worldmodel, which imports torchvision and uses none of its operators."""
    if importlib.util.find_spec("stable_worldmodel") is None:
        pytest.skip("stable-worldmodel is not installed: extra 'solvers'")
    try:
        import torchvision  # noqa: F401
    except RuntimeError:  # built for a torch with CUDA: its library does not load beside another
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor a, Tensor b, float c) -> Tensor")
    return importlib.import_module("stable_worldmodel.solver")


@pytest.mark.parametrize(
    ("solver", "settings"),
    [
        ("CEMSolver", {"num_samples": 64, "n_steps": 5, "topk": 8, "var_scale": 0.5}),
        ("ICEMSolver", {"num_samples": 64, "n_steps": 5, "topk": 8, "var_scale": 0.5}),
        ("MPPISolver", {"num_samples": 64, "n_steps": 5, "var_scale": 0.5, "temperature": 0.1}),
        ("PredictiveSamplingSolver", {"num_samples": 64}),
        ("GradientSolver", {"num_samples": 4, "n_steps": 8}),
    ],
)
@pytest.mark.parametrize("kind", [CostableAdapter, ActionableAdapter])
def test_solvers_of_stable_worldmodel_plan_in_our_models(scene, solvers, solver, settings, kind):
    info, road_map = scene
    model = kind(tokens(), road_map, CONFIG)
    box = gymnasium.spaces.Box(-1.0, 1.0, (2, 2), np.float32)
    found = getattr(solvers, solver)(model, batch_size=2, device="cpu", **settings)
    found.configure(
        action_space=box, n_envs=2, config=SimpleNamespace(horizon=STEPS, action_block=1)
    )
    actions = found.solve(dict(info))["actions"].to(torch.float32).detach()
    assert actions.shape == (2, STEPS, 2)
    cost = model.planning_cost(info, STEPS)
    keep = initial_plans(torch.zeros(2, STEPS, 2), info["ego"][:, -1], ActionBounds(), 0.3)[:, 1:2]
    assert (cost(actions[:, None].clamp(-1, 1)) < cost(keep)).all()


def test_our_mppi_agrees_with_pytorch_mppi():
    """A point is pushed towards 1; both see the same noise, so both find the same mean."""
    pytorch_mppi = pytest.importorskip("pytorch_mppi")
    horizon, candidates, deviation, temperature = 6, 256, 0.4, 0.3

    def running(state, action):
        return (state[:, 0] - 1.0) ** 2 + 0.1 * action[:, 0] ** 2

    theirs = pytorch_mppi.MPPI(
        lambda state, action: state + 0.3 * action, running, 1, torch.eye(1) * deviation**2,
        num_samples=candidates, horizon=horizon, lambda_=temperature,
        u_min=torch.tensor([-1.0]), u_max=torch.tensor([1.0]), U_init=torch.zeros(horizon, 1),
    )  # fmt: skip
    drawn = torch.randn(candidates, horizon, 1, generator=torch.Generator().manual_seed(5))
    theirs._sample_noise = lambda shape: deviation * drawn
    theirs.command(torch.zeros(1), shift_nominal_trajectory=False)

    def cost(actions):
        states = (0.3 * actions).cumsum(2)
        return ((states - 1.0) ** 2 + 0.1 * actions**2).sum((2, 3))

    ours = MppiPlanner(candidates, 2, temperature, NoiseConfig(deviation, 0.0))
    generator = torch.Generator().manual_seed(5)
    plan = ours.plan(cost, torch.zeros(1, 1, horizon, 1), generator)
    generator.manual_seed(5)
    torch.randn(candidates, horizon, 1, generator=generator)
    second = deviation * torch.randn(candidates, horizon, 1, generator=generator)
    # Candidates of the second round lie around the first round's mean.
    inside = plan.candidates[0].abs() < 1.0
    mean = torch.where(inside, plan.candidates[0] - second, torch.nan).nanmean(0)
    torch.testing.assert_close(mean, theirs.U, atol=1e-4, rtol=1e-4)
    assert theirs.U.abs().max() > 0.1
