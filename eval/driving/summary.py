"""From episodes to the rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np

from ..metrics.comfort import BOUNDS
from ..statistics.intervals import mean, rate, ratio
from ..statistics.metric import Metric, Row
from ..statistics.paired import paired
from .episode_row import EpisodeRow
from .scenario_set import REPLAY

AVERAGED = (
    "progress", "completion", "smallest_ttc_s", "ttc_below_0_95_s", "ttc_below_1_5_s",
    "post_encroachment_s", "smallest_headway_s", "median_headway_s", "headway_below_1_s",
    "in_lane", "lane_offset_m", "rms_acceleration_mps2", "rms_jerk_mps3",
    "rms_curvature_rate_radpmps",
)  # fmt: skip
"""Columns of the episodes whose means are reported, over the episodes that have a finite value."""

FAILURES = ("collision", "offroad", "wrong_way", "missed", "stalled", "timeout")
"""Outcomes that are no success."""

_TRUE_FUTURE, _TRUE_REACTIONS = "planner:recorded", "planner:simulator"
_EXTRAPOLATIONS = ("planner:constant-velocity", "planner:constant-acceleration")

_SUCCESS_COLUMNS = (
    "name", "others", "variation", "success", "collision", "offroad", "missed", "stalled",
    "timeout", "distance_m",
)  # fmt: skip
_DRIVING_COLUMNS = (
    "name", "others", "variation", "success_alt", "progress", "ttc_below_1_5_s", "median_headway_s",
    "comfortable", "lane_changes_per_km", "speed_wasserstein_mps",
)  # fmt: skip


def summary(
    name: str, episodes: Sequence[EpisodeRow], others: str = REPLAY, variation: str = "none"
) -> Row:
    """One row of the table: rates with Wilson intervals, means with bootstrap intervals.

    Args:
        name: the policy's.
        episodes: all of it.
        others: name of the traffic.
        variation: name of the variation.
    """
    n = len(episodes)

    def fraction(test: Callable[[EpisodeRow], bool]) -> Metric:
        return rate(sum(map(test, episodes)), n)

    def average(column: str) -> Metric:
        values = [getattr(episode, column) for episode in episodes]
        return mean([value for value in values if value is not None and np.isfinite(value)])

    collided = [e for e in episodes if e.outcome == "collision"]
    not_struck = [e for e in episodes if not e.struck_from_behind]
    return {
        "name": name,
        "others": others,
        "variation": variation,
        "success": fraction(lambda e: e.succeeded),
        **{one: fraction(lambda e, one=one: e.outcome == one) for one in FAILURES},
        "distance_m": average("distance_m"),
        "mean_speed_mps": average("mean_speed_mps"),
        "collision_front": rate(sum(e.collision_kind == "front" for e in collided), n),
        "collision_rear": rate(sum(e.collision_kind == "rear" for e in collided), n),
        "collision_side": rate(sum(e.collision_kind == "side" for e in collided), n),
        "collision_at_fault": rate(sum(e.at_fault for e in collided), n),
        "success_or_struck_from_behind": fraction(lambda e: e.succeeded or e.struck_from_behind),
        "success_alt": rate(sum(e.succeeded for e in not_struck), len(not_struck)),
        "ttc_0_95_s_kept": fraction(lambda e: e.smallest_ttc_s >= 0.95),
        "post_encroachment_below_1_s": fraction(lambda e: e.post_encroachment_s < 1.0),
        **{column: average(column) for column in AVERAGED},
        **_comfort_rates(episodes),
        "lane_changes_per_km": _lane_changes_per_km(episodes),
    }


def _comfort_rates(episodes: Sequence[EpisodeRow]) -> dict[str, Metric]:
    kept = [bounds for episode in episodes if (bounds := episode.comfortable) is not None]
    return {
        "comfortable": rate(sum(all(bounds.values()) for bounds in kept), len(kept)),
        **{
            f"comfortable_{name}": rate(sum(bounds[name] for bounds in kept), len(kept))
            for name in BOUNDS
        },
    }


def _lane_changes_per_km(episodes: Sequence[EpisodeRow]) -> Metric:
    changes = [float(episode.lane_changes) for episode in episodes]
    return ratio(changes, [episode.distance_m / 1000.0 for episode in episodes])


def comparisons(
    episodes: Mapping[str, Sequence[EpisodeRow]], others: str, variation: str
) -> list[Row]:
    """The differences of every two policies, scenario by scenario.

    Args:
        episodes: of each policy, in the same scenarios among the same traffic.
        others: name of the traffic.
        variation: name of the variation.
    """
    world = {"others": others, "variation": variation}
    return [{**world, **_compared(episodes, pair)} for pair in combinations(episodes, 2)]


def discrimination(
    episodes: Mapping[str, Sequence[EpisodeRow]], others: str, variation: str
) -> list[Row]:
    """How well a test separates prediction from extrapolation: what knowing the future is worth.

    The planner with the true future (among others who react: with their true reactions) against
    the better of the planners that extrapolate; empty where one of them was not driven.

    Args:
        episodes, others, variation: as of ``comparisons``.
    """
    privileged = _TRUE_FUTURE if others == REPLAY else _TRUE_REACTIONS
    bounds = [name for name in episodes if name.startswith(privileged)]
    extrapolations = [name for name in episodes if name.startswith(_EXTRAPOLATIONS)]
    if not bounds or not extrapolations:
        return []

    def successes(name: str) -> int:
        return sum(episode.succeeded for episode in episodes[name])

    row = _compared(episodes, (bounds[0], max(extrapolations, key=successes)))
    row["name"] = f"discrimination: {row['name']}"
    return [{"others": others, "variation": variation, **row}]


def _compared(episodes: Mapping[str, Sequence[EpisodeRow]], pair: tuple[str, str]) -> Row:
    first, second = (episodes[name] for name in pair)
    success = [e.succeeded for e in first], [e.succeeded for e in second]
    distance_m = [e.distance_m for e in first], [e.distance_m for e in second]
    return paired(pair, success, distance_m)


def success_columns(row: Row) -> Row:
    """How often the policy succeeds: the columns that fit a terminal."""
    return {key: row[key] for key in _SUCCESS_COLUMNS if key in row}


def driving_columns(row: Row) -> Row:
    """How the policy drives: the columns that fit a terminal."""
    return {key: row[key] for key in _DRIVING_COLUMNS if key in row}
