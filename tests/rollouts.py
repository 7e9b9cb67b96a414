"""Small rollouts and clips for tests of predictions, costs, world models and policies."""

from __future__ import annotations

from dataclasses import replace

import torch

from data.clips.clips import Clips
from data.splits import FrameWindow
from ppuu.geometry import to_world
from ppuu.perception.goal import NODE_SPACING_M, Goal
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import LocalRoad, RoadMap
from ppuu.predictions import (
    BoxPrediction,
    EgoMask,
    EgoPath,
    OccupancyPrediction,
    RasterizedMotion,
    Rollout,
)
from ppuu.recordings.drivable import DrivableArea
from ppuu.recordings.road import Road
from ppuu.world_models import DecoupledConfig

TINY = RasterConfig(40, 24)
TINY_OBSERVATION = ObservationConfig(frames=3, stride=3, raster=TINY)
TINY_MODEL = DecoupledConfig(TINY_OBSERVATION, channels=(4, 8, 8), latent=4)

EVERYWHERE = RoadMap(
    torch.zeros(2, 2, 2),
    torch.ones(2),
    *(torch.full((1, 2), edge) for edge in (0.0, -1.0, 1.0)),
    DrivableArea.build([Road.straight(2e3, 1, 2e3, start_m=-1e3)]),
)
"""A road without lines and without an end."""


def rollout_among(
    boxes=(),
    states=((0.0, 0.0, 0.0, 10.0),),
    pose=None,
    road: Road | None = None,
    raster: RasterConfig | None = None,
    actions=None,
    previous_action=(0.0, 0.0),
    size=(4.5, 1.8),
    speed_mps=(),
    drawn=False,
    dtype=torch.float64,
) -> Rollout:
    """One ego among boxes that stay where they are.

    Args:
        boxes: in the world, rows of five.
        states: of the ego, one a time.
        pose: of the view, one a time; the ego's own if not given.
        road: none has no lines and no end.
        raster: of the images.
        actions: one a time; zero if not given.
        previous_action: before the first.
        size: of the ego.
        speed_mps: of the boxes; 0 if not given.
        drawn: whether the surroundings are images drawn from ``pose``.
        dtype: of all.
    """
    raster = raster or RasterConfig()
    states = torch.tensor([[list(map(list, states))]], dtype=dtype)
    time = states.shape[2]
    pose = states[..., :3] if pose is None else torch.tensor([[list(map(list, pose))]], dtype=dtype)
    boxes = torch.tensor(list(map(list, boxes)), dtype=dtype).reshape(-1, 5)
    speed = torch.tensor(list(speed_mps) or [0.0] * len(boxes), dtype=dtype)
    others = torch.cat([boxes[:, :3], speed[:, None]], dim=1)
    prediction = BoxPrediction(
        pose,
        raster,
        others.expand(1, 1, 1, time, -1, -1),
        boxes[None, :, 3:],
        torch.ones(1, len(boxes), dtype=torch.bool),
        LocalRoad(
            EVERYWHERE if road is None else RoadMap.build([road], raster),
            torch.zeros(1, dtype=torch.int64),
        ),
    )
    if actions is None:
        actions = torch.zeros(1, 1, time, 2, dtype=dtype)
    return Rollout(
        states=states,
        actions=actions,
        previous_action=torch.tensor([[previous_action]], dtype=dtype),
        size_m=torch.tensor([size], dtype=dtype),
        prediction=OccupancyPrediction.rasterize(prediction, pose[:, 0]) if drawn else prediction,
        step_s=0.3,
    )


def uniform(generator: torch.Generator, *shape: int, low=0.0, high=1.0, dtype=torch.float32):
    """Random numbers between bounds, which may be tensors."""
    low, high = torch.as_tensor(low, dtype=dtype), torch.as_tensor(high, dtype=dtype)
    return low + (high - low) * torch.rand(*shape, generator=generator, dtype=dtype)


def crowd(
    rows=3,
    candidates=1,
    samples=2,
    time=2,
    slots=6,
    own=False,
    road: RoadMap = EVERYWHERE,
    raster: RasterConfig | None = None,
    dtype=torch.float32,
    seed=0,
) -> Rollout:
    """Egos amid vehicles at random places near them, some slots free.

    Args:
        rows, candidates, samples, time, slots: how many.
        own: whether each candidate has surroundings of its own.
        road: that all of them drive on.
        raster: of images.
        dtype: of all but the road.
        seed: of all numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    predicted = candidates if own else 1

    def states(*shape, low, high):
        return uniform(generator, *shape, 4, low=low, high=high, dtype=dtype)

    ego = states(rows, candidates, time, low=(100, 1, -0.3, 1), high=(110, 11, 0.3, 12))
    others = states(
        rows, predicted, samples, time, slots, low=(85, -3, -0.5, 0), high=(125, 15, 0.5, 15)
    )
    actions = uniform(
        generator, rows, candidates, time, 2, low=(-2, -0.05), high=(2, 0.05), dtype=dtype
    )
    return Rollout(
        ego,
        actions,
        uniform(generator, rows, 1, 2, low=(-2, -0.05), high=(2, 0.05), dtype=dtype),
        uniform(generator, rows, 2, low=(4.3, 1.6), high=(4.9, 2.2), dtype=dtype),
        BoxPrediction(
            ego[:, :predicted, :, :3],
            raster or RasterConfig(),
            others,
            uniform(generator, rows, slots, 2, low=(4.0, 1.5), high=(6.0, 2.5), dtype=dtype),
            torch.rand(rows, slots, generator=generator) < 0.8,
            LocalRoad(road, torch.zeros(rows, dtype=torch.int64)),
        ),
        step_s=0.3,
    )


def spaced(
    rows=10,
    candidates=2,
    samples=2,
    time=2,
    turn=0.0,
    ego_turn=0.0,
    road: RoadMap = EVERYWHERE,
    middle_m=(0.0, 0.0),
    seed=0,
) -> Rollout:
    """Cars that do not overlap, three abreast in five ranks, all well within view of the ego.

    Args:
        rows, candidates, samples, time: how many.
        turn: largest heading of the cars.
        ego_turn: largest heading of the ego.
        road: that all of them drive on.
        middle_m: of the scene.
        seed: of all numbers.
    """
    generator = torch.Generator().manual_seed(seed)

    def random(*shape, low, high):
        return uniform(generator, *shape, low=low, high=high, dtype=torch.float64)

    middle = torch.tensor([*middle_m, 0.0, 0.0], dtype=torch.float64)
    ranks, files = 7.0 * torch.arange(-2, 3), 3.5 * torch.arange(-1, 2)
    cells = torch.nn.functional.pad(torch.cartesian_prod(ranks, files).double(), (0, 2))
    slots = len(cells)
    others = random(
        rows, 1, samples, time, slots, 4, low=(-0.6, -0.4, -turn, 0), high=(0.6, 0.4, turn, 15)
    )
    ego = random(
        rows, candidates, time, 4, low=(-3, -2.5, -ego_turn, 1), high=(3, 2.5, ego_turn, 12)
    )
    pose = random(rows, 1, time, 3, low=(-0.5, -0.5, -0.1), high=(0.5, 0.5, 0.1))
    return Rollout(
        ego + middle,
        torch.zeros(rows, candidates, time, 2, dtype=torch.float64),
        torch.zeros(rows, 1, 2, dtype=torch.float64),
        random(rows, 2, low=(4.3, 1.6), high=(4.9, 2.2)),
        BoxPrediction(
            pose + middle[:3],
            RasterConfig(),
            cells + others + middle,
            random(rows, slots, 2, low=(4.0, 1.6), high=(5.0, 2.2)),
            torch.rand(rows, slots, generator=generator) < 0.7,
            LocalRoad(road, torch.zeros(rows, dtype=torch.int64)),
        ),
        step_s=0.3,
    )


def as_images(rollout: Rollout, metres_per_pixel: float) -> Rollout:
    """The same boxes drawn at some scale, in a view of 58 m x 30 m."""
    raster = RasterConfig(
        round(58 / metres_per_pixel), round(30 / metres_per_pixel), metres_per_pixel
    )
    prediction = replace(rollout.prediction, raster=raster)
    images = OccupancyPrediction.rasterize(prediction, prediction.pose[:, 0])
    return replace(rollout, prediction=images)


def random_images(
    rows=2,
    candidates=1,
    samples=3,
    time=2,
    own=False,
    raster: RasterConfig | None = None,
    dtype=torch.float64,
    seed=0,
) -> Rollout:
    """Random pixels with random velocities, egos somewhat away from where they are drawn at."""
    raster = raster or RasterConfig(21, 9)
    generator = torch.Generator().manual_seed(seed)
    predicted = candidates if own else 1

    def random(*shape, low=0.0, high=1.0):
        return uniform(generator, *shape, low=low, high=high, dtype=dtype)

    size = (raster.rows, raster.columns)
    pose = random(rows, predicted, time, 3, low=(0, 0, 0), high=(40, 40, 3))
    offset = random(rows, candidates, time, 3, low=(-1.5, -0.75, -0.2), high=(1.5, 0.75, 0.2))
    vehicles = random(rows, predicted, samples, time, *size)
    momentum = random(rows, predicted, samples, time, 2, *size, low=-1.0, high=9.0)
    return Rollout(
        torch.cat([to_world(offset, pose), random(rows, candidates, time, 1, low=2, high=10)], -1),
        random(rows, candidates, time, 2, low=-0.2, high=0.2),
        random(rows, 1, 2, low=-0.2, high=0.2),
        random(rows, 2, low=(4.4, 1.8), high=(4.5, 1.9)),
        OccupancyPrediction(
            pose, raster, vehicles, random(rows, predicted, samples, time, 2, *size),
            RasterizedMotion(lambda: momentum),
        ),
        step_s=0.3,
    )  # fmt: skip


def goal_near(rollout: Rollout, aside_m=5.0, left_m=60.0) -> Goal:
    """A straight lane beside each ego's first place, along its heading there."""
    start = rollout.states[:, 0, 0]
    ahead = torch.stack([start[:, 2].cos(), start[:, 2].sin()], dim=-1)[:, None]
    left = torch.stack([-ahead[..., 1], ahead[..., 0]], dim=-1)
    station = NODE_SPACING_M * torch.arange(-10, 30, dtype=start.dtype)[:, None]
    line = start[:, None, :2] + station * ahead + aside_m * left
    end = torch.full_like(start[:, 0], 10 * NODE_SPACING_M + left_m)
    return Goal(line, end, torch.ones_like(end, dtype=torch.bool))


def random_masks(ego: EgoPath, masks=3, seed=0) -> EgoMask:
    """Masks of random sizes, up to a lane wide and about three cars long."""
    generator = torch.Generator().manual_seed(seed)
    shape = (*ego.states.shape[:3], masks, 5)
    low, high = (0.5, 0.3, 0.3, 0.3, 0.2), (4.0, 6.0, 5.0, 2.5, 2.0)
    return EgoMask.from_sizes(
        uniform(generator, *shape, low=low, high=high, dtype=ego.states.dtype)
    )


def tiny_clips(recordings, horizon=30, config=TINY_OBSERVATION) -> Clips:
    """Clips of whole recordings."""
    windows = [FrameWindow(0, recording.frames) for recording in recordings]
    return Clips(recordings, windows, config, horizon)
