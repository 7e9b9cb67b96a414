"""Starts that the policy has driven into."""

import dataclasses

import pytest
import torch

from ppuu.geometry import boxes_overlap
from ppuu.kinematics import rollout
from ppuu.objectives import StartConfig
from ppuu.perception.observation import ObservationConfig
from ppuu.policies import NetworkPolicy, NetworkPolicyConfig
from ppuu.policies.features import TracksConfig
from tests.helpers import dense_recording
from tests.rollouts import TINY, tiny_clips
from train.batches.driven_starts import driven_starts

SEEN = ObservationConfig(frames=3, stride=3, raster=TINY, vehicles=8)
STARTS = StartConfig(copies=3, speed_mps=1.0, lateral_m=0.2, heading_rad=0.01)


def seeded():
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def clips():
    return tiny_clips([dense_recording()], config=SEEN)


@pytest.fixture
def clip(clips):
    return clips.batch(torch.randint(len(clips), (4,), generator=seeded()))


class Steady(NetworkPolicy):
    """Always the same action."""

    def __init__(self, *action):
        torch.nn.Module.__init__(self)
        self.action = torch.tensor(action)

    def forward(self, observation, generator=None):
        return self.action.expand(len(observation.ego), 2)


def test_without_a_drive_starts_are_the_varied_ones(clips, clip):
    policy = NetworkPolicyConfig(TracksConfig(SEEN, hidden=8, heads=2)).build()
    later, starts, previous = driven_starts(policy, clips, clip, STARTS, 0, seeded())
    assert later is clip
    torch.testing.assert_close(starts.ego[::3], clip.observation.ego, atol=1e-4, rtol=0)
    torch.testing.assert_close(previous, clip.previous_action.repeat_interleave(3, 0))


def test_the_ego_is_where_the_policy_has_driven(clips, clip):
    gentle = dataclasses.replace(STARTS, speed_mps=0.0, lateral_m=0.0, heading_rad=0.0)
    later, starts, previous = driven_starts(Steady(-0.3, 0.0), clips, clip, gentle, 4, seeded())
    assert torch.equal(later.frame, clip.frame + 12)
    # The first of each clip is the recorded ego, in what was recorded.
    torch.testing.assert_close(starts.ego[::3], later.observation.ego)
    torch.testing.assert_close(starts.images[::3], later.observation.images)
    torch.testing.assert_close(starts.tracks.now[::3], later.observation.tracks.now)
    held = torch.tensor([-0.3, 0.0]).expand(4, 12, 2)
    driven = rollout(clip.observation.ego[:, -1], held, 0.1)[:, 5::3]
    for copy in (1, 2):
        torch.testing.assert_close(starts.ego[copy::3], driven, atol=1e-3, rtol=0)
        assert (previous[copy::3] == torch.tensor([-0.3, 0.0])).all()


def test_who_drove_into_somebody_begins_where_the_human_was(clips, clip):
    _, starts, _ = driven_starts(Steady(6.0, 0.0), clips, clip, STARTS, 9, seeded())
    own = torch.cat([starts.ego[:, -1, :3], starts.size_m], dim=-1)[:, None]
    others = torch.cat([starts.tracks.now[..., :3], starts.tracks.size_m], dim=-1)
    touched = boxes_overlap(own.expand_as(others), others) & starts.tracks.valid_now
    assert not touched.any()
    # And some did drive into somebody.
    recorded = starts.ego[::3, -1, 0].repeat_interleave(3)
    assert (starts.ego[:, -1, 0] == recorded).sum() > 4


def test_what_is_left_of_the_future_follows(clips, clip):
    later, _, _ = driven_starts(Steady(0.0, 0.0), clips, clip, STARTS, 2, seeded())
    torch.testing.assert_close(later.future, clip.future[:, 6:])
    torch.testing.assert_close(later.actions, clip.actions[:, 6:])
    torch.testing.assert_close(later.previous_action, clip.actions[:, 5])
