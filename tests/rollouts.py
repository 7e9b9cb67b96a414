"""Small rollouts and clips for tests of costs, world models and policies."""

from __future__ import annotations

import torch

from data.clips import Clips
from data.splits import FrameWindow
from ppuu.observation import ObservationConfig
from ppuu.raster import RasterConfig, RoadMap, draw_boxes, draw_road
from ppuu.road import Road
from ppuu.rollout import Futures, Rollout
from ppuu.world_models import DecoupledConfig

TINY = RasterConfig(40, 24)
TINY_OBSERVATION = ObservationConfig(frames=3, stride=3, raster=TINY)
TINY_MODEL = DecoupledConfig(TINY_OBSERVATION, channels=(4, 8, 8), latent=4)


def rollout_among(
    boxes=(),
    states=((0.0, 0.0, 0.0, 10.0),),
    pose=None,
    road: Road | None = None,
    raster: RasterConfig | None = None,
    actions=None,
    previous_action=(0.0, 0.0),
    size=(4.5, 1.8),
    dtype=torch.float64,
) -> Rollout:
    """One ego, one future; boxes and road as seen from ``pose`` (the ego's own if not given)."""
    raster = raster or RasterConfig()
    states = torch.tensor([list(map(list, states))], dtype=dtype)
    time = states.shape[1]
    pose = states[..., :3] if pose is None else torch.tensor([list(map(list, pose))], dtype=dtype)
    boxes = torch.tensor(list(map(list, boxes)), dtype=dtype).reshape(1, -1, 5)
    image = draw_boxes(boxes, torch.ones(boxes.shape[:2], dtype=torch.bool), raster)
    if road is None:
        lanes = torch.zeros(1, time, 2, raster.rows, raster.columns, dtype=dtype)
    else:
        roads = RoadMap.build([road], raster)
        lanes = draw_road(pose[0].float(), torch.zeros(time, dtype=torch.int64), roads, raster)
        lanes = lanes[None].to(dtype)
    if actions is None:
        actions = torch.zeros(1, time, 2, dtype=dtype)
    return Rollout(
        states=states,
        actions=actions,
        previous_action=torch.tensor([previous_action], dtype=dtype),
        size_m=torch.tensor([size], dtype=dtype),
        futures=Futures(image[:, None, None].expand(1, 1, time, -1, -1), lanes, pose, raster),
        step_s=0.3,
    )


def tiny_clips(recordings, horizon=30, config=TINY_OBSERVATION) -> Clips:
    """Clips of whole recordings."""
    windows = [FrameWindow(0, recording.frames) for recording in recordings]
    return Clips(recordings, windows, config, horizon)
