"""Pictures of an episode while it is driven."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from envs.core.simulator import Simulator
from envs.gym.render import Renderer
from ppuu.policies import Policy
from ppuu.policies.plan_snapshot import PlanSnapshot

from ..reports.video_file import Picture
from .driving_costs import driving_costs
from .episode_loop import drive_episodes
from .observer import EpisodeObserver
from .scenario_set import ScenarioSet

PAUSE_FRAMES = 10
"""The last picture of an episode is repeated so often, so that its outcome can be read."""


def film_episode(
    policy: Policy,
    name: str,
    scenario_set: ScenarioSet,
    number: int,
    renderer: Renderer,
    write: Callable[[Picture], None],
    costs: bool = False,
) -> None:
    """Drives one scenario, by its number, and writes a picture of every frame."""
    observer = PictureObserver(renderer, f"{name}, scenario {number}", write, costs)
    simulator = scenario_set.simulator(policy)
    drive_episodes(policy, simulator, scenario_set.scenarios[number], 1, [observer], name)


class PictureObserver(EpisodeObserver):
    """Draws the first slot: each frame with the plan made there, and the end several times.

    Args:
        renderer: of the recordings.
        caption: shown in every picture.
        write: takes the pictures.
        costs: whether to show the terms of the driving cost.
    """

    def __init__(
        self, renderer: Renderer, caption: str, write: Callable[[Picture], None], costs: bool
    ):
        self._renderer, self._caption = renderer, caption
        self._write, self._costs = write, costs

    def begin(
        self, simulator: Simulator, slots: Int[Tensor, " n"], episodes: Int[Tensor, " n"]
    ) -> None:
        """The action before the first is none."""
        del slots, episodes
        self._previous_action = simulator.action.clone()

    def decide(self, simulator: Simulator, policy: Policy) -> None:
        """Draws the state in which the policy has decided, with its plan."""
        path_m = policy.planned_path_m()
        plan_m = None if path_m is None else path_m[0].cpu().numpy()
        self._write(self._picture(simulator, plan_m, policy.plan_snapshots().get(0)))
        self._previous_action = simulator.action.clone()

    def end(
        self, simulator: Simulator, slots: Int[Tensor, " n"], episodes: Int[Tensor, " n"]
    ) -> None:
        """Draws the last state."""
        del slots, episodes
        picture = self._picture(simulator)
        for _ in range(1 + PAUSE_FRAMES):
            self._write(picture)

    def _picture(
        self,
        simulator: Simulator,
        plan_m: Float[np.ndarray, "points 2"] | None = None,
        snapshot: PlanSnapshot | None = None,
    ) -> Picture:
        costs = None
        if self._costs:
            terms = driving_costs(simulator, self._previous_action)
            costs = {name: float(term[0]) for name, term in terms.items()}
        return self._renderer.frame(simulator, 0, self._caption, costs, plan_m, snapshot)
