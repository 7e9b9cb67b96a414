"""Episodes in more recordings than fit into memory: every slot goes from group to group."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import UInt8
from torch import Tensor

from ppuu.recordings.recording import list_recordings, require_one_frame_rate

from ..core.scenario import NoScenarioError
from .episodes import (
    DenseTrafficConfig,
    EpisodeBatch,
    Episodes,
    Observations,
    Stepped,
    handed_out,
)
from .groups import GroupConfig
from .infos import with_names
from .reset_options import Start


def episode_batch(config: DenseTrafficConfig, envs: int) -> EpisodeBatch:
    """The recordings' episodes in so many slots, all in memory or in turns."""
    if config.in_groups is not None:
        return GroupedEpisodes(config, config.in_groups, envs)
    return config.episodes(envs, config.load())


@dataclass(eq=False)
class _Group:
    """A world in memory, and the slots that drive in it.

    Attributes:
        episodes: of the world.
        slots: of the environment, in the order of the rows of ``episodes``.
    """

    episodes: Episodes
    slots: list[int]

    def start(self, starts: Mapping[int, Start]) -> None:
        """Starts episodes in slots, of which some may be new here."""
        known = [slot for slot in starts if slot in self.slots]
        new = [slot for slot in starts if slot not in self.slots]
        if known:
            rows = [self.slots.index(slot) for slot in known]
            self.episodes.start(rows, [starts[slot] for slot in known])
        if new:
            self.episodes.add([starts[slot] for slot in new])
            self.slots = [*self.slots, *new]

    def keep(self, rows: Sequence[int]) -> None:
        """Forgets the slots of all other rows."""
        if rows:
            self.episodes.keep(rows)
        self.slots = [self.slots[row] for row in rows]


@dataclass(frozen=True)
class _Place:
    """Where a slot's next episode is.

    Attributes:
        turn: number of groups before.
        episode: number of episodes in the group before.
    """

    turn: int
    episode: int

    def after(self, episodes: int) -> _Place:
        """The place of the one after it."""
        last = self.episode + 1 == episodes
        return _Place(self.turn + 1, 0) if last else _Place(self.turn, self.episode + 1)


class GroupedEpisodes:
    """Episodes in several worlds; each slot counts its own, so a batch equals single ones.

    All slots go through the groups in the same order, and a group is in memory as long as a slot
    drives in it: as a rule one or two at a time, more where episodes differ much in length.  A
    slot that is given a seed begins with the first group again.

    Args:
        config: the environment's arguments.
        turns: when the next group comes.
        envs: number of slots.
    """

    def __init__(self, config: DenseTrafficConfig, turns: GroupConfig, envs: int):
        self._config, self._turns, self._envs = config, turns, envs
        self._stored = list_recordings(config.files)
        require_one_frame_rate(self._stored)
        self._next = [_Place(0, 0)] * envs
        self._groups: dict[int, _Group] = {}
        self._without_scenarios: set[int] = set()
        first = self._groups[self._loaded(0)].episodes
        self.action_space: spaces.Box = first.action_space
        self.observation_space: spaces.Dict = first.observation_space

    def _loaded(self, turn: int) -> int:
        """The first turn, from this one on, whose recordings have scenarios; its group is there.

        Raises:
            NoScenarioError: no recording has any.
        """
        last = turn + 2 * self._turns.groups(len(self._stored))
        while turn not in self._groups:
            if turn in self._without_scenarios:
                turn += 1
                continue
            try:
                self._groups[turn] = self._load(turn)
            except NoScenarioError:
                if turn == last:
                    raise
                self._without_scenarios.add(turn)
        return turn

    def _load(self, turn: int) -> _Group:
        numbers = self._turns.group(turn, len(self._stored))
        world = self._config.build([self._stored[number].load() for number in numbers])
        return _Group(self._config.episodes(0, world, numbers), [])

    @property
    def recording_names(self) -> tuple[str, ...]:
        """Of all groups."""
        return tuple(stored.name for stored in self._stored)

    @property
    def scenarios(self) -> int:
        """Of the first slot's group."""
        return self._group_of(0).episodes.scenarios

    @property
    def is_started(self) -> bool:
        """Whether there are episodes."""
        return bool(self._running)

    @property
    def _running(self) -> list[_Group]:
        return [group for group in self._groups.values() if group.slots]

    def _group_of(self, env: int) -> _Group:
        found = (group for group in self._running if env in group.slots)
        return next(found, next(iter(self._groups.values())))

    def rewind(self, envs: Sequence[int]) -> None:
        """Back to the first group."""
        for env in envs:
            self._next[env] = _Place(0, 0)

    def begin(
        self,
        envs: Sequence[int],
        random: Sequence[np.random.Generator],
        options: Mapping[str, Any] | None,
    ) -> None:
        """See ``EpisodeBatch``."""
        starts: dict[int, dict[int, Start]] = {}
        for env, generator in zip(envs, random, strict=True):
            turn = self._loaded(self._next[env].turn)
            if turn != self._next[env].turn:
                self._next[env] = _Place(turn, 0)
            start = self._groups[turn].episodes.choose(generator, options)
            starts.setdefault(turn, {})[env] = start
        for turn, chosen in starts.items():
            self._leave(chosen, turn)
            self._groups[turn].start(chosen)
        for env in envs:
            self._next[env] = self._next[env].after(self._turns.episodes)
        for turn in [turn for turn, group in self._groups.items() if not group.slots]:
            self._groups.pop(turn).episodes.close()

    def _leave(self, slots: Collection[int], turn: int) -> None:
        """Takes slots out of all groups but one."""
        for other, group in self._groups.items():
            staying = [row for row, slot in enumerate(group.slots) if slot not in slots]
            if other != turn and len(staying) < len(group.slots):
                group.keep(staying)

    def step(self, actions: Tensor) -> Stepped:
        """See ``EpisodeBatch``."""
        parts = [group.episodes.step(actions[group.slots]) for group in self._running]
        rewards, terminated, truncated = (self._join([part[k] for part in parts]) for k in range(3))
        terms = {name: self._join([part[3][name] for part in parts]) for name in parts[0][3]}
        return rewards, terminated, truncated, terms

    def observation(self) -> Observations:
        """See ``EpisodeBatch``."""
        parts = [group.episodes.observe() for group in self._running]
        joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        ordered = {name: values[self._order.tolist()] for name, values in joined.items()}
        return handed_out(ordered, self._config)

    def info(self, terms: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """See ``EpisodeBatch``; ``group`` is the number of groups before this one."""
        if self._config.info == "none":
            return {}
        parts = [group.episodes.numbers() for group in self._running]
        found = {name: self._join([part[name] for part in parts]) for name in parts[0]}
        turns = [turn for turn, group in self._groups.items() for _ in group.slots]
        found |= terms or {}
        found["group"] = np.array(turns)[self._order]
        return with_names(found, self.recording_names, self._config.info)

    @property
    def _order(self) -> np.ndarray:
        """Of the rows of all groups, one after the other, the row of each slot."""
        return np.argsort([slot for group in self._running for slot in group.slots])

    def _join(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Rows of all groups, in the order of the slots."""
        return np.concatenate(parts)[self._order]

    def picture(self, env: int) -> UInt8[np.ndarray, "rows columns 3"]:
        """See ``EpisodeBatch``."""
        group = self._group_of(env)
        return group.episodes.picture(group.slots.index(env))

    def close(self) -> None:
        """See ``EpisodeBatch``."""
        for group in self._groups.values():
            group.episodes.close()
