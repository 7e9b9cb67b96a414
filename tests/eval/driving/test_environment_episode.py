"""Episodes recorded through the environment: what it returns when its steps are repeated."""

import numpy as np
import pytest

from envs.gym.dense_traffic import DenseTrafficEnv
from envs.gym.episodes import DenseTrafficConfig, Episodes
from eval.driving.environment_episode import drive_environment
from ppuu.loading.policy_names import policy_by_name
from tests.helpers import Car, straight_recording


@pytest.fixture
def settings(tmp_path):
    """Without a lane change the first runs into the second; two drive behind each other."""
    path = tmp_path / "four.h5"
    cars = [
        Car(0.0, speed_mps=12.0, lane=1, to_lane=2, change_frame=15),
        Car(40.0, speed_mps=4.0, lane=1),
        Car(0.0),
        Car(30.0, frames=70),
    ]
    straight_recording(cars, frames=90).save(path)
    return {"recording": str(path)}


@pytest.mark.parametrize("slots", [2, 16])
@pytest.mark.parametrize(
    ("name", "outcomes"), [("human", {"arrived"}), ("no-action", {"collision", "arrived"})]
)
def test_the_environment_repeats_every_episode(settings, name, outcomes, slots):
    episodes = []
    config = DenseTrafficConfig(**settings)
    environment = Episodes(config, slots, config.load())
    drive_environment(policy_by_name(name), environment, slots, episodes.append)
    env = DenseTrafficEnv(**settings)
    assert sorted(episode.scenario for episode in episodes) == list(range(env.scenarios))
    assert {episode.outcome for episode in episodes} == outcomes
    for episode in episodes:
        observation, _ = env.reset(options={"scenario": episode.scenario})
        steps = len(episode.actions)
        assert len(episode.rewards) == steps and len(episode.images) == steps + 1
        for t in range(steps + 1):
            difference = observation["image"].astype(int) - episode.images[t].astype(int)
            assert np.abs(difference).max() <= 1
            np.testing.assert_allclose(observation["ego"], episode.ego[t], atol=1e-5)
            if t < steps:
                assert episode.actions[t] in env.action_space
                observation, reward, terminated, truncated, info = env.step(episode.actions[t])
                assert reward == pytest.approx(episode.rewards[t], abs=1e-6)
                assert (terminated or truncated) == (t == steps - 1)
        outcome = env.outcome_names[info["outcome"]]
        assert (terminated, outcome) == (episode.terminated, episode.outcome)
