"""Applies the rules of PPUU while episodes are driven, and keeps their rows."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from envs.core.scenario import Scenarios
from envs.core.simulator import Simulator, StepResult
from envs.core.termination import Outcome

from ..driving.observer import EpisodeObserver
from ..driving.scenario_set import ScenarioSet
from .ppuu_episode import PpuuEpisode
from .ppuu_rules import check_rules
from .ppuu_scenarios import HISTORY_FRAMES
from .screen import PX_PER_M, Screens


class PpuuRecorder(EpisodeObserver):
    """Ends episodes by the later rule, and notes where the earlier rule would have ended them.

    The simulator's own outcome is replaced, so no other observer may depend on it.

    Args:
        name: the policy's.
        scenario_set: as replayed.
        screens: of the recordings.
        scenarios: of the set, in the order in which they are driven.
    """

    def __init__(
        self, name: str, scenario_set: ScenarioSet, screens: Screens, scenarios: Scenarios
    ):
        self._name, self._scenario_set = name, scenario_set
        self._screens, self._scenarios = screens, scenarios
        self._episodes: dict[int, PpuuEpisode] = {}

    def begin(
        self, simulator: Simulator, slots: Int[Tensor, " n"], episodes: Int[Tensor, " n"]
    ) -> None:
        """Resets the slots; the first call is for all of them."""
        del episodes
        if len(slots) == simulator.envs:
            self._end, self._alt_end = _End(simulator.envs), _End(simulator.envs)
            self._first_x_px = torch.zeros(simulator.envs)
            self._proximity = torch.zeros(simulator.envs)
            self._ahead_collision = torch.zeros(simulator.envs, dtype=torch.bool)
        self._end.reset(slots)
        self._alt_end.reset(slots)
        self._first_x_px[slots] = _first_rear_x_px(simulator, self._screens)[slots]
        self._proximity[slots] = 0.0
        self._ahead_collision[slots] = False

    def step(self, simulator: Simulator, result: StepResult) -> None:
        """Applies the rules; those of the simulator do not count."""
        slots = result.moved.nonzero()[:, 0]
        check = check_rules(simulator, self._screens, slots)
        self._proximity[slots] += torch.where(self._end.running[slots], check.proximity, 0.0)
        self._ahead_collision[slots] |= check.ahead_collision
        frame = simulator.frame[slots]
        self._end.update(slots, check.outcome(check.pixel_collision), frame, check.rear_x_px)
        collided = check.pixel_collision & check.ahead_collision
        self._alt_end.update(slots, check.outcome(collided), frame, check.rear_x_px)
        simulator.outcome = self._alt_end.outcome.clone()

    def end(
        self, simulator: Simulator, slots: Int[Tensor, " n"], episodes: Int[Tensor, " n"]
    ) -> None:
        """Keeps the rows."""
        for slot, episode in zip(slots.tolist(), episodes.tolist(), strict=True):
            self._episodes[episode] = self._row(simulator, slot, episode)

    def episodes(self) -> list[PpuuEpisode]:
        """All rows, in the order of the scenarios."""
        return [self._episodes[episode] for episode in range(len(self._episodes))]

    def _row(self, simulator: Simulator, slot: int, episode: int) -> PpuuEpisode:
        end, alt_end, scenarios = self._end, self._alt_end, self._scenarios
        start_frame, first_x_px = simulator.start_frame[slot], self._first_x_px[slot]
        steps = int(end.frame[slot] - start_frame)
        distance_px = float(end.rear_x_px[slot] - first_x_px)
        alt_distance_px = float(alt_end.rear_x_px[slot] - first_x_px)
        recording = self._scenario_set.recordings[int(scenarios.recording[episode])]
        return PpuuEpisode(
            policy=self._name,
            recording=recording.name,
            vehicle_id=int(scenarios.vehicle_id[episode]),
            start_frame=int(scenarios.start_frame[episode]),
            outcome=Outcome(int(end.outcome[slot])).name.lower(),
            steps=steps,
            distance_px=round(distance_px, 1),
            distance_m=round(distance_px / PX_PER_M, 2),
            human_distance_m=round(float(scenarios.human_distance_m[episode]), 2),
            alt_outcome=Outcome(int(alt_end.outcome[slot])).name.lower(),
            alt_steps=int(alt_end.frame[slot] - start_frame),
            alt_distance_m=round(alt_distance_px / PX_PER_M, 2),
            ahead_collision=bool(self._ahead_collision[slot]),
            mean_proximity=round(float(self._proximity[slot]) / steps, 4),
        )


class _End:
    """When and how the episodes of all slots ended by one rule."""

    def __init__(self, slots: int):
        self.outcome = torch.zeros(slots, dtype=torch.int64)
        self.frame = torch.zeros(slots, dtype=torch.int64)
        self.rear_x_px = torch.zeros(slots)

    def reset(self, slots: Int[Tensor, " n"]) -> None:
        self.outcome[slots] = int(Outcome.RUNNING)

    @property
    def running(self) -> Bool[Tensor, " slots"]:
        return self.outcome == Outcome.RUNNING

    def update(
        self,
        slots: Int[Tensor, " n"],
        outcome: Int[Tensor, " n"],
        frame: Int[Tensor, " n"],
        rear_x_px: Float[Tensor, " n"],
    ) -> None:
        """Takes a step of some slots into account; those that have ended stay as they are."""
        running = self.running[slots]
        updated = slots[running]
        self.outcome[updated], self.frame[updated] = outcome[running], frame[running]
        self.rear_x_px[updated] = rear_x_px[running]


def _first_rear_x_px(simulator: Simulator, screens: Screens) -> Float[Tensor, " envs"]:
    """Positions of the egos along the road at their first valid image."""
    frame = simulator.start_frame - HISTORY_FRAMES
    state = simulator.scene.state(simulator.vehicle, frame)
    box = torch.cat([state[:, :3], simulator.size_m], dim=1)
    return screens.place(box, simulator.road).rear_x
