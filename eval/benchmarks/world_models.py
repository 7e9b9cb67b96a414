"""How fast world models are trained and predict, beside PPUU's own run the original's way."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from data.clips.clips import Clips
from data.splits import FrameWindow, Split
from data.traffic import PRESETS, generate
from ppuu.loading.runs import load_world_model
from ppuu.objectives import (
    JepaLossConfig,
    WorldModelLossConfig,
    jepa_loss,
    world_model_loss,
)
from ppuu.recordings.recording import Recording
from ppuu.runtime.device import use_threads
from ppuu.runtime.errors import InputError
from ppuu.world_models import (
    PAPER,
    CortexNetConfig,
    CoupledConfig,
    CoupledWorldModel,
    DecoupledConfig,
    JepaConfig,
    JepaWorldModel,
    RecurrentConfig,
    TokensConfig,
    WorldModelConfig,
)

from ..open_loop.accuracy import prediction_accuracy
from ..statistics.intervals import median_and_range
from ..statistics.metric import Metric, Row
from . import original
from .peak import peak_mib


@dataclass(frozen=True)
class Member:
    """One of the family.

    Attributes:
        config: the model.
        precision: of its networks.
        the_originals_way: whether it is run as PPUU ran it (``original``).
    """

    config: WorldModelConfig
    precision: Literal["float32", "bfloat16"] = "float32"
    the_originals_way: bool = False


ORIGINAL = "paper, the original's way"
MEMBERS = {
    "tokens": Member(TokensConfig()),
    "pixels": Member(DecoupledConfig()),
    "joint-embedding": Member(JepaConfig()),
    "recurrent": Member(RecurrentConfig()),
    "cortexnet": Member(CortexNetConfig()),
    "coupled": Member(CoupledConfig()),
    "cfm-km": Member(CoupledConfig(ego="kinematic")),
    "action-free": Member(CoupledConfig(ego="kinematic", action="state")),
    ORIGINAL: Member(PAPER, the_originals_way=True),
    "paper": Member(PAPER),
    "paper, bfloat16": Member(PAPER, "bfloat16"),
}
"""Rows of the table; a new model is a line."""


@dataclass(frozen=True)
class WorldModelsBenchmark:
    """Speed of a training step and of a rollout, for every world model.

    All are trained on and predict the same stretch of time in generated dense traffic, in steps of
    their own: the default model's are three times as long as PPUU's, so both the time a step and
    the time a second of the future are given.  Ratios are to PPUU's model run the original's way:
    single precision, 20 stacked images encoded again at each step.  FLOPs are those of matrix
    products and convolutions in single precision.  Runs given with --run are judged on
    --recordings, beside it.

    Attributes:
        members: rows to measure; all of them if none is named.
        batch: clips a training step (PPUU: 64).
        histories, futures: of a rollout, given for all of them at once (PPUU's policies: 6, 10).
        horizon_s: how far the future goes, in training and rollouts.
        repeats: timed rounds over all members; the table has the median and range.
        device: cpu, cuda, ...
        threads: of torch; 0 leaves the number to it.
        runs: trained runs of members, as NAME=DIRECTORY, with their accuracy beside their speed.
        recordings: what they are judged on.
        split: test, or all for recordings that nothing was trained on.
        clips: how many clips, drawn at random.
    """

    members: tuple[str, ...] = ()
    batch: int = 64
    histories: int = 6
    futures: int = 10
    horizon_s: float = 1.8
    repeats: int = 3
    device: str = "cpu"
    threads: int = 0
    runs: Annotated[tuple[str, ...], tyro.conf.arg(name="run", metavar="NAME=DIR")] = ()
    recordings: tuple[Path, ...] = ()
    split: Split = "test"
    clips: int = 256

    def run(self) -> list[Row]:
        """One row a member."""
        names = self.members or tuple(MEMBERS)
        runs = dict(self._run(text) for text in self.runs)
        for name in (*names, *runs):
            if name not in MEMBERS:
                raise InputError(f"no world model '{name}'; choose from {', '.join(MEMBERS)}")
        if runs and not self.recordings:
            raise InputError("--run needs --recordings to judge its accuracy on")
        for name, directory in runs.items():
            if name not in names:
                raise InputError(f"--run {name}=…: not among the members {', '.join(names)}")
            if load_world_model(directory).config != MEMBERS[name].config:
                raise InputError(f"--run {name}={directory}: a model of another size or kind")
        sizes = (self.batch, self.histories, self.futures, self.repeats, self.clips)
        if min(sizes) < 1 or not self.horizon_s > 0:
            raise InputError(
                "--batch, --histories, --futures, --repeats, --clips and --horizon-s must be "
                "positive"
            )
        use_threads(self.threads)
        recording = generate(PRESETS["dense"], 20.0, seed=0)
        cases = {name: _Case(MEMBERS[name], recording, self) for name in names}
        rows: dict[str, dict[str, Any]] = {name: case.row(name) for name, case in cases.items()}
        training, rollout = self._timed(cases)
        for name, case in cases.items():
            rows[name] |= case.speeds(training[name], rollout[name])
        if ORIGINAL in rows:
            rows = {name: row | _ratios(row, rows[ORIGINAL]) for name, row in rows.items()}
        for name, directory in runs.items():
            judged = prediction_accuracy(directory, self.recordings, self.split, self.clips)
            rows[name] |= judged | _per_flop(judged, rows[name])
        return list(rows.values())

    def _run(self, text: str) -> tuple[str, Path]:
        name, equals, directory = text.partition("=")
        if not equals:
            raise InputError(f"--run {text}: write NAME=DIRECTORY, such as tokens=runs/world-model")
        return name, Path(directory)

    def _timed(self, cases: Mapping[str, _Case]) -> tuple[dict, dict]:
        """Seconds of each training step and rollout.

        Members take turns, so that all see the same machine; each rollout is timed right after one
        like it, since the first after other work waits for memory.
        """
        training: dict[str, list[float]] = {name: [] for name in cases}
        rollout: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(self.repeats):
            for name, case in cases.items():
                training[name].append(_seconds(case.learn))
                case.predict()
                rollout[name].append(_seconds(case.predict))
        return training, rollout


class _Case:
    """A member with a batch to learn from and histories to roll out from."""

    def __init__(self, member: Member, recording: Recording, settings: WorldModelsBenchmark):
        torch.manual_seed(0)
        self.member, self.settings = member, settings
        self.model = member.config.build().to(settings.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4)
        self.steps = max(1, round(settings.horizon_s / self.model.step_s))
        horizon = self.steps * self.model.frames_per_step
        clips = Clips(
            [recording], [FrameWindow(0, recording.frames)], self.model.observation, horizon,
            settings.device,
        )  # fmt: skip
        chosen = torch.linspace(0, len(clips) - 1, settings.batch).long()
        clip = clips.batch(chosen, images=self.model.observation.images)
        self.observation = clip.observation
        self.target = clips.target(clip, self.model, self.steps)
        self.generator = torch.Generator().manual_seed(0)
        some = torch.arange(settings.histories, device=settings.device) % settings.batch
        self.histories, self.path = clip.observation.take(some), self.target.ego[some]

    def row(self, name: str) -> dict[str, Any]:
        """What is counted; the first training step and rollout warm up, too."""
        with FlopCounterMode(display=False) as counter:
            self._imagine(1, 1, exact=True)
        seconds = self.steps * self.model.step_s
        row = {
            "name": name,
            "parameters": sum(weight.numel() for weight in self.model.parameters()),
            "precision": self.member.precision,
            "step_s": round(self.model.step_s, 6),
            "gflop_per_future_s": counter.get_total_flops() / seconds / 1e9,
            "training_peak_mib": peak_mib(self.learn, self.settings.device),
        }
        self.predict()
        return row

    def learn(self) -> None:
        """One update."""
        self.model.train()
        with self._precision():
            loss = self._loss()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()

    def _loss(self) -> Float[Tensor, ""]:
        settings = WorldModelLossConfig(kl_weight=1e-6)
        if self.member.the_originals_way:
            assert isinstance(self.model, CoupledWorldModel)
            return original.loss(
                self.model, self.observation, self.target, settings, self.generator
            )
        if isinstance(self.model, JepaWorldModel):
            ours = JepaLossConfig(world_model=settings)
            return jepa_loss(self.model, self.observation, self.target, ours, self.generator).total
        return world_model_loss(
            self.model, self.observation, self.target, settings, self.generator
        ).total

    def predict(self) -> None:
        """All futures of all histories."""
        self._imagine(len(self.path), self.settings.futures)

    @torch.no_grad()
    def _imagine(self, histories: int, futures: int, exact: bool = False) -> None:
        model = self.model.eval()
        some = torch.arange(histories, device=self.path.device)
        observation, path = self.histories.take(some), self.path[some]
        noise = model.noise(path, histories, futures, self.steps, self.generator)
        with contextlib.nullcontext() if exact else self._precision():
            if self.member.the_originals_way:
                assert isinstance(model, CoupledWorldModel)
                original.imagine(model, observation, path, noise)
            else:
                model.rollout(observation, noise, path[:, None])

    def _precision(self) -> torch.autocast:
        half = self.member.precision == "bfloat16"
        return torch.autocast(self.path.device.type, torch.bfloat16, enabled=half)

    def speeds(self, training: list[float], rollout: list[float]) -> dict[str, Metric]:
        """What is timed."""
        seconds = self.steps * self.model.step_s
        return {
            "training_clips_per_s": median_and_range([self.settings.batch / s for s in training]),
            "rollout_step_ms": median_and_range([1e3 * s / self.steps for s in rollout]),
            "rollout_second_ms": median_and_range([1e3 * s / seconds for s in rollout]),
        }


def _seconds(compute: Callable[[], None]) -> float:
    _finish()
    start = time.perf_counter()
    compute()
    _finish()
    return time.perf_counter() - start


def _finish() -> None:
    """Waits for a GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _ratios(row: Mapping, base: Mapping) -> dict[str, float]:
    """How many times as fast as another."""

    def times(key: str) -> float:
        return base[key].value / row[key].value

    return {
        "training_ratio": 1.0 / times("training_clips_per_s"),
        "step_ratio": times("rollout_step_ms"),
        "second_ratio": times("rollout_second_ms"),
    }


def _per_flop(judged: Mapping[str, Metric], row: Mapping) -> dict[str, float]:
    """Overlap with the truth for what a second of the future costs."""
    if not row["gflop_per_future_s"]:
        return {"iou_per_gflop": math.nan}
    return {"iou_per_gflop": judged["vehicle_iou_2s"].value / row["gflop_per_future_s"]}
