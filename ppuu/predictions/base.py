"""The interface of predictions: the surroundings of the ego over a horizon.

Costs, metrics, pictures, policies and planners use this interface only and never depend on the kind
of prediction.  Axes: ``batch candidates samples time``.  *Candidates* are paths of the ego; one
prediction serves all of them unless the model is conditioned on the ego.  *Samples* are futures
from different noise, or replicas (same noise, different dropout mask or ensemble member).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from jaxtyping import Float
from torch import Tensor

from ..geometry import to_local
from ..perception.observation import Observation
from ..perception.raster_image import RasterConfig
from .mask import EgoMask, EgoPath
from .target import Target

RoadChannel = Literal["lanes", "offroad"]
SomePrediction = TypeVar("SomePrediction", bound="Prediction")


@dataclass(frozen=True, eq=False)
class Errors:
    """Signed errors of one quantity, with weights.

    Attributes:
        value: ``(batch, samples, time, elements)``; an element is a vehicle or a pixel.
        weight: ``(batch, 1, time, elements)``; 0 where the target is unknown.
    """

    value: Float[Tensor, "batch samples time elements"]
    weight: Float[Tensor, "#batch #samples #time #elements"]

    def mean(self, loss: Tensor | None = None) -> Float[Tensor, ""]:
        """The weighted mean of the errors or of a loss; the sum where weights total below 1."""
        value = self.value if loss is None else loss
        weight = self.weight.expand_as(value)
        return (value * weight).sum() / weight.sum().clamp(min=1.0)


@dataclass(frozen=True, eq=False)
class Prediction(ABC):
    """Predicted surroundings.

    Attributes:
        pose: ``(batch, candidates or 1, time, 3)`` centre of the model's view: of each image, or of
            the area in which boxes are tracked.
        raster: size and scale of images.
    """

    pose: Float[Tensor, "batch predicted time 3"]
    raster: RasterConfig

    @property
    @abstractmethod
    def samples(self) -> int:
        """Number of samples."""

    @abstractmethod
    def vehicle_mass(
        self, mask: EgoMask, ego: EgoPath
    ) -> Float[Tensor, "batch candidates samples time masks"]:
        """Area of vehicles under masks in the ego's frame, m2.

        Differentiable with respect to the ego, the masks' sizes and the prediction.
        """

    @abstractmethod
    def vehicle_moments(
        self, mask: EgoMask, ego: EgoPath
    ) -> tuple[
        Float[Tensor, "batch candidates samples time masks"],
        Float[Tensor, "batch candidates samples time masks"],
    ]:
        """Mass and momentum in one pass."""

    def vehicle_momentum(
        self, mask: EgoMask, ego: EgoPath
    ) -> Float[Tensor, "batch candidates samples time masks"]:
        """The mass weighted by the vehicles' speed along the ego's heading, m3/s."""
        return self.vehicle_moments(mask, ego)[1]

    @abstractmethod
    def road_mass(
        self, mask: EgoMask, ego: EgoPath, *channels: RoadChannel
    ) -> Float[Tensor, "batch candidates roads time masks"]:
        """Area of lane lines, or off the road, under masks in the ego's frame, m2.

        ``roads`` is 1 if one road serves all samples.

        Args:
            mask: one or more.
            ego: its path.
            channels: one for each mask, or one for all.
        """

    @abstractmethod
    def disagreement(self) -> Float[Tensor, "batch predicted time"]:
        """Variance of positions or coverage over replicas; differentiable if the model is."""

    @abstractmethod
    def vehicle_images(
        self, poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch predicted samples time rows columns"]:
        """Coverage by vehicles in images centred on poses."""

    @abstractmethod
    def vehicle_momentum_images(
        self, poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch predicted samples time 2 rows columns"]:
        """Coverage times the vehicles' velocity, ahead and to the left of the poses."""

    @abstractmethod
    def road_images(
        self, poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch predicted roads time 2 rows columns"]:
        """Lane lines and off-road area in images centred on poses."""

    @abstractmethod
    def next_observation(
        self, observation: Observation, ego: Float[Tensor, "rows 4"], time: int, sample: int = 0
    ) -> Observation:
        """The observation one stride later; no gradients except through the ego's state.

        Args:
            observation: histories, one row per candidate; candidates of an element of the batch
                are consecutive.
            ego: the new state of each.
            time: index of the predicted time.
            sample: index of the sample.
        """

    @abstractmethod
    def errors(self, target: Target) -> dict[str, Errors]:
        """Prediction minus target by quantity, for the first candidate.

        Lengths are in metres (``along_m`` and ``across_m`` of a vehicle's true heading,
        ``flow_m``); the others are coverage (``vehicles``, ``road``).  Quantities that this kind of
        prediction or target lacks are left out.
        """

    @abstractmethod
    def outlines(self, row: int, sample: int, time: int) -> Float[Tensor, "boxes 5"]:
        """Vehicles as boxes, for visualisation."""

    @abstractmethod
    def at(self: SomePrediction, time: int) -> SomePrediction:
        """The prediction at one time."""

    @classmethod
    @abstractmethod
    def concatenate(cls: type[SomePrediction], parts: Sequence[SomePrediction]) -> SomePrediction:
        """Concatenates predictions in time."""

    @classmethod
    @abstractmethod
    def interleave(
        cls: type[SomePrediction], parts: Sequence[SomePrediction], samples: int
    ) -> SomePrediction:
        """Interleaves the samples of several predictions, up to a number of samples."""

    def outside_view_m(self, ego: EgoPath) -> Float[Tensor, "batch candidates time"]:
        """Distance by which the ego's box leaves the view, m."""
        raster, offset = self.raster, self.offset(ego)
        limit = 0.5 * raster.metres_per_pixel * offset.new_tensor([raster.rows, raster.columns])
        inside = limit - 0.5 * ego.size_m[:, None, None]
        return (offset[..., :2].abs() - inside).clamp(min=0.0).sum(-1)

    def offset(self, ego: EgoPath) -> Float[Tensor, "batch candidates time 3"]:
        """The ego's pose in the frame of the view."""
        return to_local(ego.states[..., :3], self.pose)
