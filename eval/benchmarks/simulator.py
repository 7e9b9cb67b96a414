"""How many environment steps the simulator makes in a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
import tyro

from data.traffic import PRESETS, generate
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.termination import contact, off_the_road
from envs.core.world import World
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.raster import draw_into
from ppuu.perception.raster_image import CHANNELS
from ppuu.recordings.recording import Recording
from ppuu.runtime.device import use_threads
from ppuu.runtime.errors import InputError

from ..statistics.intervals import median_and_range
from ..statistics.metric import Row
from . import highway_env
from .crowds import crowd


@dataclass(frozen=True)
class SimulatorBenchmark:
    """Steps per second of the batched simulator, in generated dense traffic.

    A step moves the ego and all other vehicles, tests collisions and road, starts new episodes in
    finished slots, draws one raster for each environment and hands out the observation.  Beside it
    HighwayEnv, where it is installed.

    Attributes:
        environments: how many at once.
        vehicles: in the scene, at a time.
        observations: raster draws and returns images, state only moves and judges.
        traffic: preset of the generated scene.
        seconds: of traffic; longer scenes hold more episodes.
        repeats: timed blocks; the table has their median and range.
        block_s: duration of each block.
        warm_up_s: untimed, before the first block of each row.
        beside: vehicles in HighwayEnv's scene.
        device: cpu, cuda, ...
        threads: of torch; 0 leaves the number to it.  On a machine busy with other work one
            thread is faster than several that wait for each other.
    """

    environments: tuple[int, ...] = (1, 16, 64, 256, 1024)
    vehicles: tuple[int, ...] = (30, 100, 300)
    observations: tuple[Literal["raster", "state"], ...] = ("raster", "state")
    traffic: Annotated[str, tyro.conf.arg(metavar="PRESET")] = "dense"
    seconds: float = 60.0
    repeats: int = 5
    block_s: float = 0.5
    warm_up_s: float = 0.5
    beside: tuple[int, ...] = (50, 100, 150)
    device: str = "cpu"
    threads: int = 0

    def run(self) -> list[Row]:
        """One row for each scene, kind of observation and number of environments."""
        if self.traffic not in PRESETS:
            raise InputError(f"no traffic '{self.traffic}'; choose one of {', '.join(PRESETS)}")
        use_threads(self.threads)
        recording = generate(PRESETS[self.traffic], self.seconds, seed=0)
        rows = [row for count in self.vehicles for row in self._scene(crowd(recording, count))]
        return rows + highway_env.rows(self.beside, self.repeats, self.block_s)

    def _scene(self, recording: Recording) -> Iterator[Row]:
        world = World.build([recording], device=self.device)
        present = round(recording.rows / recording.frames)
        for observation in self.observations:
            for environments in self.environments:
                config = SimulatorConfig(_SHORTEST if observation == "raster" else None)
                simulator = Simulator(world.scene, world.road_map, config)
                driver = _Driver(simulator, world, environments)
                driver.run(self.warm_up_s)
                speed = median_and_range([driver.run(self.block_s) for _ in range(self.repeats)])
                yield {
                    "name": f"{environments} x {observation}, {present} vehicles",
                    "environments": environments,
                    "vehicles": present,
                    "observation": observation,
                    "device": self.device,
                    "env_steps_per_s": speed,
                    **_shares(simulator, environments / speed.value, self.block_s / 5),
                }


def _shares(simulator: Simulator, step_s: float, seconds: float) -> dict[str, float]:
    """What part of a step's time drawing, contact and look-ups take, each run by itself.

    ``lookup`` is the road under the ego and, with images, those that the observation takes from
    the history.  What is left moves the egos, refills slots and keeps the books.
    """
    others, observation = simulator.neighbours(), simulator.config.observation
    box, speed = simulator.ego_box, simulator.state[:, 3].contiguous()
    place = torch.arange(simulator.envs, device=simulator.device)

    def collision() -> None:
        contact(box, speed, others)

    def lookup() -> None:
        off_the_road(box, simulator.road, simulator.road_map.area)
        if observation is not None:
            simulator.images()

    parts = {"collision": collision, "lookup": lookup}
    if observation is not None:
        raster = observation.raster
        size = (simulator.envs, CHANNELS, raster.rows, raster.columns)
        images = torch.zeros(size, dtype=torch.uint8, device=simulator.device)
        parts["raster"] = lambda: draw_into(
            images, place, box[:, :3], others, simulator.road, simulator.road_map, raster
        )
    return {f"{name}_share": _seconds(part, seconds) / step_s for name, part in parts.items()}


def _seconds(part: Callable[[], None], seconds: float) -> float:
    """Duration of one call, the median of as many as fit into some seconds."""
    spent: list[float] = []
    while sum(spent) < seconds or len(spent) < 3:
        start = time.perf_counter()
        part()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        spent.append(time.perf_counter() - start)
    return float(np.median(spent))


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
