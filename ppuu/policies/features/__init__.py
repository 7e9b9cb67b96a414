"""What a policy looks at: one kind of eyes a file, all of them ``(observation, ego) → features``."""

from .embedding import EmbeddingConfig, EmbeddingFeatures
from .pixels import PixelsConfig, PixelFeatures
from .tracks import TracksConfig, TrackFeatures

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
