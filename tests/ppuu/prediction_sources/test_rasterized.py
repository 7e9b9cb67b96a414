"""Another source's predictions as images in the constant-velocity frame."""

import pytest
import torch

from ppuu.costs import DrivingCost
from ppuu.kinematics import rollout
from ppuu.perception.constant_velocity_frame import constant_velocity_poses
from ppuu.policies.planning import PlanningConfig, PlanningPolicy
from ppuu.prediction_sources import ModelSource, RasterizedSource, RecordedSource, SimulatorSource
from ppuu.predictions import OccupancyPrediction, Rollout
from ppuu.runtime.errors import InputError
from ppuu.world_models import ConstantVelocity, tracks_spec
from tests.helpers import Car, straight_recording
from tests.ppuu.policies.test_planning import SEEN, situation

STEPS = 4


@pytest.fixture(scope="module")
def scene():
    """Two egos, the first behind a slower car."""
    cars = [Car(0.0, 0, 10.0), Car(17.0, 0, 5.0), Car(5.0, 1, 9.0)]
    return situation(straight_recording(cars), [0, 2], 9)


def function_of(source, scene):
    """The source's prediction function."""
    return source.predict(*scene, STEPS, 1, torch.Generator().manual_seed(0))


def drive(function, observation, candidates=3):
    """Paths of random actions, and the prediction for them."""
    generator = torch.Generator().manual_seed(0)
    actions = torch.rand(2, candidates, STEPS, 2, generator=generator) - 0.5
    actions = actions * torch.tensor([1.0, 0.01])
    start = observation.ego[:, None, -1].expand(-1, candidates, -1)
    states = rollout(start, actions, 0.1, held=3)
    size, before = observation.size_m, torch.zeros(2, 1, 2)
    return Rollout(states, actions, before, size, function(states, actions), 0.3)


def test_images_are_in_the_constant_velocity_frame_for_all_candidates(scene):
    observation, _ = scene
    function = function_of(RasterizedSource(RecordedSource(tracks_spec(SEEN))), scene)
    prediction = drive(function, observation).prediction
    assert isinstance(prediction, OccupancyPrediction)
    poses = constant_velocity_poses(observation.ego[:, -1], 0.3 * torch.arange(1, STEPS + 1))
    torch.testing.assert_close(prediction.pose[:, 0], poses)
    boxes = drive(function_of(RecordedSource(tracks_spec(SEEN)), scene), observation).prediction
    torch.testing.assert_close(prediction.vehicles, boxes.vehicle_images(poses))
    torch.testing.assert_close(prediction.road, boxes.road_images(poses))
    assert prediction.vehicles.shape[:4] == (2, 1, 1, STEPS)
    assert prediction.vehicles.sum() > 50
    # Drawn once, whatever the candidates.
    assert drive(function, observation, candidates=5).prediction is prediction


def test_rasterized_vehicles_keep_their_speed(scene):
    """Behind a slower car the lane is slower, from images as from boxes."""
    observation, _ = scene
    drawn, boxes = (
        drive(function_of(source, scene), observation)
        for source in (
            RasterizedSource(RecordedSource(tracks_spec(SEEN))),
            RecordedSource(tracks_spec(SEEN)),
        )
    )
    torch.testing.assert_close(drawn.lane_speed_mps, boxes.lane_speed_mps, atol=0.15, rtol=0)
    assert (drawn.lane_speed_mps[0, :, -1] < 7.0).all()


@pytest.mark.parametrize(
    "source", [RecordedSource(tracks_spec(SEEN)), ModelSource(ConstantVelocity(tracks_spec(SEEN)))]
)
def test_costs_of_images_and_boxes_agree(scene, source):
    observation, _ = scene
    drawn, boxes = (
        DrivingCost().evaluate(drive(function_of(kind, scene), observation)).total
        for kind in (RasterizedSource(source), source)
    )
    torch.testing.assert_close(drawn, boxes, atol=0.05, rtol=0.1)
    assert boxes.max() > 0.2


def test_a_planner_brakes_for_rasterized_vehicles(scene):
    policy = PlanningPolicy(
        RasterizedSource(RecordedSource(tracks_spec(SEEN))), PlanningConfig(steps=8)
    )
    assert policy.act(*scene)[0, 0] < -0.3


def test_predictions_that_depend_on_the_ego_are_refused():
    with pytest.raises(InputError, match="SimulatorSource depends on the ego's path"):
        RasterizedSource(SimulatorSource())


def test_the_spec_is_that_of_the_source():
    source = RecordedSource(tracks_spec(SEEN, frames_per_step=2))
    rasterized = RasterizedSource(source)
    assert rasterized.spec is source.spec
    assert (rasterized.frames_per_step, rasterized.step_s) == (2, 0.2)
