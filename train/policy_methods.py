"""Training methods of policies: one loss a method, over shared parts."""

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
    fit_expert_scale,
    imitation_loss,
    perturbed_starts,
    policy_loss,
    predicted_traffic,
    recorded_traffic,
    rollout_noise,
)
from ppuu.perception.observation import Observation
from ppuu.perception.privileged_state import PrivilegedState
from ppuu.policies import NetworkPolicy, Policy
from ppuu.policies.learned_costs import ValueFunction
from ppuu.policies.unroll import unroll
from ppuu.predictions import Rollout, Target
from ppuu.runtime.randomness import integer
from ppuu.world_models import CopyLast, WorldModel, posterior_noise, tracks_spec

from .batches.clips import ClipStream, Selection
from .batches.driven_starts import driven_starts
from .batches.goals import GoalMix


@dataclass(frozen=True, eq=False)
class PolicyBatch:
    """A batch of clips, and what else a method needs.

    Attributes:
        clip: histories, and the experts' actions.
        clips: where they were cut from.
        target: the recorded future, for methods that compare with it.
    """

    clip: Clip
    clips: Clips
    target: Target | None = None


Draw = Callable[[Selection, torch.Generator], PolicyBatch]
Loss = Callable[[PolicyBatch, torch.Generator], Terms]


def draw(selection: Selection, generator: torch.Generator) -> PolicyBatch:
    """Histories and experts' actions."""
    clips, index = selection
    return PolicyBatch(clips.batch(index), clips)


def imitation(policy: NetworkPolicy) -> tuple[Draw, Loss]:
    """The expert's next action."""

    def loss(batch: PolicyBatch, generator: torch.Generator) -> Terms:
        return imitation_loss(policy, batch.clip.observation, batch.clip.actions[:, 0])

    return draw, loss


def multi_step_imitation(policy: NetworkPolicy, steps: int, dt_s: float) -> tuple[Draw, Loss]:
    """The expert's path, driven by the policy itself among recorded traffic."""
    own = policy.config.observation
    observation = replace(own, vehicles=max(own.vehicles, 24))
    recorder = CopyLast(tracks_spec(observation, own.stride, dt_s))

    def with_target(selection: Selection, generator: torch.Generator) -> PolicyBatch:
        clips, index = selection
        clip = clips.batch(index)
        return PolicyBatch(clip, clips, clips.target(clip, recorder, steps))

    def loss(batch: PolicyBatch, generator: torch.Generator) -> Terms:
        clip, target = batch.clip, batch.target
        assert target is not None
        rollout = unroll(
            policy, recorded_traffic(clip.observation, target, recorder), clip.observation,
            clip.previous_action, steps, own.stride, dt_s, generator=generator,
        )  # fmt: skip
        return expert_path_loss(rollout, target.ego)

    return with_target, loss


def expert_regularised(policy: NetworkPolicy, model: WorldModel, steps: int) -> tuple[Draw, Loss]:
    """MPER: the expert's path, driven by the policy in the model with the posterior's latents.

    The images of a model that moves the ego are compared with the expert's, too.
    """

    def with_target(selection: Selection, generator: torch.Generator) -> PolicyBatch:
        clips, index = selection
        clip = clips.batch(index)
        return PolicyBatch(clip, clips, clips.target(clip, model, steps, generator))

    def loss(batch: PolicyBatch, generator: torch.Generator) -> Terms:
        clip, target = batch.clip, batch.target
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
    goals: GoalMix,
) -> tuple[Draw, Loss]:
    """MPUR; the scale of disagreement is that along the experts' paths.

    Args:
        policy: what is trained.
        model: in which it drives.
        stream: of clips.
        config: of the unroll.
        experts: number of clips that set the scale.
        value: estimates the cost after a rollout, if given.
        goals: given to the clips.
    """
    uncertainty = Uncertainty(config.steps, config.hinge, model.spec.conditioned_on_ego)
    if config.active_replicas > 1:
        clips, chosen = stream.sample(experts)
        bar = tqdm(
            chosen.split(16), desc="experts' uncertainty", disable=not sys.stderr.isatty(),
            leave=False,
        )  # fmt: skip
        batches = (clips.batch(index) for index in bar)
        recorded = ((clip.observation, clip.future, clip.actions) for clip in batches)
        generator = torch.Generator().manual_seed(0)
        fit_expert_scale(uncertainty, model, config, recorded, generator)
    uncertainty.to(next(policy.parameters()).device)

    def drive(
        batch: PolicyBatch,
        starts: Observation,
        previous_action: Float[Tensor, "starts 2"],
        noise: Float[Tensor, "batch time latent"],
        several: WorldModel,
        samples: int,
        generator: torch.Generator,
    ) -> Rollout:
        histories = batch.clip.observation
        return unroll(
            policy, predicted_traffic(several, histories, starts, noise, samples), starts,
            previous_action, config.steps, model.frames_per_step, model.dt_s, value, generator,
        )  # fmt: skip

    def loss(batch: PolicyBatch, generator: torch.Generator) -> Terms:
        steps = integer(config.starts.drive_steps + 1, generator)
        goal = goals.draw(batch.clips, batch.clip, generator)
        clip, starts, previous = driven_starts(
            policy, batch.clips, batch.clip, config.starts, steps, generator, goal
        )
        batch = replace(batch, clip=clip)
        several, samples = model, 1
        if config.active_replicas > 1:
            several = model.replicas(config.active_replicas, generator)
            samples = several.count
        if config.latents == "posterior":
            target = batch.clips.target(clip, model, config.steps)
            noise = posterior_noise(model, clip.observation, target, generator)
        else:
            noise = rollout_noise(several, clip.observation, config.steps, generator)
        rollout = drive(batch, starts, previous, noise, several, samples, generator)
        every = config.adversarial.every
        if every and integer(every, generator) == 0:
            noise = adversarial_latents(
                model, clip.observation, noise, rollout, DrivingCost(config.cost),
                config.adversarial,
            )  # fmt: skip
            rollout = drive(batch, starts, previous, noise, several, samples, generator)
        return policy_loss(rollout, uncertainty, config)

    return draw, loss


def distillation(
    policy: NetworkPolicy, teacher: Policy, config: UnrollConfig, dt_s: float
) -> tuple[Draw, Loss]:
    """A planner's actions, from the recorded start and from others beside it."""
    own = policy.config.observation

    def loss(batch: PolicyBatch, generator: torch.Generator) -> Terms:
        clip, scene = batch.clip, batch.clips.scene
        starts = perturbed_starts(
            clip.observation, config.starts, own.raster, dt_s, own.stride, generator
        )
        ego = clip.ego.repeat_interleave(config.starts.copies)
        frame = clip.frame.repeat_interleave(config.starts.copies)
        others = scene.neighbours(frame, ego)
        privileged_state = PrivilegedState(
            scene, ego, frame, others.boxes, others.speed_mps, others.valid,
            batch.clips.road_map,
        )  # fmt: skip
        teacher.reset(torch.ones_like(ego, dtype=torch.bool))
        return imitation_loss(policy, starts, teacher.act(starts, privileged_state).detach())

    return draw, loss
