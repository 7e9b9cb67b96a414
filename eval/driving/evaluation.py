"""Policies in the same scenarios: a table, comparisons and all episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from ppuu.policies import Policy, RecordedHuman

from ..metrics.distributions import distances
from ..metrics.drives import Drives
from ..metrics.recorder import MetricsRecorder
from ..statistics.metric import Row
from .episode_loop import drive_episodes
from .episode_row import EpisodeRow, episode_rows
from .scenario_set import REPLAY, ScenarioSet
from .summary import comparisons, discrimination, summary

HUMAN = "human"
"""Name of the recorded driver's row."""

MOST_SLOTS = {"sumo": 8}
"""Largest number of episodes driven at a time, by traffic: SUMO runs one process for each."""


def drive(
    policy: Policy,
    name: str,
    scenario_set: ScenarioSet,
    others: str = REPLAY,
    slots: int = 64,
    limit: int | None = None,
) -> Drives:
    """Logs a policy in the set's scenarios, or in ``limit`` of them spread evenly over the list.

    Args:
        policy: the driver.
        name: its name.
        scenario_set: where it drives.
        others: name of the traffic.
        slots: largest number of episodes driven at a time.
        limit: largest number of scenarios; None for all.
    """
    scenarios = scenario_set.scenarios.spread(limit)
    slots = min(slots, len(scenarios), MOST_SLOTS.get(others.partition(":")[0], slots))
    recorder = MetricsRecorder(scenario_set.roads, len(scenarios), slots, scenario_set.scene.dt_s)
    simulator = scenario_set.simulator(policy, others)
    drive_episodes(policy, simulator, scenarios, slots, [recorder], f"{name}, others: {others}")
    return recorder.drives()


def evaluate(
    policies: Mapping[str, Policy],
    others: Sequence[str],
    scenario_sets: Sequence[ScenarioSet],
    slots: int = 64,
    limit: int | None = None,
) -> tuple[list[Row], list[Row], list[EpisodeRow]]:
    """Drives every policy among every traffic in every scenario set.

    Args:
        policies: by name.
        others: names of traffics.
        scenario_sets: the same scenarios in several variations; the recorded world first, since
            the distances to human driving are measured there.
        slots: largest number of episodes driven at a time.
        limit: largest number of scenarios of a set; None for all.

    Returns:
        A row for each, comparisons of every two policies, and all episodes.
    """
    human = drive(RecordedHuman(), HUMAN, scenario_sets[0], REPLAY, slots, limit)
    rows: list[Row] = []
    compared: list[Row] = []
    episodes: list[EpisodeRow] = []
    for scenario_set, traffic in product(scenario_sets, others):
        variation = scenario_set.variation.name
        recorded_world = scenario_set is scenario_sets[0] and traffic == REPLAY
        by_policy: dict[str, list[EpisodeRow]] = {}
        for name, policy in policies.items():
            known = recorded_world and isinstance(policy, RecordedHuman)
            drives = human if known else drive(policy, name, scenario_set, traffic, slots, limit)
            by_policy[name] = episode_rows(drives, name, traffic, scenario_set)
            episodes.extend(by_policy[name])
            row = summary(name, by_policy[name], traffic, variation)
            rows.append({**row, **distances(drives, human)})
        compared.extend(discrimination(by_policy, traffic, variation))
        compared.extend(comparisons(by_policy, traffic, variation))
    return rows, compared, episodes
