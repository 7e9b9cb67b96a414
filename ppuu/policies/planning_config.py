"""How a planning policy plans."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..costs import DrivingCostConfig, Offroad
from ..kinematics import ActionBounds
from ..planners import GradientPlanner, Planner
from ..runtime.errors import InputError, require_not_negative

Merge = Literal["mean", "max", "cvar"]
STARTS = 5


def planning_cost() -> DrivingCostConfig:
    """The driving cost, with a dearer and wider edge of the road.

    A planner weighs the edge against a touch foreseen, afresh each time; a policy is trained not to
    get there.  Chosen on the tuning recording of the built-in traffic.
    """
    return DrivingCostConfig(offroad=Offroad(weight=6.0, margin_m=1.0))


@dataclass(frozen=True)
class PlanningConfig:
    """How the policy plans.

    Attributes:
        planner: searches the action sequences.
        steps: of the world, how far to look; an action is held for one.
        samples: alternatives of the future.
        merge: how their costs become one: ``mean``, ``max``, or ``cvar`` (the mean of the dearest
            third).
        starts: how many sequences the search begins with: the old plan, keeping on, a lane to the
            left, to the right, braking.
        replan_every: frames between plans; between them the last plan is followed.
        discount: of a step.
        cost: what to lower; ``planning_cost`` unless told otherwise.
        uncertainty_weight: of the deviation of the traffic's cost between replicas of a learned
            world, in units of that cost; 0 asks for no replicas.
        replicas: how many.
        bounds: of the actions.
        deadline_s: time for the search of a plan for the whole batch, without what is
            predicted before it; without, all iterations are done.
        seed: of samples, replicas and sampling planners.
    """

    planner: Planner = field(default_factory=lambda: GradientPlanner(iterations=8))
    steps: int = 10
    samples: int = 1
    merge: Merge = "mean"
    starts: int = STARTS
    replan_every: int = 3
    discount: float = 0.97
    cost: DrivingCostConfig = field(default_factory=planning_cost)
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
        if self.merge != "mean" and self.samples == 1:
            raise InputError(f"planning: merge {self.merge} of one sample; set samples, too")
