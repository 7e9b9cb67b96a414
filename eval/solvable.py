"""``python -m eval.solvable``: in how many scenarios a lane can be reached at all."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro

from envs.core.scenario import ScenarioConfig
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write

from .driving.lane_goals import goals_beside
from .driving.scenario_set import ScenarioSet
from .driving.solvability import Task, solve


def main(
    recordings: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    lanes: int = 2,
    episodes: int = 128,
    margin_m: float = 0.0,
    paths: Path | None = None,
) -> None:
    """Searches for a way into a lane to the side, within 215 m among the recorded vehicles.

    Forward dynamic programming over station, lateral position and speed in the recorded future;
    a bound on what a driver among replayed traffic can do.

    Example: python -m eval.solvable dense-seed1.h5 --lanes 2

    Args:
        recordings: recordings, HDF5.
        lanes: lanes to the side, to the right and the left in turn.
        episodes: so many scenarios, spread evenly over the list.
        margin_m: distance kept to every other vehicle.
        paths: also write the paths that were found (NumPy .npz: station_m, lateral_m, speed_mps
            every half second, one array a scenario).
    """
    if lanes < 1 or episodes < 1 or not margin_m >= 0:
        raise InputError(
            f"--lanes {lanes}, --episodes {episodes}, --margin-m {margin_m:g}: lanes and episodes "
            "must be positive, the margin not negative"
        )
    scenario_set = ScenarioSet.load(recordings, "all")
    scene, scenarios = scenario_set.scene, scenario_set.scenarios.spread(episodes)
    goal = goals_beside(
        scene, scenario_set.recordings, scenarios, lanes, ScenarioConfig().distance_m
    )
    started_s, found = time.monotonic(), {}
    for number in range(len(scenarios)):
        one = scenarios[number]
        recording = scenario_set.recordings[int(one.recording[0])]
        row = goal.take(torch.tensor([number]))
        solution = solve(scene, recording, one, row, Task(margin_m=margin_m))
        if solution.solvable:
            found[str(number)] = solution.path
    each_s = (time.monotonic() - started_s) / len(scenarios)
    print(
        f"{lanes} lanes to the side within {ScenarioConfig().distance_m:g} m: "
        f"{len(found)} of {len(scenarios)} solvable "
        f"({100 * len(found) / len(scenarios):.1f} %), {each_s:.2f} s each"
    )
    if paths is not None:
        with atomic_write(paths) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **found)


if __name__ == "__main__":
    run(main)
