"""How long an update of MPUR takes, beside the original's way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from data.clips.clips import Clips
from data.splits import FrameWindow
from data.traffic import PRESETS, generate
from ppuu.costs import Uncertainty
from ppuu.objectives import (
    StartConfig,
    Terms,
    UnrollConfig,
    policy_loss,
    predicted_traffic,
    rollout_noise,
)
from ppuu.policies import PAPER_POLICY, NetworkPolicyConfig
from ppuu.policies.features import TracksConfig
from ppuu.policies.unroll import unroll
from ppuu.recordings.recording import Recording
from ppuu.runtime.device import use_threads
from ppuu.runtime.errors import InputError
from ppuu.world_models import PAPER, CoupledWorldModel, TokensConfig, WorldModelConfig

from ..statistics.intervals import median_and_range
from ..statistics.metric import Row
from . import original_policy


@dataclass(frozen=True)
class _Member:
    model: WorldModelConfig
    policy: NetworkPolicyConfig
    the_originals_way: bool = False
    precision: str = "float32"


ORIGINAL = "paper, the original's way"
MEMBERS = {
    ORIGINAL: _Member(PAPER, PAPER_POLICY, the_originals_way=True),
    "paper": _Member(PAPER, PAPER_POLICY),
    "paper, bfloat16": _Member(PAPER, PAPER_POLICY, precision="bfloat16"),
    "tokens": _Member(TokensConfig(), NetworkPolicyConfig(TracksConfig())),
}
"""Rows of the table."""


@dataclass(frozen=True)
class PoliciesBenchmark:
    """Seconds of an update of MPUR, in generated dense traffic: unroll, replicas, costs, backward.

    All look as far ahead; the default model does so in steps three times as long.  The original
    unrolls policy and replicas one after the other and encodes 20 images again at every step; here
    the replicas are one batch, and the policy drives in the first of them.

    Attributes:
        members: rows to measure; all of them if none is named.
        batch: clips an update (the original: 6).
        frames: of a rollout (the original: 30).
        replicas: of the model (the original: 10).
        repeats: timed rounds over all members; the table has the median and range.
        threads: of torch; 0 leaves the number to it.
    """

    members: tuple[str, ...] = ()
    batch: int = 6
    frames: int = 30
    replicas: int = 10
    repeats: int = 3
    threads: int = 0

    def run(self) -> list[Row]:
        """One row a member.

        Raises:
            InputError: no such member, or a size is of no use.
        """
        unknown = [name for name in self.members if name not in MEMBERS]
        if unknown:
            raise InputError(f"--members {unknown[0]}: not one of {', '.join(MEMBERS)}")
        if min(self.batch, self.repeats) < 1 or self.replicas < 2 or self.threads < 0:
            raise InputError(
                f"--batch {self.batch}, --repeats {self.repeats}: at least 1; --replicas "
                f"{self.replicas}: at least 2; --threads {self.threads}: not negative"
            )
        for name in self.members or MEMBERS:
            frames = MEMBERS[name].model.frames_per_step
            if self.frames < frames or self.frames % frames:
                raise InputError(
                    f"--frames {self.frames}: '{name}' takes steps of {frames} frames; give a "
                    "multiple of it"
                )
        use_threads(self.threads)
        recording = generate(PRESETS["dense"], 20.0, seed=0)
        updates = {name: self._update(MEMBERS[name], recording) for name in self.members or MEMBERS}
        spent: dict[str, list[float]] = {name: [] for name in updates}
        for repeat in range(self.repeats + 1):
            for name, update in updates.items():
                start = time.perf_counter()
                update()
                if repeat:  # the first round warms up
                    spent[name].append(time.perf_counter() - start)
        rows: list[dict[str, Any]] = [
            {"name": name, "seconds": median_and_range(seconds)} for name, seconds in spent.items()
        ]
        if ORIGINAL in spent:
            base = median_and_range(spent[ORIGINAL]).value
            rows = [row | {"ratio": base / row["seconds"].value} for row in rows]
        return list(rows)

    def _update(self, member: _Member, recording: Recording) -> Callable[[], None]:
        torch.manual_seed(0)
        model = member.model.build().requires_grad_(False).eval()
        generator = torch.Generator().manual_seed(0)
        policy = member.policy.build()
        nn.init.normal_(policy.head.last.weight, std=1e-3)
        optimizer = torch.optim.Adam(policy.parameters(), lr=1e-4)
        steps = self.frames // model.frames_per_step
        config = UnrollConfig(steps, self.replicas, starts=StartConfig(copies=1))
        uncertainty = Uncertainty(steps, config.hinge, model.spec.conditioned_on_ego)
        images = model.observation.images or member.policy.observation.images
        sees = replace(model.observation, images=images)
        clips = Clips([recording], [FrameWindow(0, recording.frames)], sees, self.frames)
        clip = clips.batch(torch.linspace(0, len(clips) - 1, self.batch).long())
        observation, previous = clip.observation, clip.previous_action

        def loss() -> Terms:
            if member.the_originals_way:
                assert isinstance(model, CoupledWorldModel)
                return original_policy.loss(
                    policy, model, observation, previous, config, uncertainty, generator
                )
            replicas = model.replicas(self.replicas, generator)
            noise = rollout_noise(replicas, observation, steps, generator)
            rollout = unroll(
                policy,
                predicted_traffic(replicas, observation, observation, noise, replicas.count),
                observation, previous, steps, model.frames_per_step, model.dt_s,
            )  # fmt: skip
            return policy_loss(rollout, uncertainty, config)

        def update() -> None:
            half = member.precision == "bfloat16"
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                total = loss().total
            optimizer.zero_grad()
            total.backward()
            optimizer.step()

        return update
