"""Clips seen from paths that were not driven."""

import pytest
import torch

from ppuu.kinematics import rollout
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.raster_image import RasterConfig
from ppuu.runtime.errors import InputError
from ppuu.world_models import CoupledConfig
from tests.helpers import dense_recording
from tests.rollouts import tiny_clips
from train.batches.other_paths import OtherPaths
from train.world_model import PRESETS, WorldModelTraining

SEEN = ObservationConfig(3, 3, RasterConfig(64, 24))


@pytest.fixture(scope="module")
def clips():
    return tiny_clips([dense_recording()], config=SEEN)


def drawn(clips, count=64):
    return clips.batch(torch.arange(0, len(clips), len(clips) // count)[:count])


def test_half_of_the_clips_go_elsewhere_and_the_others_do_not(clips):
    clip = drawn(clips)
    found = OtherPaths(0.5).taken(clip, 0.1, torch.Generator().manual_seed(0))
    same = (found.future == clip.future).flatten(1).all(1)
    assert 20 < same.sum() < 44
    assert (found.actions[same] == clip.actions[same]).all()


def test_without_a_share_nothing_is_changed_nor_drawn(clips):
    generator = torch.Generator().manual_seed(0)
    before, clip = generator.get_state(), drawn(clips)
    assert OtherPaths().taken(clip, 0.1, generator) is clip
    assert torch.equal(generator.get_state(), before)


def test_the_path_is_driven_by_the_actions_from_where_the_history_ends(clips):
    clip = drawn(clips)
    found = OtherPaths(1.0).taken(clip, 0.1, torch.Generator().manual_seed(0))
    path = rollout(clip.observation.ego[:, -1], found.actions, 0.1)
    torch.testing.assert_close(found.future, path)
    added = found.actions - clip.actions
    changes = (added.diff(dim=1).abs() > 1e-4).any(-1).sum(1)
    assert changes.max() == 1  # one pair of offsets, then another
    assert 1.0 < added[..., 0].std() < 3.0


def test_no_offset_is_the_recorded_path(clips):
    """What drives the kinematic ego along the track leads back to it."""
    clip = drawn(clips)
    found = OtherPaths(1.0, 0.0, 0.0).taken(clip, 0.1, torch.Generator())
    torch.testing.assert_close(found.future, clip.future, atol=0.02, rtol=0)


def test_the_target_is_what_one_would_have_seen_from_there(clips):
    """Moved aside by a curve, one sees the same traffic from another place."""
    clip = drawn(clips, 8)
    found = OtherPaths(1.0).taken(clip, 0.1, torch.Generator().manual_seed(0))
    model = CoupledConfig(SEEN, features=8).build()
    target = clips.target(found, model, 3)
    ahead = torch.tensor([3, 6, 9])
    expected = clips.draw_vehicles(clip, ahead, found.future[:, ahead - 1, :3])
    assert target.images is not None
    torch.testing.assert_close(target.images.vehicles, expected)
    recorded = clips.target(clip, model, 3)
    assert recorded.images is not None
    assert (target.images.vehicles - recorded.images.vehicles).abs().mean() > 1e-3


@pytest.mark.parametrize("wrong", [{"share": 1.5}, {"acceleration_mps2": -1.0}])
def test_nonsense_is_refused(wrong):
    with pytest.raises(InputError, match="other paths"):
        OtherPaths(**wrong)


def test_only_who_answers_to_the_ego_can_learn_from_them():
    with pytest.raises(InputError, match=r"--paths\.share"):
        WorldModelTraining(paths=OtherPaths(0.5))
    WorldModelTraining(PRESETS["coupled"].model, paths=OtherPaths(0.5))
