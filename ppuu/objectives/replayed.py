"""Surroundings as they were recorded, to unroll a policy through."""

from __future__ import annotations

from ..observation import Observation
from ..track_futures import TrackFutures
from ..world_models.base import Predictor, Truth
from .policy_unroll import Surroundings


def as_recorded(observation: Observation, truth: Truth, predictor: Predictor) -> Surroundings:
    """The tracked vehicles where they really were, for as long as they were recorded.

    Args:
        observation: histories with tracks.
        truth: of the same vehicles.
        predictor: whose steps the truth was taken at.
    """
    tracks, road = observation.tracks, observation.road
    assert tracks is not None
    assert road is not None
    futures = TrackFutures(
        truth.present.transpose(1, 2)[:, None],
        tracks.size_m,
        tracks.here,
        road,
        predictor.image_poses(observation, truth.ego),
        predictor.raster,
    )

    return lambda number, ego, action: (futures.at(number), ego)
