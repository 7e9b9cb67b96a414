"""Recordings with their scenarios, and a policy at the wheel of the simulator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from data.splits import Part, Split, SplitManifest, part_of
from envs.core.scenario import ScenarioConfig, Scenarios, list_scenarios
from envs.core.simulator import Simulator, SimulatorConfig, StepResult
from envs.core.traffic_probe import Tryout
from envs.core.variation import Variation
from envs.traffic.registry import traffic_by_name
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap
from ppuu.perception.surroundings import Surroundings
from ppuu.policies import Policy
from ppuu.recordings.recording import Recording, load_recordings
from ppuu.recordings.road import Road
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError

REPLAY = "replay"


@dataclass(frozen=True, eq=False)
class Track:
    """The scenarios to drive and the world to drive them in.

    Attributes:
        recordings: the traffic.
        parts: what the split may use of each.
        scene: their tracks.
        scenarios: fixed by the recordings, the split and the scenario rules.
        variation: what differs from the recorded world.
    """

    recordings: Sequence[Recording]
    parts: Sequence[Part]
    scene: Scene
    scenarios: Scenarios
    variation: Variation = field(default_factory=Variation)

    @classmethod
    def load(
        cls,
        paths: Sequence[Path],
        split: Split,
        manifest: SplitManifest | None = None,
        variation: Variation | None = None,
        drivers: Iterable[Policy] = (),
    ) -> Track:
        """Lists the scenarios of one split of every recording that it may use.

        They begin late enough for the longest history that one of the drivers wants to see, so
        all of them are driven in the same scenarios.

        Raises:
            InputError: a file is missing or damaged, or has no such split.
        """
        variation = variation or Variation()
        spans = [one.observation.span for one in drivers if one.observation is not None]
        rules = ScenarioConfig(context_frames=max(ScenarioConfig.context_frames, *spans, 0))
        recordings, parts, lists = [], [], []
        for recording in load_recordings(paths):
            part = part_of(recording, split, manifest)
            if part is None:
                continue
            recording = variation.recording(recording)
            found = list_scenarios(recording, rules, part.window.first, part.window.last)
            if part.egos is not None:
                found = found[np.flatnonzero(np.isin(found.vehicle, part.egos))]
            recordings.append(recording)
            parts.append(part)
            lists.append(found)
        if not any(map(len, lists)):
            raise InputError(f"the split manifest gives {split} no vehicle of these recordings")
        scene = variation.scene(Scene.build(recordings))
        return cls(recordings, parts, scene, Scenarios.concatenate(lists), variation)

    @property
    def roads(self) -> list[Road]:
        """Of the recordings, in their order."""
        return [recording.road for recording in self.recordings]


def simulator_for(policy: Policy, track: Track, others: str = REPLAY) -> Simulator:
    """A simulator of the track that draws what the policy wants to see, if anything.

    Raises:
        InputError: no traffic is called ``others``.
    """
    seen = policy.observation
    roads = RoadMap.build(track.roads, RasterConfig() if seen is None else seen.raster)
    varied, dt_s = track.variation, track.scene.dt_s
    traffic = traffic_by_name(others, track.scene, track.roads, varied.idm)
    config = SimulatorConfig(
        seen,
        actuation=varied.actuation(dt_s),
        perception=varied.perception(dt_s),
    )
    return Simulator(track.scene, roads, config, traffic)


def choose_action(policy: Policy, simulator: Simulator) -> torch.Tensor:
    """Shows the policy where things stand; ``(envs, 2)`` what it would do, in m/s² and 1/m."""
    others = simulator.seen()
    surroundings = Surroundings(
        simulator.scene, simulator.vehicle, simulator.frame,
        others.boxes, others.speed_mps, others.valid, simulator.road_map,
        Tryout.of(simulator),
    )  # fmt: skip
    blind = policy.observation is None
    observation = simulator.present() if blind else simulator.observe()
    return policy.act(observation, surroundings)


def take_turn(policy: Policy, simulator: Simulator) -> StepResult:
    """Does what the policy says, for one frame."""
    return simulator.step(choose_action(policy, simulator))
