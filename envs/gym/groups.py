"""Which recordings of many are in memory together, and when the next ones take their turn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ppuu.runtime.errors import InputError


@dataclass(frozen=True)
class GroupConfig:
    """How recordings take turns.

    Attributes:
        recordings: in memory together, at most.
        episodes: that a slot drives in a group before it moves on to the next.
        seed: of the order; after all groups there is another one.
    """

    recordings: int = 8
    episodes: int = 100
    seed: int = 0

    def __post_init__(self):
        if self.recordings < 1 or self.episodes < 1:
            raise InputError(
                f"groups: {self.recordings} recordings, {self.episodes} episodes; both must be "
                "positive"
            )
        if self.seed < 0:
            raise InputError(f"groups: seed {self.seed}; 0 or more")

    def groups(self, recordings: int) -> int:
        """How many groups so many recordings make."""
        return math.ceil(recordings / self.recordings)

    def group(self, turn: int, recordings: int) -> list[int]:
        """The numbers of the recordings that are in memory at a turn, counted from 0.

        All groups together hold each recording once, in groups that differ by one at most.

        Args:
            turn: how many groups came before.
            recordings: how many there are.
        """
        groups = self.groups(recordings)
        round_, place = divmod(turn, groups)
        order = np.random.default_rng([self.seed, round_]).permutation(recordings)
        return np.sort(np.array_split(order, groups)[place]).tolist()
