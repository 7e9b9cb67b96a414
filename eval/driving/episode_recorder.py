"""Records episodes frame by frame while they are driven."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from envs.core.simulator import Simulator, StepResult
from envs.core.termination import CollisionKind, Outcome
from envs.gym.reward import DEFAULT_WEIGHTS, Before, Step, weighted_terms
from ppuu.policies import Policy
from ppuu.policies.plan_snapshot import PlanSnapshot

from .driving_costs import driving_costs
from .episode_loop import drive_episodes
from .episode_record import EpisodeRecord, NearbyVehicles
from .observer import EpisodeObserver
from .scenario_set import ScenarioSet

NEARBY_M = 120.0
"""Vehicles further from the ego are not recorded."""

SLOTS = 20
"""Episodes driven at a time."""


def record_episodes(
    policy: Policy, name: str, scenario_set: ScenarioSet, numbers: Sequence[int]
) -> list[EpisodeRecord]:
    """Drives scenarios by their numbers, among others that replay the recording."""
    recorder = EpisodeRecorder(name, numbers)
    simulator = scenario_set.simulator(policy)
    scenarios = scenario_set.scenarios[list(numbers)]
    drive_episodes(policy, simulator, scenarios, SLOTS, [recorder], name)
    return [recorder.records[number] for number in range(len(numbers))]


class EpisodeRecorder(EpisodeObserver):
    """Keeps states, signals, nearby vehicles and plans of every frame.

    Args:
        name: the policy's.
        numbers: of the scenarios in their set, in the order in which they are driven.
    """

    def __init__(self, name: str, numbers: Sequence[int]):
        self.records: dict[int, EpisodeRecord] = {}
        self._name, self._numbers = name, numbers
        self._running: dict[int, _RunningEpisode] = {}
        self._snapshots: dict[int, PlanSnapshot] = {}

    def begin(
        self, simulator: Simulator, slots: Int[Tensor, " n"], episodes: Int[Tensor, " n"]
    ) -> None:
        """Records the starts."""
        del episodes
        for slot in slots.tolist():
            self._running[slot] = _RunningEpisode()
            self._snapshots.pop(slot, None)
        zeros = torch.zeros(simulator.envs)
        rewards = {f"reward/{term}": zeros for term in DEFAULT_WEIGHTS}
        costs = _costs(simulator, torch.zeros_like(simulator.action))
        self._append(slots.tolist(), simulator, _signals(simulator) | costs | rewards)

    def decide(self, simulator: Simulator, policy: Policy) -> None:
        """Records the plans."""
        self._before = Before.of(simulator)
        path_m = policy.planned_path_m()
        if path_m is not None:
            paths = path_m.cpu().numpy()
            for slot, episode in self._running.items():
                episode.plans.append(paths[slot].copy())
        # Between two plans the last snapshot stays.
        self._snapshots |= policy.plan_snapshots()
        for slot, snapshot in self._snapshots.items():
            if slot in self._running:
                self._running[slot].snapshots.append(snapshot)

    def step(self, simulator: Simulator, result: StepResult) -> None:
        """Records the frame."""
        step = Step(simulator, result, self._before)
        signals = _signals(simulator) | _costs(simulator, self._before.action) | _rewards(step)
        self._append(list(self._running), simulator, signals)

    def end(
        self, simulator: Simulator, slots: Int[Tensor, " n"], episodes: Int[Tensor, " n"]
    ) -> None:
        """Completes the records."""
        for slot, episode in zip(slots.tolist(), episodes.tolist(), strict=True):
            running = self._running.pop(slot)
            number = self._numbers[episode]
            self.records[episode] = running.record(self._name, number, simulator, slot)

    def _append(
        self, slots: Sequence[int], simulator: Simulator, signals: dict[str, Tensor]
    ) -> None:
        """Records the present frame of some slots."""
        others = simulator.neighbours()
        distance_m = (others.boxes[..., :2] - simulator.state[:, None, :2]).norm(dim=-1)
        near = ((distance_m <= NEARBY_M) & others.valid).cpu().numpy()
        boxes, vehicle = others.boxes.cpu().numpy(), others.vehicle.cpu().numpy()
        states, humans = simulator.state.cpu().numpy(), simulator.human_state.cpu().numpy()
        values = {name: signal.tolist() for name, signal in signals.items()}
        for slot in slots:
            episode = self._running[slot]
            episode.states.append(states[slot].copy())
            episode.humans.append(humans[slot].copy())
            episode.boxes.append(boxes[slot, near[slot]])
            episode.vehicles.append(vehicle[slot, near[slot]])
            for name, signal in values.items():
                episode.signals.setdefault(name, []).append(signal[slot])


class _RunningEpisode:
    """The frames of an episode so far."""

    def __init__(self):
        self.states, self.humans, self.vehicles, self.boxes = [], [], [], []
        self.signals: dict[str, list[float]] = {}
        self.plans: list[np.ndarray] = []
        self.snapshots: list[PlanSnapshot] = []

    def record(self, policy: str, scenario: int, simulator: Simulator, slot: int) -> EpisodeRecord:
        counts = [len(vehicles) for vehicles in self.vehicles]
        vehicle = np.concatenate(self.vehicles)
        frame = np.repeat(np.arange(len(counts)), counts)
        order = np.lexsort((frame, vehicle))
        return EpisodeRecord(
            policy=policy,
            scenario=scenario,
            outcome=Outcome(int(simulator.outcome[slot])).name.lower(),
            collision_kind=CollisionKind(int(simulator.collision_kind[slot])).name.lower(),
            at_fault=bool(simulator.at_fault[slot]),
            hit_vehicle=int(simulator.hit_vehicle[slot]),
            state=np.stack(self.states),
            human=np.stack(self.humans),
            signals={name: np.array(values) for name, values in self.signals.items()},
            others=NearbyVehicles(vehicle[order], frame[order], np.concatenate(self.boxes)[order]),
            plans=self.plans,
            snapshots=self.snapshots,
        )


def _signals(simulator: Simulator) -> dict[str, Float[Tensor, " envs"]]:
    return {
        "acceleration_mps2": simulator.action[:, 0],
        "curvature_radpm": simulator.action[:, 1],
        "clearance_m": simulator.clearance_m,
        "time_to_collision_s": simulator.time_to_collision_s,
        "distance_m": simulator.distance_m,
    }


def _costs(
    simulator: Simulator, previous_action: Float[Tensor, "envs 2"]
) -> dict[str, Float[Tensor, " envs"]]:
    costs = driving_costs(simulator, previous_action)
    return {f"cost/{name}": term for name, term in costs.items()}


def _rewards(step: Step) -> dict[str, Float[Tensor, " envs"]]:
    return {f"reward/{name}": term for name, term in weighted_terms(DEFAULT_WEIGHTS, step).items()}
