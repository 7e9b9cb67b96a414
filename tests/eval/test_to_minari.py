"""Recorded driving as a Minari dataset: what comes back is what the environment gave."""

import sys

import gymnasium
import numpy as np
import pytest
import torch

from envs.gym.dense_traffic import DenseTrafficEnv
from eval import to_minari
from eval.driving import minari_dataset
from ppuu.loading.policy_names import policy_by_name
from ppuu.objectives.imitation import imitation_loss
from ppuu.policies import NetworkPolicyConfig
from ppuu.policies.features import PixelsConfig
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from tests.helpers import Car, dense_recording, straight_recording
from train.batches.demonstrations import demonstrations

minari = pytest.importorskip("minari", reason="minari is not installed: pip install -e '.[minari]'")

CARS = [
    Car(0.0, lane=1, speed_mps=25.0, to_lane=2, change_frame=30),
    Car(40.0, speed_mps=22.0, frames=100),
    Car(80.0, lane=1, speed_mps=22.0),
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


@pytest.fixture
def file(tmp_path):
    """Two cars drive the 215 m to the goal; the one between them does not, and is no scenario."""
    path = tmp_path / "three.h5"
    straight_recording(CARS, frames=130).save(path)
    return path


def export(file, dataset_id="road/human-v0", **options):
    words = ["--recordings", str(file), "--dataset-id", dataset_id, "--split", "all"]
    for name, value in options.items():
        words += [f"--{name}", value]
    run(to_minari.main, words)


def test_the_environment_repeats_every_episode(file, capsys):
    export(file)
    assert "minari.load_dataset('road/human-v0')" in capsys.readouterr().out
    dataset = minari.load_dataset("road/human-v0")
    env = dataset.recover_environment().unwrapped
    assert isinstance(env, DenseTrafficEnv)
    assert dataset.total_episodes == env.scenarios == 2
    metadata = list(dataset.storage.get_episode_metadata(dataset.episode_indices))
    assert {m["vehicle_id"] for m in metadata} == {100, 102}
    for facts, episode in zip(metadata, dataset, strict=True):
        assert facts["outcome"] == "arrived" and facts["recording"] == "straight"
        observation, info = env.reset(options=facts["options"])
        assert info["vehicle_id"] == facts["vehicle_id"]
        assert info["frame"] == facts["start_frame"]
        assert_same(observation, episode.observations, 0)
        for t, action in enumerate(episode.actions):
            assert action in dataset.action_space
            observation, reward, terminated, truncated, _ = env.step(action)
            assert_same(observation, episode.observations, t + 1)
            assert observation in dataset.observation_space
            assert reward == pytest.approx(episode.rewards[t], abs=1e-6)
            assert (terminated, truncated) == (episode.terminations[t], episode.truncations[t])
        assert terminated and len(episode.actions) == facts["total_steps"]


def assert_same(observation, stored, t):
    """Bit for bit; batches of another size may round the last bit of a pixel differently."""
    difference = observation["image"].astype(int) - stored["image"][t].astype(int)
    assert np.abs(difference).max() <= 1
    np.testing.assert_allclose(observation["ego"], stored["ego"][t], atol=1e-5)


def test_more_episodes_than_slots(tmp_path):
    path = tmp_path / "dense.h5"
    recording = dense_recording(per_lane=3, frames=60)
    recording.save(path)
    settings = {"recording": str(path), "minimum_frames": 20}
    policy = policy_by_name("human")
    minari_dataset.write_dataset("few-v0", settings, policy, "human", slots=2)
    minari_dataset.write_dataset("many-v0", settings, policy, "human", slots=9)
    few, many = minari.load_dataset("few-v0"), minari.load_dataset("many-v0")
    assert few.total_episodes == many.total_episodes == recording.vehicles
    by_scenario = {int(m["options"]["scenario"]): m["id"] for m in metadata_of(few)}
    assert sorted(by_scenario) == list(range(recording.vehicles))
    for facts in metadata_of(many):
        twin = few[by_scenario[int(facts["options"]["scenario"])]]
        own = many[facts["id"]]
        np.testing.assert_allclose(twin.rewards, own.rewards, atol=1e-6)
        np.testing.assert_allclose(twin.observations["ego"], own.observations["ego"], atol=1e-5)
        assert not own.truncations.any() and own.terminations.nonzero()[0].tolist() == [48]


def metadata_of(dataset):
    return list(dataset.storage.get_episode_metadata(dataset.episode_indices))


def test_demonstrations_are_in_metres_and_seconds(file):
    export(file)
    stored = minari.load_dataset("road/human-v0")
    for demonstration, episode in zip(demonstrations("road/human-v0"), stored, strict=True):
        images, ego = episode.observations["image"][:-1], episode.observations["ego"][:-1]
        seen = demonstration.observation
        assert seen.images.shape == (len(episode.actions), 4, 3, 117, 24)
        pixels = (seen.images * 255.0).round().to(torch.uint8).flatten(1, 2).numpy()
        np.testing.assert_array_equal(pixels, images)
        np.testing.assert_allclose(seen.ego_features.numpy(), ego, atol=1e-5)
        np.testing.assert_array_equal(demonstration.rewards, episode.rewards)
        assert demonstration.terminated
        # The action carried out is the change of speed observed: m/s2, not shares of the bound.
        speed = episode.observations["ego"][:, 15]
        np.testing.assert_allclose(demonstration.actions[:, 0], np.diff(speed) / 0.1, atol=1e-3)
    lane_changer = next(iter(demonstrations("road/human-v0")))
    assert 1e-4 < lane_changer.actions[:, 1].abs().max() < 0.05


def test_a_policy_learns_from_demonstrations(file):
    export(file)
    torch.manual_seed(0)
    policy = NetworkPolicyConfig(PixelsConfig(channels=(8, 8, 8)), hidden=16).build()
    first, *_ = demonstrations("road/human-v0")
    policy.normalizer.fit(first.actions, first.observation.ego_features)
    optimiser = torch.optim.Adam(policy.parameters(), 3e-3)
    losses = []
    for _ in range(15):
        loss = imitation_loss(policy, first.observation, first.actions).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_a_dataset_appears_whole_or_not_at_all(file, folder, monkeypatch):
    buffer, count = minari_dataset._buffer, 0

    def fails_at_the_second(episode):
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return buffer(episode)

    monkeypatch.setattr(minari_dataset, "_buffer", fails_at_the_second)
    with pytest.raises(SystemExit):
        export(file)
    assert count == 2
    assert not [path for path in folder.rglob("*") if path.suffix == ".hdf5"]
    monkeypatch.setattr(minari_dataset, "_buffer", buffer)
    export(file)
    assert minari.load_dataset("road/human-v0").total_episodes == 2


@pytest.mark.parametrize(
    "dataset_id, message",
    [("human", "with a version at the end"), ("road/hu man-v0", "with a version at the end")],
)
def test_names_that_minari_refuses(file, dataset_id, message, capsys):
    with pytest.raises(SystemExit):
        export(file, dataset_id)
    assert message in capsys.readouterr().err


def test_mistakes_are_one_line(file, tmp_path, capsys):
    export(file)
    with pytest.raises(SystemExit):
        export(file)
    error = capsys.readouterr().err
    assert "exists already" in error and error.count("\n") == 1
    other = tmp_path / "longer.h5"
    straight_recording(CARS, frames=900, road_m=30000.0, name="longer").save(other)
    straight_recording(CARS, frames=700, road_m=30000.0).save(file)
    with pytest.raises(InputError, match="export them one by one"):
        to_minari.main((file, other), "road/both-v0", split="train")
    with pytest.raises(InputError, match="not found locally"):
        next(demonstrations("road/absent-v0"))


def test_datasets_of_another_environment_are_refused():
    from minari.data_collector.episode_buffer import EpisodeBuffer

    episode = EpisodeBuffer(
        observations=np.zeros((3, 4), np.float32), actions=np.zeros(2, np.int64),
        rewards=np.zeros(2), terminations=np.array([False, True]), truncations=np.zeros(2, bool),
    )  # fmt: skip
    with pytest.warns(UserWarning, match="highly recommended"):
        minari.create_dataset_from_buffers("cart-v0", [episode], env=gymnasium.spec("CartPole-v1"))
    with pytest.raises(InputError, match="of CartPole-v1, not of"):
        next(demonstrations("cart-v0"))


def test_without_minari_the_cure_is_named(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(InputError, match=r"pip install -e '\.\[minari\]'"):
        to_minari.main((file,), "road/human-v0", split="all")
    with pytest.raises(InputError, match=r"pip install -e '\.\[minari\]'"):
        next(demonstrations("road/human-v0"))
