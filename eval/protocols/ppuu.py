"""Evaluation by the rules of PPUU (Henaff et al., 2019), for comparison with published numbers.

What is reproduced, what is not and why: docs/protocol-ppuu.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ppuu.policies import Policy

from ..driving.episode_loop import drive_episodes
from ..driving.scenario_set import ScenarioSet
from ..statistics.intervals import mean, rate
from ..statistics.metric import Metric, Row
from .ppuu_episode import PpuuEpisode
from .ppuu_recorder import PpuuRecorder
from .ppuu_scenarios import replayed_set
from .screen import Screens

_SHORT = (
    "name", "success", "success_alt", "collision", "offroad", "timeout", "steps", "distance_m",
)  # fmt: skip


def evaluate_ppuu(
    policies: Mapping[str, Policy],
    scenario_set: ScenarioSet,
    slots: int = 64,
    limit: int | None = None,
) -> tuple[list[Row], list[PpuuEpisode], str]:
    """Drives every policy in the same episodes.

    Args:
        policies: by name.
        scenario_set: recordings and parts; the rules list scenarios of their own.
        slots: largest number of episodes driven at a time.
        limit: largest number of scenarios; None for all.

    Returns:
        A row for each policy, all episodes, and the digest of the list of scenarios.

    Raises:
        InputError: the recordings do not suit the rules.
    """
    replayed, screens = replayed_set(scenario_set)
    rows: list[Row] = []
    episodes: list[PpuuEpisode] = []
    for name, policy in policies.items():
        driven = drive_ppuu(policy, name, replayed, screens, slots, limit)
        rows.append(summary_ppuu(name, driven))
        episodes.extend(driven)
    return rows, episodes, replayed.scenarios.digest


def drive_ppuu(
    policy: Policy,
    name: str,
    replayed: ScenarioSet,
    screens: Screens,
    slots: int = 64,
    limit: int | None = None,
) -> list[PpuuEpisode]:
    """Drives one policy in the scenarios of a replayed set; see ``replayed_set``."""
    scenarios = replayed.scenarios.spread(limit)
    recorder = PpuuRecorder(name, replayed, screens, scenarios)
    drive_episodes(policy, replayed.simulator(policy), scenarios, slots, [recorder], name)
    return recorder.episodes()


def summary_ppuu(name: str, episodes: Sequence[PpuuEpisode]) -> Row:
    """One row of the table: rates with Wilson intervals, means with bootstrap intervals."""
    n = len(episodes)

    def ended(outcome: str) -> Metric:
        return rate(sum(e.outcome == outcome for e in episodes), n)

    return {
        "name": name,
        "success": rate(sum(e.success for e in episodes), n),
        "success_alt": rate(sum(e.success_alt for e in episodes), n),
        "collision": ended("collision"),
        "collision_alt": rate(sum(e.alt_outcome == "collision" for e in episodes), n),
        "ahead_collision": rate(sum(e.ahead_collision for e in episodes), n),
        "offroad": ended("offroad"),
        "timeout": ended("timeout"),
        "steps": mean([e.steps for e in episodes]),
        "distance_m": mean([e.distance_m for e in episodes]),
        "distance_px": mean([e.distance_px for e in episodes]),
        "proximity": mean([e.mean_proximity for e in episodes]),
    }


def short_row_ppuu(row: Row) -> Row:
    """The columns that fit a terminal."""
    return {key: row[key] for key in _SHORT}
