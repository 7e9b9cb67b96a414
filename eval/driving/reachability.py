"""What an ego can reach on a road among moving obstacles: forward dynamic programming.

State: station, lateral position and speed on a grid, in steps of half a second.  Whole metres a
second change the station by whole quarters of a metre, so that no position is ever rounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from numba import njit

STEP_S = 0.5
STATION_M = 0.25
"""Of a cell; mean speed times ``STEP_S`` is a multiple of it."""
SPEED_MPS = 1.0
"""Between neighbouring speeds."""


@dataclass(frozen=True)
class Abilities:
    """What the ego can do.

    Attributes:
        braking_mps2, acceleration_mps2: the largest; multiples of 2 m/s².
        top_speed_mps: the highest speed.
        lateral_mps: the highest speed across the road.
        slope: the highest speed across, per speed along: the tangent of the largest heading.
    """

    braking_mps2: float = 4.0
    acceleration_mps2: float = 2.0
    top_speed_mps: float = 36.0
    lateral_mps: float = 2.5
    slope: float = 0.4

    def speed_changes(self) -> Int[np.ndarray, " changes"]:
        """Of one step, in units of ``SPEED_MPS``."""
        unit = STEP_S / SPEED_MPS
        return np.arange(-round(self.braking_mps2 * unit), round(self.acceleration_mps2 * unit) + 1)

    def most_cells_across(self, cell_m: float) -> Int[np.ndarray, " speeds"]:
        """Lateral cells that one step can cross, for each speed."""
        speeds = np.arange(int(self.top_speed_mps / SPEED_MPS) + 1) * SPEED_MPS
        across = np.minimum(self.lateral_mps, self.slope * speeds) * STEP_S
        return (across / cell_m + 1e-6).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Search:
    """What was reached.

    Attributes:
        reached: ``(times, speeds, lateral, stations)`` 1 where the ego can be.
        arrival: ``(speed, lateral, station)`` of a goal state at the last of the times; None if
            no goal state was reached.
    """

    reached: np.ndarray
    arrival: tuple[int, int, int] | None


def search(
    free: Bool[np.ndarray, "times lateral stations"],
    goal: Bool[np.ndarray, "lateral stations"],
    start: tuple[int, int, int],
    abilities: Abilities,
    cell_m: float,
) -> Search:
    """All states that can be reached, until the first that is a goal.

    Args:
        free: where the ego's centre may be at each step; beyond the last station lies nothing,
            but who passes it is at it.
        goal: where it shall arrive.
        start: speed, lateral and station cell at time 0, which need not be free.
        abilities: of the ego.
        cell_m: size of a lateral cell.
    """
    most = abilities.most_cells_across(cell_m)
    reached = np.zeros((len(free), len(most), *free.shape[1:]), np.uint8)
    reached[(0, *start)] = 1
    changes = abilities.speed_changes()
    wanted = goal.astype(np.uint8)
    last = _spread(reached, free.astype(np.uint8), wanted, changes, most)
    arrived = np.argwhere(reached[last] & wanted)
    arrival = None
    if len(arrived):
        speed, lateral, station = arrived[0].tolist()
        arrival = (speed, lateral, station)
    return Search(reached[: last + 1], arrival)


def path(found: Search, abilities: Abilities, cell_m: float) -> Int[np.ndarray, "times 3"]:
    """Speed, lateral and station cell at each time, one of the ways to the arrival.

    Of several predecessors the one that needs the smallest change of speed, then of position.
    """
    assert found.arrival is not None
    most = abilities.most_cells_across(cell_m)
    changes = sorted(abilities.speed_changes().tolist(), key=abs)
    last = found.reached.shape[3] - 1
    states = [found.arrival]
    for time in range(len(found.reached) - 1, 0, -1):
        states.append(_predecessor(found.reached[time - 1], states[-1], changes, most, last))
    return np.array(states[::-1])


def _predecessor(
    reached: np.ndarray,
    state: tuple[int, int, int],
    changes: list[int],
    most: Int[np.ndarray, " speeds"],
    last: int,
) -> tuple[int, int, int]:
    speed, lateral, station = state
    for change in changes:
        before = speed - change
        if not 0 <= before < len(most):
            continue
        for across in sorted(range(-most[before], most[before] + 1), key=abs):
            side = lateral - across
            if not 0 <= side < reached.shape[1]:
                continue
            moved = before + speed
            behind = station - moved
            # The last cell also holds whoever has passed it.
            first, stop = (behind, behind + 1) if station < last else (behind, last + 1)
            hits = np.flatnonzero(reached[before, side, max(first, 0) : stop])
            if len(hits):
                return before, side, max(first, 0) + int(hits[0])
    raise AssertionError(f"no way leads to {state}")


@njit(cache=True, nogil=True)
def _spread(reached, free, goal, changes, most):  # pragma: no cover - compiled
    """Fills ``reached`` in time; returns the time of the first goal state, or the last time."""
    times, speeds, lateral, stations = reached.shape
    for time in range(times):
        for speed in range(speeds):
            for y in range(lateral):
                for s in range(stations):
                    if reached[time, speed, y, s] and goal[y, s]:
                        return time
        if time == times - 1:
            break
        alive = False
        for speed in range(speeds):
            for y in range(lateral):
                some = False
                for s in range(stations):
                    if reached[time, speed, y, s]:
                        some = True
                        break
                if not some:
                    continue
                alive = True
                for change in changes:
                    after = speed + change
                    if after < 0 or after >= speeds:
                        continue
                    moved = speed + after
                    for side in range(max(0, y - most[speed]), min(lateral, y + most[speed] + 1)):
                        target = reached[time + 1, after, side]
                        source = reached[time, speed, y]
                        mask = free[time + 1, side]
                        for s in range(stations - moved):
                            target[s + moved] |= source[s] & mask[s + moved]
                        for s in range(max(0, stations - moved), stations):
                            target[stations - 1] |= source[s] & mask[stations - 1]
        if not alive:
            return time
    return times - 1
