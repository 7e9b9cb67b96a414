"""The runs that come with the package."""

import json

import pytest

from ppuu.loading.policy_names import policy_by_name
from ppuu.loading.runs import load_policy, load_world_model
from ppuu.runtime import pretrained
from ppuu.runtime.checkpoint import Checkpoint
from ppuu.runtime.errors import InputError


def test_the_name_is_a_run_of_either_kind():
    model, policy = load_world_model("pretrained"), load_policy("pretrained")
    assert model.observation.fits(policy.config.observation)
    assert pretrained.is_run("pretrained")
    assert type(policy_by_name("pretrained")) is type(policy)
    assert policy_by_name("planner:pretrained").source.predictor.step_s == model.step_s


def test_they_are_small_and_say_how_they_came_about():
    for kind in ("world_model", "policy"):
        assert pretrained.file_of(kind).stat().st_size < 4 * 2**20
        checkpoint = Checkpoint.load("pretrained", kind)
        assert checkpoint.config["data"] and not checkpoint.training
    assert "python -m train.policy" in (pretrained.FOLDER / "README.md").read_text()


def test_a_changed_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    monkeypatch.setattr(pretrained, "HASHES", tmp_path / "hashes.json")
    with pytest.raises(InputError, match="no pretrained policy"):
        load_policy("pretrained")
    (tmp_path / "policy.pt").write_bytes(b"other")
    (tmp_path / "hashes.json").write_text(json.dumps({"policy": "0" * 64}))
    with pytest.raises(InputError, match="damaged"):
        load_policy("pretrained")
