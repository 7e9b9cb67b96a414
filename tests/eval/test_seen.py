"""Evaluation follows the split manifest and warns of frames that a model was trained on."""

import json

import numpy as np
import pytest

import eval.closed_loop
import eval.open_loop.__main__
from data.splits import Part, data_identity, divide, window
from ppuu.policies import NetworkPolicyConfig
from ppuu.policies.features import PixelsConfig
from ppuu.runtime.checkpoint import FILE_NAME, Checkpoint
from ppuu.runtime.config import to_json
from ppuu.runtime.errors import InputError
from tests.helpers import dense_recording
from tests.rollouts import TINY_MODEL, TINY_OBSERVATION


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A recording, its manifest by vehicle, and a policy and a model trained on its start."""
    folder = tmp_path_factory.mktemp("seen")
    recording = dense_recording(per_lane=4, frames=700)
    recording.save(folder / "dense.h5")
    divide([recording], "vehicle").save(folder / "split.json")
    policy = NetworkPolicyConfig(PixelsConfig(TINY_OBSERVATION, (4, 4, 4)), 8)
    data = data_identity([(recording.content_hash, Part(window(recording, "train")))])
    for kind, key, config in (("policy", "policy", policy), ("world_model", "model", TINY_MODEL)):
        identity = {key: to_json(config), "data": {"recordings": data}}
        checkpoint = Checkpoint(kind, identity, config.build().state_dict(), 1, {})
        (folder / kind).mkdir()
        checkpoint.save(folder / kind / FILE_NAME)
    return folder


@pytest.mark.parametrize(("split", "seen"), [("test", []), ("train", ["dense"])])
def test_closed_loop_warns_of_what_a_policy_has_seen(files, tmp_path, capsys, split, seen):
    out = tmp_path / "closed.json"
    drivers = ("idm", str(files / "policy"))
    eval.closed_loop.main(drivers, (files / "dense.h5",), out, split=split, limit=1)
    config = json.loads(out.read_text())["config"]
    assert config["seen_in_training"] == {"idm": [], "policy": seen}
    warned = "warning: policy was trained on frames of dense" in capsys.readouterr().err
    assert warned == bool(seen)


@pytest.mark.parametrize(("split", "seen"), [("test", []), ("train", ["dense"])])
def test_open_loop_warns_of_what_a_model_has_seen(files, tmp_path, capsys, split, seen):
    out = tmp_path / "open.json"
    eval.open_loop.__main__.main(
        (files / "world_model",), (files / "dense.h5",), out, split=split, clips=2, horizon_s=1.2,
        futures=1,
    )  # fmt: skip
    assert json.loads(out.read_text())["config"]["seen_in_training"] == {"world_model": seen}
    assert ("warning: world_model" in capsys.readouterr().err) == bool(seen)


def test_only_the_split_s_vehicles_drive(files, tmp_path):
    out = tmp_path / "closed.json"
    eval.closed_loop.main(
        ("idm",), (files / "dense.h5",), out, split="test", split_manifest=files / "split.json"
    )
    recording = dense_recording(per_lane=4, frames=700)
    manifest = divide([recording], "vehicle")
    egos = manifest.part(recording, "test").egos
    driven = np.genfromtxt(
        tmp_path / "closed.episodes.csv", delimiter=",", names=True, dtype=None, encoding=None
    )
    assert set(np.atleast_1d(driven["vehicle_id"])) <= set(recording.vehicle_id[egos])
    assert json.loads(out.read_text())["config"]["split_manifest"] == manifest.digest


def test_a_recording_that_the_manifest_does_not_know_is_refused(files, tmp_path):
    dense_recording(per_lane=2, frames=700).save(tmp_path / "other.h5")
    with pytest.raises(InputError, match="not in the split manifest"):
        eval.closed_loop.main(
            ("idm",), (tmp_path / "other.h5",), split_manifest=files / "split.json"
        )
