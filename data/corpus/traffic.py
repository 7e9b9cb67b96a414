"""From drawn parameters to the generator's description of road and traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppuu.units import LANE_WIDTH_M

from ..traffic import TrafficPreset
from ..traffic.drivers import MEAN_DESIRED_SPEED_MPS
from ..traffic.road import Highway, Ramp

_WIDEST_CAR_M = 2.25


def traffic_of(parameters: Mapping[str, Any]) -> TrafficPreset:
    """The traffic that parameters of ``ranges.draw`` describe."""
    desired = MEAN_DESIRED_SPEED_MPS * parameters["desired_speed_scale"]
    bottleneck = parameters["bottleneck_speed_mps"]
    width = parameters["lane_width_m"]
    # A narrow lane leaves less room to drift.
    room = (width - _WIDEST_CAR_M) / (LANE_WIDTH_M - _WIDEST_CAR_M)
    return TrafficPreset(
        name="corpus",
        summary="drawn from the ranges of a corpus",
        inflow_per_lane_hz=parameters["inflow_per_lane_hz"],
        carpool_inflow_hz=parameters.get("carpool_inflow_hz", 0.0),
        carpool_speed_mps=parameters.get("carpool_speed_ratio", 1.0) * min(bottleneck, desired),
        ramp_inflow_hz=parameters.get("ramp_inflow_hz", 0.0),
        bottleneck_speed_mps=bottleneck,
        bottleneck_swing_mps=parameters["bottleneck_swing_ratio"] * bottleneck,
        bottleneck_period_s=parameters["bottleneck_period_s"],
        headway_scale=parameters["headway_scale"],
        truck_share=parameters["truck_share"],
        lane_wish_rate_hz=parameters["lane_wish_rate_hz"],
        acceleration_noise_mps2=parameters["acceleration_noise_mps2"],
        wander_m=parameters["wander_m"] * room,
        highway=_highway(parameters, desired),
        exit_share=parameters.get("exit_share", 0.0),
        desired_speed_scale=parameters["desired_speed_scale"],
    )


def _highway(parameters: Mapping[str, Any], desired_mps: float) -> Highway:
    kind, ramp = parameters["ramp"], None
    if kind != "none":
        start = parameters["merge_start_m"]
        ramp = Ramp(
            merge_start_m=start,
            merge_end_m=start + parameters["merge_length_m"],
            on_ramp=kind in ("on", "weave"),
            off_ramp=kind in ("off", "weave"),
        )
    lateral = parameters.get("bend_acceleration_mps2")
    return Highway(
        main_lanes=parameters["main_lanes"],
        carpool_lane=parameters["carpool_lane"],
        ramp=ramp,
        lane_width_m=parameters["lane_width_m"],
        smallest_radius_m=desired_mps**2 / lateral if lateral else None,
    )
