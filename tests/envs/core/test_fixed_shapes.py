"""On a device no step waits for it, and all steps have the same shapes."""

from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from envs.core.scenario import ScenarioConfig
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.world import World
from envs.gym.reward import DEFAULT_WEIGHTS, Before, Step, weighted_terms
from envs.traffic.registry import traffic_by_name
from ppuu.backends.dispatch import only_tensors
from ppuu.perception.observation import ObservationConfig
from ppuu.runtime.errors import InputError
from tests.helpers import dense_recording

WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim"}


class Operations(TorchDispatchMode):
    """Notes every operation and the shapes that it takes."""

    def __init__(self):
        super().__init__()
        self.waiting, self.shapes = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        tensors = [leaf for leaf in tree_leaves(args) if isinstance(leaf, torch.Tensor)]
        by = args[1] if name in ("index", "index_put", "index_put_") else ()
        if name in WAITING or any(index is not None and index.dtype == torch.bool for index in by):
            self.waiting.append(name)
        self.shapes.append((name, [tuple(tensor.shape) for tensor in tensors]))
        return func(*args, **(kwargs or {}))


def noted(simulator: Simulator, actions: torch.Tensor) -> Operations:
    """Of a step, its reward, and the next observation."""
    operations = Operations()
    with only_tensors(), torch.no_grad(), operations:
        before = Before.of(simulator)
        result = simulator.step(actions)
        weighted_terms(DEFAULT_WEIGHTS, Step(simulator, result, before, None))
        simulator.observe()
    return operations


@pytest.mark.parametrize("task", ["keep", "change-1"])
@pytest.mark.parametrize("others", ["replay", "reactive:mixed", "reactive:polite"])
def test_no_step_waits_and_all_have_the_same_shapes(others, task):
    world = World.build([dense_recording()], ScenarioConfig(task=task, distance_m=60.0))
    traffic = traffic_by_name(others, world.scene, world.recordings)
    config = SimulatorConfig(ObservationConfig(vehicles=4))
    simulator = Simulator(world.scene, world.road_map, config, traffic)
    simulator.reset(world.scenarios.spread(6))
    # Some collide soon, others drive on.
    actions = torch.linspace(-0.03, 0.03, simulator.envs)[:, None] * torch.tensor([0.0, 1.0])
    found = [noted(simulator, actions) for _ in range(60)]
    assert int(simulator.done.sum()) > 0
    assert not [name for one in found for name in one.waiting]
    assert all(one.shapes == found[0].shapes for one in found)


@pytest.mark.parametrize("others", ["replay", "reactive"])
def test_finished_episodes_stand_still(others):
    """Rows that are computed but do not count change nothing."""
    world = World.build([dense_recording()], ScenarioConfig(distance_m=60.0))
    actions = torch.linspace(-0.03, 0.03, 6)[:, None] * torch.tensor([0.0, 1.0])
    simulators = []
    for path in (only_tensors, nullcontext):
        traffic = traffic_by_name(others, world.scene, world.recordings)
        simulator = Simulator(world.scene, world.road_map, None, traffic)
        simulator.reset(world.scenarios.spread(6))
        with path():
            for _ in range(60):
                simulator.step(actions)
        simulators.append(simulator)
    assert int(simulators[0].done.sum()) > 0
    fixed, skipping = (simulator.state_dict() for simulator in simulators)
    for name, tensor in skipping.items():
        atol, rtol = (1e-3, 1e-4) if tensor.is_floating_point() else (1, 0)
        torch.testing.assert_close(fixed[name], tensor, atol=atol, rtol=rtol, msg=name)


def test_a_device_is_told_of_bad_actions_now_and_then():
    world = World.build([dense_recording()])
    simulator = Simulator(world.scene, world.road_map)
    simulator.reset(world.scenarios.spread(2))
    actions = torch.tensor([[0.0, 0.0], [torch.nan, 0.0]])
    with only_tensors():
        for _ in range(99):
            simulator.step(actions)
        with pytest.raises(InputError, match="env 1 is not a number"):
            simulator.step(actions)
