"""One episode's measures, as a row of the episodes file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.core.termination import CollisionKind, Outcome

from ..metrics.comfort import BOUNDS, comfort
from ..metrics.drives import Drives
from ..metrics.headway import headway
from ..metrics.lanes import lane_keeping
from ..metrics.progress import progress
from ..metrics.safety import safety
from .scenario_set import ScenarioSet
from .success import SUCCESSES


@dataclass(frozen=True)
class EpisodeRow:
    """One policy in one scenario; docs/metrics.md defines the columns.

    None where a measure is not defined, inf where no vehicle ever came near.
    """

    policy: str
    others: str
    variation: str
    recording: str
    vehicle_id: int
    start_frame: int
    outcome: str
    collision_kind: str
    at_fault: bool
    distance_m: float
    human_distance_m: float
    progress: float | None
    completion: float | None
    duration_s: float
    mean_speed_mps: float
    smallest_clearance_m: float
    smallest_ttc_s: float
    ttc_below_0_95_s: float
    ttc_below_1_5_s: float
    post_encroachment_s: float
    smallest_headway_s: float
    median_headway_s: float | None
    headway_below_1_s: float | None
    hardest_braking_mps2: float
    smallest_acceleration_mps2: float | None
    largest_acceleration_mps2: float | None
    largest_lateral_acceleration_mps2: float | None
    largest_longitudinal_jerk_mps3: float | None
    largest_jerk_mps3: float | None
    largest_yaw_rate_radps: float | None
    largest_yaw_acceleration_radps2: float | None
    rms_acceleration_mps2: float | None
    rms_jerk_mps3: float | None
    rms_curvature_rate_radpmps: float | None
    in_lane: float
    lane_offset_m: float | None
    lane_changes: int

    @property
    def succeeded(self) -> bool:
        """Whether the outcome is a success."""
        return self.outcome in SUCCESSES

    @property
    def struck_from_behind(self) -> bool:
        """Whether another vehicle ran into the ego's rear."""
        return self.outcome == "collision" and not self.at_fault

    @property
    def comfortable(self) -> dict[str, bool] | None:
        """Which of nuPlan's bounds were kept; None if the episode was too short."""
        extremes = {name: getattr(self, bound.metric) for name, bound in BOUNDS.items()}
        if None in extremes.values():
            return None
        return {name: BOUNDS[name].kept(value) for name, value in extremes.items()}


def episode_rows(
    drives: Drives, policy: str, others: str, scenario_set: ScenarioSet
) -> list[EpisodeRow]:
    """The rows of a log of the set's scenarios, or of as many of them as the log holds.

    Args:
        drives: one episode a scenario.
        policy: name of the policy that drove.
        others: name of the traffic.
        scenario_set: where it drove.
    """
    scenarios = scenario_set.scenarios.spread(len(drives))
    duration_s = drives.steps * drives.dt_s
    measures = {
        "distance_m": drives.distance_m,
        "human_distance_m": scenarios.human_distance_m,
        "duration_s": duration_s,
        "mean_speed_mps": drives.distance_m / duration_s,
        "hardest_braking_mps2": np.maximum(
            0.0, -drives.smallest(drives.acceleration_mps2, drives.driven)
        ),
        **progress(drives, scenarios.human_distance_m),
        **safety(drives),
        **headway(drives),
        **comfort(drives),
        **lane_keeping(drives, scenarios.recording, scenario_set.roads),
    }
    columns = {name: _rounded(values) for name, values in measures.items()}
    return [
        EpisodeRow(
            policy=policy,
            others=others,
            variation=scenario_set.variation.name,
            recording=scenario_set.recordings[int(scenarios.recording[k])].name,
            vehicle_id=int(scenarios.vehicle_id[k]),
            start_frame=int(scenarios.start_frame[k]),
            outcome=Outcome(int(drives.outcome[k])).name.lower(),
            collision_kind=CollisionKind(int(drives.collision_kind[k])).name.lower(),
            at_fault=bool(drives.at_fault[k]),
            **{name: values[k] for name, values in columns.items()},
        )
        for k in range(len(drives))
    ]


def _rounded(values: np.ndarray) -> list:
    """Integers as they are, other numbers to four digits, None for NaN."""
    return [None if value != value else round(value, 4) for value in values.tolist()]
