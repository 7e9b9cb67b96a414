"""The reward of the Gymnasium environments: a weighted sum of named terms."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ppuu.costs import Proximity
from ppuu.geometry import to_local
from ppuu.kinematics import ActionBounds
from ppuu.runtime.errors import InputError
from ppuu.units import LANE_WIDTH_M

from ..core.simulator import Simulator, StepResult
from ..core.termination import Outcome

DEFAULT_WEIGHTS = {
    "progress": 0.1, "collision": -10.0, "offroad": -10.0, "wrong_way": -10.0, "missed": -10.0,
    "comfort": -0.5,
}  # fmt: skip
"""A crash costs as much as 100 m of road earn; a second of full braking as much as 5 m.

Only new progress along the route is paid, up to the route's end, and comfort costs nothing below
``UNFELT_MPS2``: so no way of driving earns more than the recorded human (``eval.exploits``).
"""

UNFELT_MPS2 = 2.0
"""Accelerations below are those of ordinary driving (nine of ten recorded ones are below half)."""

CRITICAL_TIME_S = 3.0
"""A time to collision below this counts."""
UNPLEASANT_JERK_MPS3 = 5.0
"""A jerk that costs 1 a second."""
_LANE_SAMPLES = 25


@dataclass(frozen=True, eq=False)
class Before:
    """What a step overwrites and a term still needs.

    Attributes:
        progress_m: ``(envs,)`` furthest station along the route before the step.
        action: ``(envs, 2)`` of the step before.
        speed_mps: ``(envs,)`` before the step.
    """

    progress_m: Float[Tensor, " envs"]
    action: Float[Tensor, "envs 2"]
    speed_mps: Float[Tensor, " envs"]

    @classmethod
    def of(cls, simulator: Simulator) -> Before:
        """Copies, as the simulator is about to move on."""
        return cls(
            simulator.progress_m,
            simulator.action.clone(),
            simulator.state[:, 3].clone(),
        )


@dataclass(frozen=True, eq=False)
class Step:
    """What a reward term is computed from.

    Attributes:
        simulator: after the step.
        result: what the step returned.
        before: what it replaced.
        target_speed_mps: of the term ``speed``; None for that of the recorded human.
    """

    simulator: Simulator
    result: StepResult
    before: Before
    target_speed_mps: float | None = None

    @property
    def dt_s(self) -> float:
        """Duration of the step."""
        return self.simulator.step_s

    @property
    def speed_mps(self) -> Float[Tensor, " envs"]:
        """After the step."""
        return self.result.state[:, 3]


def progress(step: Step) -> Float[Tensor, " envs"]:
    """Metres along the route, beyond the furthest point so far and up to the route's end."""
    return step.result.progress_m - step.before.progress_m


def collision(step: Step) -> Float[Tensor, " envs"]:
    """1 at the step that ends the episode so."""
    return (step.result.outcome == Outcome.COLLISION).float()


def offroad(step: Step) -> Float[Tensor, " envs"]:
    """1 at the step that ends the episode so."""
    return (step.result.outcome == Outcome.OFFROAD).float()


def wrong_way(step: Step) -> Float[Tensor, " envs"]:
    """1 at the step that ends the episode so."""
    return (step.result.outcome == Outcome.WRONG_WAY).float()


def missed(step: Step) -> Float[Tensor, " envs"]:
    """1 at the step that ends the episode in another lane than the goal's."""
    return (step.result.outcome == Outcome.MISSED).float()


def goal(step: Step) -> Float[Tensor, " envs"]:
    """1 at the step that ends the episode by arrival."""
    return (step.result.outcome == Outcome.ARRIVED).float()


def comfort(step: Step) -> Float[Tensor, " envs"]:
    """Squared acceleration beyond ``UNFELT_MPS2``, as a share of the largest, times duration."""
    along, across = _acceleration(step.result.action, step.speed_mps).unbind(1)
    largest = ActionBounds().acceleration_mps2
    felt = (torch.hypot(along, across) - UNFELT_MPS2).clamp(min=0.0) / (largest - UNFELT_MPS2)
    return felt.square() * step.dt_s


def jerk(step: Step) -> Float[Tensor, " envs"]:
    """Squared change of acceleration, in units of 5 m/s³, times the step's duration.

    The first step of an episode has no acceleration to compare with and costs nothing.
    """
    now = _acceleration(step.result.action, step.speed_mps)
    rate = (now - _acceleration(step.before.action, step.before.speed_mps)) / step.dt_s
    cost = (rate / UNPLEASANT_JERK_MPS3).square().sum(1) * step.dt_s
    return torch.where(step.result.steps > 1, cost, 0.0)


def _acceleration(
    action: Float[Tensor, "envs 2"], speed_mps: Float[Tensor, " envs"]
) -> Float[Tensor, "envs 2"]:
    """Along and across, m/s²."""
    return torch.stack([action[:, 0], action[:, 1] * speed_mps**2], dim=1)


def speed(step: Step) -> Float[Tensor, " envs"]:
    """Metres by which the step was longer or shorter than at the target speed."""
    target = step.target_speed_mps
    wanted = step.simulator.human_state[:, 3] if target is None else target
    return (step.speed_mps - wanted).abs() * step.dt_s


def time_to_collision(step: Step) -> Float[Tensor, " envs"]:
    """From 0 at 3 s or more to 1 at contact, times the step's duration."""
    danger = 1.0 - step.result.time_to_collision_s / CRITICAL_TIME_S
    return danger.clamp(min=0.0) * step.dt_s


def proximity(step: Step) -> Float[Tensor, " envs"]:
    """How far the nearest other reaches into the safe distance, times the step's duration.

    Along, from 1 at the bumper to 0 at headway x speed + gap; aside, from 1 at the flank to 0
    at the reach (constants of ``ppuu.costs.Proximity``); the product, of the worst vehicle.
    """
    simulator, bounds = step.simulator, Proximity()
    others = simulator.neighbours()
    local = to_local(others.boxes, simulator.state[:, None, :3])
    cos, sin = local[..., 2].cos().abs(), local[..., 2].sin().abs()
    length, width = local[..., 3], local[..., 4]
    size = simulator.size_m[:, None]
    ahead_gap = local[..., 0].abs() - 0.5 * (size[..., 0] + length * cos + width * sin)
    side_gap = local[..., 1].abs() - 0.5 * (size[..., 1] + length * sin + width * cos)
    now = step.speed_mps[:, None]
    reach = torch.where(
        local[..., 0] > 0,
        bounds.headway_ahead_s * now + bounds.gap_ahead_m,
        bounds.headway_behind_s * now + bounds.gap_behind_m,
    )
    near = (1.0 - ahead_gap / reach).clamp(0.0, 1.0)
    beside = (1.0 - side_gap / bounds.reach_side_m).clamp(0.0, 1.0)
    worst = torch.where(others.valid, near * beside, 0.0).amax(1)
    return worst * step.dt_s


def lane(step: Step) -> Float[Tensor, " envs"]:
    """1 with a lane line under the ego's centre, 0 half a lane away, times the duration."""
    simulator = step.simulator
    x, y, heading, _ = (part[:, None] for part in simulator.state.unbind(1))
    aside = torch.linspace(-1.0, 1.0, _LANE_SAMPLES, device=simulator.device)
    across = aside * (0.5 * LANE_WIDTH_M)
    points = x - heading.sin() * across, y + heading.cos() * across
    lines = simulator.road_map.read(*points, simulator.road)[:, 0]
    return (lines * (1.0 - aside.abs())).amax(1) * step.dt_s


TERMS: dict[str, Callable[[Step], Float[Tensor, " envs"]]] = {
    term.__name__: term
    for term in (
        progress, collision, offroad, wrong_way, missed, comfort, goal, proximity, lane, speed,
        jerk, time_to_collision,
    )
}  # fmt: skip
"""All terms, none ever negative; those without a default weight are off by default."""


def reward_weights(changes: Mapping[str, float] | None) -> dict[str, float]:
    """The default weights with some replaced or added.

    Raises:
        InputError: a term that does not exist.
    """
    for name in changes or {}:
        if name not in TERMS:
            near = difflib.get_close_matches(name, TERMS, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(TERMS)}"
            raise InputError(f"reward: no term '{name}'; {hint}")
    return DEFAULT_WEIGHTS | {name: float(weight) for name, weight in (changes or {}).items()}


def weighted_terms(weights: Mapping[str, float], step: Step) -> dict[str, Float[Tensor, " envs"]]:
    """Each weighted term by name; all 0 where nothing moved."""
    return {
        name: weight * torch.where(step.result.moved, TERMS[name](step), 0.0).double()
        for name, weight in weights.items()
    }
