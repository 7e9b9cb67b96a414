"""Sampler of clips: batches are a pure function of the seed and the batch index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Sampler

from ppuu.runtime.errors import InputError


class ClipSampler(Sampler[Tensor]):
    """Infinite batches of clip indices, with a random order for each epoch.

    The ranks share one stream of clips, the concatenated orders of all epochs, which is divided
    into batches that are assigned to the ranks in turn.  So every clip of an epoch is used by one
    rank, and every batch is full; the last batch of an epoch continues in the next.  ``batch_at``
    computes a batch from its index alone, which is sufficient for resuming.

    Without weights every clip occurs once per epoch.  With weights, an epoch of ``n`` samples
    contains clip ``i`` ``n * weight[i] / sum(weight)`` times, randomly rounded up or down
    (systematic resampling), so that frequencies of rare clips are exact in every epoch.

    For ``torch.utils.data.DataLoader``: ``DataLoader(dataset, sampler=sampler, batch_size=None)``,
    with any number of workers.

    Args:
        clips: number of clips.
        batch: clips per batch, on each rank.
        seed: of all orders; the same on all ranks.
        rank: of this process.
        ranks: number of processes.
        weights: relative frequencies of the clips; by default uniform.

    Raises:
        InputError: no clips, a batch or rank out of range, or weights that are negative or all
            zero.
    """

    def __init__(
        self,
        clips: int,
        batch: int,
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
        weights: Float[Tensor, " clips"] | None = None,
    ):
        if clips < 1 or batch < 1 or not 0 <= rank < ranks:
            raise InputError(
                f"sampler of {clips} clips, batch {batch}, rank {rank} of {ranks}: clips and batch "
                "must be positive, the rank from 0 to ranks - 1"
            )
        self.clips, self.batch, self.seed, self.rank, self.ranks = clips, batch, seed, rank, ranks
        self._cumulative = None if weights is None else _cumulative_probabilities(weights, clips)
        self._position = 0
        self._epoch, self._order = -1, np.zeros(0, np.int64)

    def batch_at(self, number: int) -> Int[Tensor, " batch"]:
        """This rank's batch of an index, from 0."""
        position = (number * self.ranks + self.rank) * self.batch
        parts, missing = [], self.batch
        while missing:
            epoch, within = divmod(position, self.clips)
            part = self._order_of(epoch)[within : within + missing]
            parts.append(part)
            position, missing = position + len(part), missing - len(part)
        return torch.from_numpy(np.concatenate(parts))

    def __iter__(self) -> Iterator[Tensor]:
        """Infinite iteration from the current position."""
        while True:
            index = self.batch_at(self._position)
            self._position += 1
            yield index

    def state_dict(self) -> dict[str, Any]:
        """Position and identity; equal states give equal batches from here on.

        A ``DataLoader`` with workers prefetches batches; set ``position`` to the number of batches
        used.
        """
        return {"position": self._position} | self._identity()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from the state of another sampler of the same clips.

        Raises:
            InputError: other clips, batch size, seed or number of ranks.
        """
        for key, ours in self._identity().items():
            if state.get(key) != ours:
                raise InputError(
                    f"sampler state: {key} is {state.get(key)}, here {ours}; resume with the same "
                    "data, batch, seed and number of ranks"
                )
        self._position = int(state["position"])

    def _identity(self) -> dict[str, Any]:
        keys = ("clips", "batch", "seed", "ranks")
        return {key: getattr(self, key) for key in keys} | {
            "weighted": self._cumulative is not None
        }

    def _order_of(self, epoch: int) -> Int[np.ndarray, " clips"]:
        """The order of one epoch; the last one is cached."""
        if epoch != self._epoch:
            random = np.random.default_rng([self.seed % 2**64, epoch])
            order = random.permutation(self.clips)
            if self._cumulative is not None:
                quantile = (np.arange(self.clips) + random.random()) / self.clips
                chosen = np.searchsorted(self._cumulative, quantile, side="right")
                order = chosen.clip(max=self.clips - 1)[order]
            self._epoch, self._order = epoch, order
        return self._order


def _cumulative_probabilities(weights: Tensor, clips: int) -> Float[np.ndarray, " clips"]:
    values = weights.detach().cpu().double().numpy()
    if len(values) != clips or not np.isfinite(values).all() or values.min() < 0:
        raise InputError(
            f"sampler: {len(values)} weights for {clips} clips; give one for each, none negative"
        )
    if not values.sum() > 0:
        raise InputError("sampler: all weights are zero; give at least one positive weight")
    cumulative = values.cumsum()
    return cumulative / cumulative[-1]
