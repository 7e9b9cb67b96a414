"""Traffic that replays the recording, whatever the ego does."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float, Int
from torch import Tensor

from ppuu.recordings.neighbours import Neighbours
from ppuu.recordings.scene import Scene

from .base import Traffic


class Replay(Traffic):
    """Each vehicle is exactly where it was recorded; none reacts."""

    reacts = False

    def __init__(self, scene: Scene):
        self.scene = scene

    def reset(
        self, envs: Int[Tensor, " envs"], ego: Int[Tensor, " envs"], frame: Int[Tensor, " envs"]
    ) -> None:
        """Nothing to prepare."""

    def advance(
        self,
        envs: Int[Tensor, " envs"],
        frame: Int[Tensor, " envs"],
        ego_box: Float[Tensor, "envs 5"],
        ego_speed_mps: Float[Tensor, "envs"],
    ) -> None:
        """Nothing to do: the frame determines all positions."""

    def neighbours(
        self, envs: Int[Tensor, " envs"], ego: Int[Tensor, " envs"], frame: Int[Tensor, " envs"]
    ) -> Neighbours:
        """Rows of the scene."""
        return self.scene.neighbours(frame, ego)

    def state_dict(self) -> dict[str, Tensor]:
        """Empty: the frame determines all positions."""
        return {}

    def with_state(self, state: Mapping[str, Tensor]) -> Replay:
        """Itself: it has no state."""
        return self
