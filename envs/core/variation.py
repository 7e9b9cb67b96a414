"""Factors of variation: a world a little different from the recorded one, at test time.

The idea is that of stable-worldmodel's factors; each is one number, and the default of each is the
recorded world.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from ppuu.recordings.polyline import Polyline
from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError

from ..traffic.others_config import OthersConfig
from .actuation import Actuation
from .perception import PerceptionConfig


@dataclass(frozen=True)
class Variation:
    """What differs.

    Attributes:
        density: fraction of the other vehicles that are there, at most 1.
        phantom_braking: mean number of times a minute that each reactive driver brakes without
            cause, see ``envs.traffic.lapses``.
        inattention_s: longest delay with which reactive drivers react in inattentive spells.
        seed: of these two, and of the futures that a world model samples for the others.
        lane_width: factor on the lanes' widths; vehicles keep their sizes and places in the lane.
        noise_m, dropout: of what the ego sees, see ``envs.core.perception``.
        latency_s: how late it sees it.
        delay_s: how late an action takes effect.
        friction: factor on that between tyres and road: 1 when dry, about 0.5 when wet, 0.2 on
            ice.  The ego does not know it.
    """

    density: float = 1.0
    phantom_braking: float = 0.0
    inattention_s: float = 0.0
    seed: float = 0.0
    lane_width: float = 1.0
    noise_m: float = 0.0
    dropout: float = 0.0
    latency_s: float = 0.0
    delay_s: float = 0.0
    friction: float = 1.0

    def __post_init__(self):
        limits = {
            "density": (0.0, 1.0), "phantom_braking": (0.0, 60.0), "inattention_s": (0.0, 5.0),
            "seed": (0.0, 2.0**31), "lane_width": (0.5, 2.0),
            "noise_m": (0.0, math.inf), "dropout": (0.0, 1.0), "latency_s": (0.0, 10.0),
            "delay_s": (0.0, 10.0), "friction": (0.01, 2.0),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"variation: {name} {value}; choose from {low:g} to {high:g}")
        if self.seed != int(self.seed):
            raise InputError(f"variation: seed {self.seed}; choose a whole number")

    @classmethod
    def parse(cls, text: str) -> Variation:
        """``density=0.5,friction=0.4``, or ``none``.

        Raises:
            InputError: an unknown name or a value that is no number.
        """
        values: dict[str, float] = {}
        for part in [] if text == "none" else text.split(","):
            name, _, value = part.partition("=")
            known = [field.name for field in dataclasses.fields(cls)]
            if name not in known:
                raise InputError(f"variation '{part}': write NAME=NUMBER with {', '.join(known)}")
            try:
                values[name] = float(value)
            except ValueError:
                raise InputError(f"variation '{part}': '{value}' is no number") from None
        return cls(**values)

    @property
    def name(self) -> str:
        """What ``parse`` reads."""
        changed = (
            f"{field.name}={value:g}"
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        )
        return ",".join(changed) or "none"

    def recording(self, recording: Recording) -> Recording:
        """The tracks and the road, with other lanes."""
        return recording if self.lane_width == 1.0 else widened(recording, self.lane_width)

    def scene(self, scene: Scene) -> Scene:
        """The scene, with fewer vehicles; a vehicle left out can still be an ego."""
        if self.density == 1.0:
            return scene
        draw = torch.rand(len(scene.size_m), generator=torch.Generator().manual_seed(0))
        gone = (draw >= self.density).to(scene.boxes.device)
        there = (scene.occupant >= 0) & ~gone[scene.occupant.clamp(min=0)]
        return dataclasses.replace(scene, occupant=torch.where(there, scene.occupant, -1))

    def others(self) -> OthersConfig:
        """What is random in how others move."""
        return OthersConfig(self.phantom_braking, self.inattention_s, int(self.seed))

    def perception(self, dt_s: float) -> PerceptionConfig | None:
        """Faults of what the ego sees; None for none."""
        faults = PerceptionConfig(self.noise_m, self.dropout, round(self.latency_s / dt_s))
        return None if faults == PerceptionConfig() else faults

    def actuation(self, dt_s: float) -> Actuation:
        """What the ego's vehicle does."""
        return Actuation(round(self.delay_s / dt_s), self.friction)


def widened(recording: Recording, factor: float) -> Recording:
    """Everything moved sideways, away from the middle of the longest lane or towards it."""
    road = recording.road
    middle = _longest_lane(road)
    centre, heading = np.stack([recording.x_m, recording.y_m], 1), recording.heading_rad
    moved, direction = _stretched(middle, centre, factor)
    turned = np.arctan(factor * np.tan(heading - direction))
    backwards = np.cos(heading - direction) < 0
    left, right = (_stretched(middle, side, factor)[0] for side in (road.left_m, road.right_m))
    return dataclasses.replace(
        recording,
        x_m=moved[:, 0],
        y_m=moved[:, 1],
        heading_rad=_wrapped(direction + turned + np.where(backwards, np.pi, 0.0)),
        road=Road(road.lane_pointer, left, right),
    )


def _longest_lane(road: Road) -> Float[np.ndarray, "points 2"]:
    middle = 0.5 * (road.left_m + road.right_m)
    lanes = np.split(middle, road.lane_pointer[1:-1])
    return max(lanes, key=lambda line: np.linalg.norm(np.diff(line, axis=0), axis=1).sum())


def _stretched(
    line: Float[np.ndarray, "points 2"], points: Float[np.ndarray, "n 2"], factor: float
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
    """Points at ``factor`` times their distance from a line, and the line's direction there."""
    polyline = Polyline(line)
    foot = polyline.project(points, extended=False)
    direction = polyline.directions[foot.segment]
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    moved = points + (factor - 1.0) * foot.offset_m[:, None] * normal
    return moved, np.arctan2(direction[:, 1], direction[:, 0])


def _wrapped(angle_rad: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return (angle_rad + np.pi) % (2 * np.pi) - np.pi
