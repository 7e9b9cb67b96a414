"""Targets of probes of embeddings: other vehicles, lanes, and the ego's own motion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from data.clips.clips import Clip
from ppuu.geometry import to_local
from ppuu.perception.constant_velocity_frame import constant_velocity_poses
from ppuu.recordings.lanes import NO_LANE, LaneField
from ppuu.recordings.scene import Scene
from ppuu.units import LANE_WIDTH_M

Kind = str
"""``slow`` (hardly changes in seconds), ``fast`` (driving reacts to it) or ``own``."""

LARGEST_GAP_M = 30.0
"""Gaps are clipped here; no vehicle counts as one at this distance."""

_SIDES = {"left": 1, "own": 0, "right": -1}
_ENDS = {"ahead": 1.0, "behind": -1.0}
_NEIGHBOURS = [f"{side}_{end}" for side in _SIDES for end in _ENDS]

KINDS: Mapping[str, Kind] = {
    "density": "slow",
    "lane_offset_m": "slow",
    "lane_to_the_left": "slow",
    "lane_to_the_right": "slow",
    **{f"gap_{name}_m": "fast" for name in _NEIGHBOURS},
    **{f"relative_speed_{name}_mps": "fast" for name in _NEIGHBOURS},
    "own_speed_mps": "own",
    "own_acceleration_mps2": "own",
}
"""Every target and its kind."""


@dataclass(frozen=True, eq=False)
class TargetReader:
    """Looks up the targets at any frame of a scene.

    Attributes:
        scene: the recordings.
        lanes: of their roads.
    """

    scene: Scene
    lanes: LaneField

    def at(
        self, clip: Clip, seconds: Float[Tensor, " time"], ahead: Int[Tensor, " time"], dt_s: float
    ) -> Float[Tensor, "batch time targets"]:
        """Values in the order of ``KINDS``, NaN where there is none.

        Neighbours are those of the constant-velocity frame, in which embeddings are predicted: the
        nearest ahead and behind within each band one lane wide.

        Args:
            clip: histories and futures.
            seconds, ahead: after the present, as time and as frames; the first may be 0.
            dt_s: seconds a frame.
        """
        present = clip.observation.ego[:, -1]
        pose = constant_velocity_poses(present, seconds)
        batch, steps = pose.shape[:2]
        frames = (clip.frame[:, None] + ahead).flatten()
        others = self.scene.neighbours(frames, clip.ego.repeat_interleave(steps))
        boxes = to_local(others.boxes, pose.flatten(0, 1)[:, None])
        frame_speed = present[:, 3].repeat_interleave(steps)
        speed = others.speed_mps * boxes[..., 2].cos() - frame_speed[:, None]
        own_half = 0.5 * clip.observation.size_m[:, 0].repeat_interleave(steps)
        near = others.valid & (boxes[..., 0].abs() < LARGEST_GAP_M)
        near = near & (boxes[..., 1].abs() < 2.0 * LANE_WIDTH_M)
        values = [near.sum(1) / (2 * LARGEST_GAP_M), *self._lanes(clip, pose.flatten(0, 1), steps)]
        gaps, speeds = [], []
        for side in _SIDES.values():
            band = near & ((boxes[..., 1] - side * LANE_WIDTH_M).abs() < 0.5 * LANE_WIDTH_M)
            for end in _ENDS.values():
                gap = end * boxes[..., 0] - 0.5 * boxes[..., 3] - own_half[:, None]
                gap = gap.masked_fill(~(band & (end * boxes[..., 0] > 0)), torch.inf)
                nearest, slot = gap.min(dim=1)
                gaps.append(nearest.clamp(0.0, LARGEST_GAP_M))
                relative_speed = speed.gather(1, slot[:, None])[:, 0]
                speeds.append(relative_speed.masked_fill(nearest.isinf(), torch.nan))
        own = self._own(clip, ahead, dt_s)
        flat = torch.stack([*values, *gaps, *speeds], dim=1)
        return torch.cat([flat.view(batch, steps, -1), own], dim=-1)

    def _lanes(self, clip: Clip, pose: Float[Tensor, "points 3"], steps: int) -> list[Tensor]:
        """Offset in the lane, and whether there is one on either side."""
        road = self.scene.vehicle_recording[clip.ego].repeat_interleave(steps)
        x, y = pose[:, 0], pose[:, 1]
        lane = self.lanes.look_up(x, y, road)
        no_lane = lane.lane == NO_LANE
        values = [lane.offset_m.masked_fill(no_lane, torch.nan)]
        for side in (1, -1):
            beside = self.lanes.beside(x, y, road, lane, torch.full_like(road, side))
            values.append((beside.lane != NO_LANE).float().masked_fill(no_lane, torch.nan))
        return values

    def _own(
        self, clip: Clip, ahead: Int[Tensor, " time"], dt_s: float
    ) -> Float[Tensor, "batch time 2"]:
        """Recorded speed, and acceleration by central differences."""
        states = torch.cat([clip.observation.ego[:, -1:], clip.future], dim=1)
        now, later = states[:, ahead, 3], states[:, (ahead + 1).clamp(max=states.shape[1] - 1), 3]
        earlier = states[:, (ahead - 1).clamp(min=0), 3]
        frames = (ahead + 1).clamp(max=states.shape[1] - 1) - (ahead - 1).clamp(min=0)
        return torch.stack([now, (later - earlier) / (frames * dt_s)], dim=-1)
