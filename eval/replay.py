"""``python -m eval.replay``: watch and take apart episodes in a browser, from one HTML file."""

from __future__ import annotations

import base64
import gzip
import html
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data.splits import Split, SplitManifest
from envs.gym.render import road_markings
from ppuu.policies import Policy
from ppuu.policies.device import to_device
from ppuu.policies.plan_snapshot import PlanSnapshot
from ppuu.recordings.road import Road
from ppuu.runtime.command import run
from ppuu.runtime.device import choose_device
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import check_output, written_whole

from .driving.drivers import labels, policy_by_name
from .driving.frames import Drive, chosen_scenarios, record
from .driving.scenario_set import Track

_PAGE = Path(__file__).with_name("replay_page.html")

_AT_A_TIME = 20
"""Scenarios driven side by side."""

_METRES, _RADIANS, _VALUES = 0.01, 0.001, 0.001
"""Resolution of positions, headings and everything else."""

_ABSENT = np.iinfo(np.int32).min
"""Stands for infinity and NaN."""


def pack(columns: Mapping[str, tuple[np.ndarray, float]]) -> dict:
    """Columns of numbers as compressed text.

    Each column is rounded to whole multiples of its resolution and stored as second differences
    (of 32-bit integers that wrap around), lowest bytes of all first: tracks are smooth, so most
    bytes are zero, and all columns together are gzipped.  What is not finite comes back as NaN.

    Returns:
        ``{"columns": [[name, count, resolution], ...], "data": base64}``.
    """
    planes, names = [], []
    for name, (values, resolution) in columns.items():
        values = np.asarray(values, np.float64)
        whole = np.rint(np.where(np.isfinite(values), values, 0.0) / resolution)
        whole = np.where(np.isfinite(values), whole, _ABSENT).astype(np.int64)
        # Twice: the receiver adds up twice, whatever jumps there are between two tracks.
        second = np.diff(np.diff(whole, prepend=0), prepend=0) & 0xFFFFFFFF
        planes.append(second.astype("<u4").view(np.uint8).reshape(-1, 4).T.tobytes())
        names.append([name, len(values), resolution])
    data = gzip.compress(b"".join(planes), 9, mtime=0)
    return {"columns": names, "data": base64.b64encode(data).decode()}


def _road(road: Road) -> dict:
    """Outlines of the lanes and painted pieces."""
    solid, dashed = road_markings(road)
    return pack(
        {
            "count": (np.diff(road.lane_pointer), 1),
            "leftX": (road.left_m[:, 0], _METRES),
            "leftY": (road.left_m[:, 1], _METRES),
            "rightX": (road.right_m[:, 0], _METRES),
            "rightY": (road.right_m[:, 1], _METRES),
        }
        | {
            f"{kind}{end}{axis}": (pieces[:, e, a], _METRES)
            for kind, pieces in (("solid", solid), ("dashed", dashed))
            for e, end in enumerate("AB")
            for a, axis in enumerate("XY")
        }
    )


def _drive(drive: Drive, vehicle_id: np.ndarray) -> dict:
    """One driver's episode; ``vehicle_id`` are the source's numbers by the scene's."""
    others = drive.others
    fresh = (np.diff(others.vehicle, prepend=-1) != 0) | (np.diff(others.frame, prepend=-1) != 1)
    first = np.flatnonzero(fresh)
    columns = {
        "x": (drive.state[:, 0], _METRES),
        "y": (drive.state[:, 1], _METRES),
        "heading": (drive.state[:, 2], _RADIANS),
        "speed_mps": (drive.state[:, 3], _VALUES),
        "humanX": (drive.human[:, 0], _METRES),
        "humanY": (drive.human[:, 1], _METRES),
        "humanHeading": (drive.human[:, 2], _RADIANS),
        "human_speed_mps": (drive.human[:, 3], _VALUES),
        **{name: (values, _VALUES) for name, values in drive.signals.items()},
        # One entry for each stretch of frames in which a vehicle is near.
        "stretchId": (vehicle_id[others.vehicle[first]], 1),
        "stretchHit": (others.vehicle[first] == drive.hit_vehicle, 1),
        "stretchFrame": (others.frame[first], 1),
        "stretchCount": (np.diff(first, append=len(fresh)), 1),
        "stretchLength": (others.box[first, 3], _METRES),
        "stretchWidth": (others.box[first, 4], _METRES),
        "otherX": (others.box[:, 0], _METRES),
        "otherY": (others.box[:, 1], _METRES),
        "otherHeading": (others.box[:, 2], _RADIANS),
    }
    if drive.plans:
        points = np.concatenate(drive.plans)
        columns |= {
            "planCount": ([len(plan) for plan in drive.plans], 1),
            "planX": (points[:, 0], _METRES),
            "planY": (points[:, 1], _METRES),
        }
    columns |= _plans_considered(drive.snapshots)
    return {
        "outcome": drive.outcome,
        "kind": drive.collision_kind,
        "atFault": drive.at_fault,
        "failed": drive.failed,
        "hit": int(vehicle_id[drive.hit_vehicle]) if drive.hit_vehicle >= 0 else None,
        "frames": len(drive.state),
        "packed": pack(columns),
    }


def _plans_considered(snapshots: Sequence[PlanSnapshot]) -> dict[str, tuple[np.ndarray, float]]:
    """Candidate paths, their costs, and foreseen boxes, all frames one after the other."""
    if not snapshots:
        return {}
    paths = np.concatenate([one.candidates_m for one in snapshots])
    boxes = np.concatenate([one.boxes for one in snapshots])
    return {
        "pathCount": (np.array([len(one.costs) for one in snapshots]), 1),
        "pathPoints": (np.array([paths.shape[1]]), 1),
        "pathX": (paths[..., 0].ravel(), _METRES),
        "pathY": (paths[..., 1].ravel(), _METRES),
        "pathCost": (np.concatenate([one.costs for one in snapshots]), _VALUES),
        "foreseenCount": (np.array([len(one.boxes) for one in snapshots]), 1),
        "foreseenX": (boxes[:, 0], _METRES),
        "foreseenY": (boxes[:, 1], _METRES),
        "foreseenHeading": (boxes[:, 2], _RADIANS),
        "foreseenLength": (boxes[:, 3], _METRES),
        "foreseenWidth": (boxes[:, 4], _METRES),
        "foreseenAhead": (np.concatenate([one.ahead for one in snapshots]), _VALUES),
    }


def _episode(track: Track, drives: Sequence[Drive]) -> dict:
    """All drivers in one scenario."""
    scenarios, number = track.scenarios, drives[0].scenario
    recording = int(scenarios.recording[number])
    ids = np.concatenate([one.vehicle_id for one in track.recordings])
    vehicle = int(scenarios.vehicle[number])
    goal = scenarios.goal_pose[number]
    one = track.recordings[recording]
    return {
        "scenario": number,
        "road": recording,
        "vehicle": int(scenarios.vehicle_id[number]),
        "startFrame": int(scenarios.start_frame[number]),
        "goal": goal.tolist() if np.isfinite(goal).all() else None,
        "size": [float(one.length_m[vehicle]), float(one.width_m[vehicle])],
        "dt": one.dt_s,
        "failed": any(drive.failed for drive in drives),
        "drives": [_drive(drive, ids) for drive in drives],
    }


def write_replay(path: Path, track: Track, episodes: Sequence[Sequence[Drive]]) -> None:
    """Writes the page, atomically: failed episodes first.

    Args:
        path: an HTML file.
        track: where they drove.
        episodes: for each scenario, one drive a driver, the drivers in the same order.
    """
    order = sorted(episodes, key=lambda drives: not any(drive.failed for drive in drives))
    used = {int(track.scenarios.recording[drives[0].scenario]) for drives in episodes}
    data = {
        "drivers": [drive.policy for drive in episodes[0]],
        "roads": [
            {"name": one.name, "packed": _road(one.road) if number in used else None}
            for number, one in enumerate(track.recordings)
        ],
        "episodes": [_episode(track, drives) for drives in order],
    }
    # Inside a script element only "<" could end the data early.
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    title = html.escape(", ".join(data["drivers"]))
    page = _PAGE.read_text(encoding="utf-8")
    page = page.replace("<!-- title -->", title).replace("<!-- data -->", text)
    with written_whole(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _failures(drivers: Sequence[tuple[str, Policy]], track: Track, limit: int) -> list[list[Drive]]:
    """The first ``limit`` scenarios in which somebody fails, filled up with others."""
    failed, others = [], []
    numbers = list(range(len(track.scenarios)))
    for first in range(0, len(numbers), _AT_A_TIME):
        for drives in _driven(drivers, track, numbers[first : first + _AT_A_TIME]):
            kept = failed if any(drive.failed for drive in drives) else others
            if len(kept) < limit:
                kept.append(drives)
        if len(failed) == limit:
            break
    return (failed + others)[:limit]


def _driven(
    drivers: Sequence[tuple[str, Policy]], track: Track, numbers: Sequence[int]
) -> list[list[Drive]]:
    """One list a scenario, one entry a driver."""
    parts = [numbers[k : k + _AT_A_TIME] for k in range(0, len(numbers), _AT_A_TIME)]
    drives = []
    for part in tqdm(parts, desc="drive", disable=not sys.stderr.isatty()):
        rows = [record(driver, name, track, part) for name, driver in drivers]
        drives.extend(map(list, zip(*rows, strict=True)))
    return drives


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
    """Writes a page that replays episodes: one HTML file, no network needed to look at it.

    Each scenario shows all drivers, one below the other, with speeds, distances, driving costs and
    rewards over time.  Press ? on the page for its keys.  Open it at a place with
    FILE.html#episode=3&frame=40.

    Args:
        policy: run directories of train.policy, human, no-action, idm, or
            planner:WORLD,KEY=VALUE… (docs/planning.md); one or several.
        recordings: files written by data.generate or data.prepare.
        out: the page, .html.
        split: test, or all for recordings that nothing was trained on.
        split_manifest: file of data.splits that says what belongs to the split; by time without.
        limit: how many scenarios, spread evenly over the list.
        scenario: numbers of scenarios instead.
        failures_first: drive the list from its beginning until so many have failed for one of the
            drivers, and show these.
        device: where networks compute: cpu, or cuda for large ones; the simulator stays on the
            CPU.
    """
    if failures_first and scenario:
        raise InputError("--scenario and --failures-first exclude each other; give one of them")
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out {out}: give a name that ends in .html")
    check_output(out)
    names = labels(policy)
    where = choose_device(device)
    drivers = [(names[name], to_device(policy_by_name(name), where)) for name in policy]
    manifest = None if split_manifest is None else SplitManifest.load(split_manifest)
    track = Track.load(recordings, split, manifest, drivers=[one for _, one in drivers])
    chosen = chosen_scenarios(track, limit, scenario)
    episodes = (
        _failures(drivers, track, limit) if failures_first else _driven(drivers, track, chosen)
    )
    write_replay(out, track, episodes)
    failed = sum(any(drive.failed for drive in drives) for drives in episodes)
    sys.stdout.write(
        f"{out}: {len(episodes)} scenarios, {failed} of them with a failure, "
        f"{out.stat().st_size / 1e6:.1f} MB\n"
    )


if __name__ == "__main__":
    run(main)
