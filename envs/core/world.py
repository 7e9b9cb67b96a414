"""Recordings made ready for the simulator: scene, roads and scenarios, loaded once a process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import torch

from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap
from ppuu.recordings.lanes import LaneField
from ppuu.recordings.recording import Recording, load_recordings
from ppuu.recordings.scene import Scene

from .scenario import ScenarioConfig, Scenarios, check_any, list_scenarios
from .variation import Variation


@dataclass(frozen=True, eq=False)
class World:
    """What every simulator of the same recordings shares; nothing in it changes.

    Attributes:
        recordings: in the order of the scene.
        scene: their tracks.
        road_map: their roads.
        scenarios: the vehicles that can be the ego, and from when.
    """

    recordings: tuple[Recording, ...]
    scene: Scene
    road_map: RoadMap
    scenarios: Scenarios

    @property
    def device(self) -> torch.device:
        """Where every tensor lives."""
        return self.scene.boxes.device

    @cached_property
    def lanes(self) -> LaneField:
        """The lanes of the roads, to look up."""
        return LaneField.build([recording.road for recording in self.recordings], self.device)

    @classmethod
    def build(
        cls,
        recordings: Sequence[Recording],
        scenarios: ScenarioConfig | None = None,
        raster: RasterConfig | None = None,
        first_frame: int = 0,
        last_frame: int | None = None,
        device: torch.device | str = "cpu",
        variation: Variation | None = None,
    ) -> World:
        """Lists the scenarios of ``first_frame <= frame < last_frame`` in every recording.

        Raises:
            InputError: no recording has any.
        """
        variation = variation or Variation()
        recordings = [variation.recording(recording) for recording in recordings]
        scene = variation.scene(Scene.build(recordings, device))
        scenarios = scenarios or ScenarioConfig()
        lists = [
            list_scenarios(recording, scenarios, first_frame, last_frame)
            for recording in recordings
        ]
        check_any(lists, recordings, scenarios)
        roads = [recording.road for recording in recordings]
        return cls(
            tuple(recordings),
            scene,
            RoadMap.build(roads, raster or RasterConfig(), device),
            Scenarios.concatenate(lists),
        )


def load_world(
    paths: Sequence[str | Path],
    scenarios: ScenarioConfig,
    raster: RasterConfig,
    first_frame: int = 0,
    last_frame: int | None = None,
    variation: Variation | None = None,
    device: torch.device | str = "cpu",
) -> World:
    """Reads recordings; several environments in one process share what they read."""
    files = tuple(
        (str(path), Path(path).stat().st_mtime_ns if Path(path).is_file() else 0) for path in paths
    )
    return _load_world(files, scenarios, raster, first_frame, last_frame, variation, str(device))


@lru_cache(maxsize=4)
def _load_world(
    files: tuple[tuple[str, int], ...],
    scenarios: ScenarioConfig,
    raster: RasterConfig,
    first_frame: int,
    last_frame: int | None,
    variation: Variation | None,
    device: str,
) -> World:
    recordings = load_recordings([path for path, _ in files])
    return World.build(recordings, scenarios, raster, first_frame, last_frame, device, variation)
