"""Film strips of models that observe no images."""

import cv2
import numpy as np
import torch

from data.clips.clips import Clips
from data.splits import FrameWindow
from eval.reports.prediction_strips import prediction_strips
from ppuu.perception.observation import ObservationConfig
from ppuu.world_models import ConstantVelocity, tracks_spec
from tests.helpers import dense_recording


def test_the_present_is_drawn_for_people():
    recording = dense_recording()
    config = ObservationConfig(vehicles=8, images=False)
    clips = Clips([recording], [FrameWindow(0, recording.frames)], config, 9)
    model = ConstantVelocity(tracks_spec(config))
    png = prediction_strips({"cv": model}, clips, torch.arange(2), 3)
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture.std() > 10
