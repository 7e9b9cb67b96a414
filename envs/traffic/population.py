"""Populations of drivers: how close they follow, and how they deal with others.

Each driver has one trait, its *assertiveness*, from 0 (lets others in, makes nobody brake) to 1
(closes the gap, changes lanes at others' cost).  In the population ``mixed`` drivers follow as
fitted to recorded drivers and are the more assertive the shorter their headways; in ``polite`` and
``assertive`` all have one end of the trait, and longer or shorter headways.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ppuu.driving.drivers import fitted_drivers
from ppuu.runtime.errors import InputError

_MOST_POLITE = 0.5
"""MOBIL's weight of others' disadvantages; 0 is selfish (Kesting, Treiber and Helbing, 2007,
"General lane-changing model MOBIL for car-following models", who study 0 to 1)."""
_SAFE_BRAKING_MPS2 = (1.0, 3.0)
"""Braking that a lane change may impose; theirs is 4 m/s² for all."""
_TOLERANCE_M = (0.2, 0.7)
"""A vehicle that hangs over into the lane by less is not yet followed.  At 0.9 m it would be in the
way of a car in the middle of a lane of 3.7 m."""
_YIELDING_MPS2 = 1.5
"""Braking to let a vehicle in: that of comfortable following."""
_CLOSING = 0.4
"""Factor on the time headway while closing a gap, that which drivers accept right after a lane
change (``data.traffic.lane_change_decisions``)."""


@dataclass(frozen=True)
class Population:
    """What distinguishes it.

    Attributes:
        name: as in ``--others reactive:NAME``.
        headway: factor on all fitted time headways.
        calm: assertiveness of the driver with the longest headway.
        hasty: that of the driver with the shortest.
    """

    name: str
    headway: float
    calm: float
    hasty: float

    def assertiveness(self, headway_s: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Of drivers, by the rank of their time headways among the fitted ones."""
        fitted = np.sort(fitted_drivers().cars[:, 0])
        longer = 1.0 - np.searchsorted(fitted, headway_s) / len(fitted)
        return self.calm + (self.hasty - self.calm) * longer


POLITE = Population("polite", 1.25, 0.0, 0.0)
MIXED = Population("mixed", 1.0, 0.0, 1.0)
ASSERTIVE = Population("assertive", 0.75, 1.0, 1.0)
POPULATIONS = {one.name: one for one in (POLITE, MIXED, ASSERTIVE)}


def population_by_name(name: str, where: str) -> Population:
    """The named population; ``mixed`` if the name is empty.

    Args:
        name: one of ``POPULATIONS``.
        where: the option and its value, for the message.

    Raises:
        InputError: another name.
    """
    if name and name not in POPULATIONS:
        raise InputError(f"{where}: no population '{name}'; choose {', '.join(POPULATIONS)}")
    return POPULATIONS[name] if name else MIXED


@dataclass(frozen=True, eq=False)
class Manners:
    """How drivers deal with others, given their assertiveness.

    Attributes:
        assertiveness: 0 to 1.
    """

    assertiveness: Float[Tensor, "*batch"]

    @property
    def politeness(self) -> Float[Tensor, "*batch"]:
        """MOBIL's weight of the new follower's loss."""
        return _MOST_POLITE * (1.0 - self.assertiveness)

    @property
    def safe_braking_mps2(self) -> Float[Tensor, "*batch"]:
        """The hardest braking that a driver's lane change may impose."""
        low, high = _SAFE_BRAKING_MPS2
        return low + (high - low) * self.assertiveness

    @property
    def tolerance_m(self) -> Float[Tensor, "*batch"]:
        """How far a vehicle may hang over into the driver's lane before it is followed."""
        low, high = _TOLERANCE_M
        return low + (high - low) * self.assertiveness

    @property
    def yielding_mps2(self) -> Float[Tensor, "*batch"]:
        """The hardest braking to let a vehicle in; 0 for the more assertive half."""
        return _YIELDING_MPS2 * (1.0 - 2.0 * self.assertiveness).clamp(min=0.0)

    @property
    def closing(self) -> Float[Tensor, "*batch"]:
        """Factor on the time headway while a vehicle wants in; 1 for the less assertive half."""
        return 1.0 - (1.0 - _CLOSING) * (2.0 * self.assertiveness - 1.0).clamp(min=0.0)
