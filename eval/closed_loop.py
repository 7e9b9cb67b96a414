"""``python -m eval.closed_loop``: let drivers loose in recorded traffic and count what happens."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from data.splits import Part, Split, SplitManifest, part_of
from envs.scenario import ScenarioConfig, Scenarios, list_scenarios
from envs.simulator import Simulator, SimulatorConfig, StepResult
from envs.termination import CollisionKind, Outcome
from ppuu.command import run
from ppuu.errors import InputError
from ppuu.files import check_output, written_whole
from ppuu.policies import NetworkPolicy, Policy, Surroundings
from ppuu.raster import RoadMap
from ppuu.recording import Recording, load_recordings
from ppuu.scene import Scene

from .policies import labels, observation_of, policy_by_name, training_of, warn_of_seen
from .results import Metric, Row, format_table, mean, rate, write_results

SUCCESSES = ("arrived", "survived")


@dataclass(frozen=True)
class Episode:
    """One episode's row."""

    policy: str
    recording: str
    vehicle_id: int
    start_frame: int
    outcome: str
    collision_kind: str
    at_fault: bool
    distance_m: float
    human_distance_m: float
    duration_s: float
    mean_speed_mps: float
    smallest_clearance_m: float
    hardest_braking_mps2: float


@dataclass(frozen=True, eq=False)
class Track:
    """The scenarios to drive and the world to drive them in.

    Attributes:
        recordings: the traffic.
        parts: what the split may use of each.
        scene: their tracks.
        scenarios: fixed by the recordings, the split and the scenario rules.
    """

    recordings: Sequence[Recording]
    parts: Sequence[Part]
    scene: Scene
    scenarios: Scenarios

    @classmethod
    def load(
        cls, paths: Sequence[Path], split: Split, manifest: SplitManifest | None = None
    ) -> Track:
        """Lists the scenarios of one split of every recording that it may use.

        Raises:
            InputError: a file is missing or damaged, or has no such split.
        """
        recordings, parts, lists = [], [], []
        for recording in load_recordings(paths):
            part = part_of(recording, split, manifest)
            if part is None:
                continue
            found = list_scenarios(recording, ScenarioConfig(), part.window.first, part.window.last)
            if part.egos is not None:
                found = found[np.flatnonzero(np.isin(found.vehicle, part.egos))]
            recordings.append(recording)
            parts.append(part)
            lists.append(found)
        if not any(map(len, lists)):
            raise InputError(f"the split manifest gives {split} no vehicle of these recordings")
        return cls(recordings, parts, Scene.build(recordings), Scenarios.concatenate(lists))


def simulator_for(policy: Policy, track: Track) -> Simulator:
    """A simulator of the track that draws what the policy wants to see, if anything."""
    seen = observation_of(policy)
    looks = isinstance(policy, NetworkPolicy)
    roads = RoadMap.build([recording.road for recording in track.recordings], seen.raster)
    return Simulator(track.scene, roads, SimulatorConfig(seen if looks else None))


def choose_action(policy: Policy, simulator: Simulator) -> torch.Tensor:
    """Shows the policy where things stand; ``(envs, 2)`` what it would do, in m/s² and 1/m."""
    others = simulator.neighbours()
    surroundings = Surroundings(
        simulator.scene, simulator.vehicle, simulator.frame,
        others.boxes, others.speed_mps, others.present, simulator.road_map,
    )  # fmt: skip
    looks = isinstance(policy, NetworkPolicy)
    observation = simulator.observe() if looks else simulator.present()
    return policy.act(observation, surroundings)


def take_turn(policy: Policy, simulator: Simulator) -> StepResult:
    """Does what the policy says, for one frame."""
    return simulator.step(choose_action(policy, simulator))


@torch.no_grad()
def drive(
    policy: Policy, name: str, track: Track, slots: int = 64, limit: int | None = None
) -> list[Episode]:
    """Drives every scenario once, ``slots`` of them at a time.

    A slot whose episode has ended takes the next scenario, so the batch stays full.
    """
    scenarios = track.scenarios if limit is None else track.scenarios[:limit]
    slots = min(slots, len(scenarios))
    simulator = simulator_for(policy, track)
    simulator.reset(scenarios[:slots])
    policy.reset(torch.ones(slots, dtype=torch.bool))
    episode = torch.arange(slots)
    waiting = slots
    rows: list[Episode | None] = [None] * len(scenarios)
    clearance = torch.full((slots,), torch.inf)
    braking = torch.zeros(slots)
    bar = tqdm(total=len(scenarios), desc=f"drive {name}", disable=not sys.stderr.isatty())
    with bar:
        while bool((episode >= 0).any()):
            result = take_turn(policy, simulator)
            clearance = torch.minimum(clearance, result.clearance_m)
            braking = torch.maximum(braking, -result.action[:, 0])
            ended = ((episode >= 0) & result.done).nonzero()[:, 0]
            for slot in ended.tolist():
                which = int(episode[slot])
                seconds = int(result.steps[slot]) * track.scene.dt_s
                rows[which] = Episode(
                    policy=name,
                    recording=track.recordings[int(scenarios.recording[which])].name,
                    vehicle_id=int(scenarios.vehicle_id[which]),
                    start_frame=int(scenarios.start_frame[which]),
                    outcome=Outcome(int(result.outcome[slot])).name.lower(),
                    collision_kind=CollisionKind(int(result.collision_kind[slot])).name.lower(),
                    at_fault=bool(result.at_fault[slot]),
                    distance_m=round(float(result.distance_m[slot]), 2),
                    human_distance_m=round(float(scenarios.human_distance_m[which]), 2),
                    duration_s=round(seconds, 2),
                    mean_speed_mps=round(float(result.distance_m[slot]) / max(seconds, 1e-9), 3),
                    smallest_clearance_m=round(float(clearance[slot]), 3),
                    hardest_braking_mps2=round(float(braking[slot]), 3),
                )
                bar.update()
            count = min(len(ended), len(scenarios) - waiting)
            refill = ended[:count]
            episode[ended] = -1
            if count:
                episode[refill] = torch.arange(waiting, waiting + count)
                simulator.replace(refill, scenarios[waiting : waiting + count])
                waiting += count
                fresh = torch.zeros(slots, dtype=torch.bool)
                fresh[refill] = True
                policy.reset(fresh)
                clearance[refill], braking[refill] = torch.inf, 0.0
    return [row for row in rows if row is not None]


def summary(name: str, episodes: Sequence[Episode]) -> Row:
    """One line of the table: shares with Wilson intervals, means with bootstrap intervals."""
    n = len(episodes)

    def share(test: Callable[[Episode], bool]) -> Metric:
        return rate(sum(map(test, episodes)), n)

    collided = [e for e in episodes if e.outcome == "collision"]
    return {
        "name": name,
        "success": share(lambda e: e.outcome in SUCCESSES),
        "arrived": share(lambda e: e.outcome == "arrived"),
        "survived": share(lambda e: e.outcome == "survived"),
        "collision": share(lambda e: e.outcome == "collision"),
        "offroad": share(lambda e: e.outcome == "offroad"),
        "timeout": share(lambda e: e.outcome == "timeout"),
        "distance_m": mean([e.distance_m for e in episodes]),
        "mean_speed_mps": mean([e.mean_speed_mps for e in episodes]),
        "collision_front": rate(sum(e.collision_kind == "front" for e in collided), n),
        "collision_rear": rate(sum(e.collision_kind == "rear" for e in collided), n),
        "collision_side": rate(sum(e.collision_kind == "side" for e in collided), n),
        "success_or_struck_from_behind": share(
            lambda e: e.outcome in SUCCESSES or (e.outcome == "collision" and not e.at_fault)
        ),
    }


def write_episodes(path: Path, episodes: Sequence[Episode]) -> None:
    """Keeps every episode's row, as CSV, atomically."""
    with written_whole(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, Episode.__dataclass_fields__)
        writer.writeheader()
        writer.writerows(asdict(episode) for episode in episodes)


def main(
    policy: tuple[str, ...],
    recordings: tuple[Path, ...],
    json: Path | None = None,
    split: Split = "test",
    split_manifest: Path | None = None,
    limit: int | None = None,
    slots: int = 64,
) -> None:
    """Drives fixed scenarios and writes success rates with 95 % intervals.

    Every vehicle of the split takes its turn as ego; the others replay the recording.  Success is
    ``arrived`` (215 m driven, as on PPUU's I-80 segment) or, in recordings too short for that,
    ``survived``.  Beside OUT.json, every episode's row is kept in OUT.episodes.csv.

    Args:
        policy: run directories of train.policy, or human, no-action, idm,
            constant-velocity; one or several.
        recordings: files written by data.generate or data.prepare.
        json: where to write the table; printed either way.
        split: test, or all for recordings that nothing was trained on.
        split_manifest: file of data.splits that says what belongs to the split; by time without.
        limit: drive only the first so many scenarios.
        slots: episodes at a time.
    """
    if slots < 1 or (limit is not None and limit < 1):
        raise InputError(f"--slots {slots}, --limit {limit}: both must be positive")
    check_output(json)
    names = labels(policy)
    drivers = [(names[name], policy_by_name(name)) for name in policy]
    manifest = None if split_manifest is None else SplitManifest.load(split_manifest)
    track = Track.load(recordings, split, manifest)
    training = {names[name]: training_of(name) for name in policy}
    seen = {
        label: warn_of_seen(label, config, track.recordings, track.parts)
        for label, config in training.items()
    }
    rows, episodes = [], []
    began = time.monotonic()
    for label, driver in drivers:
        driven = drive(driver, label, track, slots, limit)
        rows.append(summary(label, driven))
        episodes.extend(driven)
    print(format_table([short_row(row) for row in rows]))
    if json is not None:
        write_results(
            json,
            "eval.closed_loop",
            {
                "policy": list(policy),
                "recordings": [str(path) for path in recordings],
                "recording_hashes": [r.content_hash for r in track.recordings],
                "scenarios": track.scenarios.digest,
                "split": split,
                "limit": limit,
                "others": "replay",
                "split_manifest": None if manifest is None else manifest.digest,
                "seen_in_training": seen,
                "training": training,
                "seconds": round(time.monotonic() - began, 1),
            },
            rows,
        )
        write_episodes(json.with_suffix(".episodes.csv"), episodes)


def short_row(row: Row) -> Row:
    """The columns that fit a terminal."""
    keys = ("name", "success", "arrived", "survived", "collision", "offroad", "distance_m")
    return {key: row[key] for key in keys}


if __name__ == "__main__":
    run(main)
