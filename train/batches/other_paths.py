"""Augmentation of the ego's future: paths that the recorded driver did not take.

A model conditioned on the ego's actions and trained on recorded driving alone is undefined for
other actions, and a policy unrolled in it goes exactly there.  Recorded traffic does not react, so
the surroundings of any other path are recorded as well; only its images must be drawn.  Real
traffic would have reacted a little: the model learns the change of view, not how others respond.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from data.clips.clips import Clip
from ppuu.kinematics import ActionBounds, rollout
from ppuu.runtime.errors import InputError


@dataclass(frozen=True)
class OtherPaths:
    """How many futures follow another path, and how far from the recorded one.

    Attributes:
        share: fraction of the clips.
        acceleration_mps2, curvature_radpm: standard deviations of what is added to the recorded
            actions: one pair at first, another one from some random frame on.
    """

    share: float = 0.0
    acceleration_mps2: float = 2.0
    curvature_radpm: float = 0.02

    def __post_init__(self):
        if not 0.0 <= self.share <= 1.0 or min(self.acceleration_mps2, self.curvature_radpm) < 0:
            raise InputError(
                f"other paths: the share must be from 0 to 1, deviations not negative: {self}"
            )

    def taken(self, clip: Clip, dt_s: float, generator: torch.Generator) -> Clip:
        """The clips, with another future path and its actions for some of them.

        Args:
            clip: recorded.
            dt_s: seconds a frame.
            generator: of all random numbers, on the CPU whatever the clips' device.
        """
        if self.share == 0.0:
            return clip
        batch, frames = clip.actions.shape[:2]
        other = torch.rand(batch, 1, 1, generator=generator) < self.share
        size = torch.tensor([self.acceleration_mps2, self.curvature_radpm])
        first, second = (torch.randn(batch, 1, 2, generator=generator) * size for _ in range(2))
        change = torch.randint(frames + 1, (batch, 1, 1), generator=generator)
        added = torch.where(torch.arange(frames)[:, None] < change, first, second)
        actions = ActionBounds().clamp(clip.actions + added.to(clip.actions))
        path = rollout(clip.observation.ego[:, -1], actions, dt_s)
        other = other.to(path.device)
        return replace(
            clip,
            future=torch.where(other, path, clip.future),
            actions=torch.where(other, actions, clip.actions),
        )
