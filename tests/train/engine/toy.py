"""A recipe of a few weights, trained alone or, as a script under torchrun, by several ranks."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch

from ppuu.objectives import Terms
from ppuu.runtime.command import run
from train.engine import distributed
from train.engine.loop import Recipe, train
from train.engine.loop_config import LoopConfig

LOOP = LoopConfig(updates=8, learning_rate=0.05, warmup_updates=2, log_every=1, save_every_s=0.0)


class Noisy(torch.nn.Module):
    """Convolution, dropout, a weight that is never used, and statistics of the data."""

    def __init__(self):
        super().__init__()
        self.convolve = torch.nn.Conv2d(2, 4, 3)
        self.drop = torch.nn.Dropout(0.2)
        self.read = torch.nn.Linear(4 * 9, 1)
        self.unused = torch.nn.Linear(3, 3)
        self.register_buffer("offset", torch.tensor(0.5))

    def forward(self, images):
        features = self.drop(torch.relu(self.convolve(images)))
        return self.read(features.flatten(1))[:, 0] + self.offset


def fit(
    out: Path,
    loop: LoopConfig = LOOP,
    batch: int = 4,
    noise: bool = True,
    validate=None,
    pictures=None,
    dies_at: int | None = None,
) -> Noisy:
    """Trains; sample ``k`` of the endless data is a function of ``k``, batches cut it in order."""
    torch.manual_seed(0)
    module = Noisy()
    module.drop.p *= noise

    def draw(number, generator):
        if number == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        samples = range(number * batch, (number + 1) * batch)
        of = [torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(k)) for k in samples]
        images = torch.stack(of)
        return images, images.mean((1, 2, 3)) + noise * torch.randn(batch, generator=generator)

    def loss(drawn, generator):
        images, target = drawn
        target = target + noise * torch.randn(batch, generator=generator)
        error = (module(images) - target).square().mean()
        return Terms(error, {"error": error})

    recipe = Recipe(
        lambda number: number, draw, loss, validate and validate(module), pictures, batch=batch
    )
    train(out, "toy", {"loop": {}}, loop, module, recipe, "toy")
    return module


def main(
    out: Path, batch: int = 4, updates: int = 8, noise: bool = True, dies_at: int | None = None
) -> None:
    distributed.join("cpu")
    fit(out, replace(LOOP, updates=updates), batch, noise, dies_at=dies_at)


if __name__ == "__main__":
    run(main, sys.argv[1:])
    distributed.leave()
    left = [task.read_text() for task in Path("/proc/self/task").glob("*/comm")]
    assert not any("gloo" in name for name in left), left
