"""``ppuu/DenseTraffic-v1``: driving one recorded vehicle's way through its traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import torch

from ppuu.runtime.errors import InputError

from .closing import check_open
from .episodes import DenseTrafficConfig, NamesOfCodes, Observations, read_actions
from .grouped_episodes import episode_batch
from .render import FRAMES_PER_SECOND


class DenseTrafficEnv(NamesOfCodes, gymnasium.Env):
    """A view of a simulator with one episode.

    ## Description
    Each episode puts the agent in the place of one recorded vehicle; all others repeat the
    recording, or move as ``others`` says.  It has to get as far along the human's path as the human
    did (215 m by default) without a collision and, if ``task`` says so, into another lane.

    ## Action space
    ``Box(-1, 1, (2,), float32)``: acceleration in units of 6 m/s², curvature of the path in units
    of 0.065 1/m, positive to the left.  Speeds never fall below zero.

    ## Observation space
    A ``Dict`` of what ``observation`` asks for, by default ``image`` (four frames of lane lines,
    other vehicles, off-road) and ``ego`` (its history and size); ``neighbours``, ``lidar`` and
    ``goal`` are the other choices.  See the classes in ``envs.observations``.

    ## Rewards
    The weighted sum of ``envs.gym.reward``'s terms; each weighted term is in ``info`` as
    ``reward/<name>``.

    ## Starting state
    A scenario drawn at random, or one that fits ``reset``'s options
    (``envs.gym.reset_options.choose_start``); the ego starts with the human's pose and speed, and
    one second of history.

    ## Episode end
    Terminated: collision of boxes, the box's centre and a flank off the road, a second of facing
    the wrong way, or the end of the route (in the task's lane or not).  Truncated: time limit, or
    the end of the recording before 90 % of the human's progress.  The time limit is the
    environment's own, so none is registered.

    ## Arguments
    See ``envs.gym.episodes.DenseTrafficConfig``; ``recording`` is required, except for sites.

    ## Version history
    - v1: success is progress along the route; other rewards, outcomes and limits.
    - v0: first release.
    """

    _config: type[DenseTrafficConfig] = DenseTrafficConfig
    metadata = {"render_modes": ["rgb_array"], "render_fps": FRAMES_PER_SECOND}

    def __init__(
        self, recording: str | Sequence[str], render_mode: str | None = None, **settings: Any
    ):
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise InputError(f"render_mode {render_mode!r}: only 'rgb_array' (or None) is there")
        self.render_mode = render_mode
        self._episodes = episode_batch(self._config(recording, **settings), 1)
        self._closed = False
        self.action_space = self._episodes.action_space
        self.observation_space = self._episodes.observation_space

    @property
    def scenarios(self) -> int:
        """How many scenarios ``reset`` chooses from."""
        return self._episodes.scenarios

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Starts an episode."""
        check_open(self._closed, "reset")
        super().reset(seed=seed)
        if seed is not None:
            self._episodes.rewind([0])
        self._episodes.begin([0], [self.np_random], options)
        return self._observation(), _first(self._episodes.info())

    def step(
        self, action: np.ndarray | torch.Tensor
    ) -> tuple[Observations, float, bool, bool, dict[str, Any]]:
        """Moves the ego by one frame of the recording (0.1 s)."""
        check_open(self._closed, "step")
        if not self._episodes.is_started:
            raise InputError("step before reset: call reset() first")
        actions = read_actions(torch.as_tensor(action)[None], 1)
        rewards, terminated, truncated, terms = self._episodes.step(actions)
        return (
            self._observation(),
            float(rewards[0]),
            bool(terminated[0]),
            bool(truncated[0]),
            _first(self._episodes.info(terms)),
        )

    def render(self) -> np.ndarray | None:
        """The scene from above, ``(rows, columns, 3)`` uint8; None without a render mode."""
        check_open(self._closed, "render")
        if self.render_mode is None:
            return None
        return self._episodes.picture(0)

    def close(self) -> None:
        """Releases SUMO's processes, if there are any; nothing else can be called afterwards."""
        if not self._closed:
            self._episodes.close()
            self._closed = True

    def _observation(self) -> Observations:
        return {key: value[0] for key, value in self._episodes.observation().items()}


def _first(info: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Plain Python scalars of the first episode."""
    return {key: values[:1].tolist()[0] for key, values in info.items()}
