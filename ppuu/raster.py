"""Tracks, road and a pose become the ego-centred image: one function for all who need one.

Three channels, values in [0, 1]: lane lines, vehicles other than the ego, off-road.  Forward is
up (row 0 is farthest ahead), left is left.  A pixel holds the share of its area that is covered,
where the original truncated to integers (Henaff et al., 2019); gradients reach poses and boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num, UInt8
from torch import Tensor
from torch.nn import functional

from . import cpu_loops, raster_cpu
from .geometry import to_local
from .neighbours import Neighbours
from .road import Road
from .road_nodes import NODES_PER_PIXEL, road_nodes
from .runtime.errors import InputError
from .units import LINE_WIDTH_M, METRES_PER_RASTER_PIXEL

Images = Num[Tensor, "images channels rows columns"]
"""Images that are drawn into: shares in [0, 1] or bytes."""

LANES, VEHICLES, OFFROAD = 0, 1, 2
CHANNELS = 3

_FULL = {
    torch.float32: (np.float32(1.0), np.float32(0.0)),
    torch.uint8: (np.float32(255.0), np.float32(0.5)),
}
"""Type of an image → value of a covered pixel, and what rounds it when it is stored."""


@dataclass(frozen=True)
class RasterConfig:
    """Size and scale of the image.

    Attributes:
        rows: pixels along the ego's heading.
        columns: pixels across it.
        metres_per_pixel: scale.
    """

    rows: int = 117
    columns: int = 24
    metres_per_pixel: float = METRES_PER_RASTER_PIXEL

    def __post_init__(self):
        if self.rows < 1 or self.columns < 1 or not self.metres_per_pixel > 0:
            raise InputError(
                f"raster of {self.rows} x {self.columns} pixels: sizes must be positive"
            )

    def pixel_centres_m(self, device=None, dtype=torch.float32) -> Float[Tensor, "rows columns 2"]:
        """Where each pixel's centre lies in the ego's frame: metres ahead, metres to the left."""
        ahead = 0.5 * (self.rows - 1) - torch.arange(self.rows, device=device, dtype=dtype)
        left = 0.5 * (self.columns - 1) - torch.arange(self.columns, device=device, dtype=dtype)
        grid = torch.meshgrid(ahead, left, indexing="ij")
        return torch.stack(grid, dim=-1) * self.metres_per_pixel

    @property
    def reach_m(self) -> float:
        """Distance from the centre to a corner of the image."""
        return 0.5 * self.metres_per_pixel * math.hypot(self.rows, self.columns)


_COMPACT_M = (6.5, 3.0)
"""Boxes up to this extent (all cars) share windows of one small size; lorries get larger ones."""


def draw_boxes(
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    config: RasterConfig,
) -> Float[Tensor, "batch rows columns"]:
    """Draws boxes given in the image's frame (x ahead, y left, heading against 'up').

    Each box touches only a small window of pixels around its centre, so all windows of the batch
    are evaluated at once and added into place.  Coverage is the product of the overlaps along
    the box's two axes: exact for boxes along the pixel grid, anti-aliased for turned ones.
    """
    if cpu_loops.applies(boxes):
        return draw_vehicles(boxes.new_zeros(len(boxes), 3), boxes, visible, config)
    return _draw_weighted(boxes, visible, torch.ones_like(boxes[..., :1]), config)[:, 0].clamp(
        max=1
    )


def _draw_weighted(
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    weight: Float[Tensor, "batch boxes weights"],
    config: RasterConfig,
) -> Float[Tensor, "batch weights rows columns"]:
    """Sums of the boxes' coverage, each times its weights."""
    pixel = config.metres_per_pixel
    with torch.no_grad():
        cos, sin = boxes[..., 2].cos().abs(), boxes[..., 2].sin().abs()
        length, width = boxes[..., 3], boxes[..., 4]
        # A pixel further out than this from the box's axes cannot be touched.
        edge = 0.5 * pixel * (cos + sin)
        ahead = 0.5 * (length * cos + width * sin) + edge
        left = 0.5 * (length * sin + width * cos) + edge
        visible = visible & (boxes[..., 0].abs() < ahead + 0.5 * pixel * config.rows)
        visible = visible & (boxes[..., 1].abs() < left + 0.5 * pixel * config.columns)
        owner, slot = visible.nonzero(as_tuple=True)
        half = torch.stack([ahead[owner, slot], left[owner, slot]], dim=-1) / pixel
        room = half.new_tensor(_COMPACT_M) / (2 * pixel) + 1.0
        compact = (half <= room).all(-1)
    chosen, weight = boxes[owner, slot], weight[owner, slot]
    image = boxes.new_zeros(boxes.shape[0], weight.shape[1], config.rows, config.columns)
    for group in (compact, ~compact):
        member = group.nonzero()[:, 0]
        if len(member):
            image = image + _draw_windows(
                chosen[member], weight[member], owner[member], half[member], image, config
            )
    return image


def _loop_over_boxes(
    pose: Float[Tensor, "batch 3"],
    others: Neighbours,
    config: RasterConfig,
    images: Images,
    place: Int[Tensor, " batch"],
    channel: int,
) -> None:
    cpu_loops.in_parts(
        raster_cpu.draw_boxes,
        raster_cpu.SMALLEST_PART,
        (
            images.numpy(),
            _FULL[images.dtype],
            *_tables(others),
            np.float32(config.metres_per_pixel),
            channel,
        ),
        pose, others.row, others.ego, place,
    )  # fmt: skip


def _tables(others: Neighbours) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and occupants for the loops."""
    return others.table_boxes.contiguous().numpy(), others.table_vehicle.numpy()


def _draw_windows(
    box: Float[Tensor, "shown 5"],
    weight: Float[Tensor, "shown weights"],
    owner: Int[Tensor, " shown"],
    half: Float[Tensor, "shown 2"],
    image: Float[Tensor, "batch weights rows columns"],
    config: RasterConfig,
) -> Float[Tensor, "batch weights rows columns"]:
    """Weighted coverage in images like ``image``, with windows as large as the largest.

    ``half`` is half the extent of each window in pixels.  The canvas has a margin as wide as a
    window, so that no window needs cutting.
    """
    cells = 1.0 / config.metres_per_pixel
    with torch.no_grad():
        rows, columns = (int(extent) + 1 for extent in (2 * half.amax(0)).floor().tolist())
        middle = box.new_tensor([0.5 * (config.rows - 1), 0.5 * (config.columns - 1)])
        first = (middle - box[:, :2] * cells - half).ceil()
        canvas_rows, canvas_columns = config.rows + 2 * rows, config.columns + 2 * columns
        place = first.long() + torch.tensor([rows, columns], device=box.device)
        corner = (owner * canvas_rows + place[:, 0]) * canvas_columns + place[:, 1]
        row = torch.arange(rows, device=box.device)
        column = torch.arange(columns, device=box.device)
        window = row[:, None] * canvas_columns + column
        index = corner[:, None, None] + window
        # Row and column numbers of the windows' first pixels, counted from the image's middle.
        start = middle - first
    cos, sin = box[:, 2, None].cos(), box[:, 2, None].sin()
    ahead = start[:, 0, None] - row - box[:, 0, None] * cells
    left = start[:, 1, None] - column - box[:, 1, None] * cells
    along = (cos * ahead)[:, :, None] + (sin * left)[:, None, :]
    across = (cos * left)[:, None, :] - (sin * ahead)[:, :, None]
    extent = (box[:, 3:5] * cells)[:, :, None, None]
    cover = _overlap(along, extent[:, 0]) * _overlap(across, extent[:, 1])
    canvas = box.new_zeros(image.shape[0] * canvas_rows * canvas_columns, weight.shape[1])
    canvas.index_add_(
        0, index.flatten(), cover.flatten()[:, None] * weight.repeat_interleave(cover[0].numel(), 0)
    )
    canvas = canvas.view(-1, canvas_rows, canvas_columns, weight.shape[1]).movedim(-1, 1)
    return canvas[..., rows : rows + config.rows, columns : columns + config.columns]


def _overlap(
    distance: Float[Tensor, "shown rows columns"], extent: Float[Tensor, "shown 1 1"]
) -> Float[Tensor, "shown rows columns"]:
    """Share of a unit interval at ``distance`` that lies in an interval of ``extent`` around 0."""
    share = 0.5 * (extent + 1.0) - distance.abs()
    return torch.minimum(share.clamp(min=0.0), extent.clamp(max=1.0))


@dataclass(frozen=True, eq=False)
class RoadMap:
    """Lane lines and off-road area of several roads, drawn once on fine grids, read bilinearly.

    A grid is three times finer than the raster and each of its nodes already holds the mean over
    a raster pixel around it, so one look-up a pixel gives anti-aliased coverage.  All roads lie
    side by side in one atlas; equal roads (several recordings of one site) share their place.
    Positions in the atlas run from -1 to 1, along y first, as ``grid_sample`` takes them.

    Attributes:
        atlas: ``(2, nodes along x, nodes along y of all roads)`` lane and off-road coverage.
        scale: ``(2,)`` atlas units per metre along y and x.
        offset: ``(roads, 2)`` atlas position of each road's world origin.
        low, high: ``(roads, 2)`` atlas positions of each road's outermost nodes.
    """

    atlas: Float[Tensor, "2 nodes_x nodes_y"]
    scale: Float[Tensor, "2"]
    offset: Float[Tensor, "roads 2"]
    low: Float[Tensor, "roads 2"]
    high: Float[Tensor, "roads 2"]

    @classmethod
    def build(
        cls, roads: Sequence[Road], config: RasterConfig, device: torch.device | str = "cpu"
    ) -> RoadMap:
        """Draws the roads at the raster's scale."""
        spacing = config.metres_per_pixel / NODES_PER_PIXEL
        places: dict[Road, int] = {}
        grids, origins, which = [], [], []
        for road in roads:
            if road not in places:
                places[road] = len(grids)
                nodes, origin = road_nodes(road, spacing, LINE_WIDTH_M)
                grids.append(nodes)
                origins.append(origin)
            which.append(places[road])
        size = np.array([grid.shape[1::-1] for grid in grids])
        first = np.stack([np.cumsum(size[:, 0]) - size[:, 0], np.zeros(len(size))], axis=1)
        shape = np.array([size[:, 0].sum(), size[:, 1].max()])
        atlas = np.zeros((2, shape[1], shape[0]), np.float32)
        for grid, start in zip(grids, first[:, 0].astype(int), strict=True):
            atlas[:, : grid.shape[0], start : start + grid.shape[1]] = grid.transpose(2, 0, 1)
        unit = 2.0 / (shape - 1)
        origin = np.array(origins)[:, ::-1] / spacing

        def tensor(array):
            return torch.as_tensor(np.array(array), dtype=torch.float32, device=device)

        return cls(
            atlas=tensor(atlas / 255.0),
            scale=tensor(unit / spacing),
            offset=tensor(((first - origin) * unit - 1.0)[which]),
            low=tensor((first * unit - 1.0)[which]),
            high=tensor(((first + size - 1) * unit - 1.0)[which]),
        )

    @cached_property
    def nodes(self) -> tuple[np.ndarray, np.float32, np.ndarray, np.ndarray, np.ndarray]:
        """The atlas for ``raster_cpu``, in whole nodes, x first.

        Coverage as ``raster_cpu.pack`` packs it, nodes per metre, and for each road the node at
        the world's origin, its first and its last node.
        """
        count = torch.tensor(self.atlas.shape[:0:-1])
        unit = 0.5 * (count - 1).double()
        offset, low, high = (
            ((place.double() + 1.0) * unit).flip(-1).float().contiguous().numpy()
            for place in (self.offset, self.low, self.high)
        )
        nodes = raster_cpu.pack(self.atlas.numpy())
        return nodes, np.float32(self.scale[0] * unit[0]), offset, low, high

    def read(
        self,
        x_m: Float[Tensor, "batch *points"],
        y_m: Float[Tensor, "batch *points"],
        road: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch 2 *points"]:
        """Lane-line and off-road coverage at world points; outside the grid all is off-road."""
        if cpu_loops.applies(x_m, y_m, self.atlas):
            shape = (len(road), math.prod(x_m.shape[1:]))
            found = x_m.new_empty(shape[0], 2, shape[1])
            cpu_loops.in_parts(
                raster_cpu.read, raster_cpu.SMALLEST_READ, self.nodes,
                x_m.reshape(shape), y_m.reshape(shape), road, found,
            )  # fmt: skip
            return found.view(len(road), 2, *x_m.shape[1:])
        points = torch.stack([y_m, x_m], dim=-1).view(len(road), 1, -1, 2)
        place = points * self.scale + self.offset[road][:, None, None]
        return self.look_up(place, road).view(len(road), 2, *x_m.shape[1:])

    def look_up(
        self, place: Float[Tensor, "batch rows columns 2"], road: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch 2 rows columns"]:
        """Lane-line and off-road coverage at positions in the atlas."""
        # A road's outermost nodes hold what lies beyond them: no line, and off-road.
        low = self.low[road][:, None, None].to(place.dtype)
        high = self.high[road][:, None, None].to(place.dtype)
        atlas = self.atlas.to(place.dtype).expand(len(road), -1, -1, -1)
        return functional.grid_sample(
            atlas,
            torch.clamp(place, low, high),
            mode="bilinear",
            padding_mode="border",
            align_corners=True,
        )


@dataclass(frozen=True, eq=False)
class LocalRoad:
    """The road of each element of a batch: a map, which is known, and not a prediction.

    Attributes:
        road_map: all roads.
        road: ``(batch,)`` whose.
    """

    road_map: RoadMap
    road: Int[Tensor, " batch"]

    def read(
        self, x_m: Float[Tensor, "batch *points"], y_m: Float[Tensor, "batch *points"]
    ) -> Float[Tensor, "batch 2 *points"]:
        """Lane-line and off-road coverage at world points."""
        return self.road_map.read(x_m, y_m, self.road)

    def draw(
        self, poses: Float[Tensor, "batch time 3"], config: RasterConfig
    ) -> Float[Tensor, "batch time 2 rows columns"]:
        """Both channels as seen from poses."""
        time = poses.shape[1]
        roads = self.road.repeat_interleave(time)
        return draw_road(poses.flatten(0, 1), roads, self.road_map, config).unflatten(0, (-1, time))

    def take(self, rows: Int[Tensor, " some"]) -> LocalRoad:
        """Some elements of the batch."""
        return LocalRoad(self.road_map, self.road[rows])

    def repeat(self, copies: int) -> LocalRoad:
        """Every element of the batch ``copies`` times in a row."""
        return LocalRoad(self.road_map, self.road.repeat_interleave(copies, 0))


def draw_road(
    pose: Float[Tensor, "batch 3"],
    road: Int[Tensor, " batch"],
    road_map: RoadMap,
    config: RasterConfig,
) -> Float[Tensor, "batch 2 rows columns"]:
    """The lane and off-road channels as seen from poses."""
    pixel = config.metres_per_pixel
    if cpu_loops.applies(pose, road_map.atlas):
        images, place = _blank(pose, 2, config)
        _loop_over_roads(pose, road, road_map, config, images, place, (0, 1))
        return images
    row = torch.arange(config.rows, device=pose.device, dtype=pose.dtype)
    column = torch.arange(config.columns, device=pose.device, dtype=pose.dtype)
    ahead = (0.5 * (config.rows - 1) - row)[:, None, None] * pixel
    left = (0.5 * (config.columns - 1) - column)[:, None] * pixel
    cos, sin = pose[:, 2].cos(), pose[:, 2].sin()
    forward = torch.stack([sin, cos], dim=-1)[:, None, None] * road_map.scale
    sideways = torch.stack([cos, -sin], dim=-1)[:, None, None] * road_map.scale
    centre = pose[:, :2].flip(-1) * road_map.scale + road_map.offset[road]
    # One sum over all pixels; everything before it is as small as a row or a column.
    place = (centre[:, None, None] + forward * ahead) + sideways * left
    return road_map.look_up(place, road)


def _loop_over_roads(
    pose: Float[Tensor, "batch 3"],
    road: Int[Tensor, " batch"],
    road_map: RoadMap,
    config: RasterConfig,
    images: Images,
    place: Int[Tensor, " batch"],
    channels: tuple[int, int],
) -> None:
    _require_somewhere(pose)
    pixel_m = np.float32(config.metres_per_pixel)
    cpu_loops.in_parts(
        raster_cpu.draw_road,
        raster_cpu.SMALLEST_PART,
        (images.numpy(), _FULL[images.dtype], *road_map.nodes, pixel_m, *channels),
        pose, road, place,
    )  # fmt: skip


def _require_somewhere(pose: Float[Tensor, "batch 3"]) -> None:
    """The loops look up a place without asking whether there is one.

    Raises:
        InputError: a pose is no number.
    """
    somewhere = pose.isfinite()
    if not somewhere.all():
        nowhere = pose[~somewhere.all(-1)][0].tolist()
        raise InputError(f"nothing can be drawn from the pose {nowhere}: not finite")


def draw_vehicles(
    pose: Float[Tensor, "batch 3"],
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    config: RasterConfig,
) -> Float[Tensor, "batch rows columns"]:
    """The vehicle channel as seen from poses, boxes given in the world."""
    if cpu_loops.applies(pose, boxes):
        images, place = _blank(pose, 1, config)
        _loop_over_boxes(pose, Neighbours.of(boxes, visible), config, images, place, 0)
        return images[:, 0]
    return draw_boxes(to_local(boxes, pose[:, None]), visible, config)


def draw_momentum(
    pose: Float[Tensor, "batch 3"],
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    speed_mps: Float[Tensor, "batch boxes"],
    config: RasterConfig,
) -> Float[Tensor, "batch 2 rows columns"]:
    """Coverage times velocity, ahead and to the left of poses; boxes are given in the world."""
    local = to_local(boxes, pose[:, None])
    velocity = speed_mps[..., None] * torch.stack([local[..., 2].cos(), local[..., 2].sin()], -1)
    return _draw_weighted(local, visible, velocity, config)


def draw(
    pose: Float[Tensor, "batch 3"],
    boxes: Float[Tensor, "batch boxes 5"],
    visible: Bool[Tensor, "batch boxes"],
    road: Int[Tensor, " batch"],
    road_map: RoadMap,
    config: RasterConfig,
) -> Float[Tensor, "batch 3 rows columns"]:
    """The whole image: lanes, vehicles, off-road."""
    if cpu_loops.applies(pose, boxes, road_map.atlas):
        images, place = _blank(pose, CHANNELS, config)
        draw_into(images, place, pose, Neighbours.of(boxes, visible), road, road_map, config)
        return images
    static = draw_road(pose, road, road_map, config)
    vehicles = draw_vehicles(pose, boxes, visible, config)
    return torch.stack([static[:, 0], vehicles, static[:, 1]], dim=1)


def draw_into(
    images: Images,
    place: Int[Tensor, " batch"],
    pose: Float[Tensor, "batch 3"],
    others: Neighbours,
    road: Int[Tensor, " batch"],
    road_map: RoadMap,
    config: RasterConfig,
) -> None:
    """``draw`` over images that exist already; ``place`` numbers those to draw.

    Images of bytes hold coverage times 255, rounded.
    """
    if images.is_cpu and cpu_loops.applies(pose, others.table_boxes, road_map.atlas):
        _require_somewhere(pose)
        cpu_loops.in_parts(
            raster_cpu.draw,
            raster_cpu.SMALLEST_PART,
            (
                images.numpy(), _FULL[images.dtype], _tables(others), road_map.nodes,
                np.float32(config.metres_per_pixel), (LANES, VEHICLES, OFFROAD),
            ),
            pose, others.row, others.ego, road, place,
        )  # fmt: skip
    else:
        drawn = draw(pose, others.boxes, others.present, road, road_map, config)
        images[place] = drawn if images.is_floating_point() else to_bytes(drawn)


def to_bytes(images: Float[Tensor, "*batch rows columns"]) -> UInt8[Tensor, "*batch rows columns"]:
    """Coverage from 0 to 1 as numbers from 0 to 255."""
    return (images * 255.0).round().to(torch.uint8)


def _blank(
    pose: Float[Tensor, "batch 3"], channels: int, config: RasterConfig
) -> tuple[Float[Tensor, "batch channels rows columns"], Int[Tensor, " batch"]]:
    """Images yet to be drawn, and their numbers."""
    images = pose.new_empty(len(pose), channels, config.rows, config.columns)
    return images, torch.arange(len(pose))


def warp(
    image: Float[Tensor, "batch channels rows columns"],
    source: Float[Tensor, "batch 3"],
    target: Float[Tensor, "batch 3"],
    config: RasterConfig,
    padding: str = "zeros",
) -> Float[Tensor, "batch channels rows columns"]:
    """The image drawn at pose ``source`` as it would look from pose ``target``.

    Exact geometry with bilinear interpolation; what ``source`` did not see is 0 (``zeros``) or
    the nearest pixel seen (``border``).
    """
    grid = config.pixel_centres_m(image.device, image.dtype)
    offset = to_local(target, source)
    cos, sin = offset[:, 2].cos()[:, None, None], offset[:, 2].sin()[:, None, None]
    ahead = offset[:, 0, None, None] + cos * grid[..., 0] - sin * grid[..., 1]
    left = offset[:, 1, None, None] + sin * grid[..., 0] + cos * grid[..., 1]
    return sample(image, ahead, left, config, padding)


def warp_image(
    image: Float[Tensor, "batch 3 rows columns"],
    source: Float[Tensor, "batch 3"],
    target: Float[Tensor, "batch 3"],
    config: RasterConfig,
) -> Float[Tensor, "batch 3 rows columns"]:
    """``warp`` of all channels: beyond what was seen the road runs on and no vehicle stands."""
    vehicles = warp(image[:, VEHICLES : VEHICLES + 1], source, target, config)
    road = warp(image[:, [LANES, OFFROAD]], source, target, config, padding="border")
    return torch.cat([road[:, :1], vehicles, road[:, 1:]], dim=1)


def sample(
    image: Float[Tensor, "batch channels rows columns"],
    ahead_m: Float[Tensor, "batch rows_out columns_out"],
    left_m: Float[Tensor, "batch rows_out columns_out"],
    config: RasterConfig,
    padding: str = "zeros",
) -> Float[Tensor, "batch channels rows_out columns_out"]:
    """Reads an image at metric positions in its own frame, bilinearly."""
    scale = -2.0 / config.metres_per_pixel
    where = torch.stack([left_m * (scale / config.columns), ahead_m * (scale / config.rows)], -1)
    return functional.grid_sample(
        image, where, mode="bilinear", padding_mode=padding, align_corners=False
    )
