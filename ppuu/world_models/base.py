"""What every world model can do: encode a history, advance, decode, and explain what it saw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..errors import InputError
from ..observation import Normalizer, Observation, ObservationConfig
from ..raster import RasterConfig
from ..rollout import Futures
from ..track_futures import TrackFutures
from .gliding import gliding_poses, seen_pace_mps


@dataclass(frozen=True, eq=False)
class Latent:
    """A diagonal Gaussian over the latent of one step, or of a whole rollout.

    Attributes:
        mean, log_variance: ``(batch, latent)``.
    """

    mean: Float[Tensor, "batch latent"]
    log_variance: Float[Tensor, "batch latent"]

    @classmethod
    def standard(cls, like: Float[Tensor, "batch latent"]) -> Latent:
        """The standard normal."""
        return cls(torch.zeros_like(like), torch.zeros_like(like))

    def at(self, noise: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch latent"]:
        """The sample that standard normal noise stands for."""
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def noise(self, sample: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch latent"]:
        """The standard normal noise that stands for a sample."""
        return (sample - self.mean) * torch.exp(-0.5 * self.log_variance)

    def sample(self) -> Float[Tensor, "batch latent"]:
        """A reparameterised sample."""
        return self.at(torch.randn_like(self.mean))

    def detach(self) -> Latent:
        """The same without gradients."""
        return Latent(self.mean.detach(), self.log_variance.detach())

    def divergence(self, prior: Latent | None = None) -> Float[Tensor, " batch"]:
        """KL divergence from a prior, the standard normal if none is given, in nats."""
        prior = prior or Latent.standard(self.mean)
        ratio = self.log_variance - prior.log_variance
        apart = (self.mean - prior.mean).square() * (-prior.log_variance).exp()
        return 0.5 * (ratio.exp() + apart - 1.0 - ratio).sum(-1)


_AWAY_M = 1e5
"""Where a vehicle is put that the recording has lost."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What really followed a history, at a model's steps, as far as its kind of model asks.

    Attributes:
        ego: ``(batch, time, 4)`` the ego's recorded states.
        tracks: ``(batch, slots, time, 4)`` of the tracked vehicles.
        known: ``(batch, slots, time)`` where the recording has them.
        images: what was to be seen, for models that predict images.
    """

    ego: Float[Tensor, "batch time 4"]
    tracks: Float[Tensor, "batch slots time 4"] | None = None
    known: Bool[Tensor, "batch slots time"] | None = None
    images: TrueImages | None = None

    @property
    def present(self) -> Float[Tensor, "batch slots time 4"]:
        """The tracks; whom the recording has lost is far out of everybody's way."""
        assert self.tracks is not None
        assert self.known is not None
        states = self.tracks.clone()
        states[..., 0] += _AWAY_M * ~self.known
        return states

    def repeat(self, copies: int) -> Truth:
        """Every element of the batch ``copies`` times in a row; of models that predict tracks."""
        assert self.images is None, "pictures are compared with one future at a time"
        tensors = (self.ego, self.tracks, self.known)
        return Truth(*(t if t is None else t.repeat_interleave(copies, 0) for t in tensors))


@dataclass(frozen=True, eq=False)
class TrueImages:
    """What was to be seen from a model's image poses.

    Attributes:
        vehicles: ``(batch, time, rows, columns)``.
        road: ``(batch, some, 2, rows, columns)`` at some of the steps.
        road_step: ``(some,)`` which steps those are.
        flow: ``(batch, time, 2, rows, columns)`` where each vehicle pixel of the last image went,
            in metres; teaches models that carry pixels along what image errors alone teach slowly;
            models that paint images have no use for it.
        flow_known: ``(batch, time, rows, columns)`` where the flow is known.
    """

    vehicles: Float[Tensor, "batch time rows columns"]
    road: Float[Tensor, "batch some 2 rows columns"]
    road_step: Int[Tensor, " some"]
    flow: Float[Tensor, "batch time 2 rows columns"] | None = None
    flow_known: Bool[Tensor, "batch time rows columns"] | None = None


class Predictor(ABC):
    """Foresees the surroundings; the kinematics (not this class) move the ego.

    A predictor works in steps of ``frames_per_step`` recorded frames.

    Attributes:
        frames_per_step: recorded frames a step.
        decoupled: whether the futures are the same whatever the ego does; then one set of them
            serves every candidate action.
        predicts_images: whether it returns ``Futures`` (images) or ``TrackFutures`` (boxes).
        paints_images: whether it makes whole images out of features, instead of carrying pixels
            along; it has to learn the road at every step, then.
        observation: the history it wants to see, and the size and scale of images.
        dt_s: seconds between recorded frames.
    """

    frames_per_step: int
    decoupled: bool
    predicts_images: bool
    paints_images: bool = False
    observation: ObservationConfig
    dt_s: float

    @property
    def raster(self) -> RasterConfig:
        """Size and scale of images."""
        return self.observation.raster

    @property
    def step_s(self) -> float:
        """Seconds a step."""
        return self.frames_per_step * self.dt_s

    @abstractmethod
    def imagine(
        self,
        observation: Observation,
        steps: int,
        futures: int,
        ego: Float[Tensor, "batch time 4"] | None = None,
    ) -> Futures | TrackFutures:
        """Alternative futures for each history.

        Args:
            observation: the history.
            steps: how far, in steps of the predictor.
            futures: alternatives for each element; those without chance are all alike.
            ego: the ego's path at the steps; only coupled models need it.
        """

    def image_poses(
        self, observation: Observation, ego: Float[Tensor, "batch time 4"]
    ) -> Float[Tensor, "batch time 3"]:
        """Where the futures' poses will be: the gliding frame, unless a model says otherwise."""
        steps = torch.arange(1, ego.shape[1] + 1, device=ego.device, dtype=ego.dtype)
        return gliding_poses(observation.ego[:, -1], steps * self.step_s)


class WorldModel(nn.Module, Predictor):
    """A stochastic predictor that learns: encode a history, advance step by step, decode.

    Its state is a nest of tensors of its own making.  ``advance`` is told the ego's next state:
    a coupled model may use it, a decoupled one does not.

    Attributes:
        latent_size: width of the latent of a step.
        latent_span: whether every step has a latent of its own, or the rollout one.
        normalizer: statistics of the data, for models that want them.
        predicts_ego: whether the model moves the ego itself, instead of believing what it is told.
        embedding_size: width of what ``embedding`` gives; 0 if the model gives none.
    """

    latent_size: int
    embedding_size: int = 0
    latent_span: Literal["step", "rollout"] = "step"
    normalizer: Normalizer | None
    predicts_ego: bool = False

    @abstractmethod
    def encode(self, observation: Observation):
        """The state after seeing a history."""

    def embedding(self, state) -> Float[Tensor, "batch features"]:
        """What the model makes of the ego's situation, for a policy to decide upon.

        Raises:
            InputError: this kind of model gives none.
        """
        raise InputError(f"{type(self).__name__} has no embedding for a policy to look at")

    @abstractmethod
    def repeat(self, state, copies: int):
        """Every element of a state ``copies`` times in a row."""

    @abstractmethod
    def advance(
        self,
        state,
        ego: Float[Tensor, "batch 4"] | None,
        latent: Float[Tensor, "batch latent"],
    ):
        """The state one step later, given the ego's state then and a latent."""

    def prior(self, state) -> Latent | None:
        """What the history tells of the latent that comes next; None for the standard normal."""
        return None

    def predicted_ego(self, state) -> Float[Tensor, "batch 4"]:
        """The ego's state as the model has moved it; only where ``predicts_ego``."""
        raise NotImplementedError(f"{type(self).__name__} does not move the ego")

    @abstractmethod
    def posterior(self, state, truth: Truth, step: int) -> Latent:
        """What the latent of a step must have been, given what followed."""

    def posterior_of(self, asked: Bool[Tensor, " batch"], state, truth: Truth, step: int) -> Latent:
        """``posterior`` of some elements; of the others anything, so that nothing need be done."""
        return self.posterior(state, truth, step)

    @abstractmethod
    def decode(
        self, states: list, observation: Observation, futures: int
    ) -> Futures | TrackFutures:
        """Several states in a row as surroundings; the batch holds ``futures`` alternatives."""

    def step(
        self,
        state,
        ego: Float[Tensor, "batch 4"] | None,
        noise: Float[Tensor, "batch time latent"],
        number: int,
    ):
        """Advances by step ``number``, with the latent that the prior makes of standard noise.

        A latent that is shared by all steps is always made of the noise of the first.
        """
        now = noise[:, number if self.latent_span == "step" else 0]
        prior = self.prior(state)
        return self.advance(state, ego, now if prior is None else prior.at(now))

    def imagine(
        self,
        observation: Observation,
        steps: int,
        futures: int,
        ego: Float[Tensor, "batch time 4"] | None = None,
        latents: Float[Tensor, "batch futures time latent"] | None = None,
    ) -> Futures | TrackFutures:
        """Rolls out from the prior, all futures in one batch.

        Args:
            observation, steps, futures, ego: as of every predictor.
            latents: standard normal noise that the prior turns into latents, if not drawn anew.
        """
        told = self.imagine_from(
            self.encode(observation), observation, steps, futures, ego, latents
        )
        return self.paced(told, observation)

    def imagine_from(
        self,
        state,
        observation: Observation,
        steps: int,
        futures: int,
        ego: Float[Tensor, "batch time 4"] | None = None,
        latents: Float[Tensor, "batch futures time latent"] | None = None,
    ) -> Futures | TrackFutures:
        """The same from the state after the history, where that is known; nobody tells a pace."""
        if latents is None:
            size = (len(observation.ego), futures, steps, self.latent_size)
            latents = observation.ego.new_empty(size).normal_()
        latents = latents.flatten(0, 1)
        state, states = self.repeat(state, futures), []
        for number in range(steps):
            then = None if ego is None else ego[:, number].repeat_interleave(futures, 0)
            state = self.step(state, then, latents, number)
            states.append(state)
        return self.decode(states, observation, futures)

    def paced(
        self, futures: Futures | TrackFutures, observation: Observation
    ) -> Futures | TrackFutures:
        """With the pace of the ego's lane, which painted images do not tell: as seen last."""
        if isinstance(futures, TrackFutures) or futures.pace_mps is not None:
            return futures
        seen = self.observation
        pace = seen_pace_mps(observation, seen.lags(futures.pose.device) * self.dt_s, seen.raster)
        return replace(futures, pace_mps=pace[:, None].expand(futures.pose.shape[:2]))


def explained(
    model: WorldModel, observation: Observation, truth: Truth
) -> Float[Tensor, "batch time latent"]:
    """The noise that stands for what really followed: samples of the posterior, step after step.

    Of a latent that lasts for the rollout it is the same at all steps.
    """
    state, noise, latent = model.encode(observation), [], None
    for step in range(truth.ego.shape[1]):
        if latent is None or model.latent_span == "step":
            latent = model.posterior(state, truth, step).sample()
            prior = model.prior(state)
            now = latent if prior is None else prior.noise(latent)
        noise.append(now)
        state = model.advance(state, truth.ego[:, step], latent)
    return torch.stack(noise, dim=1)
