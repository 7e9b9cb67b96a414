"""How fast the vehicles of predicted images move."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..perception.raster_image import RasterConfig
from ..perception.splat import splat
from .samples import take_turns

_FAINT = 0.05
"""Where less mass than this has arrived, the view's own speed decides."""
SomeMotion = TypeVar("SomeMotion", bound="VehicleMotion")


class VehicleMotion(ABC):
    """Velocities, ahead and to the left, in the frame that each image is drawn in."""

    @abstractmethod
    def momentum(
        self, vehicles: Float[Tensor, "batch predicted samples time rows columns"]
    ) -> Float[Tensor, "batch predicted samples time 2 rows columns"]:
        """Coverage times velocity."""

    @abstractmethod
    def at(self: SomeMotion, time: int) -> SomeMotion:
        """One time alone."""

    @classmethod
    @abstractmethod
    def concatenate(cls: type[SomeMotion], parts: Sequence[SomeMotion]) -> SomeMotion:
        """Several, one after the other in time."""

    @classmethod
    @abstractmethod
    def interleave(cls: type[SomeMotion], parts: Sequence[SomeMotion], samples: int) -> SomeMotion:
        """So many samples of several, which take turns."""


@runtime_checkable
class SeenSpeed(Protocol):
    """A speed that is measured when somebody asks."""

    @property
    def speed_mps(self) -> Float[Tensor, " batch"]:
        """Of each element of the batch."""
        ...


class KnownSpeed(NamedTuple):
    """A speed that needs no measuring.

    Attributes:
        speed_mps: ``(batch,)``.
    """

    speed_mps: Float[Tensor, " batch"]


@dataclass(frozen=True, eq=False)
class UniformMotion(VehicleMotion):
    """One speed, straight ahead, for all: painted images tell none, so what was seen last counts.

    Attributes:
        seen: the speed.
    """

    seen: SeenSpeed

    def momentum(
        self, vehicles: Float[Tensor, "batch predicted samples time rows columns"]
    ) -> Float[Tensor, "batch predicted samples time 2 rows columns"]:
        """Coverage times the speed."""
        ahead = vehicles * self.seen.speed_mps.view(-1, 1, 1, 1, 1, 1)
        return torch.stack([ahead, torch.zeros_like(ahead)], dim=4)

    def at(self, time: int) -> UniformMotion:
        """The same at all times."""
        return self

    @classmethod
    def concatenate(cls, parts: Sequence[UniformMotion]) -> UniformMotion:
        """The same at all times."""
        return parts[0]

    @classmethod
    def interleave(cls, parts: Sequence[UniformMotion], samples: int) -> UniformMotion:
        """The same in all samples."""
        return parts[0]


@dataclass(frozen=True, eq=False)
class DrawnMotion(VehicleMotion):
    """Momentum that is drawn when somebody asks.

    Attributes:
        draw: gives ``(batch, candidates or 1, samples, time, 2, rows, columns)``.
    """

    draw: Callable[[], Float[Tensor, "batch predicted samples time 2 rows columns"]]

    @cached_property
    def _drawn(self) -> Float[Tensor, "batch predicted samples time 2 rows columns"]:
        with torch.enable_grad():  # whoever asks first: a later question may want gradients
            return self.draw()

    def momentum(
        self, vehicles: Float[Tensor, "batch predicted samples time rows columns"]
    ) -> Float[Tensor, "batch predicted samples time 2 rows columns"]:
        """As drawn."""
        return self._drawn

    def at(self, time: int) -> DrawnMotion:
        """One time alone."""
        return DrawnMotion(lambda: self._drawn[:, :, :, time : time + 1])

    @classmethod
    def concatenate(cls, parts: Sequence[DrawnMotion]) -> DrawnMotion:
        """Several, one after the other in time."""
        return cls(lambda: torch.cat([part._drawn for part in parts], dim=3))

    @classmethod
    def interleave(cls, parts: Sequence[DrawnMotion], samples: int) -> DrawnMotion:
        """So many samples of several, which take turns."""
        return cls(lambda: take_turns([part._drawn for part in parts], 2, samples))


@dataclass(frozen=True, eq=False)
class Flow:
    """Where pixels of the last image seen have moved; only those that show a vehicle.

    Attributes:
        owner: ``(points,)`` element of the batch.
        pixel: ``(points,)`` row times columns plus column.
        metres: ``(points, samples, time, 2)`` ahead and to the left.
    """

    owner: Int[Tensor, " points"]
    pixel: Int[Tensor, " points"]
    metres: Float[Tensor, "points samples time 2"]

    def at(self, time: int) -> Flow:
        """One time alone."""
        return replace(self, metres=self.metres[:, :, time : time + 1])

    @classmethod
    def concatenate(cls, parts: Sequence[Flow]) -> Flow:
        """Several, one after the other in time."""
        return replace(parts[0], metres=torch.cat([part.metres for part in parts], dim=2))

    @classmethod
    def interleave(cls, parts: Sequence[Flow], samples: int) -> Flow:
        """So many samples of several, which take turns."""
        return replace(parts[0], metres=take_turns([part.metres for part in parts], 1, samples))

    def landed(
        self, mass: Float[Tensor, "points samples time"], batch: int, raster: RasterConfig
    ) -> Float[Tensor, "batch samples time rows columns"]:
        """Masses where the flow takes them, added up."""
        samples, steps = self.metres.shape[1:3]
        grid = raster.pixel_centres_m(mass.device, mass.dtype).flatten(0, 1)[self.pixel]
        place = grid[:, None, None] + self.metres
        copy = torch.arange(samples * steps, device=mass.device).view(samples, steps)
        image = self.owner[:, None, None] * (samples * steps) + copy
        landed = splat(
            mass.flatten(), place[..., 0].flatten(), place[..., 1].flatten(), image.flatten(),
            batch * samples * steps, raster,
        )  # fmt: skip
        return landed.view(batch, samples, steps, raster.rows, raster.columns)


@dataclass(frozen=True, eq=False)
class CarriedMotion(VehicleMotion):
    """Pixels carried along have the velocity that carried them, on top of the view's own.

    Attributes:
        flow: where they went.
        mass: ``(points,)`` what each carries.
        seconds: ``(time,)`` in which.
        speed_mps: ``(batch,)`` of the view, ahead.
        raster: size and scale of the images.
    """

    flow: Flow
    mass: Float[Tensor, " points"]
    seconds: Float[Tensor, " time"]
    speed_mps: Float[Tensor, " batch"]
    raster: RasterConfig

    def momentum(
        self, vehicles: Float[Tensor, "batch predicted samples time rows columns"]
    ) -> Float[Tensor, "batch predicted samples time 2 rows columns"]:
        """Coverage times the mean velocity of what landed there."""
        velocity = self.flow.metres / self.seconds[:, None]
        mass = self.mass[:, None, None].expand(velocity.shape[:3])
        batch, moving = len(self.speed_mps), []
        total = self.flow.landed(mass, batch, self.raster) + _FAINT
        for axis in range(2):
            moving.append(self.flow.landed(mass * velocity[..., axis], batch, self.raster) / total)
        moving[0] = moving[0] + self.speed_mps[:, None, None, None, None]
        return vehicles[:, :, :, :, None] * torch.stack(moving, dim=3)[:, None]

    def at(self, time: int) -> CarriedMotion:
        """One time alone."""
        return replace(self, flow=self.flow.at(time), seconds=self.seconds[time : time + 1])

    @classmethod
    def concatenate(cls, parts: Sequence[CarriedMotion]) -> CarriedMotion:
        """Several, one after the other in time."""
        flow = Flow.concatenate([part.flow for part in parts])
        return replace(parts[0], flow=flow, seconds=torch.cat([part.seconds for part in parts]))

    @classmethod
    def interleave(cls, parts: Sequence[CarriedMotion], samples: int) -> CarriedMotion:
        """So many samples of several, which take turns."""
        return replace(parts[0], flow=Flow.interleave([part.flow for part in parts], samples))
