"""Presets of the generator: density, speed and lane changes of the traffic."""

from __future__ import annotations

from dataclasses import dataclass

from .road import I80, MOTORWAY, US101, Highway

VERSION = 2
"""Of all generated traffic, part of a recording's name: figures of one version say nothing about
another.  1: one driver model for all but its parameters, 46 lane changes an hour; 2: calibrated."""


@dataclass(frozen=True)
class TrafficPreset:
    """One kind of traffic.

    The defaults make ``dense`` as like I-80 as ``eval.realism`` can tell, on seeds 1 to 5.

    Attributes:
        name: of the preset and of the recordings made with it.
        summary: one sentence for the command line.
        inflow_per_lane_hz: vehicles that arrive on each main lane, per second.
        carpool_inflow_hz: the same for the carpool lane, where there is one.
        carpool_speed_mps: desired speed there, beside slower lanes.
        ramp_inflow_hz: vehicles that arrive on the on-ramp, per second.
        bottleneck_speed_mps: mean speed limit of the downstream bottleneck.
        bottleneck_swing_mps: amplitude of that speed around its mean: stop-and-go waves.
        bottleneck_period_s: typical time from wave to wave.
        headway_scale: factor on the fitted drivers' time headways.
        jam_gap_scale: factor on their gaps at standstill.
        acceleration_scale: factor on their largest accelerations.
        truck_share: fraction of trucks on the main lanes.
        lane_wish_rate_hz: how often a driver intends to be one lane further left or right for
            reasons other than MOBIL's incentive (an exit, a faster lane ahead).
        acceleration_noise_mps2: standard deviation of the acceleration noise.
        headway_log_std: how much a driver's time headway varies, as the standard deviation of its
            logarithm.
        wander_m: standard deviation of the lateral drift inside the lane.
        highway: the road.
        exit_share: fraction of the vehicles on the right lanes that leave by the off-ramp.
        desired_speed_scale: factor on the desired speed on a free road.
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
    truck_share: float
    lane_wish_rate_hz: float
    headway_scale: float = 0.92
    headway_log_std: float = 0.25
    jam_gap_scale: float = 1.15
    acceleration_scale: float = 1.2
    acceleration_noise_mps2: float = 0.2
    wander_m: float = 0.33
    highway: Highway = I80
    exit_share: float = 0.0
    desired_speed_scale: float = 1.0


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
            truck_share=0.05,
            lane_wish_rate_hz=0.001,
        ),
        TrafficPreset(
            name="dense",
            summary="slow waves on six full lanes, about as hard as I-80: the benchmark",
            inflow_per_lane_hz=0.75,
            carpool_inflow_hz=0.38,
            carpool_speed_mps=15.5,
            ramp_inflow_hz=0.05,
            bottleneck_speed_mps=10.6,
            bottleneck_swing_mps=3.0,
            bottleneck_period_s=140.0,
            truck_share=0.05,
            lane_wish_rate_hz=0.001,
        ),
        TrafficPreset(
            name="free-flow",
            summary="few vehicles, near the speed that each would like",
            inflow_per_lane_hz=0.18,
            carpool_inflow_hz=0.08,
            carpool_speed_mps=32.0,
            ramp_inflow_hz=0.05,
            bottleneck_speed_mps=40.0,
            bottleneck_swing_mps=0.0,
            bottleneck_period_s=90.0,
            truck_share=0.08,
            lane_wish_rate_hz=0.001,
        ),
        TrafficPreset(
            name="stop-and-go",
            summary="a queue through which waves run upstream that almost stop",
            inflow_per_lane_hz=0.5,
            carpool_inflow_hz=0.35,
            carpool_speed_mps=12.0,
            ramp_inflow_hz=0.03,
            bottleneck_speed_mps=11.0,
            bottleneck_swing_mps=8.0,
            bottleneck_period_s=80.0,
            truck_share=0.05,
            lane_wish_rate_hz=0.001,
        ),
        TrafficPreset(
            name="merge",
            summary="a busy ramp squeezes into dense lanes",
            inflow_per_lane_hz=0.5,
            carpool_inflow_hz=0.33,
            carpool_speed_mps=17.0,
            ramp_inflow_hz=0.35,
            bottleneck_speed_mps=14.0,
            bottleneck_swing_mps=0.5,
            bottleneck_period_s=70.0,
            truck_share=0.05,
            lane_wish_rate_hz=0.001,
        ),
        TrafficPreset(
            name="aggressive",
            summary="short gaps, frequent lane changes and an unsteady foot",
            inflow_per_lane_hz=0.58,
            carpool_inflow_hz=0.45,
            carpool_speed_mps=17.0,
            ramp_inflow_hz=0.05,
            bottleneck_speed_mps=15.0,
            bottleneck_swing_mps=0.5,
            bottleneck_period_s=70.0,
            headway_scale=0.7,
            truck_share=0.05,
            lane_wish_rate_hz=0.006,
            acceleration_noise_mps2=0.35,
            wander_m=0.36,
        ),
        TrafficPreset(
            name="trucks",
            summary="every fourth vehicle is a lorry of 8 to 16 m",
            inflow_per_lane_hz=0.45,
            carpool_inflow_hz=0.33,
            carpool_speed_mps=16.0,
            ramp_inflow_hz=0.04,
            bottleneck_speed_mps=13.0,
            bottleneck_swing_mps=0.5,
            bottleneck_period_s=70.0,
            truck_share=0.25,
            lane_wish_rate_hz=0.001,
        ),
        TrafficPreset(
            name="weave",
            summary="as at US-101: on-ramp and off-ramp cross on an auxiliary lane of 212 m",
            inflow_per_lane_hz=0.5,
            carpool_inflow_hz=0.0,
            carpool_speed_mps=20.0,
            ramp_inflow_hz=0.2,
            bottleneck_speed_mps=15.0,
            bottleneck_swing_mps=1.5,
            bottleneck_period_s=60.0,
            truck_share=0.036,
            lane_wish_rate_hz=0.001,
            highway=US101,
            exit_share=0.25,
        ),
        TrafficPreset(
            name="motorway",
            summary="fast and free on three lanes, in bends",
            inflow_per_lane_hz=0.3,
            carpool_inflow_hz=0.0,
            carpool_speed_mps=32.0,
            ramp_inflow_hz=0.05,
            bottleneck_speed_mps=50.0,
            bottleneck_swing_mps=0.0,
            bottleneck_period_s=90.0,
            truck_share=0.2,
            lane_wish_rate_hz=0.002,
            highway=MOTORWAY,
            desired_speed_scale=1.35,
        ),
    )
}
