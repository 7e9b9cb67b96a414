"""From episodes to a row: rates add up, and what is not defined does not count."""

import math
from typing import get_type_hints

import pytest

from eval.driving.episode_row import EpisodeRow
from eval.driving.summary import FAILURES, comparisons, discrimination, summary
from eval.statistics.metric import Metric


def episode(**changes):
    numbers = {
        name: 1.0 for name, kind in get_type_hints(EpisodeRow).items() if kind not in (str, bool)
    }
    words = {
        "policy": "x",
        "others": "replay",
        "variation": "none",
        "recording": "r",
        "collision_kind": "none",
    }
    row = {**numbers, **words, "outcome": "arrived", "at_fault": False, "distance_m": 100.0}
    return EpisodeRow(**{**row, **changes})


def test_rates_add_up():
    episodes = [
        episode(),
        episode(distance_m=200.0),
        episode(outcome="arrived"),
        episode(outcome="collision", collision_kind="front", at_fault=True),
        episode(outcome="collision", collision_kind="rear"),
        episode(outcome="collision", collision_kind="side", at_fault=True),
        episode(outcome="offroad"),
        episode(outcome="timeout"),
    ]
    row = summary("x", episodes)
    fractions = {key: metric.value for key, metric in row.items() if isinstance(metric, Metric)}
    assert fractions["success"] == 3 / 8
    kinds = ("success", *FAILURES)
    assert sum(fractions[kind] for kind in kinds) == 1.0
    for kind in ("front", "rear", "side"):
        assert (row[f"collision_{kind}"].value, row[f"collision_{kind}"].n) == (1 / 8, 8)
    assert fractions["success_or_struck_from_behind"] == 4 / 8
    assert (fractions["success_alt"], row["success_alt"].n) == (3 / 7, 7)
    assert fractions["collision_at_fault"] == 2 / 8
    assert row["distance_m"].value == pytest.approx(112.5)
    assert (row["name"], row["others"]) == ("x", "replay")
    for name in fractions:
        assert row[name].low <= row[name].value <= row[name].high
    assert math.isnan(summary("x", [])["success"].value)


def test_what_could_not_be_measured_does_not_count():
    whole = episode(median_headway_s=2.0, smallest_ttc_s=3.0, largest_acceleration_mps2=9.0)
    empty = episode(median_headway_s=None, smallest_ttc_s=math.inf, largest_jerk_mps3=None)
    row = summary("x", [whole, empty])
    assert (row["median_headway_s"].value, row["median_headway_s"].n) == (2.0, 1)
    assert (row["smallest_ttc_s"].value, row["smallest_ttc_s"].n) == (3.0, 1)
    assert (row["comfortable"].value, row["comfortable"].n) == (0.0, 1)
    assert row["comfortable_jerk"].value == 1.0
    assert row["lane_changes_per_km"].value == pytest.approx(2 / 0.2)


def test_policies_are_compared_scenario_by_scenario():
    good = [episode(distance_m=200.0), episode(distance_m=100.0)]
    bad = [episode(distance_m=50.0, outcome="collision"), episode(distance_m=100.0)]
    third = [episode(distance_m=0.0, outcome="offroad"), episode(distance_m=90.0)]
    rows = comparisons({"good": good, "bad": bad, "third": third}, "reactive", "none")
    assert [row["name"] for row in rows] == ["good - bad", "good - third", "bad - third"]
    assert (rows[0]["others"], rows[0]["variation"]) == ("reactive", "none")
    assert (rows[0]["only_first"], rows[0]["only_second"]) == (1, 0)
    assert rows[0]["success_difference"].value == 0.5
    assert rows[0]["distance_difference_m"].value == pytest.approx(75.0)


def test_discrimination_is_the_true_future_minus_the_best_extrapolation():
    def drives(*outcomes):
        return [episode(outcome="arrived" if arrived else "collision") for arrived in outcomes]

    episodes = {
        "human": drives(1, 1, 1, 1),
        "planner:constant-velocity": drives(0, 0, 0, 1),
        "planner:constant-acceleration": drives(1, 0, 0, 1),
        "planner:recorded": drives(1, 1, 0, 1),
        "planner:simulator,replan_every=6": drives(1, 1, 1, 1),
    }
    (replayed,) = discrimination(episodes, "replay", "none")
    (reacting,) = discrimination(episodes, "reactive:mixed", "none")
    assert replayed["name"] == "discrimination: planner:recorded - planner:constant-acceleration"
    assert replayed["success_difference"].value == 0.25
    assert reacting["success_difference"].value == 0.5
    assert not discrimination({"human": episodes["human"]}, "replay", "none")
