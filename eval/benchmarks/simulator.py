"""How many environment steps the simulator makes in a second."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
import tyro

from data.traffic import PRESETS, generate
from envs.simulator import Simulator, SimulatorConfig
from envs.world import World
from ppuu.errors import InputError
from ppuu.observation import ObservationConfig

from ..results import Row, median_and_range


@dataclass(frozen=True)
class SimulatorBenchmark:
    """Steps per second of the batched simulator, in generated dense traffic.

    A step moves the ego and everybody else, tests collisions and road, starts new episodes in
    finished slots, draws one raster for each environment and hands out the observation.

    Attributes:
        environments: how many at once.
        observations: raster draws and returns images, state only moves and judges.
        traffic: preset of the generated scene.
        seconds: of traffic; longer scenes hold more episodes.
        repeats: timed blocks; the table has their median and range.
        block_s: duration of each block.
        warm_up_s: untimed, before the first block.
        device: cpu, cuda, ...
        threads: of torch; 0 leaves the number to it.  On a machine busy with other work one
            thread is faster than several that wait for each other.
    """

    environments: tuple[int, ...] = (1, 16, 64, 256)
    observations: tuple[Literal["raster", "state"], ...] = ("raster", "state")
    traffic: Annotated[str, tyro.conf.arg(metavar="PRESET")] = "dense"
    seconds: float = 60.0
    repeats: int = 5
    block_s: float = 2.0
    warm_up_s: float = 3.0
    device: str = "cpu"
    threads: int = 0

    def run(self) -> list[Row]:
        """One row for each number of environments and kind of observation."""
        if self.traffic not in PRESETS:
            raise InputError(f"no traffic '{self.traffic}'; choose one of {', '.join(PRESETS)}")
        if self.threads:
            torch.set_num_threads(self.threads)
        recording = generate(PRESETS[self.traffic], self.seconds, seed=0)
        world = World.build([recording], device=self.device)
        present = np.bincount(recording.frame)
        return [
            {
                "name": f"simulator, {environments} x {observation}",
                "environments": environments,
                "vehicles": round(float(present.mean())),
                "observation": observation,
                "device": self.device,
                "env_steps_per_s": median_and_range(self._rates(world, environments, observation)),
            }
            for observation in self.observations
            for environments in self.environments
        ]

    def _rates(self, world: World, environments: int, observation: str) -> list[float]:
        config = SimulatorConfig(_SHORTEST if observation == "raster" else None)
        simulator = Simulator(world.scene, world.road_map, config)
        driver = _Driver(simulator, world, environments)
        driver.run(self.warm_up_s)
        return [driver.run(self.block_s) for _ in range(self.repeats)]


_SHORTEST = ObservationConfig(frames=2, stride=1)
"""One new image a step; handing out longer histories copies more of what was drawn before."""


class _Driver:
    """Drives on without steering, and refills slots whose episode has ended."""

    def __init__(self, simulator: Simulator, world: World, environments: int):
        self.simulator, self.world = simulator, world
        self.next = environments
        count = len(world.scenarios)
        simulator.reset(world.scenarios[np.arange(environments) % count])
        self.actions = torch.zeros(environments, 2, device=simulator.device)

    def run(self, seconds: float) -> float:
        """Steps per second over about so many seconds."""
        simulator, count = self.simulator, len(self.world.scenarios)
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < seconds or steps == 0:
            result = simulator.step(self.actions)
            ended = result.done.nonzero()[:, 0]
            # Starting episodes a few at a time costs hardly more than starting one; idle slots
            # are not counted.
            if len(ended) > simulator.envs // 16:
                chosen = (self.next + np.arange(len(ended))) % count
                simulator.replace(ended, self.world.scenarios[chosen])
                self.next += len(ended)
            if simulator.config.observation is not None:
                simulator.images()
            steps += int(result.moved.sum())
        if simulator.device.type == "cuda":
            torch.cuda.synchronize()
        return steps / (time.perf_counter() - start)
