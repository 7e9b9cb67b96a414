"""All vehicles are driven by one policy: each in turn is the ego, along the batch axis."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu.driving.lane_order import NO_VEHICLE
from ppuu.perception.observation import Observation, observe
from ppuu.perception.privileged_state import PrivilegedState
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap
from ppuu.policies import Policy
from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene

from .fleet import Rows, Situation
from .steered import SteeredFleet

DECIDE_FRAMES = 3
"""Frames for which a vehicle keeps an action, 0.3 s: the step with which policies are trained."""
_BATCH = 1024
"""Most vehicles for which the policy is evaluated in one batch, to bound the memory."""


class PolicyTraffic(SteeredFleet):
    """All vehicles but the ego are driven by one policy, each every 0.3 s.

    A policy with a memory is reset at each decision.

    Args:
        scene: the recordings' tracks.
        recordings: in the same order.
        policy: its observation of each vehicle is that of an ego; it has none of the future.
    """

    def __init__(self, scene: Scene, recordings: Sequence[Recording], policy: Policy):
        self.policy = policy
        observation = self.observation = policy.observation
        super().__init__(scene, recordings, 1 if observation is None else observation.span + 1)
        raster = RasterConfig() if observation is None else observation.raster
        roads = [recording.road for recording in recordings]
        self.road_map = RoadMap.build(roads, raster, scene.boxes.device)

    def _turns(self, rows: Rows, now: Situation) -> Bool[Tensor, "envs slots"]:
        return (rows["vehicle"] + now.frame[:, None]) % DECIDE_FRAMES == 0

    @torch.no_grad()
    def _decide(
        self,
        rows: Rows,
        now: Situation,
        past: Float[Tensor, "envs vehicles past 4"],
        env: Int[Tensor, " n"],
        slot: Int[Tensor, " n"],
    ) -> Float[Tensor, "n 2"]:
        """The policy's actions for some of the vehicles."""
        scene = _recent_scene(now, past, self.scene.dt_s)
        vehicle = env * past.shape[1] + slot
        frame = env * self._ring + self._ring - 1
        actions = []
        for ego, time in zip(vehicle.split(_BATCH), frame.split(_BATCH), strict=True):
            others = scene.neighbours(time, ego)
            state = PrivilegedState(
                scene, ego, time, others.boxes, others.speed_mps, others.valid, self.road_map
            )
            self.policy.reset(torch.ones_like(ego, dtype=torch.bool))
            actions.append(self.policy.act(self._observe(scene, ego, time), state))
        return torch.cat(actions)

    def _observe(
        self, scene: Scene, vehicle: Int[Tensor, " n"], frame: Int[Tensor, " n"]
    ) -> Observation:
        if self.observation is not None:
            return observe(scene, self.road_map, self.observation, vehicle, frame)
        state = scene.state(vehicle, frame)
        return Observation(
            state.new_zeros(len(state), 1, 3, 0, 0), state[:, None], scene.size_m[vehicle]
        )


def _recent_scene(
    now: Situation, past: Float[Tensor, "envs vehicles ring 4"], dt_s: float
) -> Scene:
    """The recent past of all environments as one scene, from which observations are made.

    Environment ``e`` has the frames from ``e * ring`` on and the vehicles from ``e * vehicles``
    on, the ego last.
    """
    envs, vehicles, ring, _ = past.shape
    number = torch.arange(envs * vehicles, device=past.device)
    occupant = torch.where(now.valid, number.view(envs, vehicles), NO_VEHICLE)
    at_times = past.transpose(1, 2)
    size = now.boxes[:, None, :, 3:].expand(-1, ring, -1, -1)
    return Scene(
        boxes=torch.cat([at_times[..., :3], size], dim=-1).flatten(0, 1),
        speed_mps=at_times[..., 3].flatten(0, 1),
        occupant=occupant.repeat_interleave(ring, dim=0),
        states=past.flatten(0, 2),
        row_pointer=torch.arange(envs * vehicles + 1, device=past.device) * ring,
        first_frame=number // vehicles * ring,
        size_m=now.boxes[..., 3:].flatten(0, 1),
        vehicle_recording=now.road.repeat_interleave(vehicles),
        frame_offset=number.new_tensor([0, envs * ring]),
        vehicle_offset=number.new_tensor([0, envs * vehicles]),
        dt_s=dt_s,
    )
