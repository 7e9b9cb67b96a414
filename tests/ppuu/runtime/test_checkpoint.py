"""Checkpoints: whole or not at all, and one line about whatever is wrong with one."""

import os
import pickle

import pytest
import torch

from ppuu.loading.runs import load_policy, load_world_model
from ppuu.policies import NetworkPolicyConfig
from ppuu.policies.features import PixelsConfig
from ppuu.runtime.checkpoint import FILE_NAME, Checkpoint
from ppuu.runtime.config import to_json
from ppuu.runtime.errors import InputError
from tests.rollouts import TINY_MODEL, TINY_OBSERVATION


def one(step=7, kind="policy"):
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    training = {"optimizer": optimizer.state_dict(), "torch": torch.get_rng_state()}
    return Checkpoint(kind, {"a": [1, 2.5, None]}, module.state_dict(), step, training)


def refused(path, *words, kind=None):
    with pytest.raises(InputError) as error:
        Checkpoint.load(path, kind)
    assert "\n" not in str(error.value)
    for word in (str(path), *words):
        assert word in str(error.value)


def test_round_trip(tmp_path):
    before = one()
    path = tmp_path / "run" / FILE_NAME
    before.save(path)
    for after in (Checkpoint.load(path), Checkpoint.load(path.parent, "policy")):
        assert (after.kind, after.config, after.step) == (before.kind, before.config, 7)
        for key, value in before.model.items():
            torch.testing.assert_close(after.model[key], value, rtol=0, atol=0)
        torch.testing.assert_close(after.training["torch"], before.training["torch"])
        ours = before.training["optimizer"]["state"][0]["exp_avg"]
        torch.testing.assert_close(after.training["optimizer"]["state"][0]["exp_avg"], ours)
    assert os.listdir(path.parent) == [FILE_NAME]


def rewritten(path, **changes):
    content = torch.load(path, weights_only=True)
    torch.save(content | changes, path)


def test_equal_checkpoints_are_equal_files(tmp_path):
    """Whatever they are called, so that content can tell whether a run has changed."""
    checkpoint = Checkpoint("policy", {}, {"weight": torch.ones(2)}, 1, {})
    paths = [tmp_path / name for name in ("a.pt", "another.pt")]
    for path in paths:
        checkpoint.save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / FILE_NAME
    refused(path, "no such checkpoint")
    with pytest.raises(InputError, match="no such checkpoint"):
        Checkpoint.load(tmp_path)
    one().save(path)
    refused(path, "holds a policy, not a world_model", kind="world_model")
    content = torch.load(path, weights_only=True)
    torch.save({key: value for key, value in content.items() if key != "model"}, path)
    refused(path, "'model' is missing")
    rewritten(path, version=99)
    refused(path, "version 99")
    rewritten(path, format="other")
    refused(path, "not a ppuu checkpoint")
    path.write_text("hello")
    refused(path, "not a readable checkpoint")
    path.write_bytes(b"")
    refused(path, "not a readable checkpoint")
    torch.save([1, 2], path)
    refused(path, "not a ppuu checkpoint")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_checkpoints_are_refused(tmp_path, share):
    path = tmp_path / FILE_NAME
    one().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "not a readable checkpoint")


class _Evil:
    def __reduce__(self):
        return (os.mkdir, ("owned",))


def test_no_code_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": "ppuu-checkpoint", "version": 1, "kind": _Evil()}, tmp_path / "evil.pt")
    refused(tmp_path / "evil.pt", "not a readable checkpoint")
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(_Evil(), protocol=2))
    refused(tmp_path / "evil.pkl", "not a readable checkpoint")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("there_already", [False, True])
def test_a_failed_save_leaves_no_trace(tmp_path, monkeypatch, there_already):
    path = tmp_path / FILE_NAME
    if there_already:
        one(step=1).save(path)

    def fails(content, file):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", fails)
    with pytest.raises(OSError, match="space"):
        one(step=2).save(path)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ([FILE_NAME] if there_already else [])
    if there_already:
        assert Checkpoint.load(path).step == 1


def test_a_policy_is_rebuilt_from_its_checkpoint_alone(tmp_path):
    config = NetworkPolicyConfig(PixelsConfig(TINY_OBSERVATION, (4, 4, 4)), 8)
    policy = config.build()
    policy.normalizer.ego_mean.fill_(3.0)
    identity = {"policy": to_json(config)}
    Checkpoint("policy", identity, policy.state_dict(), 1, {}).save(tmp_path / FILE_NAME)
    again = load_policy(tmp_path)
    assert again.config == config
    assert not again.training
    for key, value in policy.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=0, atol=0)
    with pytest.raises(InputError, match="holds a policy, not a world_model"):
        load_world_model(tmp_path)


def test_a_world_model_is_rebuilt_from_its_checkpoint_alone(tmp_path):
    model = TINY_MODEL.build()
    identity = {"model": to_json(TINY_MODEL)}
    Checkpoint("world_model", identity, model.state_dict(), 1, {}).save(tmp_path / FILE_NAME)
    again = load_world_model(tmp_path)
    assert again.config == TINY_MODEL
    assert not any(parameter.requires_grad for parameter in again.parameters())
    for key, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=0, atol=0)
