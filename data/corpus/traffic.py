"""From drawn parameters to the generator's description of road and traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppuu.driving.drivers import FREE_SPEED_MPS

from ..traffic import TrafficPreset
from ..traffic.road import Highway, Ramp


def traffic_of(parameters: Mapping[str, Any]) -> TrafficPreset:
    """The traffic that parameters of ``ranges.draw`` describe."""
    desired = FREE_SPEED_MPS * parameters["desired_speed_scale"]
    bottleneck = parameters["bottleneck_speed_mps"]
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
        headway_log_std=parameters["headway_log_std"],
        wander_m=parameters["wander_m"],
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
