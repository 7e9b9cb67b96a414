"""Film strips: the true future above the predicted one."""

import pytest
import torch

from tests.helpers import dense_recording
from tests.rollouts import TINY_MODEL, tiny_clips
from train.pictures import prediction_strip


@torch.no_grad()
def test_the_true_future_is_above_the_predicted_one():
    torch.manual_seed(0)
    clips = tiny_clips([dense_recording(per_lane=3, frames=60)])
    model, index = TINY_MODEL.build().eval(), torch.tensor([5, 40, 70])
    strip = prediction_strip(model, (clips, index), steps=4)
    rows, columns = model.raster.rows + 2, model.raster.columns + 2
    assert strip.shape == (3, 2 * 2 * rows, 4 * columns)
    assert strip.min() >= 0 and strip.max() <= 1
    # The picture of the second clip's third step: a grey frame, then the vehicles of that time.
    picture = strip[:, 2 * rows : 3 * rows, 2 * columns : 3 * columns]
    torch.testing.assert_close(picture[:, 0], torch.full_like(picture[:, 0], 0.6))
    torch.testing.assert_close(picture[:, :, -1], torch.full_like(picture[:, :, -1], 0.6))
    clip, ahead = clips.batch(index), torch.arange(1, 5) * model.frames_per_step
    poses = model.image_poses(clip.observation, clip.future[:, ahead - 1])
    true = clips.draw_vehicles(clip, ahead, poses)[1, 2]
    assert true.max() > 0.5
    torch.testing.assert_close(picture[1, 1:-1, 1:-1], true)
    predicted = strip[1, 3 * rows : 4 * rows, 2 * columns : 3 * columns][1:-1, 1:-1]
    assert predicted.sum() == pytest.approx(true.sum(), rel=0.5)
    assert not torch.equal(predicted, true)
