"""The vehicles on the simulated stretch, one array for each quantity."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int

from ppuu.driving.calibration import calibration
from ppuu.driving.drivers import draw_drivers
from ppuu.driving.idm import IdmParameters
from ppuu.driving.lane_change_path import STEEPEST_SLOPE, quintic, quintic_slope
from ppuu.driving.lorries import LORRY_LENGTH_M

from .lane_keeping import draw_offsets, draw_waves, in_lane
from .presets import TrafficPreset
from .road import Highway
from .sizes import draw_sizes

NO_LANE = -1

_LANE_CHANGE_LIMITS_S = (3.0, 12.0)
_LANE_CHANGE_SCALE = 0.92
"""On the fitted durations: wander makes a change look longer than it is (``eval.realism``)."""
_CAR_SLOPE, _TRUCK_SLOPE = 0.3, 0.1
_TRUCK_WANDER = 0.5
_CARPOOL_FRACTION = 0.05
"""Fraction of the vehicles on other lanes that may use the carpool lane."""
_RELAXATION_S = 12.0
"""Time constant with which a tight gap opens after a lane change (Laval and Leclercq, 2008)."""
_CLEAR_PROGRESS = 0.72
"""From this progress on (86 % of the distance) a lane change leaves room in the old lane, unless a
corner is still beyond the line."""
_UNSTEADINESS_LOG_STD = 0.5
"""Drivers differ in it: recorded accelerations have heavier tails than those of equal drivers."""
_CRAWL_MPS = 3.0
"""Below this speed lateral motion slows down with the speed: there is none at standstill."""
_CRAWL_LENGTH_M = 4.6
"""Of a vehicle for which that holds; for longer ones the speed is higher in proportion."""


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
        overhangs: in a lane change, a corner is still in the old lane.
        change_s: how long a lane change takes at speed.
        slope: steepest heading of a lane change.
        cooldown_s: time until the next lane change may start.
        intended_side: -1 or 1 for the lane to the left or right, which a driver may intend to go
            to whatever MOBIL says; else 0.
        headway_factor: on the time headway; below 1 after a lane change into a tight gap.
        headway_log: logarithm of a further factor, which varies about zero.
        unsteadiness: of the driver, a factor on the acceleration noise.
        noise_mps2: acceleration noise, correlated in time.
        offset_m: mean distance from the lane's centre.
        wander_s: phase time of the lateral drift about it.
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
    overhangs: Bool[np.ndarray, " n"]
    change_s: Float[np.ndarray, " n"]
    slope: Float[np.ndarray, " n"]
    cooldown_s: Float[np.ndarray, " n"]
    intended_side: Int[np.ndarray, " n"]
    headway_factor: Float[np.ndarray, " n"]
    headway_log: Float[np.ndarray, " n"]
    unsteadiness: Float[np.ndarray, " n"]
    noise_mps2: Float[np.ndarray, " n"]
    offset_m: Float[np.ndarray, " n"]
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
        amplitude, rate, phase = draw_waves(random, preset.wander_m, count)
        drivers = draw_drivers(
            random,
            is_truck,
            headway_scale=preset.headway_scale,
            jam_gap_scale=preset.jam_gap_scale,
            acceleration_scale=preset.acceleration_scale,
            free_speed_scale=preset.desired_speed_scale,
        )
        change = calibration().lane_change
        log_change_s = np.log(_LANE_CHANGE_SCALE * change.duration_s) + random.normal(
            0.0, change.duration_log_std, count
        )
        return cls(
            vehicle_id=vehicle_id,
            x_m=np.zeros(count),
            speed_mps=np.zeros(count),
            acceleration_mps2=np.zeros(count),
            heading_rad=np.zeros(count),
            length_m=length,
            width_m=width,
            idm=np.stack(drivers, axis=1),
            may_carpool=preset.highway.on_carpool_lane(lane)
            | (random.random(count) < _CARPOOL_FRACTION),
            exits=np.zeros(count, bool),
            lane=lane,
            old_lane=np.full(count, NO_LANE),
            progress=np.ones(count),
            overhangs=np.zeros(count, bool),
            change_s=np.clip(np.exp(log_change_s), *_LANE_CHANGE_LIMITS_S),
            slope=np.where(is_truck, _TRUCK_SLOPE, _CAR_SLOPE),
            cooldown_s=random.uniform(0, 15, count),
            intended_side=np.zeros(count, np.int64),
            headway_factor=np.ones(count),
            headway_log=random.normal(0.0, preset.headway_log_std, count),
            unsteadiness=np.exp(random.normal(0.0, _UNSTEADINESS_LOG_STD, count)),
            noise_mps2=np.zeros(count),
            offset_m=draw_offsets(random, count),
            wander_s=np.zeros(count),
            wander_m=amplitude * np.where(is_truck, _TRUCK_WANDER, 1.0)[:, None],
            wander_radps=rate,
            wander_phase_rad=phase,
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
        return (self.old_lane != NO_LANE) & ((self.progress < _CLEAR_PROGRESS) | self.overhangs)

    @property
    def is_truck(self) -> np.ndarray:
        """Whether a vehicle is long."""
        return self.length_m > LORRY_LENGTH_M

    def parameters(self, rows: np.ndarray | slice = slice(None)) -> IdmParameters:
        """Car-following parameters of some vehicles, with their present headway."""
        parameters = IdmParameters(*self.idm[rows].T)
        factor = self.headway_factor[rows] * np.exp(self.headway_log[rows])
        return parameters._replace(time_headway_s=parameters.time_headway_s * factor)

    def advance(
        self, acceleration_mps2: Float[np.ndarray, " n"], highway: Highway, dt_s: float
    ) -> None:
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
        centre, old_centre = highway.lane_centre_m(self.lane), highway.lane_centre_m(self.old_lane)
        shift = np.where(changing, centre - old_centre, 0.0)
        # A slow vehicle takes longer instead of turning across the road.
        per_metre = np.minimum(
            1 / (self.change_s * speed),
            self.slope / (STEEPEST_SLOPE * np.maximum(np.abs(shift), 1e-3)),
        )
        self.progress = np.where(
            changing, np.minimum(self.progress + per_metre * distance, 1.0), 1.0
        )
        change_slope = shift * quintic_slope(self.progress) * per_metre

        # The longer a vehicle, the further its corners swing out when it turns within its lane.
        crawl = _CRAWL_MPS * np.maximum(self.length_m / _CRAWL_LENGTH_M, 1.0)
        drift_rate = 1 / np.maximum(speed, crawl)
        self.wander_s = self.wander_s + drift_rate * distance
        angle = self._wander_angle()
        drift_speed = (self.wander_m * self.wander_radps * np.cos(angle)).sum(1)
        drift_speed = drift_speed * self._drift(highway)[1]
        heading = np.arcsin(np.clip(change_slope + drift_speed * drift_rate, -0.5, 0.5))
        self.x_m = self.x_m + distance * np.cos(0.5 * (heading + self.heading_rad))
        self.heading_rad = heading
        self.old_lane = np.where(self.progress >= 1.0, NO_LANE, self.old_lane)
        towards_old = (self.y_m(highway) - centre) * -np.sign(shift)
        swing = 0.5 * self.length_m * np.abs(np.sin(heading))
        corner = towards_old + swing + 0.5 * self.width_m
        self.overhangs = changing & (corner > 0.5 * highway.lane_width_m)
        self.cooldown_s = self.cooldown_s - dt_s
        self.headway_factor = (
            self.headway_factor + (1.0 - self.headway_factor) * dt_s / _RELAXATION_S
        )

    def y_m(self, highway: Highway) -> Float[np.ndarray, " n"]:
        """Centres across the road."""
        centre = highway.lane_centre_m(self.lane)
        old = np.where(self.old_lane == NO_LANE, centre, highway.lane_centre_m(self.old_lane))
        return old + (centre - old) * quintic(self.progress) + self._drift(highway)[0]

    def _wander_angle(self) -> Float[np.ndarray, "n waves"]:
        return self.wander_radps * self.wander_s[:, None] + self.wander_phase_rad

    def _drift(self, highway: Highway) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Distance from the lane's centre, and its derivative with respect to the waves."""
        drift = self.offset_m + (self.wander_m * np.sin(self._wander_angle())).sum(1)
        return in_lane(drift, self.width_m, highway.lane_width_m)
