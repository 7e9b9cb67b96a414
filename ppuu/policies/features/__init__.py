"""Feature extractors of policies, one a file: from observation and ego history to features."""

from .embedding import EmbeddingConfig, EmbeddingFeatures
from .pixels import PixelFeatures, PixelsConfig
from .tracks import TrackFeatures, TracksConfig

FeaturesConfig = TracksConfig | PixelsConfig | EmbeddingConfig
"""Configurations of feature extractors."""

__all__ = [
    "EmbeddingConfig",
    "EmbeddingFeatures",
    "FeaturesConfig",
    "PixelFeatures",
    "PixelsConfig",
    "TrackFeatures",
    "TracksConfig",
]
