"""What an ego sees of the others where its sensors are not perfect."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ppuu.recordings.neighbours import Neighbours
from ppuu.runtime.errors import InputError

_UNSEEN_FRAMES = 5
"""Frames for which a vehicle is overlooked: half a second."""


@dataclass(frozen=True)
class PerceptionConfig:
    """Faults of the sensors; the ego knows its own motion and the road without fault.

    Attributes:
        noise_m: standard deviation of each vehicle's position, along x and y, drawn at each frame.
        dropout: probability that a vehicle is overlooked, drawn every half second.
        latency_frames: frames by which the observed positions of the others are delayed.
    """

    noise_m: float = 0.0
    dropout: float = 0.0
    latency_frames: int = 0

    def __post_init__(self):
        if not (self.noise_m >= 0 and 0 <= self.dropout <= 1 and self.latency_frames >= 0):
            raise InputError(f"perception: {self}; noise, dropout and latency cannot be so")

    def disturbed(self, others: Neighbours, frame: Int[Tensor, " envs"]) -> Neighbours:
        """Others as they are sensed at frames, delayed or not.

        The noise is a function of ego, frame and vehicle alone, so it is the same in every batch
        and every process.
        """
        vehicle, boxes = others.vehicle, others.boxes
        ego = others.ego[:, None]
        if self.dropout:
            while_unseen = frame[:, None] // _UNSEEN_FRAMES
            detected = _uniform(ego, while_unseen, vehicle, 0) >= self.dropout
            vehicle = torch.where(detected, vehicle, -1)
        if self.noise_m:
            now = frame[:, None]
            radius = (-2.0 * _uniform(ego, now, vehicle, 1).clamp(min=1e-12).log()).sqrt()
            angle = 2.0 * math.pi * _uniform(ego, now, vehicle, 2)
            moved = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)
            boxes = torch.cat([boxes[..., :2] + self.noise_m * moved, boxes[..., 2:]], dim=-1)
        row = torch.arange(len(frame), device=frame.device)
        return Neighbours(boxes, others.speed_mps, vehicle, row=row, ego=others.ego)


def _uniform(
    ego: Int[Tensor, "envs 1"],
    frame: Int[Tensor, "envs 1"],
    vehicle: Int[Tensor, "envs slots"],
    stream: int,
) -> Float[Tensor, "envs slots"]:
    """Numbers in [0, 1) that look random: the mixing of SplitMix64 (Steele et al., 2014)."""
    number = ((ego * 1_000_003 + frame) * 1_000_003 + vehicle) * 8 + stream
    number = number * _GOLDEN
    for shift, factor in _MIXING:
        # The sign bit is shifted in; masking it out makes the shift a logical one.
        number = (number ^ ((number >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return ((number >> 40) & 0xFFFFFF).to(torch.float32) / 2**24


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIXING = ((30, _signed(0xBF58476D1CE4E5B9)), (27, _signed(0x94D049BB133111EB)), (31, 1))


class Perception:
    """Keeps as much of the past as the latency needs, for each of the simulator's slots."""

    def __init__(self, config: PerceptionConfig):
        self.config = config
        self._memory: dict[str, Tensor] = {}

    def begin(self, envs: Int[Tensor, " envs"], moments: Sequence[Neighbours]) -> None:
        """Episodes start.

        Args:
            envs: their slots.
            moments: the others in the frames that the latency reaches back to, oldest first, the
                present last; only the last need have all the slots of the tables to come.
        """
        slots = moments[-1].vehicle.shape[1]
        columns = [_columns(others, slots) for others in moments]
        fresh = {name: torch.stack([c[name] for c in columns], dim=1) for name in columns[0]}
        missing = int(envs.max()) + 1 - len(self._memory.get("vehicle", ()))
        if missing > 0:
            more = {n: t.new_zeros(missing, *t.shape[1:]) for n, t in fresh.items()}
            old = self._memory or {n: t[:0] for n, t in more.items()}
            self._memory = {n: torch.cat([t, more[n]]) for n, t in old.items()}
        for name, tensor in self._memory.items():
            tensor[envs] = fresh[name]

    def add(self, envs: Int[Tensor, " envs"], others: Neighbours) -> None:
        """The world has moved on."""
        for name, value in _columns(others).items():
            memory = self._memory[name]
            memory[envs] = torch.cat([memory[envs, 1:], value[:, None]], dim=1)

    def sensed(
        self,
        envs: Int[Tensor, " envs"],
        ego: Int[Tensor, " envs"],
        frame: Int[Tensor, " envs"],
    ) -> Neighbours:
        """The others as they are sensed at the current frame."""
        boxes, speed, vehicle = (self._memory[n][envs, 0] for n in ("boxes", "speed", "vehicle"))
        row = torch.arange(len(envs), device=envs.device)
        others = Neighbours(boxes, speed, vehicle, row=row, ego=ego)
        return self.config.disturbed(others, frame)

    def state_dict(self) -> dict[str, Tensor]:
        """The state, ``(envs, ...)`` each."""
        return dict(self._memory)

    def with_state(self, state: Mapping[str, Tensor]) -> Perception:
        """The same sensors with other memories."""
        other = copy.copy(self)
        other._memory = dict(state)
        return other


def _columns(others: Neighbours, slots: int | None = None) -> dict[str, Tensor]:
    """Boxes, speeds and numbers, with free slots added up to so many."""
    more = 0 if slots is None else slots - others.vehicle.shape[1]
    pad = torch.nn.functional.pad
    return {
        "boxes": pad(others.boxes, (0, 0, 0, more), value=1.0),
        "speed": pad(others.speed_mps, (0, more)),
        "vehicle": pad(others.vehicle, (0, more), value=-1),
    }
