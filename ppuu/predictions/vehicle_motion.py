"""Velocities of the vehicles in predicted images."""

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
from .samples import interleave_tensors

_MIN_MASS = 0.05
"""Added to the splatted mass, so that the velocity of empty pixels is that of the view."""
SomeMotion = TypeVar("SomeMotion", bound="VehicleMotion")


class VehicleMotion(ABC):
    """Velocities ahead and to the left, in the frame of each image."""

    @abstractmethod
    def momentum(
        self, vehicles: Float[Tensor, "batch predicted samples time rows columns"]
    ) -> Float[Tensor, "batch predicted samples time 2 rows columns"]:
        """Coverage times velocity."""

    @abstractmethod
    def at(self: SomeMotion, time: int) -> SomeMotion:
        """The motion at one time."""

    @classmethod
    @abstractmethod
    def concatenate(cls: type[SomeMotion], parts: Sequence[SomeMotion]) -> SomeMotion:
        """Concatenates motions in time."""

    @classmethod
    @abstractmethod
    def interleave(cls: type[SomeMotion], parts: Sequence[SomeMotion], samples: int) -> SomeMotion:
        """Interleaves the samples of several motions, up to a number of samples."""


@runtime_checkable
class SpeedEstimate(Protocol):
    """A speed, which may be computed when it is first read."""

    @property
    def speed_mps(self) -> Float[Tensor, " batch"]:
        """One speed per element of the batch."""
        ...


class KnownSpeed(NamedTuple):
    """A speed that is known beforehand.

    Attributes:
        speed_mps: ``(batch,)``.
    """

    speed_mps: Float[Tensor, " batch"]


@dataclass(frozen=True, eq=False)
class UniformMotion(VehicleMotion):
    """One speed, straight ahead, for all vehicles, for models whose images have no velocities.

    Attributes:
        speed: estimated from the history.
    """

    speed: SpeedEstimate

    def momentum(
        self, vehicles: Float[Tensor, "batch predicted samples time rows columns"]
    ) -> Float[Tensor, "batch predicted samples time 2 rows columns"]:
        """Coverage times the speed."""
        ahead = vehicles * self.speed.speed_mps.view(-1, 1, 1, 1, 1, 1)
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
class RasterizedMotion(VehicleMotion):
    """Momentum images that are rasterized when first read.

    Attributes:
        rasterize: returns ``(batch, candidates or 1, samples, time, 2, rows, columns)``.
    """

    rasterize: Callable[[], Float[Tensor, "batch predicted samples time 2 rows columns"]]

    @cached_property
    def _images(self) -> Float[Tensor, "batch predicted samples time 2 rows columns"]:
        with torch.enable_grad():  # the first reader may need no gradients, a later one may
            return self.rasterize()

    def momentum(
        self, vehicles: Float[Tensor, "batch predicted samples time rows columns"]
    ) -> Float[Tensor, "batch predicted samples time 2 rows columns"]:
        """The rasterized images."""
        return self._images

    def at(self, time: int) -> RasterizedMotion:
        """The motion at one time."""
        return RasterizedMotion(lambda: self._images[:, :, :, time : time + 1])

    @classmethod
    def concatenate(cls, parts: Sequence[RasterizedMotion]) -> RasterizedMotion:
        """Concatenates motions in time."""
        return cls(lambda: torch.cat([part._images for part in parts], dim=3))

    @classmethod
    def interleave(cls, parts: Sequence[RasterizedMotion], samples: int) -> RasterizedMotion:
        """Interleaves the samples of several motions."""
        return cls(lambda: interleave_tensors([part._images for part in parts], 2, samples))


@dataclass(frozen=True, eq=False)
class Flow:
    """Displacements of the last observed image's pixels, of those that show a vehicle.

    Attributes:
        batch_index: ``(points,)`` element of the batch.
        pixel_index: ``(points,)`` row times columns plus column.
        displacement_m: ``(points, samples, time, 2)`` ahead and to the left.
    """

    batch_index: Int[Tensor, " points"]
    pixel_index: Int[Tensor, " points"]
    displacement_m: Float[Tensor, "points samples time 2"]

    def at(self, time: int) -> Flow:
        """The flow at one time."""
        return replace(self, displacement_m=self.displacement_m[:, :, time : time + 1])

    @classmethod
    def concatenate(cls, parts: Sequence[Flow]) -> Flow:
        """Concatenates flows in time."""
        displacement_m = torch.cat([part.displacement_m for part in parts], dim=2)
        return replace(parts[0], displacement_m=displacement_m)

    @classmethod
    def interleave(cls, parts: Sequence[Flow], samples: int) -> Flow:
        """Interleaves the samples of several flows."""
        displacements = [part.displacement_m for part in parts]
        return replace(parts[0], displacement_m=interleave_tensors(displacements, 1, samples))

    def splat(
        self, mass: Float[Tensor, "points samples time"], batch: int, raster: RasterConfig
    ) -> Float[Tensor, "batch samples time rows columns"]:
        """Images of the displaced points' masses."""
        samples, steps = self.displacement_m.shape[1:3]
        grid = raster.pixel_centres_m(mass.device, mass.dtype).flatten(0, 1)[self.pixel_index]
        position = grid[:, None, None] + self.displacement_m
        copy = torch.arange(samples * steps, device=mass.device).view(samples, steps)
        image = self.batch_index[:, None, None] * (samples * steps) + copy
        images = splat(
            mass.flatten(), position[..., 0].flatten(), position[..., 1].flatten(), image.flatten(),
            batch * samples * steps, raster,
        )  # fmt: skip
        return images.view(batch, samples, steps, raster.rows, raster.columns)


@dataclass(frozen=True, eq=False)
class FlowMotion(VehicleMotion):
    """Velocities of warped pixels: their mean velocity since the last image, plus the view's.

    Attributes:
        flow: their displacements.
        mass: ``(points,)`` coverage of each pixel in the last image.
        seconds: ``(time,)`` since the last image.
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
        """Coverage times the mean velocity of the pixels splatted there."""
        velocity = self.flow.displacement_m / self.seconds[:, None]
        mass = self.mass[:, None, None].expand(velocity.shape[:3])
        batch, mean_velocity = len(self.speed_mps), []
        total = self.flow.splat(mass, batch, self.raster) + _MIN_MASS
        for axis in range(2):
            momentum = self.flow.splat(mass * velocity[..., axis], batch, self.raster)
            mean_velocity.append(momentum / total)
        mean_velocity[0] = mean_velocity[0] + self.speed_mps[:, None, None, None, None]
        return vehicles[:, :, :, :, None] * torch.stack(mean_velocity, dim=3)[:, None]

    def at(self, time: int) -> FlowMotion:
        """The motion at one time."""
        return replace(self, flow=self.flow.at(time), seconds=self.seconds[time : time + 1])

    @classmethod
    def concatenate(cls, parts: Sequence[FlowMotion]) -> FlowMotion:
        """Concatenates motions in time."""
        flow = Flow.concatenate([part.flow for part in parts])
        return replace(parts[0], flow=flow, seconds=torch.cat([part.seconds for part in parts]))

    @classmethod
    def interleave(cls, parts: Sequence[FlowMotion], samples: int) -> FlowMotion:
        """Interleaves the samples of several motions."""
        return replace(parts[0], flow=Flow.interleave([part.flow for part in parts], samples))
