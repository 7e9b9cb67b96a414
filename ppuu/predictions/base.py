"""What surrounds the ego over a horizon: the questions that every kind of prediction answers.

Nobody else asks of which kind a prediction is: costs, metrics, pictures, policies and planners go
through these.  Axes: ``batch candidates samples time``.  *Candidates* are paths of the ego; there
is one set of surroundings for all of them unless the model is conditioned on the ego.  *Samples*
are alternatives drawn by other noise, or replicas (the same noise, another dropout mask or member).
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
    """Signed errors of one quantity, and what each counts.

    Attributes:
        value: ``(batch, samples, time, elements)``, an element a vehicle or a pixel.
        weight: ``(batch, 1, time, elements)``; 0 where the truth is not known.
    """

    value: Float[Tensor, "batch samples time elements"]
    weight: Float[Tensor, "#batch #samples #time #elements"]

    def mean(self, cost: Tensor | None = None) -> Float[Tensor, ""]:
        """The weighted mean of the errors, or of a cost of them; weights of less than 1 in all
        count as they are."""
        value = self.value if cost is None else cost
        weight = self.weight.expand_as(value)
        return (value * weight).sum() / weight.sum().clamp(min=1.0)


@dataclass(frozen=True, eq=False)
class Prediction(ABC):
    """Predicted surroundings.

    Attributes:
        pose: ``(batch, candidates or 1, time, 3)`` the frame that the model looks from: for images
            where each is drawn at, for boxes how far the model has seen.
        raster: size and scale of images.
    """

    pose: Float[Tensor, "batch predicted time 3"]
    raster: RasterConfig

    @property
    @abstractmethod
    def samples(self) -> int:
        """How many."""

    @abstractmethod
    def vehicle_mass(
        self, mask: EgoMask, ego: EgoPath
    ) -> Float[Tensor, "batch candidates samples time masks"]:
        """Square metres of vehicles under masks that ride on the ego.

        Gradients reach the ego, the masks' sizes and, where it has any, the prediction.
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
        """The mass, weighted by the vehicles' speed along the ego's heading, m3/s."""
        return self.vehicle_moments(mask, ego)[1]

    @abstractmethod
    def road_mass(
        self, mask: EgoMask, ego: EgoPath, *channels: RoadChannel
    ) -> Float[Tensor, "batch candidates roads time masks"]:
        """Square metres of lane lines, or off the road, under masks.

        ``roads`` is 1 where one road serves all samples.

        Args:
            mask: several.
            ego: what they ride on.
            channels: what each of them looks at; a single one is for all of them.
        """

    @abstractmethod
    def disagreement(self) -> Float[Tensor, "batch predicted time"]:
        """Variance over replicas of what is where; differentiable where the model is."""

    @abstractmethod
    def vehicle_images(
        self, poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch predicted samples time rows columns"]:
        """Coverage by vehicles as seen from poses, all samples and times at once."""

    @abstractmethod
    def vehicle_momentum_images(
        self, poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch predicted samples time 2 rows columns"]:
        """The same times the vehicles' velocity, ahead and to the left of the poses."""

    @abstractmethod
    def road_images(
        self, poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch predicted roads time 2 rows columns"]:
        """Lane lines and off-road area as seen from poses."""

    @abstractmethod
    def next_observation(
        self, seen: Observation, ego: Float[Tensor, "rows 4"], time: int, sample: int = 0
    ) -> Observation:
        """What is seen one stride later, a constant but for the ego's own state.

        Args:
            seen: histories; a candidate is a row, those of an element of the batch in a row.
            ego: where each then is.
            time: of the prediction.
            sample: which.
        """

    @abstractmethod
    def errors(self, target: Target) -> dict[str, Errors]:
        """By quantity, what is predicted minus what followed, along the first candidate.

        Lengths are in metres and named so (``along_m``, ``across_m`` of a vehicle's true heading,
        ``flow_m``); the rest is coverage (``vehicles``, ``road``).  Quantities that a kind of
        prediction or target does not tell are left out.
        """

    @abstractmethod
    def outlines(self, row: int, sample: int, time: int) -> Float[Tensor, "boxes 5"]:
        """Vehicles as boxes, for pictures."""

    @abstractmethod
    def at(self: SomePrediction, time: int) -> SomePrediction:
        """One time alone."""

    @classmethod
    @abstractmethod
    def concatenate(cls: type[SomePrediction], parts: Sequence[SomePrediction]) -> SomePrediction:
        """Several, one after the other in time."""

    @classmethod
    @abstractmethod
    def interleave(
        cls: type[SomePrediction], parts: Sequence[SomePrediction], samples: int
    ) -> SomePrediction:
        """So many samples of several predictions, which take turns."""

    def outside_view_m(self, ego: EgoPath) -> Float[Tensor, "batch candidates time"]:
        """Metres by which the ego's box leaves the view."""
        raster, offset = self.raster, self.offset(ego)
        limit = 0.5 * raster.metres_per_pixel * offset.new_tensor([raster.rows, raster.columns])
        inside = limit - 0.5 * ego.size_m[:, None, None]
        return (offset[..., :2].abs() - inside).clamp(min=0.0).sum(-1)

    def offset(self, ego: EgoPath) -> Float[Tensor, "batch candidates time 3"]:
        """The ego's pose seen from the view."""
        return to_local(ego.states[..., :3], self.pose)
