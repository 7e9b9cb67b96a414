"""Vehicles of a recording whose boxes overlap: errors of tracking, of sizes or of smoothing."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int

from ppuu.geometry import boxes_overlap
from ppuu.recordings.recording import Recording


def overlapping_pairs(recording: Recording) -> Int[np.ndarray, "pairs 2"]:
    """Pairs of vehicle indices whose boxes overlap in at least one frame, each once."""
    from scipy.spatial import KDTree

    row, vehicle = np.arange(recording.rows), recording.row_vehicle
    reach_m = float(np.hypot(recording.length_m, recording.width_m).max())
    # Frames lie far apart along a third axis, so that one search finds the neighbours of all.
    places = np.stack([recording.x_m, recording.y_m, recording.frame * 2.0 * reach_m], axis=1)
    first, second = KDTree(places).query_pairs(reach_m, output_type="ndarray").T
    boxes = torch.as_tensor(
        np.stack(
            [
                recording.x_m, recording.y_m, recording.heading_rad,
                recording.length_m[vehicle], recording.width_m[vehicle],
            ],
            axis=1,
        )
    )  # fmt: skip
    overlap = boxes_overlap(boxes[row[first]], boxes[row[second]]).numpy()
    pairs = np.stack([vehicle[first[overlap]], vehicle[second[overlap]]], axis=1)
    return np.unique(np.sort(pairs, axis=1), axis=0).reshape(-1, 2)
