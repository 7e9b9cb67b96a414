"""``--config``: a run's ``config.json`` gives the same run again, bit for bit."""

import json

import pytest
import torch

import train.encoder
import train.policy
import train.value
import train.world_model
from ppuu.runtime.checkpoint import Checkpoint
from ppuu.runtime.command import run
from tests.helpers import dense_recording

SMALL = ["--batch", "2", "--loop.learning-rate", "0.007"]
COMMANDS = {
    "world_model": (train.world_model, ["--updates", "3", "--steps", "3"]),
    "coupled": (train.world_model, ["--updates", "2", "--steps", "2"]),
    "encoder": (train.encoder, ["--updates", "2", "--steps", "2"]),
    "value": (train.value, ["--updates", "3", "--network.steps", "2"]),
    "imitation": (train.policy, ["--updates", "3", "--unroll.starts.copies", "3"]),
    "mpur": (train.policy, ["--updates", "2", "--unroll.steps", "3"]),
    "mpur-without-uncertainty": (train.policy, ["--updates", "2", "--unroll.steps", "3"]),
}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "dense.h5"
    dense_recording(per_lane=4, frames=60).save(path)
    return path


@pytest.fixture(scope="module")
def world_model(recording, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "world_model"
    start(train.world_model, recording, out, "--preset", "debug", *SMALL, "--updates", "2")
    return out


def start(module, recording, out, *words):
    presets, options = getattr(module, "PRESETS", None), {}
    if presets is None:
        presets, options = module.OBJECTIVES, {"chosen_by": "objective", "default": "vicreg"}
    given = ["--recordings", recording, "--out", out, "--split", "all", "--device", "cpu", *words]
    run(module.main, [str(word) for word in given], presets, **options)


@pytest.mark.parametrize("kind", COMMANDS)
def test_the_same_configuration_is_the_same_run(recording, world_model, tmp_path, kind):
    module, words = COMMANDS[kind]
    other = []
    if module is train.policy:
        other = ["--method", kind]
        if kind != "imitation":
            other += ["--world-model", world_model]
    chosen = "--objective" if module is train.encoder else "--preset"
    preset = "coupled-debug" if kind == "coupled" else "debug"
    first, again = tmp_path / "first", tmp_path / "again"
    start(module, recording, first, chosen, preset, *SMALL, *words, *other)
    start(module, recording, again, "--config", first / "config.json", *other)
    configs = [json.loads((out / "config.json").read_text()) for out in (first, again)]
    assert configs[0] == configs[1]
    ours, theirs = Checkpoint.load(first), Checkpoint.load(again)
    assert ours.step == theirs.step
    for name, value in ours.model.items():
        torch.testing.assert_close(theirs.model[name], value, rtol=0, atol=0)
