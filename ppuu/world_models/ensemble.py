"""Several trained models as one: what they disagree about, none of them knows."""

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
    """Models of one configuration, run side by side in one batch (``torch.func``, no loop).

    Sample ``k`` is predicted by member ``k`` modulo their number, so an ensemble can stand wherever
    a world model can.  Members are trained one by one; an ensemble is not.

    ``torch.func.vmap`` must know every operation of a model, as it does for those of this package.
    For a few (the cell of a GRU) it has no batching rule and loops inside, at some cost in speed.

    Args:
        models: at least two, of the same configuration.

    Raises:
        InputError: fewer, or models of different configurations.
    """

    def __init__(self, models: Sequence[WorldModel]):
        super().__init__()
        first = models[0]
        if len(models) < 2:
            raise InputError("an ensemble needs at least two world models")
        if any(getattr(model, "config", None) != first.config for model in models):
            raise InputError("the members of an ensemble must have the same configuration")
        self.config, self.members = first.config, len(models)
        # Members may give embeddings, each its own; the ensemble has none.
        self.spec = replace(first.spec, embedding=0)
        calls = [MethodCaller(model) for model in models]
        parameters, buffers = stack_module_state(calls)
        # Module registries allow no dots in names; the pattern is kept out of them, since its own
        # weights are never used.
        self._names = list(parameters), list(buffers)
        self.weights = nn.ParameterList(parameters.values()).requires_grad_(False)
        for number, buffer in enumerate(buffers.values()):
            self.register_buffer(f"buffer_{number}", buffer)
        self._pattern = (copy.deepcopy(calls[0]).to("meta"),)
        self.train(first.training)

    def train(self, mode: bool = True) -> Ensemble:
        """With ``mode``, dropout differs between members and futures as well."""
        self._pattern[0].train(mode)
        return super().train(mode)

    def image_poses(
        self, observation: Observation, ego: Float[Tensor, "batch time 4"]
    ) -> Float[Tensor, "batch time 3"]:
        """As each member's."""
        return self._pattern[0]("image_poses", observation, ego)

    def begin(self, observation: Observation) -> _State:
        """Each member's state."""
        return self._each("begin", lambda call, _: call(observation), [], 1)[0]

    def repeated(self, state: _State, candidates: int, samples: int) -> _State:
        """Shares samples among the members; where they do not come out even, some idle along."""
        copies = candidates * -(-samples // self.members)
        return self._each("begin", lambda _, own: repeat(own[0], copies), [state], samples)[0]

    def advance(
        self, state: _State, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[_State, Ego]:
        """Every member advances the samples that are its own."""

        def one(call: Callable, own: list) -> Any:
            return call(own[0], own[2] if len(own) > 2 else None, own[1])

        return self._advanced("advance", one, state, latent, ego)

    def step(
        self, state: _State, ego: Ego, noise: Float[Tensor, "batch time latent"], number: int
    ) -> tuple[_State, Ego]:
        """Every member makes latents of the noise by a prior of its own."""

        def one(call: Callable, own: list) -> Any:
            return call(own[0], own[2] if len(own) > 2 else None, own[1][:, None], 0)

        now = noise[:, number if self.spec.latent_span == "step" else 0]
        return self._advanced("step", one, state, now, ego)

    def _advanced(
        self, method: str, use: Callable, state: _State, latent: Tensor, ego: Ego
    ) -> tuple[_State, Ego]:
        given = [latent] if ego is None else [latent, ego]
        own = [state, *(self._deal(value, state.copies) for value in given)]
        found = self._each(method, use, own, state.copies)
        state, moved = found[0], ego if len(found) < 2 else self._collected(found[1])
        return state, moved

    def _collected(self, told: _State) -> Float[Tensor, "batch 4"]:
        """What the members say of their own samples, in the samples' order."""
        (value,) = told.tensors
        rounds = -(-told.copies // self.members)
        value = value.unflatten(1, (-1, rounds)).movedim(0, 2).flatten(1, 2)
        return value[:, : told.copies].flatten(0, 1)

    def posterior(self, state: _State, target: Target, step: int) -> Latent:
        """Each member has latents of its own.

        Raises:
            InputError: always.
        """
        raise InputError(
            "an ensemble has no posterior: each member infers latents of its own; ask one of them"
        )

    def replicas(self, count: int, generator: torch.Generator) -> Replicas:
        """The members, so many of them as there are."""
        return MemberReplicas(self, min(count, self.members))

    def decode(self, states: list[_State], observation: Observation, samples: int) -> Prediction:
        """All members' samples, taking turns."""
        rounds = -(-samples // self.members)
        (told,) = self._each(
            "decode", lambda call, own: call(own, observation, rounds), states, samples
        )
        parts = [told.build([value[k] for value in told.tensors]) for k in range(self.members)]
        return type(parts[0]).interleave(parts, samples)

    def _deal(self, values: Float[Tensor, "each last"], copies: int) -> Tensor:
        """What belongs to each copy, given to the member that foresees it: members in front."""
        rounds = -(-copies // self.members)
        slot = torch.arange(rounds * self.members, device=values.device).clamp(max=copies - 1)
        dealt = values.unflatten(0, (len(values) // copies, copies))[:, slot]
        dealt = dealt.unflatten(1, (rounds, self.members)).movedim(2, 0)
        return dealt.flatten(1, 2)

    def _each(
        self, method: str, use: Callable[[Callable, list], Any], own: list, copies: int
    ) -> list[_State]:
        """MethodCaller a method of all members, each with its own weights and arguments.

        Args:
            method: its name.
            use: given the method of one member and its arguments, calls it.
            own: states or tensors with members in front.
            copies: samples of each element in the result.

        Returns:
            What the method returned; several if it was a tuple.
        """
        kept: list = []

        def one(parameters: dict, buffers: dict, tensors: list[list[Tensor]]) -> list[Tensor]:
            arguments = [
                value.build(parts) if isinstance(value, _State) else parts[0]
                for value, parts in zip(own, tensors, strict=True)
            ]
            call = partial(self._call, (parameters, buffers), method)
            told, found = use(call, arguments), []
            results = told if isinstance(told, tuple) else (told,)
            kept[:] = []
            for result in results:
                first = len(found)
                build = _take_apart(result, found)
                kept.append((build, first, len(found)))
            return found

        names, buffer_names = self._names
        parameters = dict(zip(names, self.weights, strict=True))
        buffers = {
            name: getattr(self, f"buffer_{number}") for number, name in enumerate(buffer_names)
        }
        tensors = [list(v.tensors) if isinstance(v, _State) else [v] for v in own]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
            results = torch.vmap(one, randomness="different")(parameters, buffers, tensors)
        return [_State(results[a:b], build, copies) for build, a, b in kept if b > a]

    def _call(self, weights: tuple[dict, dict], method: str, *arguments: Any) -> Any:
        return functional_call(self._pattern[0], weights, (method, *arguments))


@dataclass(frozen=True, eq=False)
class _State:
    """The members' states: their tensors, members in front, and how to build one of them.

    Attributes:
        tensors: all of them.
        build: from one member's tensors, its state.
        copies: samples of each element.
    """

    tensors: list[Tensor]
    build: Callable[[list[Tensor]], Any]
    copies: int


def _take_apart(nest: Any, found: list[Tensor]) -> Callable[[list[Tensor]], Any]:
    """Appends the tensors of a nest to ``found``; returns what builds it again from just those."""
    tensors: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        tensors.append(tensor)
        return tensor

    mapped(nest, note, whole=Repeatable)
    found.extend(tensors)
    # The nest is built anew in the same order; its own tensors must not outlive the mapping.
    empty = mapped(nest, _without_values, whole=Repeatable)

    def build(parts: list[Tensor]) -> Any:
        left = iter(parts)
        return mapped(empty, lambda _: next(left), whole=Repeatable)

    return build


def _without_values(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
