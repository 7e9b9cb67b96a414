"""From a simulator's state to a policy's actions."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from envs.core.simulator import Simulator
from envs.core.simulator_probe import SimulatorProbe
from ppuu.perception.privileged_state import PrivilegedState
from ppuu.policies import Policy


def choose_action(policy: Policy, simulator: Simulator) -> Float[Tensor, "envs 2"]:
    """The policy's accelerations (m/s²) and curvatures (1/m) for the present states."""
    others = simulator.sensed_neighbours()
    privileged_state = PrivilegedState(
        simulator.scene, simulator.vehicle, simulator.frame,
        others.boxes, others.speed_mps, others.valid, simulator.road_map,
        SimulatorProbe.of(simulator),
    )  # fmt: skip
    blind = policy.observation is None
    observation = simulator.present() if blind else simulator.observe()
    return policy.act(observation, privileged_state)
