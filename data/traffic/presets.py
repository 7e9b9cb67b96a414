"""How crowded and how restless the generated traffic is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrafficPreset:
    """One kind of traffic.

    Attributes:
        name: of the preset and of the recordings made with it.
        summary: one sentence for the command line.
        inflow_per_lane_hz: vehicles that want to enter each main lane, per second.
        carpool_inflow_hz: the same for the leftmost lane, the carpool lane.
        carpool_speed_mps: how fast drivers like to go there, beside slower lanes.
        ramp_inflow_hz: vehicles that want to enter the on-ramp, per second.
        bottleneck_speed_mps: mean of the speed that the downstream bottleneck lets through.
        bottleneck_swing_mps: how far that speed swings around its mean: stop-and-go waves.
        bottleneck_period_s: typical time from wave to wave.
        headway_scale: factor on the fitted drivers' time headways.
        truck_share: share of trucks.
        lane_wish_rate_hz: how often a driver decides to be one lane further left or right for
            reasons of his own (an exit, a faster lane ahead), on top of MOBIL's incentive.
        acceleration_noise_mps2: standard deviation of a driver's unsteady foot.
        wander_m: standard deviation of the drift inside the lane.
    """

    name: str
    summary: str
    inflow_per_lane_hz: float
    carpool_inflow_hz: float
    carpool_speed_mps: float
    ramp_inflow_hz: float
    bottleneck_speed_mps: float
    bottleneck_swing_mps: float
    bottleneck_period_s: float
    headway_scale: float
    truck_share: float
    lane_wish_rate_hz: float
    acceleration_noise_mps2: float
    wander_m: float


PRESETS = {
    preset.name: preset
    for preset in (
        TrafficPreset(
            name="moderate",
            summary="busy but flowing: a gate for regressions, as constant velocity often succeeds",
            inflow_per_lane_hz=0.56,
            carpool_inflow_hz=0.33,
            carpool_speed_mps=18.0,
            ramp_inflow_hz=0.05,
            bottleneck_speed_mps=18.0,
            bottleneck_swing_mps=0.5,
            bottleneck_period_s=90.0,
            headway_scale=1.15,
            truck_share=0.05,
            lane_wish_rate_hz=0.003,
            acceleration_noise_mps2=0.1,
            wander_m=0.2,
        ),
        TrafficPreset(
            name="dense",
            summary="slow waves on six full lanes, about as hard as I-80: the benchmark",
            inflow_per_lane_hz=0.55,
            carpool_inflow_hz=0.38,
            carpool_speed_mps=15.5,
            ramp_inflow_hz=0.05,
            bottleneck_speed_mps=12.5,
            bottleneck_swing_mps=0.5,
            bottleneck_period_s=70.0,
            headway_scale=1.15,
            truck_share=0.05,
            lane_wish_rate_hz=0.005,
            acceleration_noise_mps2=0.1,
            wander_m=0.2,
        ),
    )
}
