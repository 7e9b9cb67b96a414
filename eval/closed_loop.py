"""``python -m eval.closed_loop``: let drivers loose in recorded traffic and count what happens."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations, product
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from tqdm import tqdm

from data.splits import Split, SplitManifest
from envs.core.scenario import Scenarios
from envs.core.simulator import Simulator
from envs.core.termination import CollisionKind, Outcome
from envs.core.variation import Variation
from envs.traffic.registry import traffic_by_name
from ppuu.policies import Policy, RecordedHuman
from ppuu.policies.device import to_device
from ppuu.runtime.command import run
from ppuu.runtime.device import choose_device
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import check_output, written_whole

from .driving.drivers import labels, policy_by_name, training_of, warn_of_seen, with_planners
from .driving.scenario_set import REPLAY, Track, simulator_for, take_turn
from .metrics.comfort import BOUNDS, comfort
from .metrics.distributions import distances
from .metrics.drives import Drives
from .metrics.headway import headway
from .metrics.lanes import lane_keeping
from .metrics.progress import progress
from .metrics.recorder import Recorder
from .metrics.safety import safety
from .protocols.ppuu import PpuuEpisode, score_ppuu, short_row_ppuu
from .reports.results import write_results
from .reports.tables import text_table
from .statistics.intervals import mean, rate, ratio
from .statistics.metric import Metric, Row
from .statistics.paired import paired

HUMAN = "human"
SLOTS = {"sumo": 8}
"""Most episodes at a time where each needs a process."""
SUCCESSES = ("arrived", "survived")


@dataclass(frozen=True)
class Episode:
    """One episode's row; docs/metrics.md defines the columns.

    None where there was nothing to measure, inf where nobody ever came near.
    """

    policy: str
    others: str
    variation: str
    recording: str
    vehicle_id: int
    start_frame: int
    outcome: str
    collision_kind: str
    at_fault: bool
    distance_m: float
    human_distance_m: float
    progress: float | None
    completion: float | None
    duration_s: float
    mean_speed_mps: float
    smallest_clearance_m: float
    smallest_ttc_s: float
    ttc_below_0_95_s: float
    ttc_below_1_5_s: float
    post_encroachment_s: float
    smallest_headway_s: float
    median_headway_s: float | None
    headway_below_1_s: float | None
    hardest_braking_mps2: float
    smallest_acceleration_mps2: float | None
    largest_acceleration_mps2: float | None
    largest_lateral_acceleration_mps2: float | None
    largest_longitudinal_jerk_mps3: float | None
    largest_jerk_mps3: float | None
    largest_yaw_rate_radps: float | None
    largest_yaw_acceleration_radps2: float | None
    rms_acceleration_mps2: float | None
    rms_jerk_mps3: float | None
    rms_curvature_rate_radpmps: float | None
    in_lane: float
    lane_offset_m: float | None
    lane_changes: int

    @property
    def succeeded(self) -> bool:
        """Whether the ego got through."""
        return self.outcome in SUCCESSES

    @property
    def struck_from_behind(self) -> bool:
        """Whether another vehicle ran into the ego's rear."""
        return self.outcome == "collision" and not self.at_fault

    @property
    def comfortable(self) -> dict[str, bool] | None:
        """Which of nuPlan's bounds were kept; None if the episode was too short to tell."""
        extremes = {name: getattr(self, bound.metric) for name, bound in BOUNDS.items()}
        if None in extremes.values():
            return None
        return {name: BOUNDS[name].kept(value) for name, value in extremes.items()}


@torch.no_grad()
def drive(
    policy: Policy,
    simulator: Simulator,
    scenarios: Scenarios,
    recorder: Recorder,
    slots: int,
    label: str = "",
) -> None:
    """Drives every scenario once, ``slots`` of them at a time; the recorder keeps the log.

    A slot whose episode has ended takes the next scenario, so the batch stays full.
    """
    simulator.reset(scenarios[:slots])
    everywhere = torch.arange(slots)
    policy.reset(torch.ones(slots, dtype=torch.bool))
    recorder.begin(simulator, everywhere, everywhere)
    waiting = slots
    bar = tqdm(total=len(scenarios), desc=f"drive {label}", disable=not sys.stderr.isatty())
    with bar:
        while not bool(simulator.done.all()):
            result = take_turn(policy, simulator)
            recorder.step(simulator, result)
            ended = (result.moved & result.done).nonzero()[:, 0]
            bar.update(len(ended))
            refill = ended[: len(scenarios) - waiting]
            if len(refill):
                fresh = torch.arange(waiting, waiting + len(refill))
                waiting += len(refill)
                simulator.replace(refill, scenarios[fresh.numpy()])
                policy.reset(torch.isin(everywhere, refill))
                recorder.begin(simulator, refill, fresh)


def log_of(
    policy: Policy,
    label: str,
    track: Track,
    others: str = REPLAY,
    slots: int = 64,
    limit: int | None = None,
) -> Drives:
    """Drives the track's scenarios, or ``limit`` of them."""
    scenarios = track.scenarios.spread(limit)
    slots = min(slots, len(scenarios), SLOTS.get(others, slots))
    recorder = Recorder(track.roads, len(scenarios), slots, track.scene.dt_s)
    simulator = simulator_for(policy, track, others)
    drive(policy, simulator, scenarios, recorder, slots, f"{label}, others: {others}")
    return recorder.drives()


def episodes_of(drives: Drives, label: str, others: str, track: Track) -> list[Episode]:
    """The rows of a log of the track's scenarios, or of so many of them."""
    scenarios = track.scenarios.spread(len(drives))
    seconds = drives.steps * drives.dt_s
    measured = {
        "distance_m": drives.distance_m,
        "human_distance_m": scenarios.human_distance_m,
        "duration_s": seconds,
        "mean_speed_mps": drives.distance_m / seconds,
        "hardest_braking_mps2": np.maximum(
            0.0, -drives.smallest(drives.acceleration_mps2, drives.driven)
        ),
        **progress(drives, scenarios.human_distance_m),
        **safety(drives),
        **headway(drives),
        **comfort(drives),
        **lane_keeping(drives, scenarios.recording, track.roads),
    }
    columns = {name: _rounded(values) for name, values in measured.items()}
    return [
        Episode(
            policy=label,
            others=others,
            variation=track.variation.name,
            recording=track.recordings[int(scenarios.recording[k])].name,
            vehicle_id=int(scenarios.vehicle_id[k]),
            start_frame=int(scenarios.start_frame[k]),
            outcome=Outcome(int(drives.outcome[k])).name.lower(),
            collision_kind=CollisionKind(int(drives.collision_kind[k])).name.lower(),
            at_fault=bool(drives.at_fault[k]),
            **{name: values[k] for name, values in columns.items()},
        )
        for k in range(len(drives))
    ]


def _rounded(values: np.ndarray) -> list:
    """Whole numbers as they are, others with four digits, None for NaN."""
    return [None if value != value else round(value, 4) for value in values.tolist()]


def summary(
    name: str, episodes: Sequence[Episode], others: str = REPLAY, variation: str = "none"
) -> Row:
    """One line of the table: shares with Wilson intervals, means with bootstrap intervals."""
    n = len(episodes)

    def share(test: Callable[[Episode], bool]) -> Metric:
        return rate(sum(map(test, episodes)), n)

    def average(column: str) -> Metric:
        values = [getattr(episode, column) for episode in episodes]
        return mean([value for value in values if value is not None and np.isfinite(value)])

    collided = [e for e in episodes if e.outcome == "collision"]
    unforgiven = [e for e in episodes if not e.struck_from_behind]
    return {
        "name": name,
        "others": others,
        "variation": variation,
        "success": share(lambda e: e.succeeded),
        "arrived": share(lambda e: e.outcome == "arrived"),
        "survived": share(lambda e: e.outcome == "survived"),
        "collision": share(lambda e: e.outcome == "collision"),
        "offroad": share(lambda e: e.outcome == "offroad"),
        "timeout": share(lambda e: e.outcome == "timeout"),
        "distance_m": average("distance_m"),
        "mean_speed_mps": average("mean_speed_mps"),
        "collision_front": rate(sum(e.collision_kind == "front" for e in collided), n),
        "collision_rear": rate(sum(e.collision_kind == "rear" for e in collided), n),
        "collision_side": rate(sum(e.collision_kind == "side" for e in collided), n),
        "collision_at_fault": rate(sum(e.at_fault for e in collided), n),
        "success_or_struck_from_behind": share(lambda e: e.succeeded or e.struck_from_behind),
        "success_alt": rate(sum(e.succeeded for e in unforgiven), len(unforgiven)),
        "ttc_0_95_s_kept": share(lambda e: e.smallest_ttc_s >= 0.95),
        "post_encroachment_below_1_s": share(lambda e: e.post_encroachment_s < 1.0),
        **{column: average(column) for column in AVERAGED},
        **_comfort_shares(episodes),
        "lane_changes_per_km": _lane_changes_per_km(episodes),
    }


AVERAGED = (
    "progress", "completion", "smallest_ttc_s", "ttc_below_0_95_s", "ttc_below_1_5_s",
    "post_encroachment_s", "smallest_headway_s", "median_headway_s", "headway_below_1_s",
    "in_lane", "lane_offset_m", "rms_acceleration_mps2", "rms_jerk_mps3",
    "rms_curvature_rate_radpmps",
)  # fmt: skip
"""Columns of the episodes whose means are reported, over the episodes that have a finite value."""


def _comfort_shares(episodes: Sequence[Episode]) -> dict[str, Metric]:
    kept = [episode.comfortable for episode in episodes]
    kept = [bounds for bounds in kept if bounds is not None]
    return {
        "comfortable": rate(sum(all(bounds.values()) for bounds in kept), len(kept)),
        **{
            f"comfortable_{name}": rate(sum(bounds[name] for bounds in kept), len(kept))
            for name in BOUNDS
        },
    }


def _lane_changes_per_km(episodes: Sequence[Episode]) -> Metric:
    changes = [float(episode.lane_changes) for episode in episodes]
    return ratio(changes, [episode.distance_m / 1000.0 for episode in episodes])


def compared(others: str, variation: str, driven: Mapping[str, Sequence[Episode]]) -> list[Row]:
    """Every two drivers in the same scenarios, with the same others."""
    rows: list[Row] = []
    for pair in combinations(driven, 2):
        first, second = (driven[name] for name in pair)
        success = [e.succeeded for e in first], [e.succeeded for e in second]
        distance_m = [e.distance_m for e in first], [e.distance_m for e in second]
        row = paired(pair, success, distance_m)
        rows.append({"others": others, "variation": variation, **row})
    return rows


def write_episodes(path: Path, episodes: Sequence[Episode] | Sequence[PpuuEpisode]) -> None:
    """Keeps every episode's row, as CSV, atomically."""
    with written_whole(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(episodes[0])])
        writer.writeheader()
        writer.writerows(asdict(episode) for episode in episodes)


def main(
    policy: tuple[str, ...],
    recordings: tuple[Path, ...],
    json: Path | None = None,
    world_model: tuple[str, ...] = (),
    split: Split = "test",
    split_manifest: Path | None = None,
    limit: int | None = None,
    slots: int = 64,
    others: tuple[str, ...] = (REPLAY,),
    vary: tuple[str, ...] = (),
    protocol: Literal["exact", "ppuu"] = "exact",
    device: str = "cpu",
) -> None:
    """Drives fixed scenarios and writes success rates and other metrics with 95 % intervals.

    Every vehicle of the split takes its turn as ego.  Success is ``arrived`` (215 m driven, as on
    PPUU's I-80 segment) or, in recordings too short for that, ``survived``.  The recorded human is
    always driven, too: the metrics of realism are distances from him.  Beside OUT.json, every
    episode's row is kept in OUT.episodes.csv.

    Args:
        policy: run directories of train.policy, human, no-action, idm, planner
            (with --world-model), or planner:WORLD,KEY=VALUE… (docs/planning.md); one or several.
        recordings: files written by data.generate or data.prepare.
        json: where to write the table; printed either way.
        world_model: what planner plans in, each a row: run directories of train.world_model,
            recorded (the true future), simulator (what others would do), constant-velocity,
            constant-acceleration, idm, copy-last.
        split: test, or all for recordings that nothing was trained on.
        split_manifest: file of data.splits that says what belongs to the split; by time without.
        limit: drive only so many scenarios, spread evenly over the list.
        slots: episodes at a time.
        others: how the others move, one or several: replay (nobody reacts), until-disturbed,
            reactive, policy:RUN (that policy drives everybody), sumo.  Every policy is driven
            among each.
        vary: worlds that differ from the recorded one, beside it: density=0.5,
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
    drivers = {names[name]: to_device(policy_by_name(name), where) for name in policy}
    if HUMAN not in policy:
        drivers = {HUMAN: RecordedHuman()} | drivers
    manifest = None if split_manifest is None else SplitManifest.load(split_manifest)
    track = Track.load(recordings, split, manifest, drivers=drivers.values())
    if protocol == "ppuu" and (tuple(others) != (REPLAY,) or vary):
        raise InputError(
            "--protocol ppuu: its others replay the recording; leave out --others and --vary"
        )
    variations = _variations(vary)
    tracks = [
        track, *(Track.load(recordings, split, manifest, v, drivers.values()) for v in variations)
    ]  # fmt: skip
    for each in tracks:
        _check_others(others, each)
    training = {names[name]: training_of(name) for name in policy}
    seen = {
        label: warn_of_seen(label, config, track.recordings, track.parts)
        for label, config in training.items()
    }
    began = time.monotonic()
    comparisons: Sequence[Row] = ()
    if protocol == "ppuu":
        rows, episodes, digest = score_ppuu(drivers, track, slots, limit)
        tables = [[short_row_ppuu(row) for row in rows]]
    else:
        rows, comparisons, episodes = score(drivers, others, tracks, slots, limit)
        digest = track.scenarios.digest
        tables = [[short_row(row) for row in rows], [driving_row(row) for row in rows], comparisons]
    print("\n\n".join(text_table(table) for table in tables if table))
    if json is not None:
        # First, since whoever finds the table expects the episodes beside it.
        write_episodes(json.with_suffix(".episodes.csv"), episodes)
        write_results(
            json,
            "eval.closed_loop",
            {
                "policy": list(policy),
                "recordings": [str(path) for path in recordings],
                "recording_hashes": [r.content_hash for r in track.recordings],
                "protocol": protocol,
                "scenarios": digest,
                "split": split,
                "limit": limit,
                "others": list(others),
                "vary": list(vary),
                "split_manifest": None if manifest is None else manifest.digest,
                "seen_in_training": seen,
                "training": training,
                "device": str(where),
                "seconds": round(time.monotonic() - began, 1),
            },
            rows,
            comparisons,
        )


def _variations(texts: Sequence[str]) -> list[Variation]:
    """The worlds beside the recorded one, each once."""
    variations = [Variation.parse(text) for text in texts]
    for text, variation in zip(texts, variations, strict=True):
        if variation == Variation() or variations.count(variation) > 1:
            raise InputError(f"--vary {text}: the recorded world, which is there anyway, or twice")
    return variations


def _check_others(others: Sequence[str], track: Track) -> None:
    """Refuses what cannot be driven before anything is."""
    for name in others:
        if list(others).count(name) > 1:
            raise InputError(f"--others {name}: named twice")
        traffic_by_name(name, track.scene, track.roads, track.variation.idm)


def score(
    drivers: Mapping[str, Policy],
    others: Sequence[str],
    tracks: Sequence[Track],
    slots: int = 64,
    limit: int | None = None,
) -> tuple[list[Row], list[Row], list[Episode]]:
    """Every driver among every kind of others, on every track; the first is the recorded world.

    Returns:
        A row for each, comparisons of every two drivers, and all episodes.
    """
    human = log_of(RecordedHuman(), HUMAN, tracks[0], REPLAY, slots, limit)
    rows: list[Row] = []
    comparisons: list[Row] = []
    episodes: list[Episode] = []
    for track, traffic in product(tracks, others):
        driven: dict[str, list[Episode]] = {}
        variation = track.variation.name
        for label, driver in drivers.items():
            known = isinstance(driver, RecordedHuman) and traffic == REPLAY and track is tracks[0]
            drives = human if known else log_of(driver, label, track, traffic, slots, limit)
            driven[label] = episodes_of(drives, label, traffic, track)
            episodes.extend(driven[label])
            row = summary(label, driven[label], traffic, variation)
            rows.append({**row, **distances(drives, human)})
        comparisons.extend(compared(traffic, variation, driven))
    return rows, comparisons, episodes


_SHORT = (
    "name", "others", "variation", "success", "arrived", "survived", "collision", "offroad",
    "distance_m",
)  # fmt: skip
_DRIVING = (
    "name", "others", "variation", "success_alt", "progress", "ttc_below_1_5_s", "median_headway_s",
    "comfortable", "lane_changes_per_km", "speed_wasserstein_mps",
)  # fmt: skip


def short_row(row: Row) -> Row:
    """Who gets through: the columns that fit a terminal."""
    return {key: row[key] for key in _SHORT if key in row}


def driving_row(row: Row) -> Row:
    """How they drive, likewise."""
    return {key: row[key] for key in _DRIVING if key in row}


if __name__ == "__main__":
    run(main)
