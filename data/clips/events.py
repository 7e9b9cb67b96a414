"""Rare events of clips: lane changes, hard braking and merges."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError
from ppuu.units import seconds_to_frames

from .clips import Clips

HARD_BRAKING_MPS2 = 3.0
"""Threshold of hard braking (Jansen & Wesseling, 2018, on UDRIVE: 3.0 m/s²)."""
_BRAKING_S = 0.5
"""Averaging time of the deceleration, against noise of single frames."""
_SUCCESSOR_M = 1.0
"""Largest distance from the end of a lane to the start of its successor."""
_LONGER_M = 20.0
"""A lane that ends this much before its neighbour is an on-ramp."""


@dataclass(frozen=True)
class EventWeights:
    """Sampling weights of clips with events in their future; other clips have weight 1.

    A clip with several events has the largest of their weights.

    Attributes:
        lane_change: the ego's centre crosses into another lane.
        hard_braking: the ego slows down by more than 3 m/s², on average over half a second.
        merge: the ego leaves a lane that ends, such as an on-ramp.
    """

    lane_change: float = 1.0
    hard_braking: float = 1.0
    merge: float = 1.0

    def __post_init__(self):
        for field in fields(self):
            weight = getattr(self, field.name)
            if not (np.isfinite(weight) and weight >= 0):
                raise InputError(f"weight of {field.name} is {weight}; it must not be negative")


def clip_events(clips: Clips) -> dict[str, Bool[Tensor, " clips"]]:
    """Events in the future of each clip, with the names of ``EventWeights``."""
    rows: dict[str, list[np.ndarray]] = {field.name: [] for field in fields(EventWeights)}
    for recording in clips.recordings:
        for name, occurs in row_events(recording).items():
            rows[name].append(occurs)
    scene = clips.scene
    row = scene.row_pointer[clips.ego] + clips.frame - scene.first_frame[clips.ego]
    row = row.cpu().numpy()
    found = {}
    for name, parts in rows.items():
        until = np.concatenate([[0], np.cumsum(np.concatenate(parts))])
        found[name] = torch.from_numpy(until[row + clips.horizon + 1] > until[row + 1])
    return found


def clip_weights(clips: Clips, weights: EventWeights) -> Float[Tensor, " clips"] | None:
    """The weight of each clip, for ``ClipSampler``; None if all weights are 1."""
    if weights == EventWeights():
        return None
    result = torch.zeros(len(clips), dtype=torch.float64)
    ordinary = torch.ones(len(clips), dtype=torch.bool)
    for name, occurs in clip_events(clips).items():
        ordinary &= ~occurs
        result[occurs] = result[occurs].clamp(min=getattr(weights, name))
    result[ordinary] = 1.0
    return result


def row_events(recording: Recording) -> dict[str, Bool[np.ndarray, " rows"]]:
    """Rows of a recording with an event of the row's vehicle.

    A lane change is at the first row in the new lane, hard braking at the last row of its averaging
    time.
    """
    lane = recording.road.lane_index(np.stack([recording.x_m, recording.y_m], axis=1))
    # Rows off the road do not count as another lane.
    before = _last_known(lane, recording.vehicle_pointer)
    crossed = (lane >= 0) & (before >= 0) & (lane != before)
    at = np.flatnonzero(crossed)
    pairs, which = np.unique(np.stack([before[at], lane[at]], axis=1), axis=0, return_inverse=True)
    kinds = [_kind(recording.road, int(old), int(new)) for old, new in pairs]
    changed, merged = (np.zeros(recording.rows, bool) for _ in range(2))
    changed[at] = np.array([kind != "same lane" for kind in kinds], bool)[which.ravel()]
    merged[at] = np.array([kind == "merge" for kind in kinds], bool)[which.ravel()]
    window = seconds_to_frames(_BRAKING_S, recording.dt_s)
    braking = np.zeros(recording.rows, bool)
    if window < recording.rows:
        slower = recording.speed_mps[:-window] - recording.speed_mps[window:]
        one_track = recording.row_vehicle[:-window] == recording.row_vehicle[window:]
        braking[window:] = one_track & (slower > HARD_BRAKING_MPS2 * window * recording.dt_s)
    return {"lane_change": changed, "hard_braking": braking, "merge": merged}


def _last_known(
    lane: Int[np.ndarray, " rows"], pointer: Int[np.ndarray, " vehicles_1"]
) -> Int[np.ndarray, " rows"]:
    """The last lane of a row's vehicle before that row; -1 if none."""
    rows = np.arange(len(lane))
    known = np.maximum.accumulate(np.where(lane >= 0, rows, -1))
    known = np.concatenate([[-1], known[:-1]])
    begins = np.repeat(pointer[:-1], np.diff(pointer))
    return np.where(known >= begins, lane[known], -1)


def _kind(road: Road, old: int, new: int) -> str:
    """Whether a transition between lanes is within the same lane, a lane change or a merge.

    Maps may divide a lane into successive pieces.  On-ramps are not labelled, but they end before
    the road does.
    """
    if _is_successor(road, new, old):
        return "same lane"
    goes_on = any(_is_successor(road, other, old) for other in range(road.lanes) if other != old)
    if goes_on:
        return "lane change"
    centre = np.mean(road.lane(old), axis=0)
    ahead = centre[-1] - centre[-2]
    ahead = ahead / max(float(np.linalg.norm(ahead)), 1e-9)
    beyond_m = (np.mean(road.lane(new), axis=0)[-1] - centre[-1]) @ ahead
    new_goes_on = any(_is_successor(road, other, new) for other in range(road.lanes))
    return "merge" if new_goes_on or beyond_m > _LONGER_M else "lane change"


def _is_successor(road: Road, later: int, earlier: int) -> bool:
    (left, right), (left_before, right_before) = road.lane(later), road.lane(earlier)
    start, end = 0.5 * (left[0] + right[0]), 0.5 * (left_before[-1] + right_before[-1])
    return bool(np.linalg.norm(start - end) < _SUCCESSOR_M)
