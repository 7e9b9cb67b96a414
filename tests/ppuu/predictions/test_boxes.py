"""Predicted boxes: masses against an independent exact integral, gradients."""

import math
from dataclasses import replace

import pytest
import torch

from ppuu.geometry import rotate, to_world
from ppuu.perception.observation import Observation
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import LocalRoad, RoadMap
from ppuu.perception.vehicle_raster import draw_vehicles
from ppuu.predictions import BoxPrediction, EgoMask, EgoPath, Target
from ppuu.recordings.tracks import Tracks
from tests.exact_mass import exact_mass
from tests.gradients import value_and_gradients
from tests.helpers import dense_recording
from tests.rollouts import TINY, crowd, random_masks, rollout_among, uniform

QUESTIONS = ["vehicle_mass", "vehicle_momentum"]
CAR = (4.5, 1.8)


def query(rollout, mask, question="vehicle_mass"):
    result = getattr(rollout.prediction, question)(mask, rollout.ego)
    return torch.stack(result, dim=-1) if question == "vehicle_moments" else result


def one_box_each(count, turn, sizes_m, seed=0):
    """An ego at rest in each row, and a box turned by some angle either way near it."""
    generator = torch.Generator().manual_seed(seed)
    low, high = ((-10, -4), (10, 4))
    place = uniform(generator, count, 2, low=low, high=high, dtype=torch.float64)
    side = 2.0 * (torch.arange(count) % 2) - 1.0
    size = uniform(generator, count, 2, low=sizes_m[0], high=sizes_m[1], dtype=torch.float64)
    boxes = torch.cat([place, (turn * side)[:, None].double(), size], dim=1)
    rollout = crowd(rows=count, samples=1, time=1, slots=1, dtype=torch.float64)
    states = torch.cat([boxes[:, :3], torch.zeros(count, 1).double()], dim=1)
    prediction = replace(
        rollout.prediction,
        states=states[:, None, None, None, None],
        size_m=boxes[:, None, 3:],
        valid=torch.ones(count, 1, dtype=torch.bool),
    )
    return replace(rollout, states=torch.zeros_like(rollout.states), prediction=prediction), boxes


def relative_errors(turn, sizes_m, count=250):
    """Of the masses under random masks, in units of the boxes' areas."""
    rollout, boxes = one_box_each(count, turn, sizes_m)
    mask = random_masks(rollout.ego, masks=1)
    result = query(rollout, mask).flatten()
    expected = torch.tensor(
        [exact_mass(box, sizes) for box, sizes in zip(boxes, mask.sizes_m[:, 0, 0, 0], strict=True)]
    ).double()
    assert (expected > 1.0).sum() > 20
    return (result - expected) / boxes[:, 3:].prod(1)


CARS, LORRIES = ((3.8, 1.6), (5.2, 2.1)), ((8.0, 2.3), (16.0, 2.6))


@pytest.mark.parametrize("sizes_m", [CARS, LORRIES], ids=["cars", "lorries"])
def test_masses_of_boxes_along_the_ego_are_exact(sizes_m):
    assert relative_errors(0.0, sizes_m).abs().max() < 1e-9


@pytest.mark.parametrize("sizes_m", [CARS, LORRIES], ids=["cars", "lorries"])
@pytest.mark.parametrize("turn, worst", [(0.05, 0.005), (0.1, 0.01), (0.2, 0.015), (0.3, 0.02)])
def test_masses_of_turned_boxes_are_exact_to_a_share_of_their_area(sizes_m, turn, worst):
    """Half a per cent in the mean over places; the worst places are at the masks' corners."""
    errors = relative_errors(turn, sizes_m)
    assert errors.square().mean().sqrt() < 0.005
    assert errors.abs().max() < worst


@pytest.mark.parametrize("turn", [0.0, 0.1, 0.3, 1.2, 2.0])
def test_a_box_wholly_under_the_mask_weighs_its_area(turn):
    rollout = rollout_among([(1.0, -0.3, turn, *CAR)])
    mask = EgoMask.of(rollout.ego, 6.0, 1.0, 1.0, 6.0, 1.0)
    assert float(query(rollout, mask)) == pytest.approx(4.5 * 1.8, abs=1e-12)


def test_masses_add_up_over_boxes():
    boxes = [(2.0, 1.0, 0.2, *CAR), (-4.0, -1.0, 0.1, *CAR), (2.5, 1.2, 0.0, *CAR)]
    mask = random_masks(rollout_among().ego)
    alone = sum(query(rollout_among([box]), mask) for box in boxes)
    torch.testing.assert_close(query(rollout_among(boxes), mask), alone)
    assert (query(rollout_among(), mask) == 0).all()


def test_momentum_is_mass_times_speed_along_the_egos_heading():
    generic = (6.0, 1.2, 0.0, *CAR)
    mask = random_masks(rollout_among().ego)
    for turn, share in ((0.0, 1.0), (math.pi, -1.0), (0.5 * math.pi, 0.0), (0.3, math.cos(0.3))):
        rollout = rollout_among([(*generic[:2], turn, *CAR)], speed_mps=[7.0])
        mass, momentum = (query(rollout, mask, question) for question in QUESTIONS)
        torch.testing.assert_close(momentum, 7.0 * share * mass)
        assert (mass > 0.1).any()


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_gradients_by_the_ego_the_masks_and_the_boxes(question, own):
    """In double precision, several candidates among the same boxes or each among its own."""
    rollout = crowd(rows=2, candidates=2, own=own, dtype=torch.float64)
    leaves = (rollout.states, random_masks(rollout.ego).sizes_m, rollout.prediction.states)
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]

    def value(states, sizes, boxes):
        prediction = replace(rollout.prediction, states=boxes)
        return query(
            replace(rollout, states=states, prediction=prediction),
            EgoMask.from_sizes(sizes),
            question,
        )

    assert torch.autograd.gradcheck(value, leaves, eps=1e-6, atol=1e-5)
    gradients = torch.autograd.grad(value(*leaves).sum(), leaves)
    assert all(gradient.abs().max() > 1e-2 for gradient in gradients)


def test_boxes_of_float32_get_gradients_too():
    rollout = crowd()
    states = rollout.prediction.states.clone().requires_grad_()
    moved = replace(rollout, prediction=replace(rollout.prediction, states=states))
    mass = query(moved, random_masks(rollout.ego))
    torch.testing.assert_close(mass, query(rollout, random_masks(rollout.ego)))
    mass.sum().backward()
    assert states.grad.abs().max() > 0.1


def test_a_mask_that_does_not_count_has_no_gradient():
    """The compiled gradient passes over them."""
    rollout = crowd(rows=20, candidates=3)

    def second(states, sizes):
        mask = EgoMask.from_sizes(sizes)
        return rollout.prediction.vehicle_mass(mask, EgoPath(states, rollout.size_m))[..., 1]

    leaves = rollout.states, random_masks(rollout.ego).sizes_m
    _, _, to_sizes = value_and_gradients(second, leaves)
    assert (to_sizes[..., [0, 2], :] == 0).all()
    assert to_sizes[..., 1, :].abs().max() > 1


@pytest.mark.parametrize("order", [(0, 1, 3, 2), (1, 0, 2, 3), (0, 2, 1, 3)])
def test_gradients_do_not_depend_on_how_states_lie_in_memory(order):
    rollout = crowd(rows=5, candidates=3)
    mask = random_masks(rollout.ego)
    gradients = []
    for states in (rollout.states, rollout.states.permute(order).contiguous().permute(order)):
        states = states.detach().requires_grad_()
        mass = query(replace(rollout, states=states), mask)
        gradients.append(torch.autograd.grad(mass.square().sum(), states)[0])
    torch.testing.assert_close(*gradients, atol=0, rtol=0)


def test_candidates_share_one_prediction():
    """As if each had a copy of it."""
    rollout = crowd(rows=3, candidates=4)
    mask = random_masks(rollout.ego)
    prediction = rollout.prediction
    copied = replace(
        prediction,
        states=prediction.states.expand(-1, 4, -1, -1, -1, -1),
        pose=prediction.pose.expand(-1, 4, -1, -1),
    )
    own = replace(rollout, prediction=copied)
    for question in QUESTIONS:
        shared = query(rollout, mask, question)
        assert shared.shape == (3, 4, 2, 2, 3)
        torch.testing.assert_close(shared, query(own, mask, question), atol=0, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["compiled", "tensors"])
def test_a_row_does_not_depend_on_the_others(dtype):
    rollout = crowd(rows=6, candidates=3, dtype=dtype)
    mask = random_masks(rollout.ego)
    prediction = rollout.prediction
    for question in QUESTIONS:
        together = query(rollout, mask, question)
        for row in range(6):
            one = slice(row, row + 1)
            alone = replace(
                prediction, states=prediction.states[one], size_m=prediction.size_m[one],
                valid=prediction.valid[one], pose=prediction.pose[one],
            )  # fmt: skip
            ego = EgoPath(rollout.states[one], rollout.size_m[one])
            result = getattr(alone, question)(EgoMask.from_sizes(mask.sizes_m[one]), ego)
            torch.testing.assert_close(result[0], together[row], atol=1e-12, rtol=0)


def test_the_order_of_slots_does_not_matter():
    rollout = crowd(dtype=torch.float64)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    shuffled = replace(
        rollout.prediction,
        states=rollout.prediction.states[..., order, :],
        size_m=rollout.prediction.size_m[:, order],
        valid=rollout.prediction.valid[:, order],
    )
    mask = random_masks(rollout.ego)
    for question in QUESTIONS:
        result = query(replace(rollout, prediction=shuffled), mask, question)
        torch.testing.assert_close(result, query(rollout, mask, question))
    torch.testing.assert_close(shuffled.disagreement(), rollout.prediction.disagreement())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["compiled", "tensors"])
def test_free_slots_weigh_nothing_whatever_they_hold(dtype):
    rollout = crowd(dtype=dtype)
    prediction = rollout.prediction
    assert not prediction.valid.all()
    free = ~prediction.valid[:, None, None, None, :, None]
    other = replace(prediction, states=torch.where(free, 104.0, prediction.states))
    mask = random_masks(rollout.ego)
    for question in QUESTIONS:
        result = query(replace(rollout, prediction=other), mask, question)
        torch.testing.assert_close(result, query(rollout, mask, question), atol=0, rtol=0)
    torch.testing.assert_close(other.disagreement(), prediction.disagreement())


def test_moving_and_turning_the_world_changes_nothing():
    rollout = crowd(dtype=torch.float64, candidates=2)
    origin = torch.tensor([-200.0, 90.0, 2.5], dtype=torch.float64)
    prediction = rollout.prediction
    moved = replace(
        rollout,
        states=to_world(rollout.states, origin),
        prediction=replace(
            prediction,
            states=to_world(prediction.states, origin),
            pose=to_world(prediction.pose, origin),
        ),
    )
    mask = random_masks(rollout.ego)
    for question in QUESTIONS:
        torch.testing.assert_close(query(moved, mask, question), query(rollout, mask, question))
    torch.testing.assert_close(moved.prediction.disagreement(), prediction.disagreement())
    torch.testing.assert_close(
        moved.prediction.outside_view_m(moved.ego), prediction.outside_view_m(rollout.ego)
    )


def test_replicas_disagree_by_their_variance_in_square_metres():
    """Two replicas 2 m and 1 m apart, vehicle by vehicle; a free slot does not count."""
    rollout = crowd(rows=1, time=1, slots=3, dtype=torch.float64)
    states = torch.zeros(1, 1, 2, 1, 3, 4, dtype=torch.float64)
    states[0, 0, 1, 0, 0, 0], states[0, 0, 1, 0, 1, 1] = 2.0, 1.0
    states[0, 0, 1, 0, 2, 0] = 100.0
    states.requires_grad_()
    valid = torch.tensor([[True, True, False]])
    prediction = replace(rollout.prediction, states=states, valid=valid)
    result = prediction.disagreement()
    assert result.shape == (1, 1, 1)
    assert float(result.detach()) == pytest.approx(0.5 * (2.0 + 0.5))
    result.sum().backward()
    assert states.grad[0, 0, 1, 0, 0, 0] == pytest.approx(1.0)
    nothing_there = replace(prediction, valid=torch.zeros_like(valid))
    assert float(nothing_there.disagreement().detach()) == 0.0


ROAD = RoadMap.build([dense_recording().road], RasterConfig())


def test_images_are_drawn_from_the_poses_that_are_given():
    rollout = crowd(rows=2, candidates=3, samples=2, time=2, own=True, road=ROAD)
    prediction = rollout.prediction
    poses = rollout.states[:, 0, :, :3] + torch.tensor([1.0, 0.5, 0.1])
    images = prediction.vehicle_images(poses)
    raster = prediction.raster
    assert images.shape == (2, 3, 2, 2, raster.rows, raster.columns)
    for b in range(2):
        for c in range(3):
            for s in range(2):
                boxes = torch.cat(
                    [
                        prediction.states[b, c, s, :, :, :3],
                        prediction.size_m[b].expand(2, -1, -1),
                    ],
                    dim=-1,
                )
                visible = prediction.valid[b].expand(2, -1)
                drawn = draw_vehicles(poses[b], boxes, visible, raster)
                torch.testing.assert_close(images[b, c, s], drawn)
    assert images.sum() > 100
    road = prediction.road_images(poses)
    assert road.shape == (2, 1, 1, 2, 2, raster.rows, raster.columns)
    torch.testing.assert_close(road[:, 0, 0], prediction.road.draw(poses, raster))


def test_momentum_images_are_coverage_times_velocity_seen_from_the_pose():
    rollout = rollout_among([(6.0, 1.0, 0.4, *CAR)], speed_mps=[5.0], dtype=torch.float32)
    poses = torch.tensor([[[0.5, 0.2, 0.1]]])
    cover = rollout.prediction.vehicle_images(poses)
    result = rollout.prediction.vehicle_momentum_images(poses)
    ahead, left = 5.0 * math.cos(0.4 - 0.1), 5.0 * math.sin(0.4 - 0.1)
    assert cover.sum() > 10
    torch.testing.assert_close(result[:, :, :, :, 0], ahead * cover, atol=1e-5, rtol=0)
    torch.testing.assert_close(result[:, :, :, :, 1], left * cover, atol=1e-5, rtol=0)


def make_observation(batch=2, slots=6, raster=TINY, images=True) -> Observation:
    """Some history."""
    generator = torch.Generator().manual_seed(3)
    rows, columns = (raster.rows, raster.columns) if images else (0, 0)
    return Observation(
        torch.rand(batch, 3, 3, rows, columns, generator=generator),
        torch.rand(batch, 3, 4, generator=generator),
        torch.full((batch, 2), 4.0),
        Tracks(
            torch.rand(batch, slots, 3, 4, generator=generator),
            torch.ones(batch, slots, 3, dtype=torch.bool),
            torch.ones(batch, slots, 2),
            torch.arange(slots).expand(batch, -1),
        ),
    )


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_the_next_observation_shows_the_boxes_from_the_ego(own):
    rollout = crowd(rows=2, candidates=3, own=own, road=ROAD, raster=TINY)
    prediction, history = rollout.prediction, make_observation().repeat(3)
    ego = rollout.states[:, :, 1].flatten(0, 1).requires_grad_()
    then = prediction.next_observation(history, ego, time=1, sample=1)
    states = prediction.states[:, :, 1, 1].expand(-1, 3, -1, -1).flatten(0, 1)
    torch.testing.assert_close(then.tracks.now, states)
    torch.testing.assert_close(then.tracks.states[:, :, :2], history.tracks.states[:, :, 1:])
    torch.testing.assert_close(then.images[:, :2], history.images[:, 1:])
    torch.testing.assert_close(then.ego[:, :2], history.ego[:, 1:])
    torch.testing.assert_close(then.ego[:, 2], ego)
    for row in range(6):
        b = row // 3
        pose = ego[row : row + 1, :3].detach()
        boxes = torch.cat([states[row, :, :3], prediction.size_m[b]], dim=-1)[None]
        vehicles = draw_vehicles(pose, boxes, prediction.valid[b : b + 1], TINY)
        torch.testing.assert_close(then.images[row, -1, 1], vehicles[0])
        road = LocalRoad(ROAD, torch.zeros(1, dtype=torch.int64)).draw(pose[None], TINY)
        torch.testing.assert_close(then.images[row, -1, [0, 2]], road[0, 0])
    # A constant but for the ego's own state.
    assert then.ego.requires_grad
    assert not then.images.requires_grad and not then.tracks.states.requires_grad


def test_without_images_the_next_observation_draws_none():
    rollout = crowd(rows=2, raster=TINY)
    then = rollout.prediction.next_observation(
        make_observation(images=False), rollout.states[:, 0, 0], time=0
    )
    assert then.images.shape == (2, 3, 3, 0, 0)
    torch.testing.assert_close(then.tracks.now, rollout.prediction.states[:, 0, 0, 0])


def test_errors_along_and_across_the_true_heading_by_hand():
    """One vehicle beside the ego, one 60 m away, one without a target."""
    heading = torch.tensor([0.0, 0.5 * math.pi, 1.0])
    true = torch.zeros(1, 3, 1, 4)
    true[0, :, 0, 0] = torch.tensor([0.0, 60.0, 7.0])
    true[0, :, 0, 2] = heading
    off = torch.tensor([[1.0, 0.5], [1.0, 0.5], [1e5, 1e5]])
    rollout = crowd(rows=1, samples=2, time=1, slots=3)
    states = true.transpose(1, 2)[:, None, None].expand(1, 1, 2, 1, 3, 4).clone()
    states[..., :2] += off
    states[:, :, 1] = true.transpose(1, 2)  # the second sample is right
    states.requires_grad_()
    prediction = replace(rollout.prediction, states=states)
    valid = torch.tensor([[[True], [True], [False]]])
    target = Target(torch.zeros(1, 1, 4), true, valid)
    result = prediction.errors(target)
    assert set(result) == {"along_m", "across_m"}
    along, across = result["along_m"], result["across_m"]
    assert along.value.shape == (1, 2, 1, 3)
    torch.testing.assert_close(along.value[0, 0, 0, :2], torch.tensor([1.0, 0.5]))
    torch.testing.assert_close(across.value[0, 0, 0, :2], torch.tensor([0.5, -1.0]))
    torch.testing.assert_close(along.weight.flatten(), torch.tensor([1.0, 1 / 3, 0.0]))
    # Weighted, over both samples.
    expected = (1.0 + 0.5 / 3) / (2 * (1 + 1 / 3))
    assert float(along.mean().detach()) == pytest.approx(expected)
    squared = across.mean(across.value.square())
    assert float(squared.detach()) == pytest.approx((0.25 + 1 / 3) / (2 * (1 + 1 / 3)))
    squared.backward()
    assert states.grad.isfinite().all()
    assert (states.grad[..., 2, :] == 0).all()


def test_errors_without_a_target_are_zero():
    rollout = crowd()
    tracks = torch.zeros(3, 6, 2, 4)
    nothing = Target(torch.zeros(3, 2, 4), tracks, torch.zeros(3, 6, 2, dtype=torch.bool))
    errors = rollout.prediction.errors(nothing)
    assert all(float(error.mean()) == 0.0 for error in errors.values())
    assert rollout.prediction.errors(Target(torch.zeros(3, 2, 4))) == {}


def test_errors_turn_with_the_vehicles():
    """Along and across are the vehicle's own, wherever the world's axes point."""
    rollout = crowd(dtype=torch.float64)
    truth = crowd(dtype=torch.float64, seed=1)
    tracks = truth.prediction.states[:, 0, 0].transpose(1, 2)
    ego = truth.states[:, 0]
    valid = torch.ones(tracks.shape[:3], dtype=torch.bool)
    original = rollout.prediction.errors(Target(ego, tracks, valid))
    origin = torch.tensor([30.0, -20.0, 1.3], dtype=torch.float64)
    moved = replace(rollout.prediction, states=to_world(rollout.prediction.states, origin))
    target = Target(to_world(ego, origin), to_world(tracks, origin), valid)
    transformed = moved.errors(target)
    off = rollout.prediction.states[:, 0, ..., :2] - tracks.transpose(1, 2)[:, None, ..., :2]
    own = rotate(off, -tracks.transpose(1, 2)[:, None, ..., 2])
    for number, name in enumerate(("along_m", "across_m")):
        torch.testing.assert_close(original[name].value, own[..., number])
        torch.testing.assert_close(transformed[name].value, original[name].value)
        torch.testing.assert_close(transformed[name].weight, original[name].weight)


def test_outlines_are_the_boxes():
    rollout = crowd(rows=2, samples=2, time=2)
    prediction = rollout.prediction
    result = prediction.outlines(1, 1, 0)
    valid = prediction.valid[1]
    assert result.shape == (int(valid.sum()), 5)
    torch.testing.assert_close(result[:, :3], prediction.states[1, 0, 1, 0, valid, :3])
    torch.testing.assert_close(result[:, 3:], prediction.size_m[1, valid])


def test_times_one_by_one_make_the_whole():
    rollout = crowd(time=4, road=ROAD)
    prediction, mask = rollout.prediction, random_masks(rollout.ego)
    parts = [prediction.at(time) for time in range(4)]
    whole = BoxPrediction.concatenate(parts)
    torch.testing.assert_close(whole.states, prediction.states)
    torch.testing.assert_close(whole.pose, prediction.pose)
    assert whole.samples == prediction.samples
    for time, part in enumerate(parts):
        now = slice(time, time + 1)
        ego = EgoPath(rollout.states[:, :, now], rollout.size_m)
        result = part.vehicle_momentum(EgoMask.from_sizes(mask.sizes_m[:, :, now]), ego)
        torch.testing.assert_close(
            result, query(rollout, mask, "vehicle_momentum")[:, :, :, now], atol=0, rtol=0
        )


@pytest.mark.parametrize("count", [2, 5, 6])
def test_samples_of_several_predictions_are_interleaved(count):
    one, other = crowd(samples=3).prediction, crowd(samples=3, seed=0).prediction
    other = replace(other, states=other.states + 1000.0)
    result = BoxPrediction.interleave([one, other], count)
    assert result.samples == count
    for sample in range(count):
        expected = (one, other)[sample % 2].states[:, :, sample // 2]
        torch.testing.assert_close(result.states[:, :, sample], expected)


def test_metres_outside_the_view_by_hand():
    """A view of 20 m x 10 m; a box of 4.5 m x 1.8 m."""
    raster, pose = RasterConfig(40, 20, 0.5), [(0.0, 0.0, 0.0)]

    def outside(x, y):
        rollout = rollout_among(states=[(x, y, 0.0, 1.0)], pose=pose, raster=raster)
        return float(rollout.prediction.outside_view_m(rollout.ego))

    assert outside(0.0, 0.0) == 0
    assert outside(10.0 - 2.25, 5.0 - 0.9) == 0
    assert outside(10.0 - 2.25 + 0.7, 0.0) == pytest.approx(0.7)
    assert outside(-10.0, -5.0) == pytest.approx(2.25 + 0.9)
    # Ahead is where the view looks.
    turned = rollout_among(
        states=[(0.0, 9.0, 0.5 * math.pi, 1.0)], pose=[(0.0, 0.0, 0.5 * math.pi)], raster=raster
    )
    assert float(turned.prediction.outside_view_m(turned.ego)) == pytest.approx(9.0 - 7.75)
