"""An agent of Stable-Baselines3 drives here as it drives in the environment."""

import json

import gymnasium
import numpy as np
import pytest
import torch

from envs.core.termination import Outcome
from envs.gym.dense_traffic import DenseTrafficEnv
from eval.driving.decision import choose_action
from eval.driving.drivers import policies_by_label
from eval.driving.scenario_set import ScenarioSet
from ppuu.runtime.errors import InputError
from tests.helpers import Car, dense_recording, straight_recording

baselines = pytest.importorskip("stable_baselines3", reason="needs the extra 'baselines'")

OBSERVED = [{"ego": True, "neighbours": True}, {"image": {"columns": 36}, "ego": True}]


@pytest.mark.parametrize("observation", OBSERVED)
def test_it_drives_as_in_the_environment(tmp_path, observation):
    file = tmp_path / "dense.h5"
    dense_recording().save(file)
    settings = {"recording": str(file), "observation": observation}
    env = gymnasium.make("envs:ppuu/DenseTraffic-v1", **settings)
    model = baselines.PPO("MultiInputPolicy", env, n_steps=16, batch_size=16, seed=0, device="cpu")
    archive = tmp_path / "agent.zip"
    model.save(archive)
    if "neighbours" not in observation:
        record = {"config": {"settings": settings}}
        (tmp_path / "run.json").write_text(json.dumps(record))
    policy = policies_by_label([str(archive)])["agent.zip"]
    scenario_set = ScenarioSet.load([file], "all", policies=[policy])
    simulator = scenario_set.simulator(policy)
    simulator.reset(scenario_set.scenarios[:5])
    while not bool(simulator.done.all()):
        simulator.step(choose_action(policy, simulator))
    single = DenseTrafficEnv(**settings)
    for scenario in range(5):
        seen, info = single.reset(options={"scenario": scenario})
        assert info["start_frame"] == scenario_set.scenarios.start_frame[scenario]
        while info["outcome"] == Outcome.RUNNING:
            action, _ = model.predict(seen, deterministic=True)
            seen, *_, info = single.step(np.clip(action, -1, 1))
        assert info["outcome"] == simulator.outcome[scenario]
        driven = torch.tensor(info["distance_m"], dtype=torch.float32)
        torch.testing.assert_close(driven, simulator.distance_m[scenario], atol=1e-2, rtol=0)


def test_what_does_not_fit_is_refused(tmp_path):
    file, archive = tmp_path / "cars.h5", tmp_path / "agent.zip"
    straight_recording([Car(0.0), Car(40.0, lane=1)], frames=200).save(file)
    archive.write_bytes(b"no archive")
    with pytest.raises(InputError, match="no agent of Stable-Baselines3"):
        policies_by_label([str(archive)])
    settings = {"recording": str(file), "observation": {"ego": True}, "history_frames": 6}
    env = gymnasium.make("envs:ppuu/DenseTraffic-v1", **settings)
    model = baselines.PPO("MultiInputPolicy", env, n_steps=16, batch_size=16, device="cpu")
    model.save(archive)
    policy = policies_by_label([str(archive)])["agent.zip"]
    scenario_set = ScenarioSet.load([file], "all", policies=[policy])
    with pytest.raises(InputError, match=r"trained on ego of shape \(26,\)"):
        scenario_set.simulator(policy)
