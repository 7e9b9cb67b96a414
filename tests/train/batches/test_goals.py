"""Goals of clips, and what a policy reads of them."""

import dataclasses

import pytest
import torch

from ppuu.perception.goal import goal_features
from ppuu.perception.observation import ObservationConfig
from ppuu.policies import NetworkPolicyConfig
from ppuu.policies.features import TracksConfig
from ppuu.runtime.errors import InputError
from tests.helpers import LANE_WIDTH_M, dense_recording
from tests.rollouts import TINY, tiny_clips
from train.batches.goals import GoalMix

SEEN = ObservationConfig(frames=3, stride=3, raster=TINY, vehicles=8)


def seeded():
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def clips():
    return tiny_clips([dense_recording(), dense_recording(frames=100)], config=SEEN)


@pytest.fixture
def clip(clips):
    return clips.batch(torch.randint(len(clips), (64,), generator=seeded()))


def test_goals_are_lanes_beside_and_ahead(clips, clip):
    """Three straight lanes along x."""
    goal = GoalMix(share=1.0, shortest_m=50.0, longest_m=100.0).draw(clips, clip, seeded())
    now = clip.observation.ego[:, -1]
    place = goal.place(now[:, None, :2])
    wanted = goal.wanted
    assert 0.3 < wanted.float().mean() < 0.9  # there are not always two lanes on that side
    lanes = (-place.lateral_m[wanted, 0] / LANE_WIDTH_M).round()
    assert set(lanes.tolist()) == {-2.0, -1.0, 1.0, 2.0}
    target = now[wanted, 1] - place.lateral_m[wanted, 0]
    centre = LANE_WIDTH_M * ((target / LANE_WIDTH_M).floor() + 0.5)
    torch.testing.assert_close(target, centre, atol=1e-3, rtol=0)
    left = place.left_m[wanted, 0]
    assert left.min() >= 50.0 - 1e-2 and left.max() <= 100.0 + 1e-2
    some = GoalMix(share=0.5).draw(clips, clip, seeded())
    assert 0.1 < some.wanted.float().mean() < wanted.float().mean()
    assert GoalMix().draw(clips, clip, seeded()) is None


def test_a_policy_that_reads_goals_depends_on_them(clips, clip):
    goal = GoalMix(share=1.0).draw(clips, clip, seeded())
    features = TracksConfig(SEEN, hidden=8, heads=2)
    reading, other = (NetworkPolicyConfig(features, 8, goal=g).build() for g in (True, False))
    with_goal = dataclasses.replace(clip.observation, goal=goal)
    for policy, differs in ((reading, True), (other, False)):
        for parameter in policy.head.parameters():
            torch.nn.init.normal_(parameter)
        changed = (policy(with_goal) - policy(clip.observation)).abs().amax(1) > 0
        assert bool(changed[goal.wanted].any()) == differs
        assert not changed[~goal.wanted].any()


def test_features_turn_with_the_world(clips, clip):
    """Everything is relative to the ego."""
    goal = GoalMix(share=1.0).draw(clips, clip, seeded())
    goal = dataclasses.replace(goal, line_m=goal.line_m.double(), end_m=goal.end_m.double())
    ego = clip.observation.ego[:, -1].double()
    turn = torch.tensor(0.7, dtype=torch.float64)
    rotation = torch.stack([turn.cos(), turn.sin(), -turn.sin(), turn.cos()]).view(2, 2)
    turned = dataclasses.replace(goal, line_m=goal.line_m @ rotation)
    turned_ego = torch.cat([ego[:, :2] @ rotation, ego[:, 2:3] + turn, ego[:, 3:]], dim=1)
    torch.testing.assert_close(goal_features(turned, turned_ego), goal_features(goal, ego))
    assert torch.autograd.gradcheck(
        lambda state: goal_features(goal, state), ego.requires_grad_(), atol=1e-5
    )


def test_a_mix_that_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="share"):
        GoalMix(share=1.5)
