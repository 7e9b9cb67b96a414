"""Clips as poses: the same as drawn clips, in any loader, in forked and spawned workers."""

import itertools
import pickle

import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from data.clips.poses import ClipPoses, draw_history
from data.clips.sampler import ClipSampler
from tests.helpers import Car, dense_recording, straight_recording
from tests.rollouts import TINY_OBSERVATION, tiny_clips

HORIZON = 8


@pytest.fixture(scope="module")
def clips():
    coming = [Car(0.0), Car(12.0, frames=25), Car(25.0, lane=1, first_frame=20)]
    return tiny_clips(
        [dense_recording(per_lane=3, frames=40), straight_recording(coming, 40, name="b")], HORIZON
    )


@pytest.fixture(scope="module")
def poses(clips):
    return ClipPoses(clips)


def test_items_are_the_clips(clips, poses):
    assert len(poses) == len(clips)
    index = torch.arange(0, len(clips), 5)
    clip, item = clips.batch(index), poses[index]
    for ours, theirs in (
        (item["history"], clip.observation.ego),
        (item["future"], clip.future),
        (item["actions"], clip.actions),
        (item["previous_action"], clip.previous_action),
        (item["size_m"], clip.observation.size_m),
        (item["ego"], clip.ego),
        (item["frame"], clip.frame),
    ):
        assert torch.equal(ours, theirs)


def test_images_drawn_from_poses_are_the_clips_images(clips, poses):
    index = torch.arange(0, len(clips), 7)
    seen = draw_history(poses[index], clips.road_map, TINY_OBSERVATION)
    images = clips.batch(index).observation.images
    assert images[:, :, 1].amax() > 0.9
    torch.testing.assert_close(seen.images, images)


def test_boxes_are_everyone_else_nearest_first(clips, poses):
    index = torch.arange(len(clips))
    item = poses[index]
    times = torch.cat([-TINY_OBSERVATION.lags(), torch.arange(1, HORIZON + 1)])
    states = torch.cat([item["history"], item["future"]], 1)
    for number in range(0, len(clips), 11):
        for t, time in enumerate((clips.frame[number] + times).tolist()):
            ego, frame = clips.ego[number][None], torch.tensor([time])
            boxes, visible = clips.scene.others(frame, ego)
            expected = boxes[visible]
            distance = (expected[:, :2] - states[number, t, :2]).norm(dim=1)
            present = item["valid"][number, t]
            assert torch.equal(item["boxes"][number, t][present], expected[distance.argsort()])
            who = clips.scene.occupant[time]
            assert set(item["vehicle"][number, t][present].tolist()) == (
                {v for v in who.tolist() if v >= 0} - {int(ego)}
            )
            assert (item["vehicle"][number, t][~present] == -1).all()
    few = ClipPoses(clips, neighbours=2)[index]
    assert torch.equal(few["boxes"], item["boxes"][:, :, :2])


def test_one_by_one_and_batches_agree(clips, poses):
    index = [3, 0, len(clips) - 1]
    together, single = poses[torch.tensor(index)], default_collate([poses[k] for k in index])
    assert together.keys() == single.keys()
    assert all(torch.equal(together[key], single[key]) for key in together)
    assert torch.equal(poses[-1]["future"], poses[len(clips) - 1]["future"])
    with pytest.raises(IndexError):
        poses[len(clips)]


@pytest.mark.parametrize(("method", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_give_the_same_batches(poses, method, workers):
    sampler = ClipSampler(len(poses), 4, seed=3)
    expected = [poses[sampler.batch_at(k)] for k in range(5)]
    loader = DataLoader(
        poses, sampler=sampler, batch_size=None, num_workers=workers, multiprocessing_context=method
    )
    for ours, theirs in zip(itertools.islice(loader, 5), expected, strict=True):
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_an_ordinary_loader_goes_through_all_clips(poses):
    loader = DataLoader(poses, batch_size=16, shuffle=True)
    drawn = [
        pair
        for batch in loader
        for pair in zip(batch["ego"].tolist(), batch["frame"].tolist(), strict=True)
    ]
    assert sorted(drawn) == sorted(zip(poses.ego.tolist(), poses.frame.tolist(), strict=True))


def test_it_is_compact(poses):
    """Pickled, it is hardly more than its tracks; an item is smaller than one of its images."""
    tracks = sum(value.nbytes for value in vars(poses.scene).values() if torch.is_tensor(value))
    own = sum(value.nbytes for value in vars(poses).values() if torch.is_tensor(value))
    assert len(pickle.dumps(poses)) < 1.1 * (tracks + own) + 20_000
    image = 3 * 117 * 24 * 4
    assert sum(value.nbytes for value in poses[0].values()) < image
