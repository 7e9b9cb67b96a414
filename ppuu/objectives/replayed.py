"""Traffic as it was recorded, to unroll a policy through."""

from __future__ import annotations

from ..perception.observation import Observation
from ..policies.unroll import FixedTraffic
from ..predictions import BoxPrediction, Target
from ..world_models import Predictor


def as_recorded(observation: Observation, target: Target, predictor: Predictor) -> FixedTraffic:
    """The tracked vehicles where they really were, for as long as they were recorded.

    Args:
        observation: histories with tracks.
        target: of the same vehicles.
        predictor: whose steps the target was taken at.
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
            tracks.here,
            road,
        )
    )
