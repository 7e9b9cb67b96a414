"""Episodes as the Gymnasium environment presents them, recorded while they are driven."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from envs.core.simulator import Simulator, StepResult
from envs.core.termination import Outcome
from envs.gym.episodes import Episodes
from envs.gym.reward import Before
from ppuu.kinematics import ActionBounds
from ppuu.perception.observation import Observation
from ppuu.perception.privileged_state import PrivilegedState
from ppuu.policies import Policy

from .episode_loop import drive_episodes
from .observer import EpisodeObserver


@dataclass(eq=False)
class EnvironmentEpisode:
    """Observations, actions and rewards of one episode of ``T`` steps.

    Attributes:
        scenario: its number in the environment; ``reset(options={"scenario": …})`` starts it.
        images: ``T + 1`` uint8 arrays ``(history_frames * 3, rows, columns)``.
        ego: ``T + 1`` float32 arrays, the ego's history.
        actions: ``T`` float32 arrays ``(2,)`` in [-1, 1].
        rewards: ``T`` numbers.
        outcome: its name.
        terminated: whether the episode was terminated; else it was truncated.
    """

    scenario: int
    images: list[np.ndarray] = field(default_factory=list)
    ego: list[np.ndarray] = field(default_factory=list)
    actions: list[np.ndarray] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    outcome: str = "running"
    terminated: bool = False

    def append(self, observation: dict[str, np.ndarray], slot: int) -> None:
        """Appends one slot of a batched observation."""
        self.images.append(observation["image"][slot])
        self.ego.append(observation["ego"][slot])


def drive_environment(
    policy: Policy,
    environment: Episodes,
    slots: int,
    write: Callable[[EnvironmentEpisode], None],
    label: str = "",
) -> None:
    """Drives every scenario of an environment once and writes each episode when it has ended.

    Actions are rounded to the environment's action space before they are carried out, so the
    recorded actions are those that had an effect.

    Args:
        policy: the driver.
        environment: gives observations, rewards and endings.
        slots: largest number of episodes driven at a time; all of them are held in memory.
        write: takes the episodes.
        label: shown beside the progress bar.
    """
    simulator = environment.simulator
    rounded = _RoundedActions(policy, ActionBounds().largest(torch.zeros(1)))
    recorder = _EnvironmentRecorder(environment, rounded, write)
    drive_episodes(rounded, simulator, environment.world.scenarios, slots, [recorder], label)


class _RoundedActions(Policy):
    """A policy whose actions are those that the environment's action space can express.

    Attributes:
        scaled: ``(batch, 2)`` the last actions in [-1, 1].
    """

    scaled: Float[Tensor, "batch 2"]

    def __init__(self, policy: Policy, largest: Float[Tensor, "2"]):
        self.observation, self.privileged = policy.observation, policy.privileged
        self._policy, self._largest = policy, largest

    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """The policy's actions, as the environment carries them out."""
        actions = self._policy.act(observation, privileged_state) / self._largest
        self.scaled = actions.clamp(-1.0, 1.0).float()
        return self.scaled * self._largest

    def reset(self, episodes: Tensor) -> None:
        """Resets the policy."""
        self._policy.reset(episodes)


class _EnvironmentRecorder(EpisodeObserver):
    """Records the episodes of an environment whose simulator the loop drives."""

    def __init__(
        self,
        environment: Episodes,
        policy: _RoundedActions,
        write: Callable[[EnvironmentEpisode], None],
    ):
        self._environment, self._policy, self._write = environment, policy, write
        self._running: dict[int, EnvironmentEpisode] = {}

    def begin(
        self, simulator: Simulator, slots: Int[Tensor, " n"], episodes: Int[Tensor, " n"]
    ) -> None:
        del simulator
        observation = self._environment.observation()
        for slot, episode in zip(slots.tolist(), episodes.tolist(), strict=True):
            self._running[slot] = EnvironmentEpisode(episode)
            self._running[slot].append(observation, slot)

    def decide(self, simulator: Simulator, policy: Policy) -> None:
        del policy
        self._before = Before.of(simulator)

    def step(self, simulator: Simulator, result: StepResult) -> None:
        del simulator
        rewards, terminated, _, _ = self._environment.transition(self._before, result)
        observation, actions = self._environment.observation(), self._policy.scaled.numpy()
        for slot, episode in self._running.items():
            episode.append(observation, slot)
            episode.actions.append(actions[slot])
            episode.rewards.append(float(rewards[slot]))
            episode.terminated = bool(terminated[slot])

    def end(
        self, simulator: Simulator, slots: Int[Tensor, " n"], episodes: Int[Tensor, " n"]
    ) -> None:
        del episodes
        for slot in slots.tolist():
            episode = self._running.pop(slot)
            episode.outcome = Outcome(int(simulator.outcome[slot])).name.lower()
            self._write(episode)
