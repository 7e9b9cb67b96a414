"""SUMO's options and the lateral behaviour of its drivers, for recordings and simulator alike."""

from __future__ import annotations

_SUBLANE_M = 0.925
"""Width of SUMO's sub-lanes, four to a lane: with them lane changes are continuous."""

LATERAL_BEHAVIOUR: dict[str, float] = {
    "maxSpeedLat": 1.3,
    "lcAccelLat": 1.0,
    "lcMaxSpeedLatStanding": 0,
    "lcMaxSpeedLatFactor": 0.2,
    "lcSigma": 0.1,
    "lcSpeedGain": 5,
    "lcKeepRight": 0,
}
"""Attributes of a ``vType``: a lane change takes about three seconds, and none is made at
standstill."""


def simulation_options(dt_s: float, seed: int) -> list[str]:
    """Options of the command line for a quiet, repeatable run with continuous lane changes."""
    return [
        *("--seed", str(seed), "--step-length", str(dt_s)),
        *("--lateral-resolution", str(_SUBLANE_M), "--no-internal-links", "true"),
        # No vehicle is removed from the road, whatever happens: collisions must stay visible.
        *("--time-to-teleport", "-1", "--collision.action", "none"),
        *("--no-step-log", "true", "--no-warnings", "true", "--duration-log.disable", "true"),
    ]
