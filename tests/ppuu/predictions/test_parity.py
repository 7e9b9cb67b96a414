"""The same scene as boxes and as images: the same masses, the same gradients, up to the pixel.

Boxes that overlap, which saturate in an image, are excepted.
"""

from dataclasses import replace

import pytest
import torch

from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap
from ppuu.predictions import EgoMask, EgoPath
from ppuu.recordings.road import Road
from tests.exact_mass import exact_mass, seen_from
from tests.gradients import cosine
from tests.rollouts import as_images, spaced

PIXELS_M = (0.6, 0.3, 0.15)
QUESTIONS = ["vehicle_mass", "vehicle_momentum"]
ROAD = Road.straight(100.0, 3, 3.7, start_m=-50.0)


def masks(ego: EgoPath) -> EgoMask:
    """Such as costs lay on vehicles: a box with margins, a safe distance that grows with speed."""
    half, wide = ego.half_length_m, ego.half_width_m
    safe = 0.9 * ego.speed_mps + 2.0
    close = EgoMask.of(ego, half, 1.5, 1.5, wide, 0.7)
    return EgoMask.stack([close, EgoMask.of(ego, half, safe, safe, wide, 0.9)])


def differences(rollout, reference, question="vehicle_mass"):
    """Root mean squares over a scene, mask by mask, for each size of a pixel."""
    result = []
    for pixel_m in PIXELS_M:
        drawn = as_images(rollout, pixel_m)
        masses = getattr(drawn.prediction, question)(masks(drawn.ego), drawn.ego)
        result.append((masses - reference).square().mean((0, 1, 2, 3)).sqrt())
    return torch.stack(result)


@pytest.mark.parametrize("question", QUESTIONS)
def test_masses_of_images_converge_to_those_of_boxes(question):
    """To second order: half the pixel, a quarter of the difference."""
    rollout = spaced()
    reference = getattr(rollout.prediction, question)(masks(rollout.ego), rollout.ego)
    result = differences(rollout, reference, question)
    assert (result[0] < 0.06 * reference.abs().mean((0, 1, 2, 3))).all()
    ratios = result[:-1] / result[1:]
    assert ((ratios > 3.3) & (ratios < 5.0)).all()


def test_masses_of_images_converge_to_the_exact_ones_of_turned_boxes():
    rollout = spaced(rows=4, samples=1, turn=0.2, ego_turn=0.1)
    prediction, mask = rollout.prediction, masks(rollout.ego)
    reference = torch.zeros(4, 2, 1, 2, 2, dtype=torch.float64)
    for b, c, t in torch.cartesian_prod(torch.arange(4), torch.arange(2), torch.arange(2)).tolist():
        for slot in prediction.valid[b].nonzero().flatten().tolist():
            box = torch.cat([prediction.states[b, 0, 0, t, slot, :3], prediction.size_m[b, slot]])
            own = seen_from(rollout.states[b, c, t].tolist(), box)
            for number in range(2):
                sizes = mask.sizes_m[b, c, t, number].tolist()
                reference[b, c, 0, t, number] += exact_mass(own, sizes)
    result = differences(rollout, reference)
    assert (result[0] < 0.06 * reference.mean((0, 1, 2, 3))).all()
    ratios = result[:-1] / result[1:]
    assert (ratios > 2.8).all()
    boxes = prediction.vehicle_mass(mask, rollout.ego) - reference
    assert (boxes.square().mean((0, 1, 2, 3)).sqrt() < 0.01 * reference.mean((0, 1, 2, 3))).all()


@pytest.mark.parametrize("pixel_m, alike", [(0.6, 0.98), (0.3, 0.99)])
@pytest.mark.parametrize("question", QUESTIONS)
def test_gradients_point_the_same_way(question, pixel_m, alike):
    """Those by the ego's place, heading and speed; the last moves the mask's reach."""
    rollout = spaced(rows=12, turn=0.1, ego_turn=0.1)
    gradients = []
    for kind in (rollout, as_images(rollout, pixel_m)):
        states = rollout.states.clone().requires_grad_()
        moved = replace(kind, states=states)
        masses = getattr(moved.prediction, question)(masks(moved.ego), moved.ego)
        gradients.append(
            [
                torch.autograd.grad(masses[..., number].sum(), states, retain_graph=True)[0]
                for number in range(2)
            ]
        )
    for one, other in zip(*gradients, strict=True):
        assert cosine(one, other) > alike
        for part in range(3):
            assert cosine(one[..., part], other[..., part]) > alike - 0.02
        assert 0.9 < float(other.norm() / one.norm()) < 1.05
    boxes, images = gradients[0][1], gradients[1][1]
    assert cosine(boxes[..., 3], images[..., 3]) > alike


def test_the_lanes_speed_is_the_same():
    rollout = spaced(rows=20)
    by_boxes = rollout.lane_speed_mps
    for pixel_m, most in ((0.6, 0.5), (0.3, 0.15)):
        difference = (as_images(rollout, pixel_m).lane_speed_mps - by_boxes).abs()
        assert difference.max() < most
    assert by_boxes.std() > 1


@pytest.mark.parametrize("channel", ["lanes", "offroad"])
@pytest.mark.parametrize("pixel_m, share", [(0.6, 0.06), (0.3, 0.02)])
def test_the_road_weighs_the_same(channel, pixel_m, share):
    """Drawn from the same map; the difference in units of the largest mass.

    The map is read at so few points that its slopes are coarser than those of images.
    """
    road = RoadMap.build([ROAD], RasterConfig(metres_per_pixel=pixel_m))
    rollout = spaced(rows=40, samples=1, ego_turn=0.1, road=road, middle_m=(0.0, 1.0))
    gradients, masses = [], []
    for kind in (rollout, as_images(rollout, pixel_m)):
        states = rollout.states.clone().requires_grad_()
        ego = EgoPath(states, rollout.size_m)
        if channel == "lanes":
            mask = EgoMask.of(ego, ego.half_length_m, 0.0, 0.0, 0.0, 1.85)
        else:
            mask = EgoMask.of(ego, ego.half_length_m, 0.5, 0.5, ego.half_width_m, 0.5)
        mass = kind.prediction.road_mass(mask, ego, channel)
        masses.append(mass.detach())
        gradients.append(torch.autograd.grad(mass.sum(), states)[0])
    by_map, by_picture = masses
    largest = by_map.max()
    assert largest > 1
    assert (by_map - by_picture).abs().max() < share * largest
    assert (by_map - by_picture).square().mean().sqrt() < 0.5 * share * largest
    alike = 0.8 if channel == "lanes" else 0.9
    assert cosine(*gradients) > alike
    assert cosine(gradients[0][..., 1], gradients[1][..., 1]) > alike
