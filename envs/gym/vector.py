"""Many episodes of ``ppuu/DenseTraffic-v1`` in one simulator, as a Gymnasium ``VectorEnv``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from ppuu.runtime.errors import InputError

from .closing import check_open
from .episodes import DenseTrafficConfig, NamesOfCodes, Observations, read_actions
from .grouped_episodes import episode_batch
from .render import FRAMES_PER_SECOND


class DenseTrafficVectorEnv(NamesOfCodes, VectorEnv):
    """The batched twin of ``DenseTrafficEnv``: equal to N of them in a ``SyncVectorEnv``.

    **What happens at an episode's end** is chosen by ``autoreset_mode``:

    - ``next_step`` (default, as Gymnasium's own): the step after the last one ignores the action,
      starts a new episode and returns its first observation with reward 0;
    - ``same_step``: the last step already returns the new episode's first observation; the last
      one is in ``info["final_obs"]``, its info in ``info["final_info"]``;
    - ``disabled``: nothing happens; the caller resets with
      ``reset(options={"reset_mask": mask})`` before the next step.

    Args:
        num_envs: number of episodes at once.
        recording: an HDF5 recording, or several.
        autoreset_mode: see above; a string, so that it fits into a spec, or the enum.
        render_mode: ``rgb_array`` or None.
        settings: see ``envs.gym.episodes.DenseTrafficConfig``.
    """

    _config: type[DenseTrafficConfig] = DenseTrafficConfig

    def __init__(
        self,
        num_envs: int,
        recording: str | Sequence[str],
        autoreset_mode: str | AutoresetMode = "next_step",
        render_mode: str | None = None,
        **settings: Any,
    ):
        if num_envs < 1:
            raise InputError(f"num_envs is {num_envs}; at least one is needed")
        if render_mode not in (None, "rgb_array"):
            raise InputError(f"render_mode {render_mode!r}: only 'rgb_array' (or None) is there")
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.mode = _autoreset_mode(autoreset_mode)
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": FRAMES_PER_SECOND,
            "autoreset_mode": self.mode,
        }
        self._episodes = episode_batch(self._config(recording, **settings), num_envs)
        self.single_action_space = self._episodes.action_space
        self.single_observation_space = self._episodes.observation_space
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._generators = [seeding.np_random(None) for _ in range(num_envs)]
        self._ended = np.zeros(num_envs, bool)

    @property
    def np_random(self) -> tuple[np.random.Generator, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The generator of each episode, as in Gymnasium's own vector environments."""
        return tuple(generator for generator, _ in self._generators)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What each of the generators was seeded with."""
        return tuple(seed for _, seed in self._generators)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Observations, dict[str, Any]]:
        """Starts episodes in all slots, or where ``options["reset_mask"]`` is True.

        Args:
            seed: one for each slot, or a number from which they count up.
            options: ``reset_mask`` and what ``DenseTrafficEnv.reset`` takes.
        """
        check_open(self.closed, "reset")
        options = dict(options or {})
        mask = options.pop("reset_mask", np.ones(self.num_envs, bool))
        if not isinstance(mask, np.ndarray) or mask.shape != (self.num_envs,) or mask.dtype != bool:
            raise InputError(f"reset: reset_mask must be a bool array of {self.num_envs}")
        if not self._episodes.is_started and not mask.all():
            raise InputError("reset: the first one must start all episodes; leave reset_mask out")
        if seed is None:
            seeds = [None] * self.num_envs
        elif isinstance(seed, int | np.integer):
            seeds = [int(seed) + k for k in range(self.num_envs)]
        else:
            seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise InputError(f"reset: {len(seeds)} seeds for {self.num_envs} environments")
        envs = np.flatnonzero(mask)
        seeded = [env for env in envs.tolist() if seeds[env] is not None]
        for env in seeded:
            self._generators[env] = seeding.np_random(seeds[env])
        self._episodes.rewind(seeded)
        self._begin(envs, options)
        self._ended[envs] = False
        return self._episodes.observation(), _with_masks(self._episodes.info(), mask)

    def step(
        self, actions: np.ndarray | Tensor
    ) -> tuple[Observations, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Moves all episodes by one frame; see the class for what happens to those that end."""
        check_open(self.closed, "step")
        if not self._episodes.is_started:
            raise InputError("step before reset: call reset() first")
        if self.mode == AutoresetMode.DISABLED and self._ended.any():
            raise gymnasium.error.ResetNeeded(
                "an episode has ended: call reset(options={'reset_mask': mask}) before step"
            )
        episodes = self._episodes
        restarted = self._ended.copy()
        actions = read_actions(actions, self.num_envs)
        rewards, terminated, truncated, terms = episodes.step(actions)
        terminated, truncated = terminated & ~restarted, truncated & ~restarted
        ended = terminated | truncated
        info: dict[str, Any] = {}
        if self.mode == AutoresetMode.SAME_STEP and ended.any():
            final = episodes.observation()
            final_obs = np.full(self.num_envs, None, object)
            for env in np.flatnonzero(ended):
                final_obs[env] = {key: values[env] for key, values in final.items()}
            info["final_obs"], info["_final_obs"] = final_obs, ended.copy()
            info["final_info"] = _with_masks(episodes.info(terms), ended)
            info["_final_info"] = ended.copy()
            restarted, self._ended = ended, np.zeros(self.num_envs, bool)
        else:
            self._ended = ended
        self._begin(np.flatnonzero(restarted), {})
        # A fresh episode has earned nothing yet, under whatever name.
        if restarted.any():
            terms = {name: np.where(restarted, 0.0, values) for name, values in terms.items()}
        info |= _with_masks(episodes.info(terms), np.ones(self.num_envs, bool))
        return episodes.observation(), rewards, terminated, truncated, info

    def _begin(self, envs: np.ndarray, options: Mapping[str, Any]) -> None:
        if len(envs):
            self._episodes.begin(envs.tolist(), [self._generators[env][0] for env in envs], options)

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Every episode from above; None without a render mode."""
        check_open(self.closed, "render")
        if self.render_mode is None:
            return None
        return tuple(self._episodes.picture(env) for env in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """Releases SUMO's processes, if there are any."""
        self._episodes.close()


def _autoreset_mode(mode: str | AutoresetMode) -> AutoresetMode:
    if isinstance(mode, AutoresetMode):
        return mode
    modes = {member.name.lower(): member for member in AutoresetMode}
    if mode not in modes:
        raise InputError(f"autoreset_mode {mode!r}: choose one of {', '.join(modes)}")
    return modes[mode]


def _with_masks(info: Mapping[str, np.ndarray], mask: np.ndarray) -> dict[str, np.ndarray]:
    """Gymnasium's vector infos: 0, False or None where the mask of the same name is False."""
    masked = {}
    everywhere = bool(mask.all())
    for key, values in info.items():
        if everywhere:
            masked[key] = values
        else:
            masked[key] = values.copy()
            masked[key][~mask] = None if values.dtype == object else 0
        masked[f"_{key}"] = mask.copy()
    return masked
