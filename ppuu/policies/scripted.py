"""Scripted drivers that try to earn more than good driving does: what a judge must see through."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..perception.observation import Observation
from ..perception.privileged_state import PrivilegedState
from .base import Policy
from .baselines import RecordedHuman, StraightIdm

_HARD_MPS2 = 6.0
_SHARP_RADPM = 0.065


def towards(
    speed_mps: Float[Tensor, " batch"], wanted_mps: float | Float[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """The acceleration that leads to a speed within about a second."""
    return (wanted_mps - speed_mps).clamp(-_HARD_MPS2, _HARD_MPS2)


class Scripted(Policy):
    """Acts by the time since the start and the heading at the start."""

    def __init__(self) -> None:
        self._age = torch.zeros(0)
        self._heading = torch.zeros(0)

    def reset(self, episodes: Bool[Tensor, " batch"]) -> None:
        """Starts these episodes again."""
        if len(self._age) != len(episodes):
            self._age, self._heading = torch.zeros(len(episodes)), torch.zeros(len(episodes))
        self._age[episodes] = 0.0

    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """The script's action."""
        ego = observation.ego[:, -1]
        if len(self._age) != len(ego):
            self.reset(torch.ones(len(ego), dtype=torch.bool))
        self._heading = torch.where(self._age == 0, ego[:, 2], self._heading)
        acceleration, curvature = self.script(self._age, ego, ego[:, 2] - self._heading)
        self._age = self._age + privileged_state.scene.dt_s
        return torch.stack([acceleration, curvature], dim=1)

    @abstractmethod
    def script(
        self, age_s: Float[Tensor, " batch"], ego: Float[Tensor, "batch 4"],
        turned_rad: Float[Tensor, " batch"],
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:  # fmt: skip
        """Acceleration and curvature.

        Args:
            age_s: time since the start.
            ego: state.
            turned_rad: heading relative to that at the start.
        """


class Stand(Scripted):
    """Brakes as hard as it can and stands."""

    def script(self, age_s, ego, turned_rad):
        """No steering."""
        return torch.full_like(age_s, -_HARD_MPS2), torch.zeros_like(age_s)


class Crawl(Scripted):
    """Two metres a second, straight on."""

    def script(self, age_s, ego, turned_rad):
        """No steering."""
        return towards(ego[:, 3], 2.0), torch.zeros_like(age_s)


class Slalom(Scripted):
    """The start's speed, swerving within its lane and beyond: a longer path."""

    def script(self, age_s, ego, turned_rad):
        """A sine."""
        return torch.zeros_like(age_s), 0.03 * (2.0 * math.pi * age_s / 3.0).cos()


class Circle(Scripted):
    """Round and round at six metres a second."""

    def script(self, age_s, ego, turned_rad):
        """As sharply as it can."""
        return towards(ego[:, 3], 6.0), torch.full_like(age_s, _SHARP_RADPM)


class UTurn(Scripted):
    """Turns round, and round again, and drives on."""

    def script(self, age_s, ego, turned_rad):
        """A full circle, then straight."""
        turning = turned_rad.abs() < 2.0 * math.pi
        return towards(ego[:, 3], 6.0), torch.where(turning, _SHARP_RADPM, 0.0)


class WrongWay(Scripted):
    """Turns round and drives back."""

    def script(self, age_s, ego, turned_rad):
        """Half a circle, then straight."""
        turning = turned_rad.abs() < math.pi
        return towards(ego[:, 3], 6.0), torch.where(turning, _SHARP_RADPM, 0.0)


class Rush(Scripted):
    """Full throttle."""

    def script(self, age_s, ego, turned_rad):
        """No steering."""
        return torch.full_like(age_s, _HARD_MPS2), torch.zeros_like(age_s)


class Alternate(Scripted):
    """Accelerates for a second and brakes for a second."""

    def script(self, age_s, ego, turned_rad):
        """A square wave."""
        return torch.where(age_s % 2.0 < 1.0, 3.0, -3.0), torch.zeros_like(age_s)


class Tailgate(StraightIdm):
    """Follows far too closely, and as fast as it can."""

    def __init__(self) -> None:
        super().__init__(desired_speed_mps=40.0, headway_s=0.2, standstill_gap_m=0.5)


class HugTheEdge(RecordedHuman):
    """The human's actions, pulled to the right: along or over the lane's edge."""

    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """The human's path, a metre to the right."""
        action = super().act(observation, privileged_state)
        ego = observation.ego[:, -1]
        human = privileged_state.scene.state(privileged_state.vehicle, privileged_state.frame)
        away = ego[:, :2] - human[:, :2]
        left = away[:, 1] * human[:, 2].cos() - away[:, 0] * human[:, 2].sin()
        turned = torch.sin(ego[:, 2] - human[:, 2])
        curvature = -0.004 * (left + 1.0) - 0.08 * turned
        acceleration = towards(ego[:, 3], human[:, 3])
        return torch.stack([0.5 * (action[:, 0] + acceleration), curvature], dim=1)


EXPLOITS: dict[str, Callable[[], Policy]] = {
    "stand": Stand,
    "crawl": Crawl,
    "slalom": Slalom,
    "circle": Circle,
    "u-turn": UTurn,
    "wrong-way": WrongWay,
    "rush": Rush,
    "alternate": Alternate,
    "tailgate": Tailgate,
    "hug-the-edge": HugTheEdge,
}
"""By name."""
