"""Lapses of drivers: braking without cause, and reacting late."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from .chance import Chance
from .fleet import Rows

PHANTOM_MPS2 = 3.0
PHANTOM_S = 1.0
"""Strength and duration of braking without cause."""

SPELL_S = 6.0
"""Each driver's time is divided into spells of this length; in each it is attentive or not."""
INATTENTIVE = 0.25
"""Probability that it is not."""

_BRAKES, _PHASE, _SPELL, _DELAY = range(4)
"""Purposes of random numbers."""


class Lapse(ABC):
    """Changes the accelerations that drivers choose."""

    @abstractmethod
    def columns(self, zeros: Float[Tensor, "*slots"]) -> Rows:
        """Columns of the traffic's tables that it needs, as of a vehicle that appears."""

    @abstractmethod
    def apply(
        self, acceleration_mps2: Float[Tensor, "envs slots"], rows: Rows, chance: Chance
    ) -> Float[Tensor, "envs slots"]:
        """The accelerations with the lapse; its columns in ``rows`` are replaced."""


class PhantomBraking(Lapse):
    """Each driver brakes by at least 3 m/s² for 1 s, without cause, at random times.

    Args:
        per_minute: mean number of times for each driver.
        dt_s: seconds per step.
    """

    def __init__(self, per_minute: float, dt_s: float):
        self._probability, self._dt_s = per_minute * dt_s / 60.0, dt_s

    def columns(self, zeros: Float[Tensor, "*slots"]) -> Rows:
        """Seconds for which a driver goes on braking."""
        return {"phantom_s": zeros.clone()}

    def apply(
        self, acceleration_mps2: Float[Tensor, "envs slots"], rows: Rows, chance: Chance
    ) -> Float[Tensor, "envs slots"]:
        """Brakes in progress, and those that begin."""
        begins = chance.uniform(_BRAKES) < self._probability
        left = torch.where(begins, PHANTOM_S, rows["phantom_s"])
        brakes = left > 0.5 * self._dt_s
        rows["phantom_s"] = (left - self._dt_s).clamp(min=0.0)
        return torch.where(brakes, acceleration_mps2.clamp(max=-PHANTOM_MPS2), acceleration_mps2)


class Inattention(Lapse):
    """In a quarter of the spells of 6 s a driver reacts late.

    Its acceleration then is the one that was due some time ago; the delay is drawn for each spell.

    Args:
        longest_s: delays are uniform from 0 to this.
        dt_s: seconds per step.
    """

    def __init__(self, longest_s: float, dt_s: float):
        self._longest_s, self._dt_s = longest_s, dt_s
        self._remembered = max(1, round(longest_s / dt_s))

    def columns(self, zeros: Float[Tensor, "*slots"]) -> Rows:
        """The accelerations of the last steps, latest first."""
        return {"due_mps2": zeros.new_full((*zeros.shape, self._remembered), torch.nan)}

    def apply(
        self, acceleration_mps2: Float[Tensor, "envs slots"], rows: Rows, chance: Chance
    ) -> Float[Tensor, "envs slots"]:
        """Late where inattentive, once a driver has driven for as long as its delay."""
        due = torch.cat([acceleration_mps2[..., None], rows["due_mps2"]], dim=-1)
        rows["due_mps2"] = due[..., :-1]
        spell_frames = round(SPELL_S / self._dt_s)
        never = torch.zeros_like(chance.vehicle)
        shift = (chance.uniform(_PHASE, never) * spell_frames).long()
        spell = (chance.frame[:, None] + shift) // spell_frames
        inattentive = chance.uniform(_SPELL, spell) < INATTENTIVE
        delay_s = chance.uniform(_DELAY, spell) * self._longest_s
        lag = (delay_s / self._dt_s).round().long() * inattentive
        late = due.gather(-1, lag[..., None])[..., 0]
        return torch.where(late.isnan(), acceleration_mps2, late)
