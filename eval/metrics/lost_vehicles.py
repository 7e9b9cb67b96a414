"""Vehicles whose tracks end in the middle of the road, as where driven ones leave it sideways."""

from __future__ import annotations

import numpy as np
import torch

from ppuu.recordings.lanes import LaneField
from ppuu.recordings.recording import Recording

_REACH_M, _REACH_S = 4.0, 0.2
"""A track that ends this near to an end of the section or of its lane has left there."""


def lost_vehicles(recording: Recording) -> int:
    """Tracks that end before the recording does and not at an end of the section (along x)."""
    last = recording.vehicle_pointer[1:] - 1
    x, y = recording.x_m[last], recording.y_m[last]
    x_m, y_m = torch.as_tensor(x)[None].float(), torch.as_tensor(y)[None].float()
    place = LaneField.build([recording.road]).look_up(x_m, y_m, torch.zeros(1, dtype=torch.int64))
    to_end = np.minimum(recording.x_m.max() - x, x - recording.x_m.min())
    to_end = np.minimum(to_end, place.to_end_m[0].numpy())
    ended = recording.frame[last] < recording.frame.max()
    reach = _REACH_M + _REACH_S * recording.speed_mps[last]
    return int((ended & (to_end > reach)).sum())
