"""What may watch the episode loop."""

from __future__ import annotations

from jaxtyping import Int
from torch import Tensor

from envs.core.simulator import Simulator, StepResult
from ppuu.policies import Policy


class EpisodeObserver:
    """Follows the episodes that ``drive_episodes`` drives; every method does nothing by itself.

    Slots are rows of the simulator's batch; episodes are numbered as their scenarios are listed.
    The calls of one episode are ``begin``, then ``decide`` and ``step`` in turn, then ``end``.
    """

    def begin(
        self, simulator: Simulator, slots: Int[Tensor, " n"], episodes: Int[Tensor, " n"]
    ) -> None:
        """These episodes stand at their starts in these slots."""

    def decide(self, simulator: Simulator, policy: Policy) -> None:
        """The policy has chosen the next actions; the simulator has not moved yet."""

    def step(self, simulator: Simulator, result: StepResult) -> None:
        """The simulator has moved.

        The rules of a protocol may replace ``simulator.outcome`` here, before any later observer
        is called: the loop reads from it which episodes have ended.
        """

    def end(
        self, simulator: Simulator, slots: Int[Tensor, " n"], episodes: Int[Tensor, " n"]
    ) -> None:
        """These episodes have ended; their slots still hold their last states."""
