"""How many images the rasteriser draws in a second."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from data.traffic import PRESETS, generate
from ppuu.perception.raster import draw
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap
from ppuu.recordings.scene import Scene

from ..statistics.intervals import median_and_range
from ..statistics.metric import Metric, Row


@dataclass(frozen=True)
class RasterBenchmark:
    """Images per second of ``ppuu.perception.raster.draw``, in generated dense traffic.

    Attributes:
        batches: images drawn at once.
        seconds: of traffic.
        repeats: timed blocks; the table has their median and range.
        block_s: duration of each block.
        warm_up_s: untimed, before the first block.
        device: cpu, cuda, ...
    """

    batches: tuple[int, ...] = (1, 64, 256)
    seconds: float = 20.0
    repeats: int = 5
    block_s: float = 1.0
    warm_up_s: float = 3.0
    device: str = "cpu"

    def run(self) -> list[Row]:
        """One row for each batch size, without and with gradients to the poses."""
        recording = generate(PRESETS["dense"], self.seconds, seed=0)
        scene = Scene.build([recording], self.device)
        road_map = RoadMap.build([recording.road], RasterConfig(), self.device)
        present = np.bincount(recording.frame)
        return [
            {
                "name": f"raster, {batch}" + (", with gradients" if gradients else ""),
                "batch": batch,
                "vehicles": round(float(present.mean())),
                "device": self.device,
                "images_per_s": self._rate(scene, road_map, batch, gradients),
            }
            for gradients in (False, True)
            for batch in self.batches
        ]

    def _rate(self, scene: Scene, road_map: RoadMap, batch: int, gradients: bool) -> Metric:
        vehicle = torch.arange(batch, device=self.device) % len(scene.size_m)
        frame = (scene.first_frame[vehicle] + scene.last_frame[vehicle]) // 2
        pose = scene.state(vehicle, frame)[:, :3].requires_grad_(gradients)
        boxes, visible = scene.others(frame, vehicle)
        road = torch.zeros_like(vehicle)

        def once():
            image = draw(pose, boxes, visible, road, road_map, RasterConfig())
            if gradients:
                torch.autograd.grad(image.sum(), pose)
            if image.is_cuda:
                torch.cuda.synchronize()

        def block(seconds: float) -> float:
            start, images = time.perf_counter(), 0
            while time.perf_counter() - start < seconds or images == 0:
                once()
                images += batch
            return images / (time.perf_counter() - start)

        block(self.warm_up_s)
        return median_and_range([block(self.block_s) for _ in range(self.repeats)])
