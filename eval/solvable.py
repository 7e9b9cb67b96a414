"""``python -m eval.solvable``: in how many scenarios a task can be done at all."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from data.splits import Split
from envs.tasks.registry import LaneTask
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write, check_output

from .driving.scenario_set import ScenarioSet
from .driving.solvability import Arrival, solve
from .reports.results import write_results
from .statistics.intervals import rate


def main(
    recordings: tuple[Path, ...],
    task: LaneTask = "change-2",
    json: Path | None = None,
    split: Split = "test",
    limit: int | None = None,
    margin_m: float = 0.0,
    paths: Path | None = None,
) -> None:
    """Searches for a way into the task's lane, within 215 m among the recorded vehicles.

    Forward dynamic programming over station, lateral position and speed in the recorded future: a
    bound on what a driver among replayed traffic can do.

    Example: python -m eval.solvable --recordings dense.h5 --task change-2 --split all

    Args:
        recordings: files written by data.generate or data.prepare.
        task: the lane to be in at the end, as for eval.closed_loop.
        json: where to write the share, and which scenarios have a way; printed either way.
        split: of each recording.
        limit: largest number of scenarios, spread evenly over the list.
        margin_m: distance kept to every other vehicle.
        paths: also write the paths that were found (NumPy .npz: station_m, lateral_m, speed_mps
            every half second, one array a scenario).
    """
    if not margin_m >= 0 or (limit is not None and limit < 1):
        raise InputError(
            f"--margin-m {margin_m:g}, --limit {limit}: the margin must not be negative, the limit "
            "positive"
        )
    check_output(json)
    scenario_set = ScenarioSet.load(recordings, split, task=task)
    scene, scenarios = scenario_set.scene, scenario_set.scenarios.spread(limit)
    started_s, found = time.monotonic(), {}
    for number in range(len(scenarios)):
        one = scenarios[number]
        recording = scenario_set.recordings[int(one.recording[0])]
        solution = solve(scene, recording, one, Arrival(margin_m=margin_m))
        if solution.solvable:
            found[str(number)] = solution.path
    each_s = (time.monotonic() - started_s) / len(scenarios)
    share = rate(len(found), len(scenarios))
    print(
        f"{task}: {len(found)} of {len(scenarios)} solvable ({100 * share.value:.1f} %), "
        f"{each_s:.2f} s each"
    )
    if json is not None:
        config = {
            "recordings": [str(one) for one in recordings], "task": task, "split": split,
            "limit": limit, "margin_m": margin_m,
        }  # fmt: skip
        row = {"name": task, "solvable": share, "solved": [int(one) for one in found]}
        write_results(json, "eval.solvable", config, [row])
    if paths is not None:
        with atomic_write(paths) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **found)


if __name__ == "__main__":
    run(main)
