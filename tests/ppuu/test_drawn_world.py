"""A world drawn as images costs what its images say, and stays where it was foreseen."""

import torch

from ppuu.kinematics import rollout
from ppuu.policies.planning import PlanningConfig, PlanningPolicy
from ppuu.rollout import Futures
from ppuu.world_models.gliding import gliding_poses
from ppuu.worlds import DrawnWorld, RecordedWorld
from tests.helpers import Car, straight_recording
from tests.ppuu.test_planning import SEEN, situation


def drawn(steps=4):
    cars = [Car(0.0, 0, 10.0), Car(22.0, 0, 5.0), Car(5.0, 1, 9.0)]
    observation, truth = situation(straight_recording(cars), [0, 2], 9)
    world = DrawnWorld(RecordedWorld(SEEN))
    foresight = world.foresee(observation, truth, steps, 1, torch.Generator())
    return observation, truth, foresight


def test_images_are_drawn_in_the_gliding_frame_for_all_candidates():
    observation, truth, foresight = drawn()
    start = observation.ego[:, -1]
    actions = torch.rand(6, 4, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    told = foresight(rollout(start.repeat_interleave(3, 0), actions, 0.3), actions)
    assert isinstance(told, Futures)
    seconds = 0.3 * torch.arange(1, 5)
    torch.testing.assert_close(told.pose[::3], gliding_poses(start, seconds))
    boxes = RecordedWorld(SEEN).foresee(observation, truth, 4, 1, torch.Generator())(
        torch.zeros(2, 4, 4), torch.zeros(2, 4, 2)
    )
    torch.testing.assert_close(told.vehicles[::3], boxes.draw(gliding_poses(start, seconds)))
    assert told.vehicles.sum() > 50
    # Who follows a slower car keeps its pace in mind; who is alone in his lane his own.
    assert told.pace_mps is not None
    torch.testing.assert_close(told.pace_mps[0], torch.full((4,), 5.0))
    torch.testing.assert_close(told.pace_mps[3], torch.full((4,), 9.0))


def test_a_planner_brakes_for_what_is_drawn():
    observation, truth, _ = drawn()
    policy = PlanningPolicy(DrawnWorld(RecordedWorld(SEEN)), PlanningConfig(steps=8))
    action = policy.act(observation, truth)
    assert action[0, 0] < -0.3
