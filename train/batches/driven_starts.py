"""Start states that the policy's own driving leads to, among recorded traffic.

A policy that is only unrolled for some seconds from a recorded state never meets the states that
its own driving leads to, such as a close follower after slow driving.  So some clips begin where
the policy arrives when it drives among recorded traffic; no simulator is needed, since recorded
traffic does not react.  The idea is DAgger's (Ross et al., 2011); PPUU does not have it.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from data.clips.clips import Clip, Clips
from ppuu.geometry import boxes_overlap
from ppuu.objectives import StartConfig, perturbed_starts, recorded_traffic
from ppuu.perception.goal import Goal
from ppuu.perception.observation import Observation, observe
from ppuu.policies import NetworkPolicy
from ppuu.policies.unroll import unroll
from ppuu.world_models import CopyLast, tracks_spec


@torch.no_grad()
def driven_starts(
    policy: NetworkPolicy,
    clips: Clips,
    clip: Clip,
    config: StartConfig,
    steps: int,
    generator: torch.Generator,
    goal: Goal | None = None,
) -> tuple[Clip, Observation, Float[Tensor, "starts 2"]]:
    """Drives the policy for some steps of the history's stride, and cuts clips there.

    Args:
        policy: the driver.
        clips: where the clips were cut from.
        clip: where the drive begins; its future reaches past the drive.
        config: number of starts of each clip, and how they are varied before the drive.
        steps: of the drive.
        generator: of the variation, and of a stochastic policy's actions.
        goal: of each clip, for all its starts.

    Returns:
        The clips after the drive, ``copies`` starts of each (the first is the recorded one, and so
        are those where the policy's ego overlaps a vehicle), and the actions before them.
    """
    own, copies = clips.config, config.copies
    varied = perturbed_starts(
        clip.observation, config, own.raster, clips.scene.dt_s, own.stride, generator
    )
    goals = None if goal is None else goal.repeat(copies)
    varied = replace(varied, goal=goals)
    previous = clip.previous_action.repeat_interleave(copies, 0)
    if steps == 0:
        return clip, varied, previous
    scene, frames = clips.scene, steps * own.stride
    recorder = CopyLast(tracks_spec(own, own.stride, scene.dt_s))
    traffic = recorded_traffic(clip.observation, clips.target(clip, recorder, steps), recorder)
    drive = unroll(
        policy, traffic, varied, previous, steps, own.stride, scene.dt_s, generator=generator
    )
    driven = torch.cat([varied.ego, drive.states.flatten(0, 1)], dim=1)[:, -own.frames :]
    later = clips.at(clip.ego, clip.frame + frames, clip.future.shape[1] - frames)
    recorded_ego = later.observation.ego.repeat_interleave(copies, 0)
    ego, frame = (value.repeat_interleave(copies) for value in (later.ego, later.frame))
    arrived = observe(scene, clips.road_map, own, ego, frame, False, driven)
    keep = _overlaps(arrived)
    keep[::copies] = True
    driven = torch.where(keep[:, None, None], recorded_ego, driven)
    starts = observe(scene, clips.road_map, own, ego, frame, ego_states=driven)
    starts = replace(starts, goal=goals)
    recorded = later.previous_action.repeat_interleave(copies, 0)
    return later, starts, torch.where(keep[:, None], recorded, drive.actions.flatten(0, 1)[:, -1])


def _overlaps(observation: Observation) -> Bool[Tensor, " starts"]:
    """Whether the ego overlaps another vehicle."""
    tracks = observation.tracks
    assert tracks is not None
    own = torch.cat([observation.ego[:, -1, :3], observation.size_m], dim=-1)[:, None]
    others = torch.cat([tracks.now[..., :3], tracks.size_m], dim=-1)
    return (boxes_overlap(own.expand_as(others), others) & tracks.valid_now).any(1)
