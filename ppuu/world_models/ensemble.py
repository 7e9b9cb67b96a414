"""Several trained models as one: what they disagree about, none of them knows."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from ..errors import InputError
from ..observation import Observation
from ..raster import LocalRoad
from ..rollout import Futures
from ..track_futures import TrackFutures
from .base import Latent, Truth, WorldModel


class Ensemble(WorldModel):
    """Models of one configuration, run side by side in one batch (``torch.func``, no loop).

    Future ``k`` is foreseen by member ``k`` modulo their number, so an ensemble can stand wherever
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
        self.frames_per_step, self.dt_s = first.frames_per_step, first.dt_s
        self.decoupled, self.predicts_images = first.decoupled, first.predicts_images
        self.observation, self.latent_size = first.observation, first.latent_size
        self.latent_span = first.latent_span
        self.predicts_ego = first.predicts_ego
        self.normalizer = None
        calls = [_Calls(model) for model in models]
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
        return self._pattern[0].model.image_poses(observation, ego)

    def encode(self, observation: Observation) -> _State:
        """Each member's state."""
        return self._each("encode", lambda call, _: call(observation), [], 1)

    def repeat(self, state: _State, copies: int) -> _State:
        """Shares copies among the members; where they do not come out even, some idle along."""
        assert state.copies == 1, "a state of an ensemble is repeated once"
        rounds = -(-copies // self.members)
        return self._each("repeat", lambda call, own: call(own[0], rounds), [state], copies)

    def advance(
        self,
        state: _State,
        ego: Float[Tensor, "batch 4"] | None,
        latent: Float[Tensor, "batch latent"],
    ) -> _State:
        """Every member advances the futures that are its own."""

        def one(call: Callable, own: list) -> Any:
            return call(own[0], own[2] if len(own) > 2 else None, own[1])

        return self._each("advance", one, self._dealt(state, latent, ego), state.copies)

    def step(
        self,
        state: _State,
        ego: Float[Tensor, "batch 4"] | None,
        noise: Float[Tensor, "batch time latent"],
        number: int,
    ) -> _State:
        """Every member makes latents of the noise by a prior of its own."""

        def one(call: Callable, own: list) -> Any:
            return call(own[0], own[2] if len(own) > 2 else None, own[1][:, None], 0)

        now = noise[:, number if self.latent_span == "step" else 0]
        return self._each("step", one, self._dealt(state, now, ego), state.copies)

    def _dealt(self, state: _State, latent: Tensor, ego: Tensor | None) -> list:
        given = [latent] if ego is None else [latent, ego]
        return [state, *(self._deal(value, state.copies) for value in given)]

    def predicted_ego(self, state: _State) -> Float[Tensor, "batch 4"]:
        """Of each future, as its own member has moved it."""
        (told,) = self._each(
            "predicted_ego", lambda call, own: call(own[0]), [state], state.copies
        ).tensors
        rounds = -(-state.copies // self.members)
        told = told.unflatten(1, (-1, rounds)).movedim(0, 2).flatten(1, 2)
        return told[:, : state.copies].flatten(0, 1)

    def posterior(self, state: _State, truth: Truth, step: int) -> Latent:
        """There is none: each member explains what it sees in a latent of its own."""
        raise NotImplementedError("the members of an ensemble are trained one by one")

    def decode(
        self, states: list[_State], observation: Observation, futures: int
    ) -> Futures | TrackFutures:
        """All members' futures; the road of models that predict it is the members' mean."""
        rounds = -(-futures // self.members)

        def call_one(call: Callable, own: list) -> Futures | TrackFutures:
            return call(own, observation, rounds)

        told = self._each("decode", call_one, states, futures)
        tensors = dict(zip(told.names, told.tensors, strict=True))
        first = told.build([value[0] for value in told.tensors])

        def gathered(name: str) -> Tensor:
            value = tensors[name]  # members, batch, rounds, …
            return value.movedim(0, 2).flatten(1, 2)[:, :futures]

        if isinstance(first, TrackFutures):
            return replace(first, states=gathered("states"))
        pace = tensors.get("pace_mps")
        return replace(
            first,
            vehicles=gathered("vehicles"),
            road=tensors["road"].mean(0),
            flow=None,
            pace_mps=None if pace is None else pace.mean(0),
        )

    def _deal(self, values: Float[Tensor, "each last"], copies: int) -> Tensor:
        """What belongs to each copy, given to the member that foresees it: members in front."""
        rounds = -(-copies // self.members)
        slot = torch.arange(rounds * self.members, device=values.device).clamp(max=copies - 1)
        dealt = values.unflatten(0, (len(values) // copies, copies))[:, slot]
        dealt = dealt.unflatten(1, (rounds, self.members)).movedim(2, 0)
        return dealt.flatten(1, 2)

    def _each(
        self, method: str, use: Callable[[Callable, list], Any], own: list, copies: int
    ) -> _State:
        """Calls a method of all members, each with its own weights and arguments.

        Args:
            method: its name.
            use: given the method of one member and its arguments, calls it.
            own: states or tensors with members in front.
            copies: futures of each element in the result.
        """
        kept: list = []

        def one(parameters: dict, buffers: dict, tensors: list[list[Tensor]]) -> list[Tensor]:
            arguments = [
                value.build(parts) if isinstance(value, _State) else parts[0]
                for value, parts in zip(own, tensors, strict=True)
            ]
            call = partial(self._call, (parameters, buffers), method)
            found: list[tuple[str, Tensor]] = []
            kept[:] = [_take_apart(use(call, arguments), found, "")]
            kept.append([name for name, _ in found])
            return [value for _, value in found]

        names, buffer_names = self._names
        parameters = dict(zip(names, self.weights, strict=True))
        buffers = {
            name: getattr(self, f"buffer_{number}") for number, name in enumerate(buffer_names)
        }
        tensors = [list(v.tensors) if isinstance(v, _State) else [v] for v in own]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
            mapped = torch.vmap(one, randomness="different")(parameters, buffers, tensors)
        return _State(mapped, kept[1], kept[0], copies)

    def _call(self, weights: tuple[dict, dict], method: str, *arguments: Any) -> Any:
        return functional_call(self._pattern[0], weights, (method, *arguments))


class _Calls(nn.Module):
    """Any method of a model as a module's only one, which is what ``functional_call`` calls."""

    def __init__(self, model: WorldModel):
        super().__init__()
        self.model = model

    def forward(self, method: str, *arguments: Any) -> Any:
        """Calls the method."""
        return getattr(self.model, method)(*arguments)


@dataclass(frozen=True, eq=False)
class _State:
    """The members' states: their tensors, members in front, and how to build one of them.

    Attributes:
        tensors: in the order of ``names``.
        names: what each tensor is called where it belongs.
        build: from one member's tensors, its state.
        copies: futures of each element.
    """

    tensors: list[Tensor]
    names: list[str]
    build: Callable[[list[Tensor]], Any]
    copies: int


def _take_apart(
    nest: Any, found: list[tuple[str, Tensor]], name: str
) -> Callable[[list[Tensor]], Any]:
    """Appends the tensors of a nest to ``found``; returns what builds it again from others."""
    if isinstance(nest, Tensor):
        place = len(found)
        found.append((name, nest))
        return lambda tensors: tensors[place]
    if isinstance(nest, list | tuple):
        kind, parts = type(nest), [_take_apart(part, found, name) for part in nest]
        return lambda tensors: kind(part(tensors) for part in parts)
    if isinstance(nest, dict):
        named = {key: _take_apart(part, found, key) for key, part in nest.items()}
        return lambda tensors: {key: part(tensors) for key, part in named.items()}
    if is_dataclass(nest) and not isinstance(nest, type | LocalRoad):
        kind = type(nest)
        named = {f.name: _take_apart(getattr(nest, f.name), found, f.name) for f in fields(nest)}
        return lambda tensors: kind(**{key: part(tensors) for key, part in named.items()})
    return lambda tensors: nest
