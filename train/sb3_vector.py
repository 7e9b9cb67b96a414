"""What Stable-Baselines3 (extra ``baselines``) needs to train on the batched environment.

Stable-Baselines3 (Raffin et al., JMLR 2021) has vector environments of its own kind, and a network
for images that needs at least 36 x 36 pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor  # pyright: ignore[reportMissingImports]
from stable_baselines3.common.vec_env import VecEnv  # pyright: ignore[reportMissingImports]
from torch import Tensor, nn

from ppuu.runtime.errors import InputError


class BatchedVecEnv(VecEnv):
    """A Gymnasium ``VectorEnv`` with auto-reset ``same_step``, in Stable-Baselines3's terms.

    Infos are those of episodes that have just ended; during an episode they are empty.
    """

    def __init__(self, env: VectorEnv):
        if env.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
            raise InputError("make the environment with autoreset_mode='same_step'")
        self.env = env
        self._actions = np.zeros(0, np.float32)
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> dict[str, np.ndarray]:
        """Starts all episodes, with the seeds given to ``seed`` since the last time."""
        observation, _ = self.env.reset(seed=self._seeds)
        self._reset_seeds()
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        """Keeps the actions for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, list[dict]]:
        """Moves all episodes by one step."""
        observation, rewards, terminated, truncated, info = self.env.step(self._actions)
        ended = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for env in np.flatnonzero(ended):
            final = info["final_info"]
            infos[env] = {key: final[key][env] for key in final if not key.startswith("_")}
            infos[env]["terminal_observation"] = info["final_obs"][env]
            infos[env]["TimeLimit.truncated"] = bool(truncated[env] and not terminated[env])
        return observation, rewards.astype(np.float32), ended, infos

    def close(self) -> None:
        """Closes the environment."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """The same for every episode: they share one environment."""
        return [getattr(self.env, attr_name)] * len(self._chosen(indices))

    def set_attr(
        self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None
    ) -> None:
        """Refused: the episodes share one environment."""
        raise InputError(f"{attr_name} cannot be set; give it to gymnasium.make_vec")

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: int | Iterable[int] | None = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """MethodCaller a method of the shared environment, once."""
        result = getattr(self.env, method_name)(*method_args, **method_kwargs)
        return [result] * len(self._chosen(indices))

    def env_is_wrapped(
        self, wrapper_class: type, indices: int | Iterable[int] | None = None
    ) -> list[bool]:
        """No single episode is wrapped."""
        return [False] * len(self._chosen(indices))

    def _chosen(self, indices: int | Iterable[int] | None) -> list[int]:
        return list(self._get_indices(indices))


class RasterExtractor(BaseFeaturesExtractor):
    """Convolutions for images of any size; every other entry goes along as it is, scaled by its
    bounds.

    Args:
        observation_space: of the environment; Stable-Baselines3 has divided images by 255 already.
        image_features: numbers made of the image.
    """

    def __init__(self, observation_space: spaces.Dict, image_features: int = 128):
        image = observation_space.spaces.get("image")
        self._tables = {k: v for k, v in observation_space.spaces.items() if k != "image"}
        tables = sum(int(np.prod(space.shape)) for space in self._tables.values() if space.shape)
        super().__init__(observation_space, tables + (image_features if image else 0))
        self._convolutions = None
        if image is not None and image.shape is not None:
            self._convolutions = nn.Sequential(
                nn.Conv2d(image.shape[0], 32, 5, stride=2, padding=2), nn.ReLU(),
                nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.ReLU(),
                nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.ReLU(),
                nn.AdaptiveAvgPool2d((8, 3)), nn.Flatten(),
                nn.Linear(32 * 8 * 3, image_features), nn.ReLU(),
            )  # fmt: skip
        for name, space in self._tables.items():
            self.register_buffer(f"_limit_{name}", torch.as_tensor(_limits(space)))

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """``(batch, features)``."""
        parts = [
            (observations[name] / getattr(self, f"_limit_{name}")).flatten(1)
            for name in self._tables
        ]
        if self._convolutions is not None:
            parts.append(self._convolutions(observations["image"]))
        return torch.cat(parts, dim=1)


def _limits(space: spaces.Space) -> np.ndarray:
    """The largest absolute value of each number."""
    assert isinstance(space, spaces.Box)
    return np.maximum(np.abs(space.low), np.abs(space.high)).astype(np.float32)
