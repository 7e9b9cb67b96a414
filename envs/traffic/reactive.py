"""All vehicles are driven from the start: IDM behind their leaders, MOBIL across the lanes.

How drivers deal with others depends on their manners (``population``), most of all towards an ego
that wants in: polite ones brake gently for it as soon as it comes near their lane, assertive ones
close the gap and follow it only when it is in their way.  Among each other a lane change is
announced when it starts, and respected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu import kinematics
from ppuu.backends.dispatch import selected
from ppuu.driving.gaps import gap_along_lane
from ppuu.driving.lane_change_path import quintic, quintic_second_derivative, quintic_slope
from ppuu.driving.lane_order import NO_VEHICLE, LaneOrder
from ppuu.driving.mobil import Mobil
from ppuu.geometry import wrap_angle
from ppuu.recordings.lanes import NO_LANE, LanePlace
from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene

from .chance import Chance, Dice
from .drivers import Drivers
from .fleet import Appearance, Rows, Situation, is_past_its_lane
from .following import FollowingFleet
from .lapses import Lapse
from .population import MIXED, Population

# The generator (data/traffic/lane_change_decisions.py) needs more, 1.0 m/s², since its drivers have
# intentions that add 1.2 m/s².  Without them, thresholds of 0.4, 0.7, 1.0 and 1.3 give 11.0, 7.9,
# 4.5 and 2.7 lane changes a vehicle-hour (eval.traffic, dense, seeds 1 and 2); published: 12.1.
_MOBIL = Mobil(threshold_mps2=0.4)
_CHANGE_S = 5.0
_CHANGE_M = 25.0
"""Shortest duration and distance of a lane change: there is no lateral motion at standstill."""
_COOLDOWN_S = 8.0
"""Time after a lane change before the next one may start."""
_ENTRY_COOLDOWN_S = 3.0
"""Time after entering before a lane change may start: vehicles entering behind are not visible."""
_DECIDE_FRAMES = 5
"""Frames between two decisions of a driver on a lane change, to the left and right in turn."""
_URGENT_M = 150.0
"""Distance to the end of a lane from which drivers accept gaps that make others brake harder."""

_STEERING_RADPS = 0.8
"""Natural frequency of steering back to the line, critically damped."""
_SHORTEST_STEERING_M = 6.0
_LATERAL_MPS2 = 3.0
_CURVATURE_RADPM = 0.065
_LOOK_AHEAD_S = 1.5
"""A vehicle that appears with a lateral velocity changes to the lane it would be in after this."""

_SIGNAL_S = 1.0
"""An ego whose box touches a lane line within this time wants into the lane beyond."""
_JUST_BEHIND_M = 0.01
_LET_IN_GAP_M = 2.5
"""A vehicle with a smaller gap to an ego that wants in passes, as in the generator."""


class Reactive(FollowingFleet):
    """IDM (Treiber et al., 2000) and MOBIL (Kesting, Treiber and Helbing, 2007) for all vehicles.

    The recording determines only which vehicles enter, where, when and how fast; of how they went
    on nothing is known.  Each has a driver with parameters of its own.  Vehicles leave where their
    lane leads off the road.

    A lane change moves the line that a vehicle follows from one lane's centre to the next along a
    quintic polynomial; the vehicle steers along it with the kinematics of the ego.

    Args:
        scene: the recordings' tracks.
        recordings: in the same order.
        population: that the drivers belong to.
        lapses: of all drivers, in this order.
        seed: of the lapses, see ``Dice``.

    Raises:
        InputError: a road without lanes.
    """

    def __init__(
        self,
        scene: Scene,
        recordings: Sequence[Recording],
        population: Population = MIXED,
        lapses: Sequence[Lapse] = (),
        seed: int = 0,
    ):
        self._lapses = lapses
        self._dice = Dice(scene, recordings, seed)
        super().__init__(scene, recordings, population)

    def _further_columns(self, zeros: Float[Tensor, "envs slots"]) -> Rows:
        return {
            "shift_m": zeros,
            "progress": zeros + 1.0,
            "cooldown_s": zeros.clone(),
            **self._columns_of_lapses(zeros),
        }

    def _columns_of_lapses(self, zeros: Float[Tensor, "*slots"]) -> Rows:
        return {
            name: column for lapse in self._lapses for name, column in lapse.columns(zeros).items()
        }

    def _initial_columns(self, entering: Appearance) -> Rows:
        """Driven, and in the lane change that the recorded motion indicates."""
        road = self.scene.vehicle_recording[entering.vehicle]
        x, y, heading, speed = entering.state.unbind(1)
        place = self.field.look_up(x, y, road)
        turned = wrap_angle(heading - place.direction_rad)
        drift = speed * turned.sin() * _LOOK_AHEAD_S
        drift = torch.minimum(drift.abs(), 0.75 * place.width_m) * drift.sign()
        sin, cos = place.direction_rad.sin(), place.direction_rad.cos()
        aim = self.field.look_up(x - drift * sin, y + drift * cos, road)
        since_entry = (entering.frame - self.scene.first_frame[entering.vehicle]) * self.scene.dt_s
        since_entry = torch.where(entering.late, 0.0, since_entry)
        changes = (aim.lane >= 0) & (place.lane >= 0) & (aim.lane != place.lane) & ~aim.closes
        return {
            "driven": torch.ones_like(entering.late),
            "shift_m": torch.where(changes, drift - aim.offset_m, 0.0),
            "progress": torch.where(changes, 0.0, 1.0),
            "cooldown_s": (_ENTRY_COOLDOWN_S - since_entry).clamp(min=0.0),
            **self._columns_of_lapses(torch.zeros_like(x)),
        }

    def _drive(self, rows: Rows, now: Situation) -> None:
        chance = self._dice.chance(rows, now.frame)
        place = self._places(now)
        line = self._line(rows, now, place)
        first = torch.cat([line.lane, place.lane[:, -1:]], dim=1)
        lanes = self._occupied_lanes(now, place, first)
        order = LaneOrder.of(lanes, place.station_m)
        vehicle = torch.cat([rows["vehicle"].clamp(min=0), rows["ego"][:, None]], dim=1)
        drivers = self.drivers.of(vehicle)
        leader = self._respected(order.leaders(), lanes, place, now, drivers)
        acceleration = self._follow_leaders(leader, now, place, drivers)
        self._answer_signals(acceleration, leader, order, now, place, drivers)
        self._stop_where_lanes_close(acceleration, line, now, drivers)
        self._change_lanes(rows, now, chance, order, place, line, drivers, acceleration)
        acceleration = acceleration[:, :-1]
        for lapse in self._lapses:
            acceleration = lapse.apply(acceleration, rows, chance)
        self._move(rows, line, now, acceleration)
        leaves = is_past_its_lane(place)[:, :-1]
        rows["vehicle"] = torch.where(leaves, NO_VEHICLE, rows["vehicle"])

    def _line(self, rows: Rows, now: Situation, place: LanePlace) -> LanePlace:
        """Positions of the vehicles, shifted laterally by what remains of their lane changes.

        Relative to them, the line that a vehicle follows is the lane's centre line.
        """
        left = rows["shift_m"] * (1.0 - quintic(rows["progress"]))
        direction = place.direction_rad[:, :-1]
        x = now.boxes[:, :-1, 0] - left * direction.sin()
        y = now.boxes[:, :-1, 1] + left * direction.cos()
        return self.field.look_up(x, y, now.road)

    def _respected(
        self,
        leader: Int[Tensor, "envs vehicles lanes"],
        lanes: Int[Tensor, "envs vehicles lanes"],
        place: LanePlace,
        now: Situation,
        drivers: Drivers,
    ) -> Int[Tensor, "envs vehicles lanes"]:
        """The leaders, without those that only begin to hang over, as far as drivers tolerate it.

        In place of such a one its own leader in the lane is followed.
        """
        hangs_over_m = place.offset_m.abs() + 0.5 * (now.boxes[..., 4] - place.width_m)
        # A vehicle's second lane is the one that it hangs over into, unless it is changing lanes.
        second = lanes[..., 1]
        begins_m = torch.where(second == place.lane, torch.inf, hangs_over_m)
        ahead = leader.clamp(min=0).flatten(1)
        tolerated = (
            begins_m.gather(1, ahead).view(lanes.shape) < drivers.manners.tolerance_m[..., None]
        )
        intrudes = second.gather(1, ahead).view(lanes.shape) == lanes
        instead = leader[..., 1].gather(1, ahead).view(lanes.shape)
        return torch.where((leader != NO_VEHICLE) & intrudes & tolerated, instead, leader)

    def _answer_signals(
        self,
        acceleration: Float[Tensor, "envs vehicles"],
        leader: Int[Tensor, "envs vehicles lanes"],
        order: LaneOrder,
        now: Situation,
        place: LanePlace,
        drivers: Drivers,
    ) -> None:
        """The driver behind the gap beside an ego that wants in; ``acceleration`` is changed.

        An ego signals by moving: its box touches the line within a second.  A polite driver
        follows it as if it were in its lane already, braking gently; an assertive one closes up to
        its leader.
        """
        env, lane, wants = self._signals(now, place)
        if not len(env):
            return
        ego = now.boxes.shape[1] - 1
        # The ego itself may be in that lane already, with a flank.
        station = place.station_m[env, ego]
        ahead, _ = order.around(env, lane, station)
        _, behind = order.around(env, lane, station - _JUST_BEHIND_M)
        wants, follower = wants & (behind != NO_VEHICLE), behind.clamp(min=0)
        driver, box, own = drivers[env, follower], now.boxes[env, follower], now.speed_mps[env]
        direction, speed = place.direction_rad[env, ego], own.gather(1, follower[:, None])[:, 0]
        gap = gap_along_lane(box, direction, now.boxes[env, ego])
        yielding = driver.acceleration_mps2(speed, gap, own[:, ego])
        yielding = torch.maximum(yielding, -driver.manners.yielding_mps2)
        yields = wants & (driver.manners.yielding_mps2 > 0) & (gap > _LET_IN_GAP_M)
        chosen = acceleration[env, follower]
        chosen = torch.where(yields, chosen.minimum(yielding), chosen)
        first = ahead.clamp(min=0)
        room = gap_along_lane(box, direction, now.boxes[env, first])
        room = torch.where(ahead == NO_VEHICLE, torch.inf, room)
        closing = driver.with_headway(driver.manners.closing)
        closing = closing.acceleration_mps2(speed, room, now.speed_mps[env, first])
        # Not where the ego is in the way already, nor while the driver changes lanes itself.
        follows = leader[env, follower]
        free = ((follows == ahead[:, None]) | (follows == NO_VEHICLE)).all(-1)
        closes = wants & free & (driver.manners.closing < 1.0)
        acceleration[env, follower] = torch.where(closes, chosen.maximum(closing), chosen)

    def _signals(
        self, now: Situation, place: LanePlace
    ) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"], Bool[Tensor, " n"]]:
        """Environments, the lane beside the ego, and whether it wants to go there."""
        box, speed, own = now.boxes[:, -1], now.speed_mps[:, -1], place.lane[:, -1]
        direction, width = place.direction_rad[:, -1], place.width_m[:, -1]
        drift = place.offset_m[:, -1] + _SIGNAL_S * speed * (box[:, 2] - direction).sin()
        touches = (own != NO_LANE) & (drift.abs() + 0.5 * box[:, 4] > 0.5 * width)
        (env,), counts = selected(touches)
        step, direction = (drift.sign() * width)[env], direction[env]
        x, y = box[env, 0] - step * direction.sin(), box[env, 1] + step * direction.cos()
        lane = self.field.look_up(x, y, now.road[env]).lane
        return env, lane, counts & (lane != NO_LANE) & (lane != own[env])

    def _follow_leaders(
        self,
        leader: Int[Tensor, "envs vehicles lanes"],
        now: Situation,
        place: LanePlace,
        drivers: Drivers,
    ) -> Float[Tensor, "envs vehicles"]:
        """Acceleration of IDM behind the leaders in both lanes."""
        gap, acceleration = self._follow(now, place, leader, drivers)
        # Side by side in a lane, the vehicle behind falls back, but gently.
        comfortable = drivers.idm.comfortable_deceleration_mps2[..., None]
        gentle = torch.maximum(acceleration, -comfortable)
        return torch.where(gap < 0, gentle, acceleration).amin(-1)

    def _stop_where_lanes_close(
        self,
        acceleration: Float[Tensor, "envs vehicles"],
        line: LanePlace,
        now: Situation,
        drivers: Drivers,
    ) -> None:
        """Brakes as behind a standing vehicle at a lane's end; ``acceleration`` is changed."""
        room = torch.where(line.closes, line.to_end_m - 0.5 * now.boxes[:, :-1, 3], torch.inf)
        stop = drivers[:, :-1].acceleration_mps2(
            now.speed_mps[:, :-1], room, torch.zeros_like(room)
        )
        acceleration[:, :-1] = torch.minimum(acceleration[:, :-1], stop)

    def _change_lanes(
        self,
        rows: Rows,
        now: Situation,
        chance: Chance,
        order: LaneOrder,
        place: LanePlace,
        line: LanePlace,
        drivers: Drivers,
        acceleration: Float[Tensor, "envs vehicles"],
    ) -> None:
        """Starts the lane changes that pay and for which no vehicle has to brake hard.

        At one frame all changes of an environment go to the same side, so that no two vehicles
        take the same gap from both sides.
        """
        (env, slot), counts = selected(self._ready(rows, now, chance, line))
        if not len(env):
            return
        side = 1 - 2 * ((chance.frame[env] // _DECIDE_FRAMES) % 2)
        step = side * place.width_m[env, slot]
        direction = place.direction_rad[env, slot]
        box, mandatory = now.boxes[env, slot], line.closes[env, slot]
        target = self.field.look_up(
            box[:, 0] - step * direction.sin(), box[:, 1] + step * direction.cos(), now.road[env]
        )
        ahead, behind = order.around(env, target.lane, target.station_m)

        def respond(follower, leader):
            valid = (follower != NO_VEHICLE) & (leader != NO_VEHICLE)
            follower, leader = follower.clamp(min=0), leader.clamp(min=0)
            gap = gap_along_lane(now.boxes[env, follower], direction, now.boxes[env, leader])
            gap = torch.where(valid, gap, torch.inf)
            speed = now.speed_mps[env, follower]
            response = drivers[env, follower].acceleration_mps2(
                speed, gap, now.speed_mps[env, leader]
            )
            return response, _MOBIL.has_room(gap, speed)

        manners = drivers[env, slot].manners
        mobil = replace(
            _MOBIL, politeness=manners.politeness, safe_braking_mps2=manners.safe_braking_mps2
        )
        own, room_ahead = respond(slot, ahead)
        other, room_behind = respond(behind, slot)
        has_follower = behind != NO_VEHICLE
        urgency = (1.0 - line.to_end_m[env, slot] / _URGENT_M).clamp(0.0, 1.0) * mandatory
        incentive = mobil.incentive_mps2(
            acceleration[env, slot], own, acceleration[env, behind.clamp(min=0)], other,
            has_follower,
        )  # fmt: skip
        incentive = incentive + _MOBIL.mandatory_incentive_mps2 * mandatory
        starts = (incentive > _MOBIL.threshold_mps2) & room_ahead & room_behind
        starts &= mobil.is_safe(own, other, has_follower, urgency)
        starts &= (target.lane >= 0) & (target.lane != line.lane[env, slot]) & ~target.closes
        starts &= counts
        values = {
            "shift_m": step - target.offset_m,
            "progress": torch.zeros_like(step),
            "cooldown_s": torch.full_like(step, _CHANGE_S + _COOLDOWN_S),
        }
        for name, value in values.items():
            rows[name][env, slot] = torch.where(starts, value, rows[name][env, slot])

    def _ready(
        self, rows: Rows, now: Situation, chance: Chance, line: LanePlace
    ) -> Bool[Tensor, "envs slots"]:
        """Whether drivers decide on a lane change at this frame."""
        due = (chance.vehicle + chance.frame[:, None]) % _DECIDE_FRAMES == 0
        ready = (rows["vehicle"] >= 0) & due & (rows["progress"] >= 1.0) & (line.lane >= 0)
        moving = now.speed_mps[:, :-1] > _MOBIL.slowest_mps
        return ready & (line.closes | (moving & (rows["cooldown_s"] <= 0.0)))

    def _move(
        self,
        rows: Rows,
        line: LanePlace,
        now: Situation,
        acceleration: Float[Tensor, "envs slots"],
    ) -> None:
        """Moves all vehicles by one step along their lines."""
        dt_s = self.scene.dt_s
        boxes, speed = now.boxes[:, :-1], now.speed_mps[:, :-1]
        distance = 0.5 * (speed + (speed + acceleration * dt_s).clamp(min=0.0)) * dt_s
        progress, shift = rows["progress"], rows["shift_m"]
        gain = torch.minimum(torch.full_like(distance, dt_s / _CHANGE_S), distance / _CHANGE_M)
        gain = torch.minimum(gain, 1.0 - progress)
        per_metre = torch.where(distance > 1e-3, gain / distance.clamp(min=1e-3), 0.0)
        heading = torch.atan(shift * quintic_slope(progress) * per_metre)
        curvature = (
            shift * quintic_second_derivative(progress) * per_metre**2 + line.curvature_radpm
        )
        stiff = (_STEERING_RADPS / speed.clamp(min=1e-3)).clamp(max=1.0 / _SHORTEST_STEERING_M)
        turned = wrap_angle(boxes[..., 2] - line.direction_rad)
        curvature = curvature - stiff**2 * line.offset_m - 2.0 * stiff * (turned - heading)
        largest = (_LATERAL_MPS2 / speed.clamp(min=1.0) ** 2).clamp(max=_CURVATURE_RADPM)
        curvature = torch.minimum(torch.maximum(curvature, -largest), largest)
        state = torch.cat([boxes[..., :3], speed[..., None]], dim=-1)
        state = kinematics.step(state, torch.stack([acceleration, curvature], dim=-1), dt_s)
        rows["boxes"] = torch.cat([state[..., :3], boxes[..., 3:]], dim=-1)
        rows["speed_mps"] = state[..., 3]
        rows["progress"] = progress + gain
        rows["cooldown_s"] = (rows["cooldown_s"] - dt_s).clamp(min=0.0)
