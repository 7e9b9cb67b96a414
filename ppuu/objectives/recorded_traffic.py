"""Recorded traffic as the surroundings of an unrolled policy."""

from __future__ import annotations

from ..perception.observation import Observation
from ..policies.unroll import FixedTraffic
from ..predictions import BoxPrediction, Target
from ..world_models import Predictor


def recorded_traffic(
    observation: Observation, target: Target, predictor: Predictor
) -> FixedTraffic:
    """The tracked vehicles at their recorded states.

    Args:
        observation: histories with tracks.
        target: of the same vehicles.
        predictor: that defines the steps of the target.
    """
    tracks, road = observation.tracks, observation.road
    assert tracks is not None
    assert road is not None
    return FixedTraffic(
        BoxPrediction(
            predictor.image_poses(observation, target.ego)[:, None],
            predictor.raster,
            target.placed_tracks.transpose(1, 2)[:, None, None],
            tracks.size_m,
            tracks.valid_now,
            road,
        )
    )
