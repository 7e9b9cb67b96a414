"""How far the cost of boxes and the cost of the same boxes drawn as images are apart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from data.clips.clips import Clips
from data.splits import FrameWindow
from data.traffic import PRESETS, generate
from ppuu.costs import DrivingCost
from ppuu.costs.base import RoadTerm, VehicleTerm
from ppuu.geometry import boxes_overlap
from ppuu.kinematics import ActionBounds, rollout
from ppuu.perception.constant_velocity_frame import constant_velocity_poses
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import LocalRoad, RoadMap
from ppuu.predictions import (
    BoxPrediction,
    EgoMask,
    EgoPath,
    OccupancyPrediction,
    lane_speed_mps,
)
from ppuu.recordings.recording import load_recordings
from ppuu.recordings.tracks import extrapolated_states
from ppuu.runtime.errors import InputError

from ..statistics.metric import Row

_BATCH = 50
_STEPS, _FRAMES = 10, 3
LEAST_M2 = 0.05
"""Masses below are nothing on both sides, which proves nothing."""
LEAST_GRADIENT = 0.5
"""Smaller gradients are not compared: norms, in m2, by metres, tenths of a radian and m/s.  It is
about a twentieth of the ego's area."""
_UNITS = (1.0, 1.0, 0.1, 1.0)
"""Of the ego's state; a tenth of a radian counts as a metre, as in ``ego_squared_error``."""


@dataclass(frozen=True)
class ParityBenchmark:
    """Masses and their gradients, of boxes against images of the same boxes.

    Scenes are moments of recordings; the ego goes another way than the recorded driver, by random
    actions.  Compared are times at which something lies under a mask, the mask lies inside the
    image, and no two vehicles overlap, which in images would count once.  Masses are in units of
    the ego's area.

    Attributes:
        recordings: what scenes are taken from; dense traffic is generated if none is named.
        scenes: how many.
        finer: the image is drawn once more with pixels so many times smaller.
        vehicles: how many of the nearest.
        seed: of scenes and paths.
    """

    recordings: tuple[Path, ...] = ()
    scenes: int = 1000
    finer: int = 2
    vehicles: int = 24
    seed: int = 0

    def run(self) -> list[Row]:
        """One row a mask."""
        if min(self.scenes, self.finer, self.vehicles) < 1:
            raise InputError("--scenes, --finer and --vehicles must be positive")
        began = time.monotonic()
        parts: dict[str, list[dict[str, Tensor]]] = {}
        for scene in self._scenes():
            for name, values in _compared(*scene, self.finer).items():
                parts.setdefault(name, []).append(values)
        rows: list[Row] = []
        for name, found in parts.items():
            values = {key: torch.cat([one[key] for one in found]) for key in found[0]}
            rows.append({"name": name, **_summary(values)})
        for row in rows:
            row["seconds"] = round(time.monotonic() - began, 1)
        return rows

    def _scenes(self) -> Iterator[tuple[BoxPrediction, EgoPath, RoadMap]]:
        recordings = load_recordings(self.recordings)
        if not self.recordings:
            recordings = [generate(PRESETS["dense"], 60.0, seed=self.seed)]
        config = ObservationConfig(vehicles=self.vehicles, images=False)
        windows = [FrameWindow(0, recording.frames) for recording in recordings]
        clips = Clips(recordings, windows, config, _STEPS * _FRAMES)
        fine = replace(
            config.raster, rows=config.raster.rows * self.finer,
            columns=config.raster.columns * self.finer,
            metres_per_pixel=config.raster.metres_per_pixel / self.finer,
        )  # fmt: skip
        finer_map = RoadMap.build([recording.road for recording in recordings], fine)
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(clips), generator=generator)[: self.scenes]
        for index in order.split(_BATCH):
            clip = clips.batch(index)
            observation = clip.observation
            tracks, road = observation.tracks, observation.road
            assert tracks is not None
            assert road is not None
            ahead = torch.arange(1, _STEPS + 1) * _FRAMES
            states = extrapolated_states(clips.scene, tracks.vehicle, clip.frame[:, None] + ahead)
            start = observation.ego[:, -1]
            poses = constant_velocity_poses(start, ahead * clips.scene.dt_s)
            prediction = BoxPrediction(
                poses[:, None], config.raster, states.transpose(1, 2)[:, None, None], tracks.size_m,
                tracks.valid_now, road,
            )  # fmt: skip
            off = torch.randn(len(index), 4, generator=generator)
            start = start + off * start.new_tensor([0.5, 0.5, 0.03, 1.0])
            start[:, 3].clamp_(min=0.0)
            change = torch.randn(len(index), _STEPS, 2, generator=generator)
            actions = ActionBounds().clamp(change * change.new_tensor([2.0, 0.01]))
            path = rollout(start, actions, clips.scene.dt_s, held=_FRAMES)
            yield prediction, EgoPath(path[:, None], observation.size_m), finer_map


def _compared(
    boxes: BoxPrediction, ego: EgoPath, finer_map: RoadMap, finer: int
) -> dict[str, dict[str, Float[Tensor, " times"]]]:
    """By mask: masses, gradients and lane speeds of boxes, images and finer images."""
    raster, poses = boxes.raster, boxes.pose[:, 0]
    fine = RasterConfig(
        raster.rows * finer, raster.columns * finer, raster.metres_per_pixel / finer
    )
    drawn = OccupancyPrediction.rasterize(boxes, poses)
    road = LocalRoad(finer_map, boxes.road.road)
    finer_boxes = replace(boxes, raster=fine, road=road)
    finer_drawn = OccupancyPrediction.rasterize(finer_boxes, poses)
    apart = ~_overlapping(boxes)
    found = {}
    area = ego.area_m2[:, 0, 0]
    for name, term in DrivingCost().terms().items():
        if not isinstance(term, VehicleTerm | RoadTerm):
            continue
        values = []
        for prediction in (boxes, drawn, finer_boxes, finer_drawn):
            states = ego.states.detach().clone().requires_grad_()
            own = EgoPath(states, ego.size_m)
            mask = term.mask(own)
            if isinstance(term, VehicleTerm):
                mass = prediction.vehicle_mass(mask, own)[:, 0, 0, :, 0]
            else:
                mass = prediction.road_mass(mask, own, term.channel)[:, 0, 0, :, 0]
            (gradient,) = torch.autograd.grad(mass.sum(), states)
            values.append((mass.detach() / area, gradient[:, 0] * gradient.new_tensor(_UNITS)))
        inside = _inside(term.mask(ego), drawn, ego)
        under = torch.stack([mass for mass, _ in values[:2]]).amax(0) * area > LEAST_M2
        found[name] = _differences(values, inside & under & apart)
    speeds = [lane_speed_mps(one, ego)[:, 0] for one in (boxes, drawn, finer_drawn)]
    within = (drawn.outside_view_m(ego)[:, 0] == 0) & apart
    found["lane_speed, m/s"] = {
        "difference": (speeds[1] - speeds[0]).abs()[within],
        "finer": (speeds[2] - speeds[0]).abs()[within],
    }
    return found


def _differences(
    values: list[tuple[Tensor, Tensor]], chosen: Bool[Tensor, "batch time"]
) -> dict[str, Tensor]:
    (box, of_box), (image, of_image), (finer_box, _), (finer_image, _) = values
    floor = of_box.norm(dim=-1) > LEAST_GRADIENT
    cosine = torch.nn.functional.cosine_similarity(of_box, of_image, dim=-1)
    return {
        "difference": (image - box).abs()[chosen],
        "finer": (finer_image - finer_box).abs()[chosen],
        "cosine": cosine[chosen & floor],
    }


def _inside(mask: EgoMask, drawn: OccupancyPrediction, ego: EgoPath) -> Bool[Tensor, "batch time"]:
    """Whether all of a mask lies in the image."""
    half, ahead, behind, wide, side = mask.sizes_m[:, 0, :, 0].unbind(-1)
    reach = EgoPath(
        ego.states,
        2.0 * torch.stack([half + torch.maximum(ahead, behind), wide + side], -1).amax(1),
    )
    return drawn.outside_view_m(reach)[:, 0] == 0


def _overlapping(boxes: BoxPrediction) -> Bool[Tensor, "batch time"]:
    """Whether any two vehicles share area."""
    states = boxes.states[:, 0, 0]
    size = boxes.size_m[:, None].expand(*states.shape[:-1], 2)
    box = torch.cat([states[..., :3], size], dim=-1)
    slots = box.shape[2]
    pairs = boxes_overlap(
        box[:, :, :, None].expand(-1, -1, -1, slots, -1),
        box[:, :, None].expand(-1, -1, slots, -1, -1),
    )
    valid = boxes.valid[:, None]
    pairs = pairs & (valid[..., None] & valid[..., None, :])
    return pairs.triu(diagonal=1).flatten(2).any(-1)


def _summary(values: dict[str, Tensor]) -> Row:
    difference, finer = values["difference"].double().numpy(), values["finer"].double().numpy()
    found: Row = {
        "times": len(difference),
        "difference_median": float(np.median(difference)),
        "difference_p95": float(np.quantile(difference, 0.95)),
        "finer_median": float(np.median(finer)),
        "finer_share": float(finer.mean() / difference.mean()),
    }
    if "cosine" in values:
        cosine = values["cosine"].double().numpy()
        found |= {"gradients": len(cosine), "cosine_p5": float(np.quantile(cosine, 0.05))}
    return found
