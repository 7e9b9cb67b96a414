"""Episodes frame by frame, for pictures, films and the replay page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from envs.core.simulator import Simulator
from envs.core.termination import CollisionKind, Outcome
from envs.gym.reward import DEFAULT_WEIGHTS, Before, Step, weighted_terms
from ppuu.costs import DrivingCost
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import LocalRoad
from ppuu.policies import Policy
from ppuu.policies.plan_snapshot import PlanSnapshot
from ppuu.predictions import BoxPrediction, Rollout
from ppuu.runtime.errors import InputError

from ..closed_loop import SUCCESSES
from .scenario_set import Track, choose_action, simulator_for

NEARBY_M = 120.0
"""Only vehicles up to here are kept."""


@dataclass(frozen=True, eq=False)
class Others:
    """Everybody near the ego, one row a vehicle and frame, sorted by vehicle, then frame.

    Attributes:
        vehicle: ``(rows,)`` the scene's number of it.
        frame: ``(rows,)`` counted from the episode's start.
        box: ``(rows, 5)`` x_m, y_m, heading_rad, length_m, width_m.
    """

    vehicle: Int[np.ndarray, " rows"]
    frame: Int[np.ndarray, " rows"]
    box: Float[np.ndarray, "rows 5"]


@dataclass(frozen=True, eq=False)
class Drive:
    """One driver in one scenario, the start included.

    Attributes:
        policy: the driver's name.
        scenario: its number in the track's list.
        outcome, collision_kind, at_fault: how it ended.
        hit_vehicle: scene's number of the vehicle hit, -1 for none.
        state: ``(frames, 4)`` x_m, y_m, heading_rad, speed_mps.
        human: ``(frames, 4)`` the same of the recorded human.
        signals: ``(frames,)`` by name: ``acceleration_mps2``, ``curvature_radpm``,
            ``clearance_m``, ``time_to_collision_s``, ``distance_m``, and the weighted terms of
            the driving cost (``cost/NAME``) and of the reward (``reward/NAME``).
        others: the vehicles nearby.
        plans: ``(points, 2)`` a frame, without the last; empty if the policy offers none.
        snapshots: what a planner considered, likewise.
    """

    policy: str
    scenario: int
    outcome: str
    collision_kind: str
    at_fault: bool
    hit_vehicle: int
    state: Float[np.ndarray, "frames 4"]
    human: Float[np.ndarray, "frames 4"]
    signals: dict[str, np.ndarray]
    others: Others
    plans: list[np.ndarray]
    snapshots: list[PlanSnapshot]

    @property
    def failed(self) -> bool:
        """Whether the episode counts against the driver."""
        return self.outcome not in SUCCESSES


def chosen_scenarios(track: Track, episodes: int, scenario: Sequence[int] = ()) -> list[int]:
    """The scenarios asked for, or ``episodes`` of them spread evenly over the list.

    Raises:
        InputError: there is no such scenario, or none was asked for.
    """
    last = len(track.scenarios) - 1
    for number in scenario:
        if not 0 <= number <= last:
            raise InputError(f"--scenario {number}: there are 0 to {last}")
    if episodes < 1:
        raise InputError(f"{episodes} episodes: must be positive")
    spread = np.unique(np.linspace(0, last, episodes).round().astype(int))
    return list(scenario) or spread.tolist()


@torch.no_grad()
def record(policy: Policy, name: str, track: Track, scenarios: Sequence[int]) -> list[Drive]:
    """Drives scenarios side by side and keeps what there is to see."""
    simulator = simulator_for(policy, track)
    simulator.reset(track.scenarios[list(scenarios)])
    policy.reset(torch.ones(simulator.envs, dtype=torch.bool))
    takes = [_Take() for _ in scenarios]
    considered: dict[int, PlanSnapshot] = {}
    nothing = {f"reward/{term}": torch.zeros(simulator.envs) for term in DEFAULT_WEIGHTS}
    signals = _signals(simulator) | driving_costs(simulator, torch.zeros_like(simulator.action))
    _append(takes, range(simulator.envs), simulator, signals | nothing)
    while not bool(simulator.done.all()):
        running = (~simulator.done).nonzero()[:, 0].tolist()
        before = Before.of(simulator)
        chosen = choose_action(policy, simulator)
        planned = policy.planned_path_m()
        if planned is not None:
            paths = planned.cpu().numpy()
            for env in running:
                takes[env].plans.append(paths[env].copy())
        considered |= policy.plan_snapshots()
        for env, snapshot in considered.items():
            if env in running:
                takes[env].snapshots.append(snapshot)
        step = Step(simulator, simulator.step(chosen), before)
        signals = _signals(simulator) | driving_costs(simulator, before.action) | _rewards(step)
        _append(takes, running, simulator, signals)
    return [
        take.drive(name, number, simulator, env)
        for env, (take, number) in enumerate(zip(takes, scenarios, strict=True))
    ]


class _Take:
    """One episode while it is being driven."""

    def __init__(self):
        self.states, self.humans, self.plans, self.snapshots = [], [], [], []
        self.signals: dict[str, list[float]] = {}
        self.vehicles, self.boxes = [], []

    def drive(self, policy: str, scenario: int, simulator: Simulator, env: int) -> Drive:
        counts = [len(vehicles) for vehicles in self.vehicles]
        vehicle = np.concatenate(self.vehicles)
        frame = np.repeat(np.arange(len(counts)), counts)
        order = np.lexsort((frame, vehicle))
        return Drive(
            policy=policy,
            scenario=scenario,
            outcome=Outcome(int(simulator.outcome[env])).name.lower(),
            collision_kind=CollisionKind(int(simulator.collision_kind[env])).name.lower(),
            at_fault=bool(simulator.at_fault[env]),
            hit_vehicle=int(simulator.hit_vehicle[env]),
            state=np.stack(self.states),
            human=np.stack(self.humans),
            signals={name: np.array(values) for name, values in self.signals.items()},
            others=Others(vehicle[order], frame[order], np.concatenate(self.boxes)[order]),
            plans=self.plans,
            snapshots=self.snapshots,
        )


def _append(
    takes: Sequence[_Take], envs: Sequence[int], simulator: Simulator, signals: dict[str, Tensor]
) -> None:
    """Takes down the present moment of some episodes."""
    others = simulator.neighbours()
    near = (others.boxes[..., :2] - simulator.state[:, None, :2]).norm(dim=-1) <= NEARBY_M
    near = (near & others.valid).cpu().numpy()
    boxes, vehicle = others.boxes.cpu().numpy(), others.vehicle.cpu().numpy()
    states, humans = simulator.state.cpu().numpy(), simulator.human_state.cpu().numpy()
    values = {name: signal.tolist() for name, signal in signals.items()}
    for env in envs:
        take = takes[env]
        take.states.append(states[env].copy())
        take.humans.append(humans[env].copy())
        take.boxes.append(boxes[env, near[env]])
        take.vehicles.append(vehicle[env, near[env]])
        for name, signal in values.items():
            take.signals.setdefault(name, []).append(signal[env])


def _signals(simulator: Simulator) -> dict[str, Float[Tensor, " envs"]]:
    return {
        "acceleration_mps2": simulator.action[:, 0],
        "curvature_radpm": simulator.action[:, 1],
        "clearance_m": simulator.clearance_m,
        "time_to_collision_s": simulator.time_to_collision_s,
        "distance_m": simulator.distance_m,
    }


def _rewards(step: Step) -> dict[str, Float[Tensor, " envs"]]:
    return {f"reward/{name}": term for name, term in weighted_terms(DEFAULT_WEIGHTS, step).items()}


def driving_costs(
    simulator: Simulator, previous_action: Float[Tensor, "envs 2"]
) -> dict[str, Float[Tensor, " envs"]]:
    """The weighted terms of the default driving cost where the egos really stand.

    Nothing is predicted: the others are where they are.

    Args:
        simulator: with the action that led to the present moment.
        previous_action: the action before that one.
    """
    others, now = simulator.neighbours(), simulator.state[:, None, None]
    states = torch.cat([others.boxes[..., :3], others.speed_mps[..., None]], dim=-1)
    prediction = BoxPrediction(
        now[..., :3], RasterConfig(), states[:, None, None, None], others.boxes[..., 3:],
        others.valid, LocalRoad(simulator.road_map, simulator.road),
    )  # fmt: skip
    rollout = Rollout(
        now, simulator.action[:, None, None], previous_action[:, None], simulator.size_m,
        prediction, simulator.scene.dt_s,
    )  # fmt: skip
    cost = DrivingCost()
    terms, found = cost.terms(), cost.evaluate(rollout).terms
    return {f"cost/{name}": terms[name].weight * found[name][:, 0, 0] for name in found}
