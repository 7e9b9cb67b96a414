"""What a policy looks at, one kind a file: each maps observation and ego history to features."""

from .embedding import EmbeddingConfig, EmbeddingFeatures
from .pixels import PixelFeatures, PixelsConfig
from .tracks import TrackFeatures, TracksConfig

FeaturesConfig = TracksConfig | PixelsConfig | EmbeddingConfig
"""Each builds its module, which knows its ``width``."""

__all__ = [
    "EmbeddingConfig",
    "EmbeddingFeatures",
    "FeaturesConfig",
    "PixelFeatures",
    "PixelsConfig",
    "TrackFeatures",
    "TracksConfig",
]
