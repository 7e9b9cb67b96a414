"""Reachability on a grid, against brute force."""

import itertools

import numpy as np

from eval.driving.reachability import SPEED_MPS, STATION_M, STEP_S, Abilities, path, search

CELL_M = 0.6


def brute_force(free, goal, start, abilities):
    """Earliest time at which any sequence of moves stands on the goal; None if none does."""
    most = [
        int(min(abilities.lateral_mps, abilities.slope * speed) * STEP_S / CELL_M + 1e-6)
        for speed in range(int(abilities.top_speed_mps) + 1)
    ]
    states, last = {start}, free.shape[2] - 1
    for time in range(len(free)):
        if any(goal[side, station] for _, side, station in states):
            return time
        if time == len(free) - 1:
            return None
        after = set()
        for (speed, side, station), change in itertools.product(states, range(-2, 2)):
            faster = speed + change
            if not 0 <= faster < len(most):
                continue
            metres = 0.5 * (speed + faster) * SPEED_MPS * STEP_S
            place = min(last, station + round(metres / STATION_M))
            for across in range(-most[speed], most[speed] + 1):
                beside = side + across
                if 0 <= beside < free.shape[1] and free[time + 1, beside, place]:
                    after.add((faster, beside, place))
        states = after
    return None


def test_finds_what_brute_force_finds_and_a_path_that_obeys_the_rules():
    random, abilities = np.random.default_rng(0), Abilities(top_speed_mps=6.0)
    most, outcomes = abilities.most_cells_across(CELL_M), set()
    for _ in range(60):
        free = random.random((9, 5, 40)) < random.uniform(0.05, 0.4)
        goal = np.zeros((5, 40), bool)
        goal[4, 30:] = True
        start = (3, 1, 0)
        found = search(free, goal, start, abilities, CELL_M)
        earliest = brute_force(free, goal, start, abilities)
        outcomes.add(earliest is None)
        assert (found.arrival is None) == (earliest is None)
        if found.arrival is None:
            continue
        assert len(found.reached) - 1 == earliest
        way = path(found, abilities, CELL_M)
        assert tuple(way[0]) == start
        assert goal[tuple(way[-1, 1:])]
        for time, (before, after) in enumerate(itertools.pairwise(way), start=1):
            assert free[time, after[1], after[2]]
            assert -2 <= after[0] - before[0] <= 1
            assert abs(after[1] - before[1]) <= most[before[0]]
            assert after[2] == min(39, before[2] + before[0] + after[0])
    assert outcomes == {True, False}


def test_standing_ego_cannot_move_sideways():
    free = np.ones((20, 5, 4), bool)
    goal = np.zeros((5, 4), bool)
    goal[4, 0] = True
    still = Abilities(top_speed_mps=0.0)
    assert search(free, goal, (0, 1, 0), still, CELL_M).arrival is None
    assert search(free, goal, (0, 4, 0), still, CELL_M).arrival == (0, 4, 0)
