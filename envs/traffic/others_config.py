"""What may be random in how others move."""

from __future__ import annotations

from dataclasses import dataclass

from .lapses import Inattention, Lapse, PhantomBraking


@dataclass(frozen=True)
class OthersConfig:
    """What may be random in how others move.

    Attributes:
        phantom_per_minute: mean number of times a minute that each reactive driver brakes without
            cause.
        inattention_s: longest delay of reactive drivers that are inattentive for a spell.
        seed: of these, and of the futures that a world model samples.
    """

    phantom_per_minute: float = 0.0
    inattention_s: float = 0.0
    seed: int = 0

    @property
    def lapses(self) -> bool:
        """Whether drivers have any."""
        return self.phantom_per_minute > 0 or self.inattention_s > 0

    def build_lapses(self, dt_s: float) -> tuple[Lapse, ...]:
        """Inattention first: a driver that brakes without cause does so at once."""
        some: list[Lapse] = []
        if self.inattention_s > 0:
            some.append(Inattention(self.inattention_s, dt_s))
        if self.phantom_per_minute > 0:
            some.append(PhantomBraking(self.phantom_per_minute, dt_s))
        return tuple(some)
