"""The scenarios of some recordings, and the simulator to drive them in."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data.splits import Part, Split, SplitManifest, part_of
from envs.core.scenario import ScenarioConfig, Scenarios, check_any, list_scenarios
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.variation import Variation
from envs.core.world import World
from envs.tasks.registry import KEEP
from envs.traffic.base import Traffic
from envs.traffic.registry import traffic_by_name
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap
from ppuu.policies import Policy
from ppuu.recordings.recording import Recording, load_recordings
from ppuu.recordings.road import Road
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError

from .sb3_agent import Sb3Agent

REPLAY = "replay"
"""Traffic in which the other vehicles replay the recording."""


@dataclass(frozen=True, eq=False)
class ScenarioSet:
    """Scenarios and what a simulator of them is built from.

    Attributes:
        recordings: the traffic.
        parts: the frames and egos of each that the split may use.
        scene: the recordings' tracks.
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
        policies: Iterable[Policy] = (),
        task: str = KEEP,
    ) -> ScenarioSet:
        """Lists the scenarios of one split of every recording that has it.

        They start late enough for the longest history that one of the policies observes, so all
        policies drive the same scenarios.

        Raises:
            InputError: a file is missing or damaged, or has no such split.
        """
        variation = variation or Variation()
        spans = [one.observation.span for one in policies if one.observation is not None]
        context = max(ScenarioConfig.context_frames, *spans, 0)
        rules = ScenarioConfig(context_frames=context, task=task)
        recordings, parts, found, lists = [], [], [], []
        for recording in load_recordings(paths):
            part = part_of(recording, split, manifest)
            if part is None:
                continue
            recording = variation.recording(recording)
            listed = list_scenarios(recording, rules, part.window.first, part.window.last)
            if not len(listed):
                print(f"{recording.name}: no scenario", file=sys.stderr)
            found.append(listed)
            if part.egos is not None:
                listed = listed[np.flatnonzero(np.isin(listed.vehicle, part.egos))]
            recordings.append(recording)
            parts.append(part)
            lists.append(listed)
        check_any(found, recordings, rules)
        if not any(map(len, lists)):
            raise InputError(f"the split manifest gives {split} no vehicle of these recordings")
        scene = variation.scene(Scene.build(recordings))
        return cls(recordings, parts, scene, Scenarios.concatenate(lists), variation)

    @property
    def roads(self) -> list[Road]:
        """Of the recordings, in their order."""
        return [recording.road for recording in self.recordings]

    def traffic(self, others: str) -> Traffic:
        """How the other vehicles move.

        Raises:
            InputError: no traffic is called ``others``.
        """
        return traffic_by_name(others, self.scene, self.recordings, self.variation.others())

    def simulator(self, policy: Policy, others: str = REPLAY) -> Simulator:
        """A simulator that draws what the policy observes, if anything.

        Raises:
            InputError: no traffic is called ``others``.
        """
        observation, dt_s = policy.observation, self.scene.dt_s
        raster = RasterConfig() if observation is None else observation.raster
        roads = RoadMap.build(self.roads, raster)
        config = SimulatorConfig(
            observation,
            actuation=self.variation.actuation(dt_s),
            perception=self.variation.perception(dt_s),
        )
        simulator = Simulator(self.scene, roads, config, self.traffic(others))
        if isinstance(policy, Sb3Agent):
            world = World(tuple(self.recordings), self.scene, roads, self.scenarios)
            policy.enter(world, simulator)
        return simulator

    def choose(self, count: int, numbers: Sequence[int] = ()) -> list[int]:
        """The given scenarios, or else ``count`` of them spread evenly over the list.

        Raises:
            InputError: a number is out of range, or the count is not positive.
        """
        last = len(self.scenarios) - 1
        for number in numbers:
            if not 0 <= number <= last:
                raise InputError(f"--scenario {number}: there are 0 to {last}")
        if count < 1:
            raise InputError(f"{count} episodes: must be positive")
        evenly_spread = np.unique(np.linspace(0, last, count).round().astype(int))
        return list(numbers) or evenly_spread.tolist()
