"""Errors of measurement for exact tracks, so that what learns from them can read real ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..recordings.tracks import Tracks
from ..runtime.errors import require_not_negative


@dataclass(frozen=True)
class TrackNoise:
    """Deviations of Gaussian errors, drawn for each vehicle and frame by itself.

    Generated traffic is exact, and a model learns to trust the acceleration that it reads off the
    last two speeds.  In recordings that is mostly noise: over 0.3 s, speeds of NGSIM's US-101
    change by 1.5 m/s² (root mean square), those of generated dense traffic by 0.5.

    Attributes:
        position_m: along both axes.
        heading_rad: of headings.
        speed_mps: of speeds.
    """

    position_m: float = 0.0
    heading_rad: float = 0.0
    speed_mps: float = 0.0

    def __post_init__(self):
        require_not_negative("noise of tracks", **vars(self))

    def blurred(self, tracks: Tracks, generator: torch.Generator) -> Tracks:
        """The tracks with errors; each scene gets a share of them between none and all.

        So a model also meets exact tracks, and learns to tell by the history which it has.

        Args:
            tracks: histories; the generator lives on the CPU, whatever their device.
            generator: decides everything.
        """
        deviation = torch.tensor(
            [self.position_m, self.position_m, self.heading_rad, self.speed_mps]
        )
        if not deviation.any():
            return tracks
        shape = tracks.states.shape
        share = torch.rand(shape[0], 1, 1, 1, generator=generator)
        error = torch.randn(shape, generator=generator) * share * deviation
        states = tracks.states + error.to(tracks.states)
        return replace(tracks, states=_forwards(states))


def _forwards(states: Tensor) -> Tensor:
    """Nobody reverses, even by mistake."""
    return torch.cat([states[..., :3], states[..., 3:].clamp(min=0.0)], dim=-1)
