"""Ensembles of world models; the members' disagreement measures epistemic uncertainty."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from ..encoders.dropout import MethodCaller
from ..perception.observation import Observation
from ..predictions import Prediction, Target
from ..runtime.errors import InputError
from ..runtime.pytree import Repeatable, mapped, repeat
from .base import Ego, WorldModel
from .latent import Latent
from .replicas import MemberReplicas, Replicas


class Ensemble(WorldModel):
    """World models of one configuration, evaluated in one batch (``torch.func.vmap``).

    Sample ``k`` is predicted by member ``k`` modulo their number, so an ensemble can replace any
    world model.  Members are trained separately; an ensemble is not trained.

    ``torch.func.vmap`` must support every operation of a model, as it does for those of this
    package.  For a few (GRU cells) it has no batching rule and falls back to a slower loop.

    Args:
        models: at least two, of the same configuration.

    Raises:
        InputError: fewer than two models, or different configurations.
    """

    def __init__(self, models: Sequence[WorldModel]):
        super().__init__()
        first = models[0]
        if len(models) < 2:
            raise InputError("an ensemble needs at least two world models")
        if any(getattr(model, "config", None) != first.config for model in models):
            raise InputError("the members of an ensemble must have the same configuration")
        self.config, self.members = first.config, len(models)
        # Embeddings of the members are unrelated, so the ensemble has none.
        self.spec = replace(first.spec, embedding=0)
        calls = [MethodCaller(model) for model in models]
        parameters, buffers = stack_module_state(calls)
        # Names of parameters must not contain dots.  The template is not registered as a module,
        # since its own weights are never used.
        self._names = list(parameters), list(buffers)
        self.weights = nn.ParameterList(parameters.values()).requires_grad_(False)
        for number, buffer in enumerate(buffers.values()):
            self.register_buffer(f"buffer_{number}", buffer)
        self._template = (copy.deepcopy(calls[0]).to("meta"),)
        self.train(first.training)

    def train(self, mode: bool = True) -> Ensemble:
        """In training mode, dropout differs between members and samples as well."""
        self._template[0].train(mode)
        return super().train(mode)

    def image_poses(
        self, observation: Observation, ego: Float[Tensor, "batch time 4"]
    ) -> Float[Tensor, "batch time 3"]:
        """Those of the members."""
        return self._template[0]("image_poses", observation, ego)

    def begin(self, observation: Observation) -> _State:
        """The states of all members."""
        return self._each("begin", lambda call, _: call(observation), [], 1)[0]

    def repeated(self, state: _State, candidates: int, samples: int) -> _State:
        """Distributes samples over the members, padded to equal numbers."""
        copies = candidates * -(-samples // self.members)
        return self._each("begin", lambda _, own: repeat(own[0], copies), [state], samples)[0]

    def advance(
        self, state: _State, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[_State, Ego]:
        """Every member advances its own samples."""

        def one(call: Callable, own: list) -> Any:
            return call(own[0], own[2] if len(own) > 2 else None, own[1])

        return self._advance_members("advance", one, state, latent, ego)

    def step(
        self, state: _State, ego: Ego, noise: Float[Tensor, "batch time latent"], number: int
    ) -> tuple[_State, Ego]:
        """Every member samples its latents from its own prior."""

        def one(call: Callable, own: list) -> Any:
            return call(own[0], own[2] if len(own) > 2 else None, own[1][:, None], 0)

        step_noise = noise[:, number if self.spec.latent_span == "step" else 0]
        return self._advance_members("step", one, state, step_noise, ego)

    def _advance_members(
        self, method: str, use: Callable, state: _State, latent: Tensor, ego: Ego
    ) -> tuple[_State, Ego]:
        inputs = [latent] if ego is None else [latent, ego]
        own = [state, *(self._scatter(value, state.copies) for value in inputs)]
        results = self._each(method, use, own, state.copies)
        return results[0], ego if len(results) < 2 else self._gather(results[1])

    def _gather(self, outputs: _State) -> Float[Tensor, "batch 4"]:
        """The members' outputs for their own samples, in the order of the samples."""
        (value,) = outputs.tensors
        rounds = -(-outputs.copies // self.members)
        value = value.unflatten(1, (-1, rounds)).movedim(0, 2).flatten(1, 2)
        return value[:, : outputs.copies].flatten(0, 1)

    def posterior(self, state: _State, target: Target, step: int) -> Latent:
        """Not available, since each member has latents of its own.

        Raises:
            InputError: always.
        """
        raise InputError(
            "an ensemble has no posterior, since each member has its own latents; use one model"
        )

    def replicas(self, count: int, generator: torch.Generator) -> Replicas:
        """The members, at most as many as there are."""
        return MemberReplicas(self, min(count, self.members))

    def decode(self, states: list[_State], observation: Observation, samples: int) -> Prediction:
        """The samples of all members, interleaved."""
        rounds = -(-samples // self.members)
        (outputs,) = self._each(
            "decode", lambda call, own: call(own, observation, rounds), states, samples
        )
        parts = [
            outputs.build([value[k] for value in outputs.tensors]) for k in range(self.members)
        ]
        return type(parts[0]).interleave(parts, samples)

    def _scatter(self, values: Float[Tensor, "each last"], copies: int) -> Tensor:
        """Distributes rows over the members that predict them; members are the first axis."""
        rounds = -(-copies // self.members)
        slot = torch.arange(rounds * self.members, device=values.device).clamp(max=copies - 1)
        rows = values.unflatten(0, (len(values) // copies, copies))[:, slot]
        rows = rows.unflatten(1, (rounds, self.members)).movedim(2, 0)
        return rows.flatten(1, 2)

    def _each(
        self, method: str, use: Callable[[Callable, list], Any], own: list, copies: int
    ) -> list[_State]:
        """MethodCaller a method of all members, each with its own weights and arguments.

        Args:
            method: its name.
            use: calls the method of one member, given the method and its arguments.
            own: states or tensors whose first axis are the members.
            copies: samples of each element in the result.

        Returns:
            The results, several if the method returns a tuple.
        """
        layout: list = []

        def one(parameters: dict, buffers: dict, tensors: list[list[Tensor]]) -> list[Tensor]:
            arguments = [
                value.build(parts) if isinstance(value, _State) else parts[0]
                for value, parts in zip(own, tensors, strict=True)
            ]
            call = partial(self._call, (parameters, buffers), method)
            output, flat = use(call, arguments), []
            results = output if isinstance(output, tuple) else (output,)
            layout[:] = []
            for result in results:
                first = len(flat)
                build = _flatten(result, flat)
                layout.append((build, first, len(flat)))
            return flat

        names, buffer_names = self._names
        parameters = dict(zip(names, self.weights, strict=True))
        buffers = {
            name: getattr(self, f"buffer_{number}") for number, name in enumerate(buffer_names)
        }
        tensors = [list(v.tensors) if isinstance(v, _State) else [v] for v in own]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
            results = torch.vmap(one, randomness="different")(parameters, buffers, tensors)
        return [_State(results[a:b], build, copies) for build, a, b in layout if b > a]

    def _call(self, weights: tuple[dict, dict], method: str, *arguments: Any) -> Any:
        return functional_call(self._template[0], weights, (method, *arguments))


@dataclass(frozen=True, eq=False)
class _State:
    """The states of all members, flattened.

    Attributes:
        tensors: their leaves; the first axis are the members.
        build: from one member's leaves to its state.
        copies: samples of each element.
    """

    tensors: list[Tensor]
    build: Callable[[list[Tensor]], Any]
    copies: int


def _flatten(tree: Any, leaves: list[Tensor]) -> Callable[[list[Tensor]], Any]:
    """Appends the tensors of a pytree to ``leaves``; returns the inverse function."""

    def append(tensor: Tensor) -> Tensor:
        leaves.append(tensor)
        return tensor

    mapped(tree, append, whole=Repeatable)
    # Tensors inside vmap must not outlive it, so only the structure is kept.
    structure = mapped(tree, _without_values, whole=Repeatable)

    def build(parts: list[Tensor]) -> Any:
        remaining = iter(parts)
        return mapped(structure, lambda _: next(remaining), whole=Repeatable)

    return build


def _without_values(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
