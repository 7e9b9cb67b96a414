"""The raster against an independent drawing, its symmetries and its gradients."""

import multiprocessing
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ppuu.backends.dispatch import only_tensors
from ppuu.geometry import to_world
from ppuu.perception.raster import draw
from ppuu.perception.raster_image import LANES, OFFROAD, RasterConfig
from ppuu.perception.road_map import RoadMap, draw_road
from ppuu.perception.vehicle_raster import draw_boxes, draw_vehicles
from ppuu.perception.warp import warp
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError

CONFIG = RasterConfig()
PIXEL = CONFIG.metres_per_pixel
SUPERSAMPLING = 16


def traffic(batch: int = 8, boxes: int = 12, seed: int = 0, turn_rad: float = 0.3):
    """Cars and a few lorries around the origin, some of them cut by the image's edges."""
    random = torch.Generator().manual_seed(seed)

    def uniform(low, high):
        return low + (high - low) * torch.rand(batch, boxes, generator=random)

    length = uniform(3.5, 6.0)
    length[:, 0] = 16.0
    return torch.stack(
        [uniform(-40, 40), uniform(-9, 9), uniform(-turn_rad, turn_rad), length, uniform(1.6, 2.5)],
        dim=-1,
    )


def everything(boxes: torch.Tensor) -> torch.Tensor:
    return torch.ones(boxes.shape[:2], dtype=torch.bool)


def drawn_by_opencv(boxes: torch.Tensor) -> np.ndarray:
    """Boxes filled on a 16 times finer canvas, whose cells are then averaged."""
    images = []
    for frame in boxes.double().numpy():
        canvas = np.zeros((CONFIG.rows * SUPERSAMPLING, CONFIG.columns * SUPERSAMPLING), np.uint8)
        for x, y, heading, length, width in frame:
            forward = np.array([np.cos(heading), np.sin(heading)])
            left = np.array([-forward[1], forward[0]])
            corners = [
                np.array([x, y]) + a * length * forward + b * width * left
                for a, b in ((0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5))
            ]
            # Metres ahead become rows from the top, metres to the left columns from the left.
            column = 0.5 * CONFIG.columns - np.array(corners)[:, 1] / PIXEL
            row = 0.5 * CONFIG.rows - np.array(corners)[:, 0] / PIXEL
            points = np.stack([column, row], axis=1) * SUPERSAMPLING - 0.5
            cv2.fillPoly(canvas, [np.rint(points * 256).astype(np.int32)], 255, cv2.LINE_8, 8)
        shape = (CONFIG.rows, SUPERSAMPLING, CONFIG.columns, SUPERSAMPLING)
        images.append(canvas.reshape(shape).mean((1, 3)) / 255.0)
    return np.stack(images)


def test_boxes_agree_with_opencv():
    # Overlapping boxes add up (to at most 1) instead of uniting; here they are drawn one by one.
    boxes = traffic(32, 1, turn_rad=0.5)
    boxes[::8, 0, 3] = 12.0
    drawn = draw_boxes(boxes, everything(boxes), CONFIG)
    difference = np.abs(drawn.numpy() - drawn_by_opencv(boxes))
    assert difference.max() < 0.25  # a corner of a turned box
    assert difference.mean() < 3e-3


def test_boxes_along_the_grid_are_exact():
    boxes = traffic(32, 1, turn_rad=0.0)
    drawn = draw_boxes(boxes, everything(boxes), CONFIG)
    difference = np.abs(drawn.numpy() - drawn_by_opencv(boxes))
    # A row and a column of fine cells on either side.
    assert difference.max() < 2.5 / SUPERSAMPLING
    area = boxes[..., 3] * boxes[..., 4] / PIXEL**2
    inside = (boxes[..., 0].abs() < 27) & (boxes[..., 1].abs() < 5)
    assert inside.any()
    covered = drawn.sum((1, 2))
    torch.testing.assert_close(covered[inside[:, 0]], area[inside], rtol=1e-4, atol=1e-3)


def test_area_of_turned_boxes():
    boxes = traffic(64, 1, turn_rad=3.2)
    boxes[..., :2] = boxes[..., :2] * torch.tensor([0.5, 0.0])
    boxes[..., 3].clamp_(max=6.0)
    area = (boxes[..., 3] * boxes[..., 4])[:, 0] / PIXEL**2
    covered = draw_boxes(boxes, everything(boxes), CONFIG).sum((1, 2))
    torch.testing.assert_close(covered, area, rtol=0.03, atol=0.0)


def test_order_does_not_matter():
    boxes = traffic()
    order = torch.randperm(boxes.shape[1], generator=torch.Generator().manual_seed(1))
    one = draw_boxes(boxes, everything(boxes), CONFIG)
    torch.testing.assert_close(draw_boxes(boxes[:, order], everything(boxes), CONFIG), one)


def test_a_batch_is_its_elements():
    boxes = traffic()
    visible = torch.rand(boxes.shape[:2], generator=torch.Generator().manual_seed(1)) < 0.7
    whole = draw_boxes(boxes, visible, CONFIG)
    for k in range(len(boxes)):
        alone = draw_boxes(boxes[k : k + 1, visible[k]], visible[k : k + 1, visible[k]], CONFIG)
        torch.testing.assert_close(alone[0], whole[k])


def test_what_is_not_visible_leaves_no_trace():
    boxes = traffic()
    nothing = torch.zeros(boxes.shape[:2], dtype=torch.bool)
    assert draw_boxes(boxes, nothing, CONFIG).abs().max() == 0
    assert draw_boxes(boxes[:, :0], nothing[:, :0], CONFIG).abs().max() == 0


def test_moving_by_whole_pixels_moves_the_image():
    boxes = traffic()
    moved = boxes + torch.tensor([3 * PIXEL, -2 * PIXEL, 0, 0, 0])
    original = draw_boxes(boxes, everything(boxes), CONFIG)
    transformed = draw_boxes(moved, everything(boxes), CONFIG)
    # Ahead is up, and to the right is to the right.
    torch.testing.assert_close(transformed[:, :-3, 2:], original[:, 3:, :-2], atol=1e-4, rtol=0)


def test_mirrored_traffic_is_a_mirrored_image():
    boxes = traffic()
    mirrored = boxes * torch.tensor([1.0, -1.0, -1.0, 1.0, 1.0])
    original = draw_boxes(boxes, everything(boxes), CONFIG)
    transformed = draw_boxes(mirrored, everything(boxes), CONFIG)
    torch.testing.assert_close(transformed, original.flip(-1), atol=1e-5, rtol=0)


def test_a_forked_process_can_draw():
    """As vector environments and data loaders fork after the parent has drawn."""
    boxes = traffic(64)
    original = draw_boxes(boxes, everything(boxes), CONFIG)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    def child():
        queue.put(draw_boxes(boxes, everything(boxes), CONFIG).numpy())

    process = context.Process(target=child)
    process.start()
    from_child = queue.get(timeout=60)
    process.join()
    np.testing.assert_array_equal(from_child, original.numpy())


def test_the_image_turns_with_the_ego():
    boxes = traffic()
    pose = torch.tensor([[3.0, -2.0, 0.4]]).expand(len(boxes), -1)
    motion = torch.tensor([[120.0, 45.0, -2.1]]).expand(len(boxes), -1)
    original = draw_vehicles(pose, boxes, everything(boxes), CONFIG)
    transformed = draw_vehicles(
        to_world(pose, motion), to_world(boxes, motion[:, None]), everything(boxes), CONFIG
    )
    torch.testing.assert_close(transformed, original, atol=2e-4, rtol=0)


def test_gradients_of_boxes():
    """Against finite differences, in a small image and away from the kinks of coverage."""
    config = RasterConfig(9, 7)
    random = torch.Generator().manual_seed(3)
    boxes = torch.tensor(
        [[[0.31, 0.17, 0.13, 2.03, 1.11], [-1.57, -0.83, -0.21, 1.71, 0.93]]], dtype=torch.float64
    )
    weight = torch.rand(9, 7, generator=random, dtype=torch.float64)

    def total(boxes):
        return (draw_boxes(boxes, everything(boxes), config) * weight).sum()

    assert torch.autograd.gradcheck(total, boxes.requires_grad_(), eps=1e-7, atol=1e-5)


def test_gradients_of_poses():
    config = RasterConfig(9, 7)
    boxes = torch.tensor([[[1.31, 0.17, 0.13, 2.03, 1.11]]], dtype=torch.float64)
    road_map = RoadMap.build([Road.straight(40.0, 2, 3.7, -20.0)], config)
    pose = torch.tensor([[0.37, 1.91, 0.09]], dtype=torch.float64, requires_grad=True)
    weight = torch.rand(3, 9, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def total(pose):
        road = torch.zeros(1, dtype=torch.int64)
        return (draw(pose, boxes, everything(boxes), road, road_map, config) * weight).sum()

    assert torch.autograd.gradcheck(total, pose, eps=1e-7, atol=1e-4)


def test_a_vehicle_straight_ahead_comes_closer_as_the_ego_moves_on():
    """The image's centre of mass moves back by a metre for each metre; on average over a pixel."""
    boxes = torch.tensor([[12.0, 0.0, 0.0, 4.5, 1.8]]).repeat(50, 1)[:, None]
    boxes[:, 0, 0] += torch.linspace(0, PIXEL, 50)
    pose = torch.zeros(50, 3, requires_grad=True)
    image = draw_vehicles(pose, boxes, everything(boxes), CONFIG)
    ahead = CONFIG.pixel_centres_m()[..., 0]
    centre = (image * ahead).sum((1, 2)) / image.sum((1, 2)).detach()
    (gradient,) = torch.autograd.grad(centre.sum(), pose)
    assert gradient[:, 0].mean().item() == pytest.approx(-1.0, abs=0.01)


@pytest.fixture(scope="module")
def straight() -> RoadMap:
    return RoadMap.build([Road.straight(300.0, 3, 3.7, -50.0)], CONFIG)


def on(road_map: RoadMap, *points: tuple[float, float]) -> torch.Tensor:
    where = torch.tensor(points)
    return road_map.read(where[:, 0], where[:, 1], torch.zeros(len(where), dtype=torch.int64))


def test_road_coverage_is_that_of_a_pixel_wide_line(straight):
    """Across a straight road both channels are known in closed form."""
    y = torch.linspace(-3.0, 3 * 3.7 + 3.0, 400)
    values = straight.read(torch.full((1, 400), 80.0), y[None], torch.zeros(1, dtype=torch.int64))[
        0
    ]
    to_line = torch.stack([(y - edge * 3.7).abs() for edge in range(4)]).amin(0)
    line = (1.0 - to_line / PIXEL).clamp(min=0.0)
    outside = torch.maximum(-y, y - 3 * 3.7)
    offroad = (0.5 + outside / PIXEL).clamp(0.0, 1.0)
    # The grid's spacing limits how well an edge between two nodes can be told.
    assert (values[LANES] - line).abs().max() < 0.35
    assert (values[LANES] - line).abs().mean() < 0.04
    assert (values[1] - offroad).abs().max() < 0.35
    assert (values[1] - offroad).abs().mean() < 0.02


def test_beyond_the_grid_all_is_off_road(straight):
    values = on(straight, (1e4, 3.0), (-1e4, 3.0), (50.0, 500.0), (50.0, -500.0))
    assert torch.equal(values, torch.tensor([[0.0, 1.0]]).expand(4, 2))
    assert torch.equal(on(straight, (50.0, 1.85)), torch.tensor([[0.0, 0.0]]))


def test_a_non_finite_position_is_off_road(straight):
    """Neither nonsense nor a read beyond the grid."""
    nowhere = on(straight, (float("nan"), 3.0), (3.0, float("nan")), (50.0, 1.85))
    assert nowhere[:2].isnan().all()
    assert not nowhere[2].isnan().any()


def test_a_non_finite_pose_is_refused(straight):
    """The compiled loops would read outside the grid."""
    pose, road = torch.tensor([[9.0, 3.0, 0.0], [9.0, float("nan"), 0.0]]), torch.zeros(2).long()
    boxes = torch.zeros(2, 1, 5)
    with pytest.raises(InputError, match="nan"):
        draw_road(pose, road, straight, CONFIG)
    with pytest.raises(InputError, match="nan"):
        draw(pose, boxes, everything(boxes), road, straight, CONFIG)


def test_each_recording_reads_its_own_road():
    roads = [
        Road.straight(100.0, 2, 3.7),
        Road.straight(300.0, 4, 3.0, -80.0),
        Road.straight(100.0, 2, 3.7),
        Road.from_lanes([]),
    ]
    together = RoadMap.build(roads, CONFIG)
    random = torch.Generator().manual_seed(0)
    pose = torch.rand(4, 3, generator=random) * torch.tensor([100.0, 8.0, 1.0])
    images = draw_road(pose, torch.arange(4), together, CONFIG)
    for k, road in enumerate(roads):
        alone = RoadMap.build([road], CONFIG)
        image = draw_road(pose[k : k + 1], torch.tensor([0]), alone, CONFIG)
        torch.testing.assert_close(images[k], image[0], atol=2e-4, rtol=0)
    # Equal roads are stored once; the empty one is off-road all over.
    assert together.low[0].equal(together.low[2])
    assert (images[3, 0] == 0).all() and (images[3, 1] > 1 - 1e-6).all()


def test_drawing_reads_the_road_at_the_pixels(straight):
    pose = torch.tensor([[60.0, 5.0, 0.2], [61.0, 1.0, -2.0]])
    grid = CONFIG.pixel_centres_m()
    cos, sin = pose[:, 2].cos()[:, None, None], pose[:, 2].sin()[:, None, None]
    x = pose[:, 0, None, None] + cos * grid[..., 0] - sin * grid[..., 1]
    y = pose[:, 1, None, None] + sin * grid[..., 0] + cos * grid[..., 1]
    road = torch.zeros(2, dtype=torch.int64)
    drawn = draw_road(pose, road, straight, CONFIG)
    torch.testing.assert_close(drawn, straight.read(x, y, road), atol=2e-4, rtol=0)


def test_a_warped_image_is_the_image_from_there(straight):
    boxes = traffic(6) + torch.tensor([80.0, 5.5, 0.0, 0.0, 0.0])
    source = torch.tensor([[80.0, 5.5, 0.0]]).expand(6, -1)
    target = source + torch.tensor([1.5, 0.2, 0.03])
    road = torch.zeros(6, dtype=torch.int64)
    images = [
        draw(pose, boxes, everything(boxes), road, straight, CONFIG) for pose in (source, target)
    ]
    warped = warp(images[0], source, target, CONFIG)
    inner = (slice(None), slice(None), slice(8, -8), slice(4, -4))
    assert (warped - images[1])[inner].abs().mean() < 0.03
    unmoved = warp(images[0], source, source, CONFIG)
    torch.testing.assert_close(unmoved, images[0], atol=1e-3, rtol=0)
    assert images[0][:, OFFROAD].mean() > 0.05


@pytest.mark.slow
def test_no_compiler_is_needed(tmp_path):
    """numba brings its own: the loops compile and draw where PATH has no compiler at all."""
    program = (
        "import shutil, torch; from ppuu.perception.raster import RasterConfig, draw_vehicles;"
        "assert not any(map(shutil.which, ('cc', 'gcc', 'g++', 'clang', 'c++')));"
        "box = torch.tensor([[[0.0, 0.0, 0.0, 4.0, 2.0]]]);"
        "image = draw_vehicles(torch.zeros(1, 3), box, torch.ones(1, 1, dtype=torch.bool),"
        " RasterConfig()); print(float(image.sum()) * 0.617**2)"
    )
    bare = {"PATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path), "CC": "", "CXX": ""}
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", program], env=bare | {"PYTHONPATH": root},
        capture_output=True, text=True, cwd=root,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(8.0, abs=0.05)
    assert any(tmp_path.rglob("*.nbc")), "the loops were compiled, not only interpreted"


def test_long_boxes_are_drawn_in_pieces_as_elsewhere():
    """Where rows are skipped and where they are not, with gradients; lorries up to 30 m."""
    generator = torch.Generator().manual_seed(3)
    low, high = torch.tensor([-30, -7, -3, 3, 1.6]), torch.tensor([30, 7, 3, 30, 2.6])
    boxes = low + (high - low) * torch.rand(4, 9, 5, generator=generator)
    boxes, visible = boxes.double(), torch.rand(4, 9, generator=generator) < 0.7
    weight = torch.rand(4, 117, 24, generator=generator).double()
    found = []
    for path in (only_tensors, nullcontext):
        leaf = boxes.clone().requires_grad_()
        with path():
            drawn = draw_boxes(leaf, visible, RasterConfig())
        found.append((drawn, torch.autograd.grad((weight * drawn).sum(), leaf)[0]))
    torch.testing.assert_close(found[0], found[1])
    compiled = draw_boxes(boxes.float(), visible, RasterConfig())
    torch.testing.assert_close(found[0][0].float(), compiled, atol=2e-5, rtol=0)
