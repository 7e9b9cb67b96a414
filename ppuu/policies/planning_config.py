"""Configuration of planning policies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..costs import Contact, DrivingCostConfig, Offroad
from ..kinematics import ActionBounds
from ..planners import GradientPlanner, Planner
from ..runtime.errors import InputError, require_not_negative

RiskMeasure = Literal["mean", "max", "cvar"]
"""Of a cost over samples; ``cvar`` is the conditional value at risk at 1/3."""
STARTS = 5


def planning_cost_config() -> DrivingCostConfig:
    """The driving cost with larger penalties off the road and for contact, the former wider.

    A planner trades these costs against the others in each decision; a policy is trained to avoid
    such states.  Chosen on tuning recordings of the built-in traffic.
    """
    return DrivingCostConfig(
        contact=Contact(weight=16.0), offroad=Offroad(weight=6.0, margin_m=1.0)
    )


@dataclass(frozen=True)
class PlanningConfig:
    """Configuration of planning.

    Attributes:
        planner: optimises the action sequences.
        steps: horizon in steps of the prediction source; an action is held for one step.
        samples: number of sampled futures.
        risk: aggregation of the costs over samples: ``mean``, ``max``, or ``cvar`` (CVaR at 1/3,
            the mean of the most expensive third).
        starts: number of initial plans: previous plan, constant speed, lane change to the left,
            to the right, braking.
        replan_every: frames between two plans; the last plan is followed in between.
        discount: factor per step.
        cost: driving cost; by default ``planning_cost_config``.
        uncertainty_weight: of the standard deviation of the vehicles' cost over replicas of a
            learned world model; 0 for no replicas.
        replicas: number of replicas.
        bounds: of the actions.
        deadline_s: time limit of the planner for the whole batch, without predictions that do
            not depend on the plan; by default unlimited.
        seed: of samples, replicas and sampling planners.
    """

    planner: Planner = field(default_factory=lambda: GradientPlanner(iterations=8))
    steps: int = 10
    samples: int = 1
    risk: RiskMeasure = "mean"
    starts: int = STARTS
    replan_every: int = 3
    discount: float = 0.97
    cost: DrivingCostConfig = field(default_factory=planning_cost_config)
    uncertainty_weight: float = 0.0
    replicas: int = 4
    bounds: ActionBounds = field(default_factory=ActionBounds)
    deadline_s: float | None = None
    seed: int = 0

    def __post_init__(self):
        if min(self.steps, self.samples, self.replan_every) < 1:
            raise InputError(
                f"planning: steps {self.steps}, samples {self.samples} and replan_every "
                f"{self.replan_every} must be positive"
            )
        if (self.deadline_s is not None and not self.deadline_s >= 0) or not 0 <= self.seed < 2**63:
            raise InputError(
                f"planning: deadline_s {self.deadline_s} must not be negative, "
                f"seed {self.seed} from 0 to below 2^63"
            )
        if not 1 <= self.starts <= STARTS:
            raise InputError(f"planning: starts {self.starts} must be from 1 to {STARTS}")
        require_not_negative("planning", uncertainty_weight=self.uncertainty_weight)
        if self.replicas < 2 or not 0 < self.discount <= 1:
            raise InputError(
                f"planning: replicas {self.replicas} must be at least 2, discount {self.discount} "
                "in (0, 1]"
            )
        if self.risk != "mean" and self.samples == 1:
            raise InputError(f"planning: risk {self.risk} of one sample; set samples, too")
