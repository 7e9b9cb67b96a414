"""What comes with the package: two runs without the state that resuming needs."""

import json

import pytest
import torch

from ppuu.loading.runs import load_policy, load_world_model
from ppuu.policies import NetworkPolicyConfig
from ppuu.policies.features import TracksConfig
from ppuu.runtime import pretrained
from ppuu.runtime.checkpoint import FILE_NAME, Checkpoint
from ppuu.runtime.config import to_json
from ppuu.runtime.errors import InputError
from ppuu.world_models.tokens import TokensConfig
from tests.runs import saved_world_model
from train.publish import main


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder in place of the package's own."""
    folder = tmp_path / "pretrained_runs"
    monkeypatch.setattr(pretrained, "FOLDER", folder)
    monkeypatch.setattr(pretrained, "HASHES", folder / "hashes.json")
    return folder


def saved_policy(directory, seed=0):
    config = NetworkPolicyConfig(TracksConfig(hidden=8, heads=2), hidden=16)
    torch.manual_seed(seed)
    weights = config.build().state_dict()
    training = {"optimizer": {"state": {}}}
    directory.mkdir()
    Checkpoint("policy", {"policy": to_json(config)}, weights, 1, training).save(
        directory / FILE_NAME
    )
    return directory


def test_published_runs_are_found_by_their_name_and_checked(tmp_path, package):
    world_model = saved_world_model(tmp_path / "world", TokensConfig(hidden=16, pair=8))
    policy = saved_policy(tmp_path / "policy")
    main(world_model, policy)
    assert set(json.loads((package / "hashes.json").read_text())) == {"world_model", "policy"}
    for kind, load, source in (
        ("world_model", load_world_model, world_model), ("policy", load_policy, policy)
    ):  # fmt: skip
        published, trained = load(pretrained.NAME).state_dict(), load(source).state_dict()
        assert all(torch.equal(published[key], trained[key]) for key in trained)
        assert Checkpoint.load(pretrained.NAME, kind).training == {}
    # Another run replaces the first, hash and all.
    main(world_model, saved_policy(tmp_path / "other", seed=1))
    assert not torch.equal(
        next(load_policy(pretrained.NAME).parameters()), next(load_policy(policy).parameters())
    )
    with (package / "policy.pt").open("ab") as file:
        file.write(b"0")
    with pytest.raises(InputError, match=r"policy.pt: damaged"):
        load_policy(pretrained.NAME)


def test_runs_in_each_others_place_are_refused(tmp_path, package):
    policy = saved_policy(tmp_path / "policy")
    with pytest.raises(InputError, match="holds a policy, not a world_model"):
        main(policy, policy)
    assert not (package / "hashes.json").exists()
