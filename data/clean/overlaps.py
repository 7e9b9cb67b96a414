"""Overlapping vehicles of a recording."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int

from ppuu.geometry import boxes_overlap, clearance
from ppuu.recordings.recording import Recording


def overlapping_pairs(recording: Recording) -> list[dict]:
    """Pairs of recorded boxes that overlap in some frame, which are errors of the recording.

    Returns:
        ``{"vehicles": [id, id], "frames": count, "depth_m": largest penetration, "at_frame": frame
        of the largest penetration}`` for each pair, deepest first.
    """
    vehicle = recording.row_vehicle
    length_m, width_m = recording.length_m[vehicle], recording.width_m[vehicle]
    boxes = np.stack(
        [recording.x_m, recording.y_m, recording.heading_rad, length_m, width_m], axis=1
    )
    pairs = _near(boxes, recording.frame)
    both = torch.from_numpy(boxes[pairs])
    overlap = boxes_overlap(*both.unbind(1))
    if not overlap.any():
        return []
    depth_m = -clearance(*both[overlap].unbind(1)).numpy()
    pairs = pairs[overlap.numpy()]
    frame, pairs = recording.frame[pairs[:, 0]], np.sort(vehicle[pairs], axis=1)
    deepest_first = np.lexsort((frame, -depth_m))
    _, first, counts = np.unique(
        pairs[deepest_first], axis=0, return_index=True, return_counts=True
    )
    listed = [
        {
            "vehicles": [int(recording.vehicle_id[k]) for k in pairs[row]],
            "frames": int(count),
            "depth_m": round(float(depth_m[row]), 3),
            "at_frame": int(frame[row]),
        }
        for row, count in zip(deepest_first[first], counts, strict=True)
    ]
    return sorted(listed, key=lambda pair: -pair["depth_m"])


def _near(
    boxes: Float[np.ndarray, "rows 5"], frame: Int[np.ndarray, " rows"]
) -> Int[np.ndarray, "pairs 2"]:
    """Pairs of rows of one frame whose extents along x and y both overlap: a sweep along x."""
    cos, sin = np.abs(np.cos(boxes[:, 2])), np.abs(np.sin(boxes[:, 2]))
    reach_x = 0.5 * (boxes[:, 3] * cos + boxes[:, 4] * sin)
    reach_y = 0.5 * (boxes[:, 3] * sin + boxes[:, 4] * cos)
    order = np.lexsort((boxes[:, 0] - reach_x, frame))
    frame, reach_y, y = frame[order], reach_y[order], boxes[order, 1]
    rear, front = (boxes[order, 0] + side * reach_x[order] for side in (-1, 1))
    active, found = np.arange(len(frame)), [np.zeros((0, 2), np.int64)]
    for ahead in range(1, len(frame)):
        active = active[: np.searchsorted(active, len(frame) - ahead)]
        other = active + ahead
        # Boxes are sorted by their rear: if this one does not overlap, no later one does.
        overlapping = (frame[other] == frame[active]) & (rear[other] < front[active])
        active, other = active[overlapping], other[overlapping]
        if not len(active):
            break
        near = np.abs(y[other] - y[active]) < reach_y[other] + reach_y[active]
        found.append(order[np.stack([active[near], other[near]], axis=1)])
    return np.concatenate(found)
