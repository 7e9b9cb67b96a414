"""Beginnings that the policy has driven into: recorded traffic, but no longer the recorded ego.

A policy that is only ever unrolled for some seconds from a recorded state never meets the states
that its own driving leads to: a little behind, with an impatient follower.  So some clips begin
where the policy arrives when it drives among everybody as recorded; no simulator is needed, since
recorded traffic does not react.  The idea is DAgger's (Ross et al., 2011); PPUU has none of it.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from data.clips.clips import Clip, Clips
from ppuu.geometry import boxes_overlap
from ppuu.objectives import StartConfig, perturbed_starts, recorded_traffic
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
) -> tuple[Clip, Observation, Float[Tensor, "starts 2"]]:
    """Lets the policy drive for some steps of the history's stride, and begins there.

    Args:
        policy: the driver.
        clips: where the clips were cut from.
        clip: where the drive begins; its future reaches past the drive.
        config: how many beginnings of each clip, and how different they are before the drive.
        steps: of the drive.
        generator: decides how different, and draws the actions of a stochastic policy.

    Returns:
        The clips after the drive, ``copies`` beginnings of each (the first is the recorded one,
        and so are those where the policy arrived on top of a vehicle), and the actions before them.
    """
    seen, copies = clips.config, config.copies
    begun = perturbed_starts(
        clip.observation, config, seen.raster, clips.scene.dt_s, seen.stride, generator
    )
    previous = clip.previous_action.repeat_interleave(copies, 0)
    if steps == 0:
        return clip, begun, previous
    scene, frames = clips.scene, steps * seen.stride
    recorder = CopyLast(tracks_spec(seen, seen.stride, scene.dt_s))
    traffic = recorded_traffic(clip.observation, clips.target(clip, recorder, steps), recorder)
    drive = unroll(
        policy, traffic, begun, previous, steps, seen.stride, scene.dt_s, generator=generator
    )
    driven = torch.cat([begun.ego, drive.states.flatten(0, 1)], dim=1)[:, -seen.frames :]
    later = clips.at(clip.ego, clip.frame + frames, clip.future.shape[1] - frames)
    own = later.observation.ego.repeat_interleave(copies, 0)
    ego, frame = (value.repeat_interleave(copies) for value in (later.ego, later.frame))
    arrived = observe(scene, clips.road_map, seen, ego, frame, False, driven)
    keep = _overlaps(arrived)
    keep[::copies] = True
    driven = torch.where(keep[:, None, None], own, driven)
    starts = observe(scene, clips.road_map, seen, ego, frame, driven=driven)
    recorded = later.previous_action.repeat_interleave(copies, 0)
    return later, starts, torch.where(keep[:, None], recorded, drive.actions.flatten(0, 1)[:, -1])


def _overlaps(seen: Observation) -> Bool[Tensor, " starts"]:
    """Whether the ego is on top of one of those around."""
    tracks = seen.tracks
    assert tracks is not None
    own = torch.cat([seen.ego[:, -1, :3], seen.size_m], dim=-1)[:, None]
    others = torch.cat([tracks.now[..., :3], tracks.size_m], dim=-1)
    return (boxes_overlap(own.expand_as(others), others) & tracks.valid_now).any(1)
