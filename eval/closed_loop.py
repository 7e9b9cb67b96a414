"""``python -m eval.closed_loop``: success rates and metrics of policies in fixed scenarios."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

from data.splits import Split, SplitManifest
from envs.core.variation import Variation
from envs.tasks.registry import KEEP, Task
from ppuu.policies import RecordedHuman
from ppuu.runtime.command import run
from ppuu.runtime.device import choose_device
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import check_output

from .driving.drivers import (
    labels,
    policies_by_label,
    training_of,
    warn_of_seen,
    with_planners,
)
from .driving.episodes_file import write_episodes
from .driving.evaluation import HUMAN, evaluate
from .driving.scenario_manifest import ScenarioManifest
from .driving.scenario_set import REPLAY, ScenarioSet
from .driving.summary import driving_columns, success_columns
from .protocols.ppuu import evaluate_ppuu, short_row_ppuu
from .reports.results import write_results
from .reports.tables import text_table
from .statistics.metric import Row


def _variations(texts: Sequence[str]) -> list[Variation]:
    """The given variations, each once, and none that is the recorded world.

    Raises:
        InputError: otherwise.
    """
    variations = [Variation.parse(text) for text in texts]
    for text, variation in zip(texts, variations, strict=True):
        if variation == Variation() or variations.count(variation) > 1:
            raise InputError(f"--vary {text}: the recorded world, which is driven anyway, or twice")
    return variations


def _check_others(others: Sequence[str], scenario_set: ScenarioSet) -> None:
    """Refuses a traffic that cannot be built, before any episode is driven."""
    for name in others:
        if list(others).count(name) > 1:
            raise InputError(f"--others {name}: named twice")
        scenario_set.traffic(name)


def main(
    policy: tuple[str, ...],
    recordings: tuple[Path, ...],
    json: Path | None = None,
    world_model: tuple[str, ...] = (),
    split: Split = "test",
    split_manifest: Path | None = None,
    limit: int | None = None,
    slots: int = 64,
    task: Task = KEEP,
    manifest: Path | None = None,
    others: tuple[str, ...] = (REPLAY,),
    vary: tuple[str, ...] = (),
    protocol: Literal["exact", "ppuu"] = "exact",
    device: str = "cpu",
) -> None:
    """Drives fixed scenarios and writes success rates and other metrics with 95 % intervals.

    Every vehicle of the split is the ego once.  Success is ``arrived``: 215 m along the human's
    path, as on PPUU's I-80 segment, or 90 % of the human's progress where the recording ends
    before, and in the lane that the task asks for.  The recorded human is always driven, too: the
    metrics of realism are distances from it.  Beside OUT.json, every episode's row
    is kept in OUT.episodes.csv.

    Args:
        policy: run directories of train.policy, archives of Stable-Baselines3 (FILE.zip; only those
            that you trust: they hold code), human, random, no-action, idm, planner
            (with --world-model), or planner:WORLD,KEY=VALUE… (docs/planning.md); one or several.
        recordings: files written by data.generate or data.prepare.
        json: where to write the table; printed either way.
        world_model: what planner predicts with, each a row: run directories of train.world_model,
            recorded (the true future), simulator (its own traffic), constant-velocity,
            constant-acceleration, idm, copy-last.
        split: test, or all for recordings that no model was trained on.
        split_manifest: file of data.splits that defines the split; without it, splits are by time.
        limit: largest number of scenarios, spread evenly over the list.
        slots: largest number of episodes driven at a time.
        task: keep (drive on), or be in another lane at the end: change-1, change-2 (one or two
            lanes aside), exit (the lane that leaves the road), merge (out of a lane that ends).
            The human has another goal then and mostly fails.
        manifest: drive the scenarios of this file of eval.scenarios and no others; it says the
            task, and refuses other recordings.
        others: how the others move, one or several: replay (none reacts), until-disturbed,
            reactive, policy:RUN, model:RUN (that policy or world model drives all vehicles), sumo;
            reactive:polite, reactive:assertive and so on for other drivers than mixed ones.  Every
            policy is driven among each.
        vary: variations of the recorded world, driven beside it: density=0.5,
            friction=0.3,delay_s=0.2 and so on (docs/environment.md).
        protocol: exact, or the published rules of PPUU, for comparison with published numbers
            (docs/protocol-ppuu.md).
        device: where networks compute: cpu, or cuda for large ones; the simulator stays on the
            CPU.
    """
    if slots < 1 or (limit is not None and limit < 1):
        raise InputError(f"--slots {slots}, --limit {limit}: both must be positive")
    check_output(json)
    policy = tuple(with_planners(policy, world_model))
    names = labels(policy)
    where = choose_device(device)
    policies = policies_by_label(policy, device)
    if HUMAN not in policy:
        policies = {HUMAN: RecordedHuman()} | policies
    divided = None if split_manifest is None else SplitManifest.load(split_manifest)
    chosen = None if manifest is None else ScenarioManifest.load(manifest)
    if chosen is not None:
        if divided is not None or limit is not None or task not in (KEEP, chosen.task):
            raise InputError("--manifest says it all: leave out --split-manifest, --limit, --task")
        task, split = cast(Task, chosen.task), "all"

    if protocol == "ppuu" and (tuple(others) != (REPLAY,) or vary):
        raise InputError(
            "--protocol ppuu: its others replay the recording; leave out --others and --vary"
        )
    scenario_sets = [
        ScenarioSet.load(recordings, split, divided, variation, policies.values(), task)
        for variation in (Variation(), *_variations(vary))
    ]
    if chosen is not None:
        scenario_sets = [chosen.choose(one) for one in scenario_sets]
    recorded = scenario_sets[0]
    for scenario_set in scenario_sets:
        _check_others(others, scenario_set)
    training = {names[name]: training_of(name) for name in policy}
    seen = {
        label: warn_of_seen(label, config, recorded.recordings, recorded.parts)
        for label, config in training.items()
    }
    start_s = time.monotonic()
    compared: Sequence[Row] = ()
    if protocol == "ppuu":
        rows, episodes, digest = evaluate_ppuu(policies, recorded, slots, limit)
        tables = [[short_row_ppuu(row) for row in rows]]
    else:
        rows, compared, episodes = evaluate(policies, others, scenario_sets, slots, limit)
        digest = recorded.scenarios.digest
        success, driving = map(success_columns, rows), map(driving_columns, rows)
        tables = [list(success), list(driving), compared]
    print("\n\n".join(text_table(table) for table in tables if table))
    if json is not None:
        # First: where there is a table, there are episodes beside it.
        write_episodes(json.with_suffix(".episodes.csv"), episodes)
        write_results(
            json,
            "eval.closed_loop",
            {
                "policy": list(policy),
                "recordings": [str(path) for path in recordings],
                "recording_hashes": [one.content_hash for one in recorded.recordings],
                "protocol": protocol,
                "scenarios": digest,
                "split": split,
                "limit": limit,
                "others": list(others),
                "vary": list(vary),
                "task": task,
                "manifest": None if chosen is None else chosen.digest,
                "split_manifest": None if divided is None else divided.digest,
                "seen_in_training": seen,
                "training": training,
                "device": str(where),
                "seconds": round(time.monotonic() - start_s, 1),
            },
            rows,
            compared,
        )


if __name__ == "__main__":
    run(main)
