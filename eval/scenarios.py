"""``python -m eval.scenarios``: writes which scenarios a benchmark consists of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from data.splits import Split
from envs.tasks.registry import KEEP, Task
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import check_output

from .driving.scenario_manifest import ScenarioManifest
from .driving.scenario_set import ScenarioSet


def main(
    recordings: tuple[Path, ...],
    out: Path,
    task: Task = KEEP,
    split: Split = "all",
    limit: int | None = None,
    episodes: Path | None = None,
    fail: tuple[str, ...] = ("planner:constant-velocity", "planner:constant-acceleration"),
    succeed: tuple[str, ...] = ("planner:recorded",),
    starts: int = 0,
    seed: int = 0,
) -> None:
    """Writes a manifest for ``eval.closed_loop --manifest``, which drives these scenarios alone.

    With ``--episodes`` it is a hard split: the scenarios in which some drivers failed and others
    succeeded.  By construction these drivers differ by 100 points from the recorded starts, so it
    is driven from other starts (``--starts``), with planners of another kind and seed.

    Args:
        recordings: files written by data.generate or data.prepare; none that is trained on.
        out: the manifest, JSON.
        task: of all scenarios.
        split: part of each recording.
        limit: largest number of scenarios, spread evenly over the list.
        episodes: file of all episodes beside a table of eval.closed_loop, to screen by.
        fail: its policies that must have failed.
        succeed: its policies that must have succeeded.
        starts: of each scenario, up to 0.3 m aside and 5 % faster or slower than recorded; 0 for
            the recorded start.
        seed: of these starts.
    """
    check_output(out)
    scenario_set = ScenarioSet.load(recordings, split, task=task)
    scenario_set = replace(scenario_set, scenarios=scenario_set.scenarios.spread(limit))
    rule = f"task {task}, split {split}" + ("" if limit is None else f", {limit} spread evenly")
    manifest = ScenarioManifest.of(scenario_set, task, rule)
    if episodes is not None:
        manifest = manifest.screened(episodes, fail, succeed)
        rule += f"; {', '.join(fail)} failed, {', '.join(succeed)} succeeded"
    if not manifest.scenarios:
        raise InputError(f"{episodes}: no scenario tells these drivers apart; drive more")
    if starts:
        manifest = manifest.perturbed(starts, seed)
        rule += f"; {starts} other starts of each, seed {seed}"
    manifest = replace(manifest, rule=rule)
    manifest.save(out)
    print(f"{out}: {len(manifest.scenarios)} scenarios ({rule}), digest {manifest.digest[:12]}")


if __name__ == "__main__":
    run(main)
