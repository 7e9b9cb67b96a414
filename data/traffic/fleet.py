"""The vehicles on the simulated stretch, one array for each quantity."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int

from ppuu.driving.idm import IdmParameters
from ppuu.driving.lane_change_path import STEEPEST_SLOPE, quintic, quintic_slope
from ppuu.driving.lorries import LORRY_LENGTH_M

from .drivers import draw_drivers, draw_sizes
from .presets import TrafficPreset
from .road import CARPOOL_LANE, lane_centre_m

NO_LANE = -1

_WANDER_PERIODS_S = (8.0, 40.0)
_LANE_CHANGE_S = (2.8, 3.8)
_CAR_SLOPE, _TRUCK_SLOPE = 0.3, 0.1
_TRUCK_WANDER = 0.5
_CARPOOL_FRACTION = 0.05
"""Fraction of the vehicles on other lanes that may use the carpool lane."""
_WANDER_WAVES = 3
_RELAXATION_S = 12.0
"""Time constant with which a tight gap opens after a lane change (Laval and Leclercq, 2008)."""
_CLEAR_PROGRESS = 0.72
"""From this progress on (86 % of the distance) a lane change leaves room in the old lane."""
_CRAWL_MPS = 3.0
"""Below this speed lateral motion slows down with the speed: there is none at standstill."""


@dataclass(eq=False)
class Fleet:
    """All vehicles; every array has one row for each.

    Attributes:
        vehicle_id: running number.
        x_m: centre.
        speed_mps, acceleration_mps2: along the path.
        heading_rad: of the velocity.
        length_m, width_m: size.
        idm: ``(n, 5)`` columns as in ``IdmParameters``.
        may_carpool: allowed on the carpool lane.
        exits: on the way to the off-ramp.
        lane: the lane driven on or, in a lane change, the new one.
        old_lane: the lane being left, else ``NO_LANE``; the vehicle still occupies it.
        progress: of the lane change, 0 to 1.
        change_s: how long a lane change takes at speed.
        slope: steepest heading of a lane change.
        cooldown_s: time until the next lane change may start.
        intended_side: -1 or 1 for the lane to the left or right, which a driver may intend to go
            to whatever MOBIL says; else 0.
        headway_factor: on the time headway; below 1 after a lane change into a tight gap.
        noise_mps2: acceleration noise, correlated in time.
        wander_s: phase time of the lateral drift inside the lane.
        wander_m, wander_radps, wander_phase_rad: ``(n, 3)`` waves of the drift.
    """

    vehicle_id: Int[np.ndarray, " n"]
    x_m: Float[np.ndarray, " n"]
    speed_mps: Float[np.ndarray, " n"]
    acceleration_mps2: Float[np.ndarray, " n"]
    heading_rad: Float[np.ndarray, " n"]
    length_m: Float[np.ndarray, " n"]
    width_m: Float[np.ndarray, " n"]
    idm: Float[np.ndarray, "n 5"]
    may_carpool: Bool[np.ndarray, " n"]
    exits: Bool[np.ndarray, " n"]
    lane: Int[np.ndarray, " n"]
    old_lane: Int[np.ndarray, " n"]
    progress: Float[np.ndarray, " n"]
    change_s: Float[np.ndarray, " n"]
    slope: Float[np.ndarray, " n"]
    cooldown_s: Float[np.ndarray, " n"]
    intended_side: Int[np.ndarray, " n"]
    headway_factor: Float[np.ndarray, " n"]
    noise_mps2: Float[np.ndarray, " n"]
    wander_s: Float[np.ndarray, " n"]
    wander_m: Float[np.ndarray, "n waves"]
    wander_radps: Float[np.ndarray, "n waves"]
    wander_phase_rad: Float[np.ndarray, "n waves"]

    @classmethod
    def draw(
        cls,
        random: np.random.Generator,
        preset: TrafficPreset,
        vehicle_id: np.ndarray,
        lane: np.ndarray,
        is_truck: np.ndarray,
    ) -> Fleet:
        """New vehicles on given lanes, at x = 0 and at rest."""
        count = len(lane)
        length, width = draw_sizes(random, is_truck)
        waves = (count, _WANDER_WAVES)
        amplitude = preset.wander_m * np.sqrt(2 / _WANDER_WAVES)
        return cls(
            vehicle_id=vehicle_id,
            x_m=np.zeros(count),
            speed_mps=np.zeros(count),
            acceleration_mps2=np.zeros(count),
            heading_rad=np.zeros(count),
            length_m=length,
            width_m=width,
            idm=np.stack(draw_drivers(random, preset, is_truck), axis=1),
            may_carpool=(lane == CARPOOL_LANE) | (random.random(count) < _CARPOOL_FRACTION),
            exits=np.zeros(count, bool),
            lane=lane,
            old_lane=np.full(count, NO_LANE),
            progress=np.ones(count),
            change_s=random.uniform(*_LANE_CHANGE_S, count),
            slope=np.where(is_truck, _TRUCK_SLOPE, _CAR_SLOPE),
            cooldown_s=random.uniform(0, 15, count),
            intended_side=np.zeros(count, np.int64),
            headway_factor=np.ones(count),
            noise_mps2=np.zeros(count),
            wander_s=np.zeros(count),
            wander_m=amplitude * np.where(is_truck, _TRUCK_WANDER, 1.0)[:, None] * np.ones(waves),
            wander_radps=2 * np.pi / random.uniform(*_WANDER_PERIODS_S, waves),
            wander_phase_rad=random.uniform(0, 2 * np.pi, waves),
        )

    def __len__(self) -> int:
        return len(self.x_m)

    def take(self, rows: np.ndarray) -> Fleet:
        """Some of the vehicles."""
        return Fleet(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def join(self, other: Fleet) -> Fleet:
        """These vehicles and others."""
        return Fleet(
            **{
                field.name: np.concatenate([getattr(self, field.name), getattr(other, field.name)])
                for field in fields(self)
            }
        )

    @property
    def on_two_lanes(self) -> np.ndarray:
        """Whether a vehicle is in a lane change and not yet clear of the old lane."""
        return (self.old_lane != NO_LANE) & (self.progress < _CLEAR_PROGRESS)

    @property
    def is_truck(self) -> np.ndarray:
        """Whether a vehicle is long."""
        return self.length_m > LORRY_LENGTH_M

    def parameters(self, rows: np.ndarray | slice = slice(None)) -> IdmParameters:
        """Car-following parameters of some vehicles, with their present headway."""
        parameters = IdmParameters(*self.idm[rows].T)
        headway = parameters.time_headway_s * self.headway_factor[rows]
        return parameters._replace(time_headway_s=headway)

    def advance(self, acceleration_mps2: Float[np.ndarray, " n"], dt_s: float) -> None:
        """Moves every vehicle along its lane, its lane change and its drift.

        The lateral motion is a function of the distance covered, so that the heading is that of
        the velocity and stays continuous down to standstill.
        """
        before = self.speed_mps
        self.acceleration_mps2 = acceleration_mps2
        self.speed_mps = np.maximum(before + acceleration_mps2 * dt_s, 0.0)
        distance = 0.5 * (before + self.speed_mps) * dt_s
        speed = np.maximum(self.speed_mps, 1e-3)

        changing = self.old_lane != NO_LANE
        shift = np.where(changing, lane_centre_m(self.lane) - lane_centre_m(self.old_lane), 0.0)
        # A slow vehicle takes longer instead of turning across the road.
        per_metre = np.minimum(
            1 / (self.change_s * speed),
            self.slope / (STEEPEST_SLOPE * np.maximum(np.abs(shift), 1e-3)),
        )
        self.progress = np.where(
            changing, np.minimum(self.progress + per_metre * distance, 1.0), 1.0
        )
        change_slope = shift * quintic_slope(self.progress) * per_metre

        drift_rate = 1 / np.maximum(speed, _CRAWL_MPS)
        self.wander_s = self.wander_s + drift_rate * distance
        angle = self.wander_radps * self.wander_s[:, None] + self.wander_phase_rad
        drift_speed = (self.wander_m * self.wander_radps * np.cos(angle)).sum(1)
        heading = np.arcsin(np.clip(change_slope + drift_speed * drift_rate, -0.5, 0.5))
        self.x_m = self.x_m + distance * np.cos(0.5 * (heading + self.heading_rad))
        self.heading_rad = heading
        self.old_lane = np.where(self.progress >= 1.0, NO_LANE, self.old_lane)
        self.cooldown_s = self.cooldown_s - dt_s
        self.headway_factor = (
            self.headway_factor + (1.0 - self.headway_factor) * dt_s / _RELAXATION_S
        )

    def y_m(self) -> Float[np.ndarray, " n"]:
        """Centres across the road."""
        centre = lane_centre_m(self.lane)
        old = np.where(self.old_lane == NO_LANE, centre, lane_centre_m(self.old_lane))
        angle = self.wander_radps * self.wander_s[:, None] + self.wander_phase_rad
        drift = (self.wander_m * np.sin(angle)).sum(1)
        return old + (centre - old) * quintic(self.progress) + drift
