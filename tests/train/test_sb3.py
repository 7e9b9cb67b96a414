"""PPO of Stable-Baselines3 on the environments, as they are and batched."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest

from envs.gym.vector import DenseTrafficVectorEnv
from ppuu.runtime.errors import InputError
from train import sb3

pytest.importorskip("stable_baselines3", reason="needs the extra 'baselines'")

from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env

from train.sb3_vector import BatchedVecEnv

ID = "envs:ppuu/Synthetic-v1"
TABLES = {"ego": True, "neighbours": True, "lidar": True}
WIDE = {"image": {"columns": 36, "channels": ["lanes", "vehicles", "offroad", "ego"]}, "ego": True}
"""Images large enough for the library's own network."""
TINY = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "seed": 0, "device": "cpu"}


@pytest.mark.parametrize("observation", [WIDE, TABLES])
def test_its_checker_has_nothing_to_say(observation):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # A table is no vector; its extractors flatten it.
        warnings.filterwarnings("ignore", message=".*neighbours has an unconventional shape")
        check_env(gymnasium.make(ID, observation=observation).unwrapped)


@pytest.mark.parametrize("observation", [WIDE, TABLES])
@pytest.mark.parametrize("count", [1, 2])
def test_it_trains_out_of_the_box(observation, count):
    env = make_vec_env(ID, n_envs=count, env_kwargs={"observation": observation})
    model = PPO("MultiInputPolicy", env, **TINY)
    model.learn(32)
    assert model.num_timesteps == 32
    env.close()


def test_it_trains_on_the_batched_environment():
    settings = {"observation": {"image": True, **TABLES}}
    model = sb3.learner(PPO, ID, 4, settings, **TINY)
    before = [p.detach().clone() for p in model.policy.features_extractor.parameters()]
    model.learn(64)
    after = model.policy.features_extractor.parameters()
    assert all((a != b).any() for a, b in zip(after, before, strict=True))


def test_the_batched_environment_gives_what_single_ones_give():
    settings = {"observation": TABLES, "distance_m": 40.0}
    batched = BatchedVecEnv(
        gymnasium.make_vec(ID, num_envs=3, autoreset_mode="same_step", **settings)
    )
    singles = make_vec_env(ID, n_envs=3, env_kwargs=settings)
    batched.seed(3)
    singles.seed(3)
    found, expected = batched.reset(), singles.reset()
    random, endings = np.random.default_rng(0), 0
    for _ in range(80):
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, atol=1e-3, err_msg=name)
        actions = random.uniform([-0.2, -0.05], [1.0, 0.05], (3, 2)).astype(np.float32)
        found, rewards, ended, infos = batched.step(actions)
        expected, their_rewards, their_ended, their_infos = singles.step(actions)
        np.testing.assert_allclose(rewards, their_rewards, atol=1e-4)
        np.testing.assert_array_equal(ended, their_ended)
        for env in np.flatnonzero(ended):
            endings += 1
            theirs = their_infos[env]
            assert infos[env]["outcome"] == theirs["outcome"]
            assert infos[env]["TimeLimit.truncated"] == theirs["TimeLimit.truncated"]
            for name, values in theirs["terminal_observation"].items():
                np.testing.assert_allclose(
                    infos[env]["terminal_observation"][name], values, atol=1e-3
                )
    assert endings >= 3


def test_the_wrong_auto_reset_is_refused():
    with pytest.raises(InputError, match="same_step"):
        BatchedVecEnv(DenseTrafficVectorEnv(2, "envs:synthetic.h5", observation=TABLES))


def test_the_command(tmp_path, capsys):
    sb3.main(tmp_path / "run", steps=256, envs=16, rollout=16, observation='{"ego": true}')
    assert (tmp_path / "run" / "ppo.zip").is_file()
    assert (tmp_path / "run" / "run.json").is_file()
    assert "256 steps" in capsys.readouterr().out
    with pytest.raises(InputError, match="no JSON"):
        sb3.main(tmp_path / "run", observation="ego")
