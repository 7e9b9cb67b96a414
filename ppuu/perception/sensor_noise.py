"""Histories as a sensor would have measured them, a data augmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..recordings.tracks import Tracks
from ..runtime.errors import InputError
from ..runtime.pytree import mapped
from .camera_shift import CameraShift
from .sensors import EXACT, Axis, Sensor

HALF_WINDOW_S = 0.5
"""Velocities of recordings are slopes of a line through the positions within this time before and
after (``data.clean``)."""

_SECANT_S = HALF_WINDOW_S * math.sqrt(3 / 5)
"""A secant over this time before and after has the slope of that line, up to third order."""

_APART = 1e-4


class SensorNoise:
    """Noise of sensors on the tracks of other vehicles.

    Generated traffic is exact, so a model relies on the acceleration between the last two speeds.
    In real recordings that is mostly noise: over 0.3 s, the acceleration in NGSIM's US-101 is
    1.5 m/s² (root mean square), in generated dense traffic 0.5.

    Each clip draws one sensor, and a share of its noise between none and all, for all vehicles and
    frames.  Positions and velocities are drawn together, from the covariance of positions and of
    the slopes that a recording's velocities are.  Steps of the written positions are too small to
    matter, and losses too rare: a history of a second holds one in a thousand times.

    Args:
        sensors: which a clip may draw, with equal chances.
        dt_s: seconds between two frames of the recordings.
        lags: age of each frame of a history, in frames, oldest first.
    """

    def __init__(self, sensors: Sequence[Sensor], dt_s: float, lags: Int[Tensor, " frames"]):
        if not sensors:
            raise InputError("sensors: none given; give at least one, exact for no noise")
        self._exact = all(sensor == EXACT for sensor in sensors)
        self._factors = torch.from_numpy(
            np.stack(
                [
                    [_factor(sensor, axis, dt_s, lags.numpy()) for axis in ("along", "across")]
                    for sensor in sensors
                ]
            )
        ).float()
        self._numbers = torch.tensor(
            [[s.standstill_mps, s.camera_m, s.seam_m, s.shift_m] for s in sensors]
        )

    def add_to(self, tracks: Tracks, generator: torch.Generator) -> Tracks:
        """Noisy tracks; nothing is drawn where every sensor is exact.

        Args:
            tracks: exact histories, on any device, at the given lags.
            generator: source of the noise, on the CPU.
        """
        if self._exact:
            return tracks
        states = tracks.states
        batch, slots, frames = states.shape[:3]
        drawn = torch.randint(len(self._numbers), (batch,), generator=generator)
        share = torch.rand(batch, 1, 1, generator=generator)
        white = torch.randn(batch, 2, slots, 2 * frames, generator=generator)
        standstill, *camera = self._numbers[drawn].unbind(-1)
        shift = CameraShift.draw(*camera, generator=generator)
        share, white, standstill, factor, shift = mapped(
            (share, white, standstill[:, None, None], self._factors[drawn], shift),
            # Without waiting for a GPU: nothing is changed here after it has been sent.
            lambda tensor: tensor.to(states, non_blocking=True),
        )
        error = white @ factor.mT
        speed, x = states[..., 3], states[..., 0]
        pace = (speed / standstill).clamp(max=1.0)
        error = share[..., None, None] * _slowed(error.unflatten(-1, (2, frames)), pace)
        (along, along_slope), (across, across_slope) = (part.unbind(-2) for part in error.unbind(1))
        reach = speed * _SECANT_S
        along = along + share * shift.at(x)
        speeding = share * (shift.at(x + reach) - shift.at(x - reach)) / (2 * _SECANT_S)
        heading = states[..., 2]
        cos, sin = heading.cos(), heading.sin()
        return replace(
            tracks,
            states=torch.stack(
                [
                    x + along * cos - across * sin,
                    states[..., 1] + along * sin + across * cos,
                    # Errors slow down with the vehicle, which leaves the direction of motion.
                    heading + torch.atan2(across_slope, torch.maximum(speed, standstill)),
                    (speed + pace * along_slope + speeding).clamp(min=0.0),
                ],
                dim=-1,
            ),
        )


def _factor(
    sensor: Sensor, axis: Axis, dt_s: float, lags: Int[np.ndarray, " frames"]
) -> Float[np.ndarray, "both both"]:
    """Cholesky factor of the covariance of the errors at all frames and of their slopes."""
    half = max(1, round(HALF_WINDOW_S / dt_s))
    window = np.arange(-half, half + 1)
    span = int(lags[0])
    functionals = np.zeros((2 * len(lags), span + 2 * half + 1))
    for row, lag in enumerate(lags.tolist()):
        now = span - lag + half
        functionals[row, now] = 1.0
        functionals[len(lags) + row, now + window] = window / (window**2).sum() / dt_s
    time_s = np.arange(functionals.shape[1]) * dt_s
    covariance = sensor.covariance(axis, time_s[:, None] - time_s[None, :])
    covariance = functionals @ covariance @ functionals.T
    if not covariance.any():
        return covariance
    # Frames are nearly alike where noise is slow: a ten-thousandth of its size keeps them apart.
    apart = _APART**2 * covariance.diagonal().max() * np.eye(len(covariance))
    return np.linalg.cholesky(covariance + apart)


def _slowed(
    values: Float[Tensor, "batch axes slots kinds frames"],
    pace: Float[Tensor, "batch slots frames"],
) -> Float[Tensor, "batch axes slots kinds frames"]:
    """Values at the times of a clock that runs at ``pace``, until the last frame."""
    frames = pace.shape[-1]
    steps = 0.5 * (pace[..., 1:] + pace[..., :-1])
    behind = torch.cat([steps.flip(-1).cumsum(-1).flip(-1), torch.zeros_like(pace[..., :1])], -1)
    index = (frames - 1) - behind[:, None, :, None]
    before = index.floor().clamp(0, frames - 2)
    fraction = index - before
    before = before.long().expand_as(values)
    earlier, later = values.gather(-1, before), values.gather(-1, before + 1)
    return earlier + fraction * (later - earlier)
