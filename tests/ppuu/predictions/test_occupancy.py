"""Predicted images: masses as sums over pixels, gradients, observations."""

import math
from dataclasses import replace

import pytest
import torch

from ppuu.geometry import to_local, to_world
from ppuu.perception.observation import Observation
from ppuu.perception.raster_image import VEHICLES, RasterConfig
from ppuu.perception.road_map import LocalRoad, RoadMap
from ppuu.perception.vehicle_raster import draw_boxes
from ppuu.predictions import (
    EgoMask,
    EgoPath,
    Flow,
    ImageTarget,
    OccupancyPrediction,
    RasterizedMotion,
    Target,
)
from ppuu.recordings.tracks import Tracks
from tests.exact_mass import exact_mass
from tests.gradients import value_and_gradients
from tests.helpers import dense_recording
from tests.rollouts import TINY, crowd, random_images, random_masks, rollout_among

SMALL = RasterConfig(9, 5)


def momentum_of(prediction):
    return prediction.motion.momentum(prediction.vehicles)


def questions(prediction, mask, ego):
    """The queries of images, by name."""
    return {
        "mass": prediction.vehicle_mass(mask, ego),
        "momentum": prediction.vehicle_momentum(mask, ego),
        "lanes": prediction.road_mass(mask, ego, "lanes"),
        "offroad": prediction.road_mass(mask, ego, "offroad"),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["compiled", "tensors"])
def test_masses_are_sums_over_all_pixels(dtype):
    """Each pixel a square along the ego's axes, over which the mask is integrated exactly."""
    rollout = random_images(rows=2, time=1, samples=2, raster=SMALL, dtype=dtype)
    prediction, mask = rollout.prediction, random_masks(rollout.ego, masks=2)
    pixel = SMALL.metres_per_pixel
    grid = SMALL.pixel_centres_m(dtype=dtype)
    flat = torch.cat([grid, torch.zeros_like(grid[..., :1])], -1)
    momentum = momentum_of(prediction)
    result = questions(prediction, mask, rollout.ego)
    for b in range(2):
        world = to_world(flat, prediction.pose[b, 0, 0])
        own = to_local(world, rollout.states[b, 0, 0, :3])
        turn = prediction.pose[b, 0, 0, 2] - rollout.states[b, 0, 0, 2]
        along = math.cos(turn) * momentum[b, 0, :, 0, 0] - math.sin(turn) * momentum[b, 0, :, 0, 1]
        images = {
            "mass": prediction.vehicles[b, 0, :, 0],
            "momentum": along,
            "lanes": prediction.road[b, 0, :, 0, 0],
            "offroad": prediction.road[b, 0, :, 0, 1],
        }
        for m in range(2):
            sizes = mask.sizes_m[b, 0, 0, m]
            weight = torch.tensor(
                [
                    [exact_mass((*own[r, c, :2], 0.0, pixel, pixel), sizes) for c in range(5)]
                    for r in range(9)
                ],
                dtype=dtype,
            )
            assert weight.max() > 0.1
            for name, image in images.items():
                expected = (weight * image).sum((-2, -1))
                torch.testing.assert_close(
                    result[name][b, 0, :, 0, m], expected, atol=1e-4, rtol=1e-4
                )


def test_masses_are_linear_in_the_images():
    rollout, other = random_images(), random_images(seed=1)
    one, two = rollout.prediction, other.prediction
    mask = random_masks(rollout.ego)
    mixed = OccupancyPrediction(
        one.pose, one.raster, 2 * one.vehicles - 3 * two.vehicles, 2 * one.road - 3 * two.road,
        RasterizedMotion(lambda: 2 * momentum_of(one) - 3 * momentum_of(two)),
    )  # fmt: skip
    result = questions(mixed, mask, rollout.ego)
    first = questions(one, mask, rollout.ego)
    second = questions(replace(two, pose=one.pose), mask, rollout.ego)
    for name in result:
        torch.testing.assert_close(result[name], 2 * first[name] - 3 * second[name])


def test_an_empty_image_weighs_nothing():
    rollout = rollout_among(drawn=True)
    result = questions(rollout.prediction, random_masks(rollout.ego), rollout.ego)
    assert all((value == 0).all() for value in result.values())


def test_a_drawn_box_under_the_mask_weighs_its_area():
    rollout = rollout_among([(1.0, -0.3, 0.0, 4.5, 1.8)], speed_mps=[6.0], drawn=True)
    mask = EgoMask.of(rollout.ego, 6.0, 1.0, 1.0, 3.0, 1.0)
    result = questions(rollout.prediction, mask, rollout.ego)
    assert float(result["mass"]) == pytest.approx(4.5 * 1.8, abs=1e-9)
    assert float(result["momentum"]) == pytest.approx(4.5 * 1.8 * 6.0, abs=1e-9)


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
@pytest.mark.parametrize("question", ["vehicle_mass", "vehicle_momentum", "road_mass"])
def test_gradients_by_the_ego_the_masks_and_the_images(question, own):
    """In double precision, several candidates among the same images or each among its own."""
    rollout = random_images(candidates=2, own=own, samples=2, time=1, raster=SMALL)
    prediction = rollout.prediction
    image = {
        "vehicle_mass": prediction.vehicles,
        "vehicle_momentum": momentum_of(prediction),
        "road_mass": prediction.road,
    }[question]
    leaves = (rollout.states, random_masks(rollout.ego, masks=2).sizes_m, image)
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]

    def value(states, sizes, image):
        ego, mask = EgoPath(states, rollout.size_m), EgoMask.from_sizes(sizes)
        if question == "vehicle_mass":
            return replace(prediction, vehicles=image).vehicle_mass(mask, ego)
        if question == "vehicle_momentum":
            moving = replace(prediction, motion=RasterizedMotion(lambda: image))
            return moving.vehicle_momentum(mask, ego)
        return replace(prediction, road=image).road_mass(mask, ego, "offroad")

    assert torch.autograd.gradcheck(value, leaves, eps=1e-6, atol=1e-5)
    gradients = torch.autograd.grad(value(*leaves).sum(), leaves)
    assert all(gradient.abs().max() > 1e-3 for gradient in gradients)


@pytest.mark.parametrize("far", [30.0, -30.0, 1e4])
def test_an_ego_outside_the_images_meets_nothing(far):
    rollout = random_images(rows=6, candidates=3, dtype=torch.float32)
    away = rollout.states + torch.tensor([far, -far, 0.0, 0.0])
    mask = random_masks(rollout.ego)

    def value(states, images):
        prediction = replace(rollout.prediction, vehicles=images)
        return prediction.vehicle_mass(mask, EgoPath(states, rollout.size_m))

    for result in value_and_gradients(value, (away, rollout.prediction.vehicles)):
        assert (result == 0).all()


@pytest.mark.parametrize("order", [(0, 1, 2, 4, 3), (1, 0, 2, 3, 4)])
def test_gradients_do_not_depend_on_how_masks_lie_in_memory(order):
    rollout = random_images(rows=3, candidates=2, dtype=torch.float32)
    sizes = random_masks(rollout.ego).sizes_m
    gradients = []
    for values in (sizes, sizes.permute(order).contiguous().permute(order)):
        values = values.detach().requires_grad_()
        mass = rollout.prediction.vehicle_mass(EgoMask.from_sizes(values), rollout.ego)
        gradients.append(torch.autograd.grad(mass.square().sum(), values)[0])
    torch.testing.assert_close(*gradients, atol=0, rtol=0)


def test_candidates_share_one_prediction():
    """Which is as if each had a copy of it."""
    rollout = random_images(candidates=4, dtype=torch.float32)
    prediction, mask = rollout.prediction, random_masks(rollout.ego)
    momentum = momentum_of(prediction).expand(-1, 4, *[-1] * 5)
    own = OccupancyPrediction(
        prediction.pose.expand(-1, 4, -1, -1), prediction.raster,
        prediction.vehicles.expand(-1, 4, *[-1] * 4), prediction.road.expand(-1, 4, *[-1] * 5),
        RasterizedMotion(lambda: momentum),
    )  # fmt: skip
    shared, copied = (questions(one, mask, rollout.ego) for one in (prediction, own))
    assert shared["mass"].shape == (2, 4, 3, 2, 3)
    assert shared["lanes"].shape == (2, 4, 3, 2, 3)
    for name in shared:
        torch.testing.assert_close(shared[name], copied[name], atol=0, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["compiled", "tensors"])
def test_a_row_does_not_depend_on_the_others(dtype):
    rollout = random_images(rows=5, candidates=2, dtype=dtype)
    prediction, mask = rollout.prediction, random_masks(rollout.ego)
    together = questions(prediction, mask, rollout.ego)
    momentum = momentum_of(prediction)
    for row in range(5):
        one = slice(row, row + 1)
        alone = OccupancyPrediction(
            prediction.pose[one], prediction.raster, prediction.vehicles[one],
            prediction.road[one], RasterizedMotion(lambda one=one: momentum[one]),
        )  # fmt: skip
        ego = EgoPath(rollout.states[one], rollout.size_m[one])
        result = questions(alone, EgoMask.from_sizes(mask.sizes_m[one]), ego)
        for name in result:
            torch.testing.assert_close(result[name][0], together[name][row], atol=1e-11, rtol=0)


def test_moving_and_turning_the_world_changes_nothing():
    rollout = random_images(candidates=2)
    origin = torch.tensor([-200.0, 90.0, 2.5], dtype=torch.float64)
    prediction, mask = rollout.prediction, random_masks(rollout.ego)
    moved = replace(prediction, pose=to_world(prediction.pose, origin))
    ego = EgoPath(to_world(rollout.states, origin), rollout.size_m)
    original, transformed = questions(prediction, mask, rollout.ego), questions(moved, mask, ego)
    for name in original:
        torch.testing.assert_close(original[name], transformed[name])
    torch.testing.assert_close(prediction.outside_view_m(rollout.ego), moved.outside_view_m(ego))


def test_replicas_disagree_by_the_variance_of_their_pixels():
    rollout = random_images(samples=4)
    vehicles = rollout.prediction.vehicles.clone().requires_grad_()
    result = replace(rollout.prediction, vehicles=vehicles).disagreement()
    mean = vehicles.mean(2, keepdim=True)
    expected = ((vehicles - mean) ** 2).sum(2) / 3
    torch.testing.assert_close(result, expected.mean((-2, -1)))
    assert result.shape == (2, 1, 2)
    result.sum().backward()
    assert vehicles.grad.abs().max() > 0


ROAD = RoadMap.build([dense_recording().road], RasterConfig())


def street(**more):
    """Boxes on a road, and the same drawn from where the ego is."""
    rollout = crowd(road=ROAD, raster=TINY, **more)
    poses = rollout.states[:, 0, :, :3]
    return rollout, OccupancyPrediction.rasterize(rollout.prediction, poses)


def test_what_is_drawn_shows_the_prediction():
    rollout, drawn = street(samples=2)
    poses = rollout.states[:, 0, :, :3]
    torch.testing.assert_close(drawn.pose[:, 0], poses)
    torch.testing.assert_close(drawn.vehicles, rollout.prediction.vehicle_images(poses))
    torch.testing.assert_close(drawn.road, rollout.prediction.road_images(poses))
    torch.testing.assert_close(
        momentum_of(drawn), rollout.prediction.vehicle_momentum_images(poses)
    )
    assert drawn.samples == 2
    assert drawn.raster == TINY


def test_images_from_their_own_pose_are_as_they_are():
    rollout = random_images()
    prediction = rollout.prediction
    poses = prediction.pose[:, 0]
    assert torch.equal(prediction.vehicle_images(poses), prediction.vehicles)
    assert torch.equal(prediction.road_images(poses), prediction.road)
    torch.testing.assert_close(
        prediction.vehicle_momentum_images(poses), momentum_of(prediction), atol=1e-12, rtol=0
    )


def test_images_from_elsewhere_are_warped():
    """A view three pixels further ahead, two to the left; beyond what was seen the road runs on."""
    rollout = random_images(rows=1, time=1, samples=2)
    prediction, pixel = rollout.prediction, rollout.prediction.raster.metres_per_pixel
    shift = torch.tensor([[[3 * pixel, 2 * pixel, 0.0]]], dtype=torch.float64)
    poses = to_world(shift, prediction.pose[:, 0])
    vehicles, road = prediction.vehicle_images(poses), prediction.road_images(poses)
    moving = prediction.vehicle_momentum_images(poses)
    torch.testing.assert_close(vehicles[..., 3:, 2:], prediction.vehicles[..., :-3, :-2])
    torch.testing.assert_close(moving[..., 3:, 2:], momentum_of(prediction)[..., :-3, :-2])
    torch.testing.assert_close(road[..., 3:, 2:], prediction.road[..., :-3, :-2])
    for result in (vehicles, moving):
        torch.testing.assert_close(result[..., :3, :], torch.zeros_like(result[..., :3, :]))
        torch.testing.assert_close(result[..., :2], torch.zeros_like(result[..., :2]))
    edge = prediction.road[..., :1, :-2].expand(*road.shape[:-2], 3, -1)
    torch.testing.assert_close(road[..., :3, 2:], edge)


def test_velocities_turn_with_the_view():
    """In a view rotated to the left, motion ahead becomes motion to the right."""
    rollout = random_images(rows=1, time=1, samples=2, raster=RasterConfig(9, 9))
    prediction, momentum = rollout.prediction, momentum_of(rollout.prediction)
    shift = torch.tensor([[[0.0, 0.0, 0.5 * math.pi]]], dtype=torch.float64)
    left = to_world(shift, prediction.pose[:, 0])
    # A view turned to the left: the picture turns clockwise.
    cover, moving = prediction.vehicle_images(left), prediction.vehicle_momentum_images(left)
    torch.testing.assert_close(cover, prediction.vehicles.rot90(-1, (-2, -1)))
    turned = momentum.rot90(-1, (-2, -1))
    torch.testing.assert_close(moving[..., 0, :, :], turned[..., 1, :, :])
    torch.testing.assert_close(moving[..., 1, :, :], -turned[..., 0, :, :])


def make_observation(batch=3, slots=6) -> Observation:
    generator = torch.Generator().manual_seed(3)
    return Observation(
        torch.rand(batch, 3, 3, TINY.rows, TINY.columns, generator=generator),
        torch.rand(batch, 3, 4, generator=generator),
        torch.full((batch, 2), 4.0),
        Tracks(
            torch.rand(batch, slots, 3, 4, generator=generator),
            torch.ones(batch, slots, 3, dtype=torch.bool),
            torch.ones(batch, slots, 2),
            torch.arange(slots).expand(batch, -1),
        ),
    )


def test_the_next_observation_is_the_one_of_the_boxes_that_were_drawn():
    """Drawn from where the ego then is, both kinds show the same; images tell no tracks."""
    rollout, drawn = street(samples=2)
    for time in range(2):
        ego = rollout.states[:, 0, time]
        by_boxes, by_images = (
            kind.next_observation(make_observation(), ego, time, sample=1)
            for kind in (rollout.prediction, drawn)
        )
        assert by_images.images[:, -1, VEHICLES].sum() > 10
        torch.testing.assert_close(by_images.images, by_boxes.images, atol=1e-4, rtol=0)
        torch.testing.assert_close(by_images.ego, by_boxes.ego)
        assert by_boxes.tracks is not None
        assert by_images.tracks is None


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_each_candidate_sees_the_images_from_where_it_is(own):
    rollout = random_images(candidates=3, own=own, raster=TINY, dtype=torch.float32)
    prediction = rollout.prediction
    ego = rollout.states[:, :, 1].flatten(0, 1).requires_grad_()
    history = make_observation(batch=2).repeat(3)
    then = prediction.next_observation(history, ego, time=1, sample=2)
    torch.testing.assert_close(then.ego[:, -1], ego)
    torch.testing.assert_close(then.images[:, :2], history.images[:, 1:])
    for row in range(6):
        b, c = row // 3, row % 3 if own else 0
        one = OccupancyPrediction(
            prediction.pose[b : b + 1, c : c + 1, 1:], prediction.raster,
            prediction.vehicles[b : b + 1, c : c + 1, 2:, 1:],
            prediction.road[b : b + 1, c : c + 1, 2:, 1:], prediction.motion,
        )  # fmt: skip
        pose = ego[row, None, None, :3].detach()
        shown = then.images[row, -1]
        torch.testing.assert_close(shown[1], one.vehicle_images(pose)[0, 0, 0, 0])
        torch.testing.assert_close(shown[[0, 2]], one.road_images(pose)[0, 0, 0, 0])
    # A constant but for the ego's own state.
    assert then.ego.requires_grad and not then.images.requires_grad


def test_errors_of_coverage_by_hand():
    """Along the first candidate; the road at some of the steps only."""
    rollout = random_images(rows=2, candidates=2, own=True, samples=3, time=3)
    prediction = rollout.prediction
    truth = random_images(rows=2, time=3, seed=1).prediction
    step = torch.tensor([2, 0])
    images = ImageTarget(truth.vehicles[:, 0, 0], truth.road[:, 0, 0, step], step)
    target = Target(rollout.states[:, 0], images=images)
    result = prediction.errors(target)
    assert set(result) == {"vehicles", "road"}
    expected = prediction.vehicles[:, 0] - truth.vehicles[:, 0, :1]
    torch.testing.assert_close(result["vehicles"].value, expected.flatten(3))
    torch.testing.assert_close(result["vehicles"].mean(), expected.mean())
    squared = result["vehicles"].value.square()
    torch.testing.assert_close(result["vehicles"].mean(squared), expected.square().mean())
    expected = prediction.road[:, 0, :, [2, 0]] - truth.road[:, 0, :1, [2, 0]]
    torch.testing.assert_close(result["road"].value, expected.flatten(3))
    torch.testing.assert_close(result["road"].mean(), expected.mean())
    assert prediction.errors(Target(rollout.states[:, 0])) == {}


def test_errors_of_the_flow_by_hand():
    """Two pixels of two rows; of one of them the flow is not known, and neither counts."""
    rollout = random_images(rows=2, samples=2, time=2, raster=SMALL)
    owner, pixel = torch.tensor([0, 1]), torch.tensor([7, 33])  # rows 1 and 6, columns 2 and 3
    metres = torch.arange(16.0).double().view(2, 2, 2, 2).requires_grad_()
    prediction = replace(rollout.prediction, flow=Flow(owner, pixel, metres))
    flow = torch.full((2, 2, 2, 9, 5), 100.0).double()
    flow[0, :, :, 1, 2] = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).double()
    valid = torch.zeros(2, 2, 9, 5, dtype=torch.bool)
    valid[0, 0, 1, 2] = True
    images = ImageTarget(
        rollout.prediction.vehicles[:, 0, 0], rollout.prediction.road[:, 0, 0], torch.arange(2),
        flow, valid,
    )  # fmt: skip
    error = prediction.errors(Target(rollout.states[:, 0], images=images))["flow_m"]
    torch.testing.assert_close(error.value[0, :, 0], metres[0, :, 0] - torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(error.value[0, :, 1], metres[0, :, 1] - torch.tensor([3.0, 4.0]))
    # At the one pixel and time that is known: (0 - 1, 1 - 2) and (4 - 1, 5 - 2).
    assert float(error.mean().detach()) == pytest.approx((-1 - 1 + 3 + 3) / 4)
    error.mean(error.value.square()).backward()
    assert metres.grad.isfinite().all()
    assert (metres.grad[1] == 0).all() and (metres.grad[0, :, 1] == 0).all()


def test_outlines_are_runs_of_covered_pixels():
    """Two cars in two columns each, the view turned and away from the world's origin."""
    boxes = torch.tensor([[[3.0, 1.0, 0.0, 4.0, 2.0], [-4.0, -1.0, 0.0, 4.0, 2.0]]])
    raster = RasterConfig(20, 8, 1.0)
    image = draw_boxes(boxes, torch.ones(1, 2, dtype=torch.bool), raster)
    pose = torch.tensor([[[[10.0, 20.0, 0.7]]]])
    prediction = OccupancyPrediction(
        pose, raster, image[:, None, None, None], torch.zeros(1, 1, 1, 1, 2, 20, 8),
        RasterizedMotion(lambda: torch.zeros(1, 1, 1, 1, 2, 20, 8)),
    )  # fmt: skip
    result = prediction.outlines(0, 0, 0)
    local = to_local(result, pose[0, 0])
    expected = torch.tensor(
        [
            [3.0, 1.5, 0.0, 4.0, 1.0], [3.0, 0.5, 0.0, 4.0, 1.0],
            [-4.0, -0.5, 0.0, 4.0, 1.0], [-4.0, -1.5, 0.0, 4.0, 1.0],
        ]
    )  # fmt: skip
    torch.testing.assert_close(local, expected, atol=1e-5, rtol=0)
    empty = replace(prediction, vehicles=torch.zeros_like(prediction.vehicles))
    assert empty.outlines(0, 0, 0).shape == (0, 5)


def test_times_one_by_one_make_the_whole():
    rollout = random_images(time=4, candidates=2, own=True)
    prediction, mask = rollout.prediction, random_masks(rollout.ego)
    parts = [prediction.at(time) for time in range(4)]
    whole = OccupancyPrediction.concatenate(parts)
    together = questions(prediction, mask, rollout.ego)
    again = questions(whole, mask, rollout.ego)
    assert whole.samples == prediction.samples
    for name in together:
        torch.testing.assert_close(again[name], together[name], atol=0, rtol=0)
        for time, part in enumerate(parts):
            now = slice(time, time + 1)
            ego = EgoPath(rollout.states[:, :, now], rollout.size_m)
            result = questions(part, EgoMask.from_sizes(mask.sizes_m[:, :, now]), ego)[name]
            torch.testing.assert_close(result, together[name][:, :, :, now])


def test_samples_of_several_predictions_take_turns():
    one, other = random_images(samples=3).prediction, random_images(samples=3, seed=1).prediction
    result = OccupancyPrediction.interleave([one, other], 5)
    assert result.samples == 5
    for sample in range(5):
        part = (one, other)[sample % 2]
        torch.testing.assert_close(result.vehicles[:, :, sample], part.vehicles[:, :, sample // 2])
        torch.testing.assert_close(result.road[:, :, sample], part.road[:, :, sample // 2])
        torch.testing.assert_close(
            momentum_of(result)[:, :, sample], momentum_of(part)[:, :, sample // 2]
        )


def test_road_of_a_map_and_of_its_picture():
    """The same channel goes by the same name."""
    rollout, drawn = street()
    mask = EgoMask.of(rollout.ego, 2.0, 0.5, 0.5, 2.0, 0.5)
    for name in ("lanes", "offroad"):
        by_map = rollout.prediction.road_mass(mask, rollout.ego, name)
        by_picture = drawn.road_mass(mask, rollout.ego, name)
        assert by_map.shape == by_picture.shape
        assert (by_map - by_picture).abs().max() < 0.5
        assert by_map.max() > 1
    road = LocalRoad(ROAD, torch.zeros(3, dtype=torch.int64))
    image = road.draw(rollout.states[:, 0, :, :3], TINY)
    torch.testing.assert_close(drawn.road[:, 0, 0], image)
