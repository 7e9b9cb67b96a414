"""Predictions as images (occupancy grids)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..backends import occupancy_cpu
from ..backends.dispatch import float32, paired
from ..backends.kernel import owners
from ..geometry import to_world
from ..perception.observation import Observation
from ..perception.warp import warp, warp_image
from .base import Errors, Prediction, RoadChannel
from .mask import EgoMask, EgoPath, interval_mass
from .samples import interleave_tensors
from .target import Target
from .vehicle_motion import Flow, RasterizedMotion, VehicleMotion

_COVERED = 0.5
"""Coverage above which a pixel belongs to a vehicle's outline."""
_MAX_WEIGHTS = 2**25
"""Limit of pixels times candidates times times that tensor operations weight at once."""


@dataclass(frozen=True, eq=False)
class OccupancyPrediction(Prediction):
    """Coverage by vehicles, lane lines and off-road area.

    Attributes:
        vehicles: ``(batch, candidates or 1, samples, time, rows, columns)`` coverage by vehicles.
        road: ``(batch, candidates or 1, samples or 1, time, 2, rows, columns)`` lane lines and
            off-road area.
        motion: the vehicles' velocities.
        flow: displacements of the last image's pixels, if the model warps them.
    """

    vehicles: Float[Tensor, "batch predicted samples time rows columns"]
    road: Float[Tensor, "batch predicted roads time 2 rows columns"]
    motion: VehicleMotion
    flow: Flow | None = None

    @classmethod
    def rasterize(
        cls, prediction: Prediction, poses: Float[Tensor, "batch time 3"]
    ) -> OccupancyPrediction:
        """Draws any prediction in images centred on poses."""
        vehicles, road = prediction.vehicle_images(poses), prediction.road_images(poses)
        predicted = vehicles.shape[1]
        return cls(
            poses[:, None].expand(-1, predicted, -1, -1), prediction.raster, vehicles,
            road.expand(-1, predicted, *road.shape[2:]),
            RasterizedMotion(lambda: prediction.vehicle_momentum_images(poses)),
        )  # fmt: skip

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.vehicles.shape[2]

    def vehicle_mass(
        self, mask: EgoMask, ego: EgoPath
    ) -> Float[Tensor, "batch candidates samples time masks"]:
        """Each pixel is weighted by the mean of the mask over its area."""
        return self._moments(self.vehicles[:, :, :, :, None], mask, ego)[..., 0]

    def vehicle_moments(
        self, mask: EgoMask, ego: EgoPath
    ) -> tuple[
        Float[Tensor, "batch candidates samples time masks"],
        Float[Tensor, "batch candidates samples time masks"],
    ]:
        """As ``vehicle_mass``."""
        mass, momentum = self._moments(self._mass_and_momentum, mask, ego).unbind(-1)
        return mass, momentum

    @property
    def _mass_and_momentum(self) -> Float[Tensor, "batch predicted samples time 3 rows columns"]:
        # Only constants are cached, since a later call may need gradients.
        if self.vehicles.requires_grad:
            return self._concatenated_moments()
        return self._constant_moments

    @cached_property
    def _constant_moments(self) -> Float[Tensor, "batch predicted samples time 3 rows columns"]:
        return self._concatenated_moments()

    def _concatenated_moments(self) -> Float[Tensor, "batch predicted samples time 3 rows columns"]:
        return torch.cat([self.vehicles[:, :, :, :, None], self._momentum()], dim=4)

    def _momentum(self) -> Float[Tensor, "batch predicted samples time 2 rows columns"]:
        return self.motion.momentum(self.vehicles)

    def road_mass(
        self, mask: EgoMask, ego: EgoPath, *channels: RoadChannel
    ) -> Float[Tensor, "batch candidates roads time masks"]:
        """As ``vehicle_mass``."""
        masks = [mask] if len(channels) == 1 else mask.unbind()
        masses = [
            self._moments(self._road_channel(channel), one, ego)[..., 0]
            for one, channel in zip(masks, channels, strict=True)
        ]
        return torch.cat(masses, dim=-1)

    def _road_channel(
        self, channel: RoadChannel
    ) -> Float[Tensor, "batch predicted roads time 1 rows columns"]:
        which = 0 if channel == "lanes" else 1
        return self.road[:, :, :, :, which : which + 1]

    def _moments(
        self,
        images: Float[Tensor, "batch predicted samples time channels rows columns"],
        mask: EgoMask,
        ego: EgoPath,
    ) -> Float[Tensor, "batch candidates samples time masks moments"]:
        """Mass of channel 0; channels 1 and 2 are a vector, projected on the ego's heading."""
        return self.moments_from(images, mask, self.offset(ego))

    def _moments_compiled(
        self,
        images: Float[Tensor, "batch predicted samples time channels rows columns"],
        mask: EgoMask,
        offset: Float[Tensor, "batch candidates time 3"],
    ) -> Float[Tensor, "batch candidates samples time masks moments"]:
        return _Moments.apply(offset, mask.sizes_m, images, self.raster.metres_per_pixel)

    @paired(
        _moments_compiled, occupancy_cpu.moments, occupancy_cpu.gradient,
        when=lambda self, images, mask, offset: float32(offset, mask.sizes_m, images),
    )  # fmt: skip
    def moments_from(
        self,
        images: Float[Tensor, "batch predicted samples time channels rows columns"],
        mask: EgoMask,
        offset: Float[Tensor, "batch candidates time 3"],
    ) -> Float[Tensor, "batch candidates samples time masks moments"]:
        """``_moments``, given the ego's offset from the images.

        Area and second moments of a square do not depend on its rotation, so each pixel is treated
        as a square along the ego's axes.  Shapes do not depend on the data; candidates are
        processed in chunks to bound memory.
        """
        batch, _, time = offset.shape[:3]
        pixels = self.raster.rows * self.raster.columns
        chunk = max(1, _MAX_WEIGHTS // (batch * time * pixels))
        with torch.autocast(offset.device.type, enabled=False):  # masses need full precision
            images = images.to(offset.dtype)
            parts = [
                self._dense(images if images.shape[1] == 1 else images[:, first : first + chunk],
                            mask.sizes_m[:, first : first + chunk],
                            offset[:, first : first + chunk])
                for first in range(0, offset.shape[1], chunk)
            ]  # fmt: skip
        return torch.cat(parts, dim=1)

    def _dense(self, images: Tensor, sizes_m: Tensor, offset: Tensor) -> Tensor:
        """Moments over all pixels, for a chunk of candidates."""
        pixel_m = self.raster.metres_per_pixel
        grid = self.raster.pixel_centres_m(offset.device, offset.dtype).flatten(0, 1)
        x, y, turn = (value[..., None] for value in offset.unbind(-1))
        cos, sin = torch.cos(turn), torch.sin(turn)
        dx, dy = grid[:, 0] - x, grid[:, 1] - y
        ahead, left = cos * dx + sin * dy, cos * dy - sin * dx
        extent = torch.full_like(ahead[:1, :1, :1, :1], pixel_m)
        # Images that all candidates share are not copied.
        shared = images.shape[1] == 1
        images = images.flatten(-2)[:, 0] if shared else images.flatten(-2)
        equation = "bctp,bstvp->bcstv" if shared else "bctp,bcstvp->bcstv"
        masses = []
        for sizes in sizes_m.unbind(-2):
            half, fore, aft, wide, aside = sizes[..., None, :].unbind(-1)
            weight = interval_mass(ahead, extent, half, fore, aft)
            weight = weight * interval_mass(left, extent, wide, aside, aside)
            masses.append(torch.einsum(equation, weight, images))
        moments = torch.stack(masses, dim=-2)
        if moments.shape[-1] == 1:
            return moments
        mass, along, across = moments.unbind(-1)
        cos, sin = cos[:, :, None], sin[:, :, None]
        return torch.stack([mass, cos * along + sin * across], dim=-1)

    def disagreement(self) -> Float[Tensor, "batch predicted time"]:
        """Variance of the coverage, mean over the pixels."""
        return self.vehicles.var(2).mean((-2, -1))

    def vehicle_images(
        self, poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch predicted samples time rows columns"]:
        """Warped if the poses differ."""
        return self._warped(self.vehicles[:, :, :, :, None], poses, "zeros")[:, :, :, :, 0]

    def vehicle_momentum_images(
        self, poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch predicted samples time 2 rows columns"]:
        """Warped if the poses differ, and the vectors rotated."""
        images = self._warped(self._momentum(), poses, "zeros")
        turn = (self.pose[..., 2] - poses[:, None, :, 2])[:, :, None, :, None, None]
        ahead, left = images.unbind(4)
        cos, sin = torch.cos(turn), torch.sin(turn)
        return torch.stack([cos * ahead - sin * left, sin * ahead + cos * left], dim=4)

    def road_images(
        self, poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch predicted roads time 2 rows columns"]:
        """Warped if the poses differ."""
        return self._warped(self.road, poses, "border")

    def _warped(
        self,
        images: Float[Tensor, "batch predicted samples time channels rows columns"],
        poses: Float[Tensor, "batch time 3"],
        padding: str,
    ) -> Float[Tensor, "batch predicted samples time channels rows columns"]:
        source = self.pose
        target = poses[:, None].expand_as(source)
        if torch.equal(source, target):
            return images
        batch, predicted, samples, time = images.shape[:4]
        # All samples of a time share a sampling grid.
        flat = images.transpose(2, 3).flatten(3, 4).flatten(0, 2)
        warped = warp(flat, source.flatten(0, 2), target.flatten(0, 2), self.raster, padding)
        warped = warped.view(batch, predicted, time, samples, *images.shape[4:])
        return warped.transpose(2, 3)

    @torch.no_grad()
    def _image(self, rows: int, time: int, sample: int) -> Float[Tensor, "rows 3 rows2 columns2"]:
        """One image per candidate."""
        vehicles = self.vehicles[:, :, sample, time]
        road = self.road[:, :, sample if self.road.shape[2] > 1 else 0, time]
        image = torch.stack([road[:, :, 0], vehicles, road[:, :, 1]], dim=2)
        return image.expand(-1, rows // len(image), -1, -1, -1).flatten(0, 1)

    def next_observation(
        self, observation: Observation, ego: Float[Tensor, "rows 4"], time: int, sample: int = 0
    ) -> Observation:
        """The image warped to the ego's new pose; without tracks."""
        pose = self.pose[:, :, time].detach()
        pose = pose.expand(-1, len(ego) // len(pose), -1).flatten(0, 1)
        image = self._image(len(ego), time, sample)
        image = warp_image(image, pose, ego[:, :3].detach(), self.raster)
        return observation.followed_by(image, None, ego)

    def errors(self, target: Target) -> dict[str, Errors]:
        """Errors of coverage per pixel, and of the flow in metres if there is one."""
        true = target.images
        if true is None:
            return {}
        vehicles, road = self.vehicles[:, 0], self.road[:, 0, :, true.road_step]
        one = vehicles.new_ones(1, 1, 1, 1)
        errors = {
            "vehicles": Errors((vehicles - true.vehicles[:, None]).flatten(3), one),
            "road": Errors((road - true.road[:, None]).flatten(3), one),
        }
        if self.flow is not None:
            assert true.flow is not None
            assert true.flow_valid is not None
            row, pixel = self.flow.batch_index, self.flow.pixel_index
            error = self.flow.displacement_m - true.flow.flatten(3)[row, :, :, pixel][:, None]
            weight = true.flow_valid.flatten(2)[row, :, pixel].to(error.dtype)
            errors["flow_m"] = Errors(error, weight[:, None, :, None])
        return errors

    def outlines(self, row: int, sample: int, time: int) -> Float[Tensor, "boxes 5"]:
        """Runs of covered pixels, each a box along the view's heading."""
        covered = (self.vehicles[row, 0, sample, time] > _COVERED).detach().cpu()
        padded = torch.nn.functional.pad(covered.T.int(), (1, 1)).diff(dim=1)
        column, first = (padded == 1).nonzero(as_tuple=True)
        last = (padded == -1).nonzero(as_tuple=True)[1] - 1
        centres, size = self.raster.pixel_centres_m(), self.raster.metres_per_pixel
        middle = 0.5 * (centres[first, column] + centres[last, column])
        local = torch.cat([middle, torch.zeros(len(middle), 1)], dim=1)
        pose = self.pose[row, 0, time].detach().cpu().to(local)
        placed = to_world(local, pose.expand(len(middle), 3))
        length = size * (last - first + 1).float()
        return torch.cat([placed, length[:, None], torch.full_like(length, size)[:, None]], dim=1)

    def at(self, time: int) -> OccupancyPrediction:
        """The prediction at one time."""
        now = slice(time, time + 1)
        return OccupancyPrediction(
            self.pose[:, :, now], self.raster, self.vehicles[:, :, :, now], self.road[:, :, :, now],
            self.motion.at(time), None if self.flow is None else self.flow.at(time),
        )  # fmt: skip

    @classmethod
    def concatenate(cls, parts: Sequence[OccupancyPrediction]) -> OccupancyPrediction:
        """Concatenates predictions in time."""
        flows = [part.flow for part in parts if part.flow is not None]
        return cls(
            torch.cat([part.pose for part in parts], dim=2),
            parts[0].raster,
            torch.cat([part.vehicles for part in parts], dim=3),
            torch.cat([part.road for part in parts], dim=3),
            type(parts[0].motion).concatenate([part.motion for part in parts]),
            Flow.concatenate(flows) if flows else None,
        )

    @classmethod
    def interleave(cls, parts: Sequence[OccupancyPrediction], samples: int) -> OccupancyPrediction:
        """Interleaves the samples of several predictions."""
        first, flows = parts[0], [part.flow for part in parts if part.flow is not None]
        roads = [part.road.expand(-1, -1, part.samples, *part.road.shape[3:]) for part in parts]
        return cls(
            first.pose, first.raster,
            interleave_tensors([part.vehicles for part in parts], 2, samples),
            interleave_tensors(roads, 2, samples),
            type(first.motion).interleave([part.motion for part in parts], samples),
            Flow.interleave(flows, samples) if flows else None,
        )  # fmt: skip


class _Moments(torch.autograd.Function):
    """The compiled pass, differentiable with respect to offsets, masks and images."""

    @staticmethod
    def forward(ctx, offset, sizes, images, pixel_m):
        ctx.save_for_backward(offset, sizes, images)
        ctx.pixel_m = pixel_m
        batch, candidates, time, masks = sizes.shape[:4]
        moments = 1 if images.shape[4] == 1 else 2
        found = offset.new_empty(batch, candidates, images.shape[2], time, masks, moments)
        _launch(occupancy_cpu.moments, offset, sizes, images, (pixel_m,), found)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx, by_moments):  # type: ignore[override]
        offset, sizes, images = ctx.saved_tensors
        to_offset, to_sizes = offset.new_empty(offset.shape), sizes.new_empty(sizes.shape)
        wants_images = ctx.needs_input_grad[2]
        to_images = images.new_zeros(images.shape if wants_images else (0, 0, 0, 0, 1, 0, 0))
        _launch(
            occupancy_cpu.gradient, offset, sizes, images,
            (ctx.pixel_m, to_images.flatten(0, 1).numpy()),
            by_moments.contiguous(), to_offset, to_sizes,
            # Paths that share images accumulate into one gradient, so a single thread runs.
            one_part=wants_images and images.shape[1] < offset.shape[1],
        )  # fmt: skip
        return to_offset, to_sizes, to_images if wants_images else None, None


def _launch(kernel, offset, sizes, images, shared, *others, one_part: bool = False) -> None:
    paths = offset.shape[0] * offset.shape[1]
    pixels = images.detach().contiguous().flatten(0, 1)
    pixel_m, *rest = shared
    kernel(
        offset.reshape(paths, *offset.shape[2:]), sizes.reshape(paths, *sizes.shape[2:]),
        owners(paths, len(pixels)),
        *(other.view(paths, *other.shape[2:]) for other in others),
        shared=(pixels.numpy(), pixel_m, *rest), one_part=one_part,
    )  # fmt: skip
