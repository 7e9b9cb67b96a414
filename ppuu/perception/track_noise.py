"""Measurement noise for tracks, a data augmentation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..recordings.tracks import Tracks
from ..runtime.errors import require_not_negative


@dataclass(frozen=True)
class TrackNoise:
    """Standard deviations of Gaussian noise, independent for each vehicle and frame.

    Generated traffic is exact, so a model relies on the acceleration between the last two speeds.
    In real recordings that is mostly noise: over 0.3 s, the acceleration in NGSIM's US-101 is
    1.5 m/s² (root mean square), in generated dense traffic 0.5.

    Attributes:
        position_m: of positions, along both axes.
        heading_rad: of headings.
        speed_mps: of speeds.
    """

    position_m: float = 0.0
    heading_rad: float = 0.0
    speed_mps: float = 0.0

    def __post_init__(self):
        require_not_negative("noise of tracks", **vars(self))

    def add_noise(self, tracks: Tracks, generator: torch.Generator) -> Tracks:
        """Noisy tracks; a uniform random factor per scene scales the noise between none and all.

        Thus a model also trains on nearly exact tracks and can infer the noise from the history.

        Args:
            tracks: histories, on any device.
            generator: source of the noise, on the CPU.
        """
        std = torch.tensor([self.position_m, self.position_m, self.heading_rad, self.speed_mps])
        if not std.any():
            return tracks
        shape = tracks.states.shape
        scale = torch.rand(shape[0], 1, 1, 1, generator=generator)
        noise = torch.randn(shape, generator=generator) * scale * std
        states = tracks.states + noise.to(tracks.states)
        return replace(tracks, states=_clamp_speed(states))


def _clamp_speed(states: Tensor) -> Tensor:
    """Vehicles do not reverse."""
    return torch.cat([states[..., :3], states[..., 3:].clamp(min=0.0)], dim=-1)
