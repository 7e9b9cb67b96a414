"""``python -m eval.replay``: watch and take apart episodes in a browser, from one HTML file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from data.splits import Split, SplitManifest
from ppuu.policies import Policy
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import check_output

from .driving.drivers import policies_by_label
from .driving.episode_record import EpisodeRecord
from .driving.episode_recorder import SLOTS, record_episodes
from .driving.scenario_set import ScenarioSet
from .reports.replay_page import write_replay


def _records(
    policies: Mapping[str, Policy], scenario_set: ScenarioSet, numbers: Sequence[int]
) -> list[list[EpisodeRecord]]:
    """One list a scenario, one entry a policy."""
    driven = [
        record_episodes(policy, name, scenario_set, numbers) for name, policy in policies.items()
    ]
    return [list(records) for records in zip(*driven, strict=True)]


def _failures(
    policies: Mapping[str, Policy], scenario_set: ScenarioSet, limit: int
) -> list[list[EpisodeRecord]]:
    """The first ``limit`` scenarios in which a policy fails, filled up with others."""
    failed, succeeded = [], []
    numbers = range(len(scenario_set.scenarios))
    for first in range(0, len(numbers), SLOTS):
        for records in _records(policies, scenario_set, numbers[first : first + SLOTS]):
            kept = failed if any(record.failed for record in records) else succeeded
            if len(kept) < limit:
                kept.append(records)
        if len(failed) == limit:
            break
    return (failed + succeeded)[:limit]


def main(
    policy: tuple[str, ...],
    recordings: tuple[Path, ...],
    out: Path,
    split: Split = "test",
    split_manifest: Path | None = None,
    limit: int = 20,
    scenario: tuple[int, ...] = (),
    failures_first: bool = False,
    device: str = "cpu",
) -> None:
    """Writes a page that replays episodes: one HTML file that needs no network.

    Each scenario shows all policies, one below the other, with speeds, distances, driving costs and
    rewards over time.  Press ? on the page for its keys.  FILE.html#episode=3&frame=40 opens it at
    a frame.

    Args:
        policy: run directories of train.policy, human, random, no-action, idm, or
            planner:WORLD,KEY=VALUE… (docs/planning.md); one or several.
        recordings: files written by data.generate or data.prepare.
        out: the page, .html.
        split: test, or all for recordings that no model was trained on.
        split_manifest: file of data.splits that defines the split; without it, splits are by time.
        limit: how many scenarios, spread evenly over the list.
        scenario: numbers of scenarios instead.
        failures_first: drive the list from its beginning until a policy has failed in so many
            scenarios, and show these.
        device: where networks compute: cpu, or cuda for large ones; the simulator stays on the
            CPU.
    """
    if failures_first and scenario:
        raise InputError("--scenario and --failures-first exclude each other; give one of them")
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out {out}: give a name that ends in .html")
    check_output(out)
    policies = policies_by_label(policy, device)
    manifest = None if split_manifest is None else SplitManifest.load(split_manifest)
    scenarios = ScenarioSet.load(recordings, split, manifest, policies=policies.values())
    numbers = scenarios.choose(limit, scenario)
    if failures_first:
        episodes = _failures(policies, scenarios, limit)
    else:
        episodes = _records(policies, scenarios, numbers)
    write_replay(out, scenarios, episodes)
    failed = sum(any(record.failed for record in records) for records in episodes)
    sys.stdout.write(
        f"{out}: {len(episodes)} scenarios, {failed} of them with a failure, "
        f"{out.stat().st_size / 1e6:.1f} MB\n"
    )


if __name__ == "__main__":
    run(main)
