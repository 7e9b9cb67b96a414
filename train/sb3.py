"""``python -m train.sb3``: PPO of Stable-Baselines3 on an environment of this package.

An example of training without a world model, and a baseline to beat.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from ppuu.runtime.command import run
from ppuu.runtime.device import choose_device
from ppuu.runtime.errors import InputError
from ppuu.runtime.packages import import_extra
from ppuu.runtime.provenance import RunRecord


def main(
    out: Path,
    env: str = "ppuu/Synthetic-v1",
    recordings: tuple[Path, ...] = (),
    observation: str = '{"ego": true, "neighbours": true}',
    reward: str = "{}",
    steps: int = 200_000,
    envs: int = 16,
    rollout: int = 256,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Trains PPO and writes OUT/ppo.zip, which ``stable_baselines3.PPO.load`` reads.

    Args:
        out: folder of the results; TensorBoard's logs go there, too.
        env: an id of this package.
        recordings: files, where the id needs one or others are wanted.
        observation: the environment's argument, as JSON.
        reward: weights of the reward's terms, as JSON.
        steps: of all episodes together.
        envs: episodes side by side.
        rollout: steps of each between two updates of the network.
        seed: of environment and network.
        device: where the network computes: auto (a GPU if there is one), cpu, cuda, …
    """
    ppo = import_extra("stable_baselines3", "baselines").PPO
    settings = {
        "observation": _json(observation, "--observation"),
        "reward": _json(reward, "--reward"),
    }
    if recordings:
        settings["recording"] = [str(path) for path in recordings]
    options = {"n_steps": rollout, "batch_size": 256, "tensorboard_log": str(out)}
    options["device"] = choose_device(device)
    model = learner(ppo, f"envs:{env}", envs, settings, seed=seed, **options)
    out.mkdir(parents=True, exist_ok=True)
    record, began_s = RunRecord(out), time.monotonic()
    record.start({"env": env, "envs": envs, "settings": settings, "seed": seed, "steps": steps})
    model.learn(steps)
    model.save(out / "ppo.zip")
    record.save(model.num_timesteps, time.monotonic() - began_s)
    ended = [episode for episode in model.ep_info_buffer or [] if "is_success" in episode]
    success = np.mean([episode["is_success"] for episode in ended]) if ended else float("nan")
    print(
        f"{out / 'ppo.zip'}: {model.num_timesteps} steps; of the last {len(ended)} training "
        f"episodes {success:.0%} succeeded"
    )


def learner(ppo: Any, env: str, envs: int, settings: dict[str, Any], **arguments: Any) -> Any:
    """PPO on a batch of episodes.

    Args:
        ppo: ``stable_baselines3.PPO``.
        env: id, with the package that registers it.
        envs: episodes side by side.
        settings: arguments of the environment.
        arguments: of ``ppo``.
    """
    from stable_baselines3.common.vec_env import VecMonitor  # pyright: ignore[reportMissingImports]

    from .sb3_vector import BatchedVecEnv, RasterExtractor

    batch = gymnasium.make_vec(env, num_envs=envs, autoreset_mode="same_step", **settings)
    monitored = VecMonitor(BatchedVecEnv(batch), info_keywords=("is_success", "outcome"))
    extractor = {"features_extractor_class": RasterExtractor}
    return ppo("MultiInputPolicy", monitored, policy_kwargs=extractor, **arguments)


def _json(text: str, option: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{option} {text}: no JSON ({error})") from None
    if not isinstance(value, dict):
        raise InputError(f'{option} {text}: not a JSON object like {{"ego": true}}')
    return value


if __name__ == "__main__":
    run(main)
