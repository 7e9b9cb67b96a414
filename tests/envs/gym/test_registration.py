"""Every id: found, checked, seeded, and the same in workers however they are started."""

from __future__ import annotations

import importlib
import json
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec, registry
from gymnasium.utils.env_checker import check_env

import envs
from envs.gym.sites import SITES, locate
from ppuu.recordings.recording import Recording
from ppuu.runtime.errors import InputError
from tests.helpers import dense_recording

SYNTHETIC = "envs:ppuu/Synthetic-v1"
TABLES = {"ego": True, "neighbours": True, "lidar": True}

STARTS = [1052, 1034, 1037]
"""Vehicles of the first three episodes of Synthetic-v1 after ``reset(seed=7)``."""
SEEN = [45.2884, 24.4278]
"""Of the first observation: mean of the image, and speed."""


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A folder with a recording for each site that needs one."""
    monkeypatch.setenv("PPUU_DATA", str(tmp_path))
    for site in SITES:
        if not locate_or_none(site.recording):
            dense_recording(frames=80).save(tmp_path / site.recording.removeprefix("$PPUU_DATA/"))
    return tmp_path


def locate_or_none(recording):
    try:
        (file,) = locate(recording)
    except InputError:
        return None
    return file


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.id)
@pytest.mark.parametrize("disabled", [False, True])
def test_every_id_is_made_without_arguments(prepared, site, disabled):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with gymnasium.make(f"envs:{site.id}", disable_env_checker=disabled) as env:
            observation, info = env.reset(seed=0)
            assert observation in env.observation_space
            env.step(env.action_space.sample())
            check_env(env.unwrapped, skip_render_check=disabled)


def test_a_missing_recording_is_named_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("PPUU_DATA", str(tmp_path))
    with pytest.raises(InputError) as caught:
        gymnasium.make("envs:ppuu/I80-v1")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{tmp_path / 'i80.h5'}: no such file; ppuu/I80-v1 needs it")
    assert message.endswith(f"--site i80 --out {tmp_path / 'i80.h5'}")


def test_a_spec_holds_no_path_of_this_machine():
    for site in SITES:
        text = gymnasium.spec(site.id).to_json()
        assert json.loads(text)["kwargs"] == {"recording": site.recording}
        assert EnvSpec.from_json(text) == gymnasium.spec(site.id)
        assert pickle.loads(pickle.dumps(gymnasium.spec(site.id))) == gymnasium.spec(site.id)


def test_registering_twice_changes_nothing():
    before = dict(registry)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importlib.reload(envs)
    assert dict(registry) == before
    assert {site.id for site in SITES} | {"ppuu/DenseTraffic-v1"} <= before.keys()


def test_the_shipped_recording_is_the_one_its_command_makes():
    (file,) = locate("envs:synthetic.h5")
    assert file.stat().st_size < 300_000
    recording = Recording.load(file)
    assert recording.content_hash == (
        "4965b21b1ca781f69eb81a50b7972933be8a905d4fccddcdcbdc521dc8e42457"
    )
    made = recording.provenance
    assert (made["preset"]["name"], made["seconds"], made["seed"]) == ("weave", 20, 0)


def vehicles(env, seed):
    first = env.reset(seed=seed)[1]["vehicle_id"]
    return [first] + [env.reset()[1]["vehicle_id"] for _ in range(2)]


def test_a_seed_means_the_same_episodes_for_ever():
    with gymnasium.make(SYNTHETIC) as env:
        assert vehicles(env, 7) == STARTS
        vehicles(env, 8)
        assert vehicles(env, 7) == STARTS
        observation, _ = env.reset(seed=7)
    found = [observation["image"].mean(), observation["ego"][-3]]
    np.testing.assert_allclose(found, SEEN, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_workers_drive_the_same_episodes(context):
    """They start with an empty registry; imports and seeds must do."""
    batch = gymnasium.make_vec(
        SYNTHETIC, num_envs=2, vectorization_mode="async", vector_kwargs={"context": context},
        observation=TABLES,
    )  # fmt: skip
    singles = [gymnasium.make(SYNTHETIC, observation=TABLES) for _ in range(2)]
    try:
        found, info = batch.reset(seed=7)
        expected = [env.reset(seed=7 + slot) for slot, env in enumerate(singles)]
        actions = np.array([[0.1, 0.0], [-0.2, 0.01]], np.float32)
        for _ in range(3):
            for slot, (observation, plain) in enumerate(expected):
                assert info["vehicle_id"][slot] == plain["vehicle_id"]
                for name, value in observation.items():
                    np.testing.assert_array_equal(found[name][slot], value)
            found, _, _, _, info = batch.step(actions)
            steps = [env.step(action) for env, action in zip(singles, actions, strict=True)]
            expected = [(step[0], step[4]) for step in steps]
    finally:
        batch.close()


@pytest.mark.parametrize("mode", ["next_step", "same_step", "disabled"])
def test_wrappers_for_vectors_work_in_every_mode(mode):
    batch = gymnasium.make_vec(SYNTHETIC, num_envs=2, observation=TABLES, autoreset_mode=mode)
    wrapped = gymnasium.wrappers.vector.RecordEpisodeStatistics(batch)
    wrapped.reset(seed=0)
    for _ in range(3):
        _, rewards, *_ = wrapped.step(np.zeros((2, 2), np.float32))
    assert rewards.shape == (2,)
