"""What a policy can learn from: one loss a method, over shared parts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from data.clips import Clip, Clips
from ppuu.costs import DrivingCost, Uncertainty
from ppuu.learned_costs import ValueFunction
from ppuu.objectives import (
    Terms,
    UnrollConfig,
    as_recorded,
    dreamt,
    expert_path_loss,
    expert_variances,
    from_prior,
    imitation_loss,
    policy_loss,
    replicas,
    unroll,
    varied_starts,
)
from ppuu.observation import Observation
from ppuu.policies import NetworkPolicy, Policy, Surroundings
from ppuu.rollout import Rollout
from ppuu.world_models import CopyLast, Ensemble, Truth, WorldModel, explained

from .clips import ClipStream, Picked
from .driven_starts import driven_starts


@dataclass(frozen=True, eq=False)
class Lesson:
    """A batch of clips, and what else a method wants to know of them.

    Attributes:
        clip: histories, and what the experts did.
        clips: where they were cut from.
        truth: what followed, for methods that compare with it.
    """

    clip: Clip
    clips: Clips
    truth: Truth | None = None


Draw = Callable[[Picked, torch.Generator], Lesson]
Loss = Callable[[Lesson], Terms]


def draw(picked: Picked, generator: torch.Generator) -> Lesson:
    """Histories and experts' actions."""
    clips, index = picked
    return Lesson(clips.batch(index), clips)


def imitation(policy: NetworkPolicy) -> tuple[Draw, Loss]:
    """The expert's next action."""

    def loss(lesson: Lesson) -> Terms:
        return imitation_loss(policy, lesson.clip.observation, lesson.clip.actions[:, 0])

    return draw, loss


def multi_step_imitation(policy: NetworkPolicy, steps: int, dt_s: float) -> tuple[Draw, Loss]:
    """The expert's path, driven by the policy itself among everybody as recorded."""
    seen = policy.config.observation
    recorder = CopyLast(replace(seen, vehicles=max(seen.vehicles, 24)), seen.stride, dt_s)

    def with_truth(picked: Picked, generator: torch.Generator) -> Lesson:
        clips, index = picked
        clip = clips.batch(index)
        return Lesson(clip, clips, clips.truth(clip, recorder, steps))

    def loss(lesson: Lesson) -> Terms:
        clip, truth = lesson.clip, lesson.truth
        assert truth is not None
        surroundings = as_recorded(clip.observation, truth, recorder)
        rollout = unroll(
            policy, surroundings, clip.observation, clip.previous_action, steps, seen.stride, dt_s
        )
        return expert_path_loss(rollout, truth.ego)

    return with_truth, loss


def expert_regularised(policy: NetworkPolicy, model: WorldModel, steps: int) -> tuple[Draw, Loss]:
    """MPER: the expert's path, driven by the policy in the model, which is told what happened.

    A model that moves the ego answers with its images, too: they are compared with the expert's.
    """

    def with_truth(picked: Picked, generator: torch.Generator) -> Lesson:
        clips, index = picked
        clip = clips.batch(index)
        return Lesson(clip, clips, clips.truth(clip, model, steps, generator))

    def loss(lesson: Lesson) -> Terms:
        clip, truth = lesson.clip, lesson.truth
        assert truth is not None
        latents = explained(model, clip.observation, truth)
        rollout = unroll(
            policy,
            replicas(model, clip.observation, clip.observation, latents, 1),
            clip.observation,
            clip.previous_action,
            steps,
            model.frames_per_step,
            model.dt_s,
        )
        return expert_path_loss(rollout, truth.ego, truth.images if model.predicts_ego else None)

    return with_truth, loss


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
    # Images of a decoupled model do not answer to actions; nor do boxes.
    of_images = model.predicts_images and not model.decoupled
    uncertainty = Uncertainty(config.steps, config.hinge, of_images)
    if config.copies > 1:
        # Dropout is what makes the replicas of a single model differ.
        model.train(not isinstance(model, Ensemble))
        uncertainty.fit(_expert_variances(model, stream, config, uncertainty, experts))
    uncertainty.to(next(policy.parameters()).device)
    explains = config.latents == "posterior"

    def driven(
        lesson: Lesson,
        starts: Observation,
        previous_action: Float[Tensor, "starts 2"],
        latents: Float[Tensor, "batch time latent"],
    ) -> Rollout:
        return unroll(
            policy,
            replicas(model, lesson.clip.observation, starts, latents, config.copies),
            starts,
            previous_action,
            config.steps,
            model.frames_per_step,
            model.dt_s,
            value,
        )

    def loss(lesson: Lesson) -> Terms:
        steps = int(torch.randint(config.starts.drive_steps + 1, ()))
        clip, starts, previous = driven_starts(
            policy, lesson.clips, lesson.clip, config.starts, steps
        )
        lesson = replace(lesson, clip=clip)
        if explains:
            truth = lesson.clips.truth(clip, model, config.steps)
            latents = explained(model, clip.observation, truth)
        else:
            latents = from_prior(model, clip.observation, config.steps)
        rollout = driven(lesson, starts, previous, latents)
        if config.dream.every and int(torch.randint(config.dream.every, ())) == 0:
            latents = dreamt(
                model, clip.observation, latents, rollout.every(config.starts.copies),
                DrivingCost(config.cost), config.dream,
            )  # fmt: skip
            rollout = driven(lesson, starts, previous, latents)
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
    found = []
    for index in tqdm(
        chosen.split(16), desc="experts' uncertainty", disable=not sys.stderr.isatty(), leave=False
    ):
        clip = clips.batch(index)
        path, actions = clip.future[:, ahead - 1], clip.actions[:, ahead - 1]
        found.append(expert_variances(model, clip.observation, path, actions, config, uncertainty))
    return torch.cat(found)


def distillation(
    policy: NetworkPolicy, teacher: Policy, config: UnrollConfig, dt_s: float
) -> tuple[Draw, Loss]:
    """What a planner would do, from the recorded start and from others beside it."""
    seen = policy.config.observation

    def loss(lesson: Lesson) -> Terms:
        clip, scene = lesson.clip, lesson.clips.scene
        starts = varied_starts(clip.observation, config.starts, seen.raster, dt_s, seen.stride)
        ego = clip.ego.repeat_interleave(config.starts.copies)
        frame = clip.frame.repeat_interleave(config.starts.copies)
        others = scene.neighbours(frame, ego)
        around = Surroundings(
            scene, ego, frame, others.boxes, others.speed_mps, others.present,
            lesson.clips.road_map,
        )  # fmt: skip
        teacher.reset(torch.ones_like(ego, dtype=torch.bool))
        return imitation_loss(policy, starts, teacher.act(starts, around).detach())

    return draw, loss
