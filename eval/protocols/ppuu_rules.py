"""When an episode ends by the rules of PPUU."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from envs.core.simulator import Simulator
from envs.core.termination import Outcome
from ppuu.recordings.neighbours import Neighbours

from .pixel_cost import COLLISION_COST, proximity_cost
from .screen import PX_PER_M, Screens

_OVERLAP_M = 1.0


@dataclass(frozen=True, eq=False)
class RuleCheck:
    """Which of the rules' conditions hold after a step.

    Attributes:
        pixel_collision: the proximity cost exceeds 0.99 inside the region.
        ahead_collision: inside the region, the ego's box overlaps that of a vehicle ahead by more
            than 1 m, along and across the road.
        off_road: the rear bumper is beyond the road's sides.
        arrived: the rear bumper is past the region.
        recording_ended: so the episode ends, too.
        proximity: the cost itself, 0 outside the region, where the original takes no image.
        rear_x_px: position of the rear bumper along the road.
    """

    pixel_collision: Bool[Tensor, " envs"]
    ahead_collision: Bool[Tensor, " envs"]
    off_road: Bool[Tensor, " envs"]
    arrived: Bool[Tensor, " envs"]
    recording_ended: Bool[Tensor, " envs"]
    proximity: Float[Tensor, " envs"]
    rear_x_px: Float[Tensor, " envs"]

    def outcome(self, collided: Bool[Tensor, " envs"]) -> Int[Tensor, " envs"]:
        """Numbers of ``Outcome``, given which episodes count as collided."""
        outcome = torch.full(collided.shape, int(Outcome.RUNNING))
        for holds, value in (
            (self.recording_ended, Outcome.TIMEOUT),
            (self.arrived, Outcome.ARRIVED),
            (self.off_road, Outcome.OFFROAD),
            (collided, Outcome.COLLISION),
        ):
            outcome = torch.where(holds, int(value), outcome)
        return outcome


def check_rules(simulator: Simulator, screens: Screens, envs: Int[Tensor, " envs"]) -> RuleCheck:
    """Applies the rules to the present states of some slots."""
    box, road = simulator.ego_box[envs], simulator.road[envs]
    frame = simulator.frame[envs]
    others = simulator.traffic.neighbours(envs, simulator.vehicle[envs], frame)
    place = screens.place(box, road)
    cost = proximity_cost(box, simulator.state[envs, 3], others.boxes, others.valid)
    inside = screens.valid(place, road)
    cost = torch.where(inside, cost, 0.0)
    return RuleCheck(
        pixel_collision=cost > COLLISION_COST,
        ahead_collision=inside & _runs_into(box, others, screens, road),
        off_road=screens.off_road(place, box, road, simulator.road_map),
        arrived=screens.arrived(place, road),
        recording_ended=frame >= simulator.end_frame[envs],
        proximity=cost,
        rear_x_px=place.rear_x,
    )


def _runs_into(
    box: Float[Tensor, "envs 5"], others: Neighbours, screens: Screens, road: Int[Tensor, " envs"]
) -> Bool[Tensor, " envs"]:
    """Whether a vehicle ahead and the ego overlap by more than 1 m along and across the road.

    The original considers the ego's and the adjacent lanes by their numbers; boxes that overlap
    across the road are never further apart.
    """
    ego, other = screens.place(box, road), screens.place(others.boxes, road)
    overlap = _OVERLAP_M * PX_PER_M
    ahead = other.rear_x > ego.rear_x[:, None]
    along = other.rear_x - ego.front_x[:, None] < -overlap
    mean_width = 0.5 * PX_PER_M * (others.boxes[..., 4] + box[:, None, 4])
    across = (other.rear_y - ego.rear_y[:, None]).abs() + overlap < mean_width
    return (others.valid & ahead & along & across).any(1)
