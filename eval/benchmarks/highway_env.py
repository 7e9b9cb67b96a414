"""HighwayEnv (Leurent, 2018), where it is installed: the same time step, an image as large."""

from __future__ import annotations

import importlib
import time
from typing import Any

from ..statistics.intervals import median_and_range
from ..statistics.metric import Metric, Row

_CONFIG = {
    "observation": {
        "type": "OccupancyGrid",
        "features": ["presence", "vx", "on_road"],
        "grid_size": [[-36.1, 36.1], [-7.4, 7.4]],
        "grid_step": [0.617, 0.617],
    },
    "action": {"type": "ContinuousAction"},
    "simulation_frequency": 10,
    "policy_frequency": 10,
    "lanes_count": 6,
    "duration": 1e6,
}
"""Steps of 0.1 s and a grid of 3 x 117 x 24 cells, as this project's environment has."""


def rows(vehicles: tuple[int, ...], repeats: int, block_s: float) -> list[Row]:
    """One row for each number of vehicles; none where HighwayEnv is not installed.

    Only ``step`` is timed, one environment in one process; starting an episode costs nothing.
    """
    try:
        gymnasium = importlib.import_module("gymnasium")
        importlib.import_module("highway_env")
    except ImportError:
        return []
    return [
        {
            "name": f"HighwayEnv, {count} vehicles",
            "environments": 1,
            "vehicles": count,
            "observation": "raster",
            "device": "cpu",
            "env_steps_per_s": _rate(gymnasium, count, repeats, block_s),
        }
        for count in vehicles
    ]


def _rate(gymnasium: Any, vehicles: int, repeats: int, block_s: float) -> Metric:
    config = _CONFIG | {"vehicles_count": vehicles}
    env = gymnasium.make("highway-v0", config=config, disable_env_checker=True).unwrapped
    env.reset(seed=0)
    idle = env.action_space.sample() * 0.0

    def block() -> float:
        steps, spent = 0, 0.0
        while spent < block_s or steps == 0:
            start = time.perf_counter()
            ended = env.step(idle)[2:4]
            spent += time.perf_counter() - start
            steps += 1
            if any(ended):
                env.reset()
        return steps / spent

    block()
    return median_and_range([block() for _ in range(repeats)])
