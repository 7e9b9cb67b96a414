"""What a policy can learn from: one loss a method, over shared parts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from data.clips.clips import Clip, Clips
from ppuu.costs import DrivingCost, Uncertainty
from ppuu.objectives import (
    Terms,
    UnrollConfig,
    adversarial_latents,
    expert_path_loss,
    expert_variances,
    imitation_loss,
    perturbed_starts,
    policy_loss,
    predicted_traffic,
    recorded_traffic,
    rollout_noise,
)
from ppuu.perception.observation import Observation
from ppuu.perception.surroundings import Surroundings
from ppuu.policies import NetworkPolicy, Policy
from ppuu.policies.learned_costs import ValueFunction
from ppuu.policies.unroll import unroll
from ppuu.predictions import Rollout, Target
from ppuu.runtime.randomness import integer
from ppuu.world_models import CopyLast, WorldModel, posterior_noise, tracks_spec

from .batches.clips import ClipStream, Picked
from .batches.driven_starts import driven_starts


@dataclass(frozen=True, eq=False)
class Lesson:
    """A batch of clips, and what else a method wants to know of them.

    Attributes:
        clip: histories, and what the experts did.
        clips: where they were cut from.
        target: what followed, for methods that compare with it.
    """

    clip: Clip
    clips: Clips
    target: Target | None = None


Draw = Callable[[Picked, torch.Generator], Lesson]
Loss = Callable[[Lesson, torch.Generator], Terms]


def draw(picked: Picked, generator: torch.Generator) -> Lesson:
    """Histories and experts' actions."""
    clips, index = picked
    return Lesson(clips.batch(index), clips)


def imitation(policy: NetworkPolicy) -> tuple[Draw, Loss]:
    """The expert's next action."""

    def loss(lesson: Lesson, generator: torch.Generator) -> Terms:
        return imitation_loss(policy, lesson.clip.observation, lesson.clip.actions[:, 0])

    return draw, loss


def multi_step_imitation(policy: NetworkPolicy, steps: int, dt_s: float) -> tuple[Draw, Loss]:
    """The expert's path, driven by the policy itself among everybody as recorded."""
    seen = policy.config.observation
    wide = replace(seen, vehicles=max(seen.vehicles, 24))
    recorder = CopyLast(tracks_spec(wide, seen.stride, dt_s))

    def with_target(picked: Picked, generator: torch.Generator) -> Lesson:
        clips, index = picked
        clip = clips.batch(index)
        return Lesson(clip, clips, clips.target(clip, recorder, steps))

    def loss(lesson: Lesson, generator: torch.Generator) -> Terms:
        clip, target = lesson.clip, lesson.target
        assert target is not None
        rollout = unroll(
            policy, recorded_traffic(clip.observation, target, recorder), clip.observation,
            clip.previous_action, steps, seen.stride, dt_s, generator=generator,
        )  # fmt: skip
        return expert_path_loss(rollout, target.ego)

    return with_target, loss


def expert_regularised(policy: NetworkPolicy, model: WorldModel, steps: int) -> tuple[Draw, Loss]:
    """MPER: the expert's path, driven by the policy in the model, which is told what happened.

    A model that moves the ego answers with its images, too: they are compared with the expert's.
    """

    def with_target(picked: Picked, generator: torch.Generator) -> Lesson:
        clips, index = picked
        clip = clips.batch(index)
        return Lesson(clip, clips, clips.target(clip, model, steps, generator))

    def loss(lesson: Lesson, generator: torch.Generator) -> Terms:
        clip, target = lesson.clip, lesson.target
        assert target is not None
        noise = posterior_noise(model, clip.observation, target, generator)
        rollout = unroll(
            policy, predicted_traffic(model, clip.observation, clip.observation, noise, 1),
            clip.observation, clip.previous_action, steps, model.frames_per_step, model.dt_s,
            generator=generator,
        )  # fmt: skip
        return expert_path_loss(rollout, target.ego, target if model.spec.moves_ego else None)

    return with_target, loss


def uncertainty_regularised(
    policy: NetworkPolicy,
    model: WorldModel,
    stream: ClipStream,
    config: UnrollConfig,
    experts: int,
    value: ValueFunction | None,
) -> tuple[Draw, Loss]:
    """MPUR, after the experts have set the scale of disagreement.

    Args:
        policy: learns.
        model: where it drives.
        stream: of clips.
        config: of the unroll.
        experts: how many clips set the scale.
        value: judges where a rollout ends, if given.
    """
    uncertainty = Uncertainty(config.steps, config.hinge, model.spec.conditioned_on_ego)
    if config.active_replicas > 1:
        uncertainty.fit(_expert_variances(model, stream, config, uncertainty, experts))
    uncertainty.to(next(policy.parameters()).device)

    def driven(
        lesson: Lesson,
        starts: Observation,
        previous_action: Float[Tensor, "starts 2"],
        noise: Float[Tensor, "batch time latent"],
        imagined: WorldModel,
        samples: int,
        generator: torch.Generator,
    ) -> Rollout:
        seen = lesson.clip.observation
        return unroll(
            policy, predicted_traffic(imagined, seen, starts, noise, samples), starts,
            previous_action, config.steps, model.frames_per_step, model.dt_s, value, generator,
        )  # fmt: skip

    def loss(lesson: Lesson, generator: torch.Generator) -> Terms:
        steps = integer(config.starts.drive_steps + 1, generator)
        clip, starts, previous = driven_starts(
            policy, lesson.clips, lesson.clip, config.starts, steps, generator
        )
        lesson = replace(lesson, clip=clip)
        imagined, samples = model, 1
        if config.active_replicas > 1:
            imagined = model.replicas(config.active_replicas, generator)
            samples = imagined.count
        if config.latents == "posterior":
            target = lesson.clips.target(clip, model, config.steps)
            noise = posterior_noise(model, clip.observation, target, generator)
        else:
            noise = rollout_noise(imagined, clip.observation, config.steps, generator)
        rollout = driven(lesson, starts, previous, noise, imagined, samples, generator)
        every = config.adversarial.every
        if every and integer(every, generator) == 0:
            noise = adversarial_latents(
                model, clip.observation, noise, rollout, DrivingCost(config.cost),
                config.adversarial,
            )  # fmt: skip
            rollout = driven(lesson, starts, previous, noise, imagined, samples, generator)
        return policy_loss(rollout, uncertainty, config)

    return draw, loss


def _expert_variances(
    model: WorldModel,
    stream: ClipStream,
    config: UnrollConfig,
    uncertainty: Uncertainty,
    count: int,
) -> Float[Tensor, "clips kinds time"]:
    """What replicas disagree about along recorded drivers' own paths."""
    clips, chosen = stream.sample(count)
    ahead = torch.arange(1, config.steps + 1, device=clips.ego.device) * model.frames_per_step
    found, generator = [], torch.Generator().manual_seed(0)
    for index in tqdm(
        chosen.split(16), desc="experts' uncertainty", disable=not sys.stderr.isatty(), leave=False
    ):
        clip = clips.batch(index)
        path, actions = clip.future[:, ahead - 1], clip.actions[:, ahead - 1]
        found.append(
            expert_variances(model, clip.observation, path, actions, config, uncertainty, generator)
        )
    return torch.cat(found)


def distillation(
    policy: NetworkPolicy, teacher: Policy, config: UnrollConfig, dt_s: float
) -> tuple[Draw, Loss]:
    """What a planner would do, from the recorded start and from others beside it."""
    seen = policy.config.observation

    def loss(lesson: Lesson, generator: torch.Generator) -> Terms:
        clip, scene = lesson.clip, lesson.clips.scene
        starts = perturbed_starts(
            clip.observation, config.starts, seen.raster, dt_s, seen.stride, generator
        )
        ego = clip.ego.repeat_interleave(config.starts.copies)
        frame = clip.frame.repeat_interleave(config.starts.copies)
        others = scene.neighbours(frame, ego)
        around = Surroundings(
            scene, ego, frame, others.boxes, others.speed_mps, others.valid,
            lesson.clips.road_map,
        )  # fmt: skip
        teacher.reset(torch.ones_like(ego, dtype=torch.bool))
        return imitation_loss(policy, starts, teacher.act(starts, around).detach())

    return draw, loss
