"""What a vehicle can do: friction circle, power, top speed, brakes and steering."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..backends import motion_cpu
from ..backends.dispatch import constant_float32, paired
from ..runtime.errors import require_positive
from .lorries import LORRY_LENGTH_M

_GRAVITY_MPS2 = 9.81
_SLOWEST_MPS = 1e-3
"""Below, power and friction limit as at this speed."""


@dataclass(frozen=True)
class VehicleParameters:
    """Limits of one kind of vehicle.

    Attributes:
        friction: between tyres and dry road; accelerations along and across together stay below
            it times 9.81 m/s² (the friction circle).
        power_wpkg: engine power a mass; at speed v a vehicle gains at most ``power_wpkg / v``.
        top_speed_mps: to which it accelerates.
        braking_mps2: largest deceleration of the brakes.
        wheelbase_m: between the axles.
        steering_angle_rad: largest of the front wheels, either way; the curvature is
            ``tan(angle) / wheelbase_m`` (the kinematic bicycle model).
        steering_rate_radps: largest change of that angle in a second.
    """

    friction: float
    power_wpkg: float
    top_speed_mps: float
    braking_mps2: float
    wheelbase_m: float
    steering_angle_rad: float
    steering_rate_radps: float

    def __post_init__(self):
        require_positive("vehicle", **vars(self))

    @property
    def values(self) -> tuple[float, ...]:
        """One row of ``VehicleLimits``."""
        return (
            self.friction * _GRAVITY_MPS2, self.power_wpkg, self.top_speed_mps, self.braking_mps2,
            self.wheelbase_m, math.tan(self.steering_angle_rad), self.steering_rate_radps,
        )  # fmt: skip


CAR = VehicleParameters(
    friction=0.9,
    power_wpkg=75.0,
    top_speed_mps=50.0,
    braking_mps2=8.0,
    wheelbase_m=2.6,
    steering_angle_rad=0.55,
    steering_rate_radps=0.4,
)
"""A passenger car.

Friction of tyres on dry asphalt is 0.8 to 0.9 (Wong, "Theory of Ground Vehicles", peak values);
full braking of cars reaches about 8 m/s² of it (UN Regulation 13-H demands 6.43).  Power: new
cars sold in the United States in 2005 had 156 kW for 1841 kg (EPA Automotive Trends), of which
the drive train passes on about 85 %, with the driver on board 75 W/kg.  Top speed: the 180 km/h at
which many cars are governed.  Wheelbase and steering rate: CommonRoad's vehicle 2, a BMW 320i
(Althoff et al., "CommonRoad", IV 2017; 2.58 m, 0.4 rad/s); steering angle: 31.6 degrees of
the design vehicle P in AASHTO's "Green Book".
"""

LORRY = VehicleParameters(
    friction=0.7,
    power_wpkg=20.0,
    top_speed_mps=33.5,
    braking_mps2=6.0,
    wheelbase_m=6.1,
    steering_angle_rad=0.55,
    steering_rate_radps=0.4,
)
"""A lorry or a bus.

Friction: harder tyres grip less, about 0.7 on dry roads (Fancher et al., "A Factbook of the
Mechanical Properties of the Components for Single-Unit and Articulated Heavy Trucks", 1986).
Power: that of a light lorry, 150 kW for 7.5 t; typical loaded trucks on freeways have 76 to
90 kg/kW, 11 to 13 W/kg (Highway Capacity Manual 2000), but of the vehicles above 7 m in NGSIM's
US-101 these would forbid 15 % of the recorded accelerations (20 W/kg: 8 %).
Top speed: 75 mph, for which tyres of heavy trucks are rated.  Brakes: UN Regulation 13 demands
5 m/s²; 6 m/s² is a good vehicle.  Wheelbase (20 ft) and steering angle (31.8 degrees): the design
vehicle SU-30 in AASHTO's "Green Book"; the steering rate is taken to be a car's.
"""


@dataclass(frozen=True, eq=False)
class VehicleLimits:
    """Limits of a batch of vehicles.

    Attributes:
        values: of each the grip of its tyres in m/s², power in W/kg, top speed in m/s, braking in
            m/s², wheelbase in m, tangent of the largest steering angle, and steering rate in rad/s.
    """

    values: Float[Tensor, "*batch 7"]

    @classmethod
    def of(cls, size_m: Float[Tensor, "*batch 2"], friction: float = 1.0) -> VehicleLimits:
        """Those of a car or of a lorry, by the vehicle's length.

        Args:
            size_m: lengths and widths.
            friction: factor on the friction; 1 is a dry road.
        """
        car, lorry = (
            size_m.new_tensor([friction * kind.values[0], *kind.values[1:]])
            for kind in (CAR, LORRY)
        )
        return cls(torch.where(size_m[..., :1] > LORRY_LENGTH_M, lorry, car))

    @property
    def largest_curvature_radpm(self) -> Float[Tensor, "*batch"]:
        """With the front wheels turned as far as they go, either way."""
        return self.values[..., 5] / self.values[..., 4]

    def _project_compiled(
        self,
        action: Float[Tensor, "*batch 2"],
        previous_action: Float[Tensor, "*#batch 2"],
        speed_mps: Float[Tensor, "*#batch"],
        dt_s: float,
    ) -> Float[Tensor, "*batch 2"]:
        feasible = torch.empty_like(action, memory_format=torch.contiguous_format)
        motion_cpu.project(
            action.reshape(-1, 2),
            previous_action.expand_as(action).reshape(-1, 2),
            speed_mps.expand(action.shape[:-1]).reshape(-1),
            self.values.expand(*action.shape[:-1], -1).reshape(-1, self.values.shape[-1]),
            feasible.view(-1, 2),
            shared=(dt_s,),
        )
        return feasible

    @paired(
        _project_compiled, motion_cpu.project,
        when=lambda self, action, previous_action, speed_mps, dt_s: constant_float32(
            action, previous_action, speed_mps, self.values
        ),
    )  # fmt: skip
    def project(
        self,
        action: Float[Tensor, "*batch 2"],
        previous_action: Float[Tensor, "*#batch 2"],
        speed_mps: Float[Tensor, "*#batch"],
        dt_s: float,
    ) -> Float[Tensor, "*batch 2"]:
        """The feasible action next to the one asked for; one that is feasible stays as it is.

        First each part by itself: curvature within what the wheels can be steered to in ``dt_s``
        (``d curvature / dt = steering rate / (wheelbase cos² angle)``, integrated exactly) and what
        the tyres hold, acceleration within brakes, power and top speed.  Then both parts shrink
        alike until they lie in the friction circle, curvature to no less than the wheels can be
        turned back to.  Where even that slides, at the speed the ego has, friction decides.

        Args:
            action: acceleration_mps2 and curvature_radpm asked for.
            previous_action: done in the frame before.
            speed_mps: at the beginning of the frame; power and friction are taken there.
            dt_s: seconds a frame.
        """
        grip, power, top, braking, wheelbase, largest, rate = self.values.unbind(-1)
        turn = torch.tan(rate * dt_s)
        steered = (wheelbase * previous_action[..., 1]).clamp(-largest, largest)
        square = speed_mps.square()
        held = grip / square.clamp(min=_SLOWEST_MPS**2)
        high = (_steer(steered, turn, largest) / wheelbase).clamp(-held, held)
        low = (-_steer(-steered, turn, largest) / wheelbase).clamp(-held, held)
        curvature = _between(action[..., 1], low, high)
        gain = torch.minimum(
            power / speed_mps.clamp(min=_SLOWEST_MPS), (top - speed_mps).clamp(min=0.0) / dt_s
        )
        acceleration = action[..., 0].clamp(-braking, gain)
        demand = acceleration.square() + (curvature * square).square()
        scale = torch.where(
            demand > grip.square(), grip / torch.maximum(demand, grip.square()).sqrt(), 1.0
        )
        scaled = scale * curvature
        curvature = _between(scaled, low, high)
        # What is left for acceleration where the wheels cannot be turned back fast enough.
        across = curvature * square
        room = ((grip - across) * (grip + across)).clamp(min=1e-9).sqrt()
        acceleration = torch.where(
            curvature == scaled, scale * acceleration, acceleration.clamp(-room, room)
        )
        return torch.stack([acceleration, curvature], dim=-1)


def _steer(
    tangent: Float[Tensor, "*#batch"],
    turn: Float[Tensor, "*#batch"],
    largest: Float[Tensor, "*#batch"],
) -> Float[Tensor, "*batch"]:
    """The tangent of the wheels' angle after a turn to the left, by the addition of tangents."""
    return torch.minimum((tangent + turn) / (1.0 - tangent * turn).clamp(min=1e-3), largest)


def _between(
    value: Float[Tensor, "*#batch"], low: Float[Tensor, "*#batch"], high: Float[Tensor, "*#batch"]
) -> Float[Tensor, "*batch"]:
    """``torch.clamp``, but with a gradient where ``low`` equals ``high``."""
    return torch.minimum(torch.maximum(value, low), high)
