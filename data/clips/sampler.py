"""Which clips a batch holds: a pure function of the seed and the batch's number."""

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
    """Batches of clip numbers, without end: epoch after epoch, each in another order.

    All ranks see one stream of clips: the first epoch's order, then the second's, and so on. It is
    cut into batches, which the ranks take in turn; so ranks never share a clip of an epoch and
    together use it up, and every batch is full: the one at the end of an epoch goes on into the
    next.  ``batch_at`` computes any batch from its number alone; a resumed run needs nothing else.

    Without weights every clip comes up once an epoch.  With weights, an epoch of ``n`` draws holds
    clip ``i`` ``n * weight[i] / sum(weight)`` times, rounded up or down at random (systematic
    resampling), so rare clips appear as often as they should in every epoch, not just on average.

    For ``torch.utils.data.DataLoader``: ``DataLoader(dataset, sampler=sampler, batch_size=None)``,
    with any number of workers.

    Args:
        clips: how many there are.
        batch: clips a batch, on each rank.
        seed: of all orders; the same on all ranks.
        rank: which of the ``ranks`` processes this is.
        ranks: how many processes share the stream.
        weights: how much more often than another a clip is wanted; uniform if not given.

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
        self._share = None if weights is None else _cumulative_share(weights, clips)
        self._position = 0
        self._epoch, self._order = -1, np.zeros(0, np.int64)

    def batch_at(self, number: int) -> Int[Tensor, " batch"]:
        """This rank's batch of a number, from 0."""
        place = (number * self.ranks + self.rank) * self.batch
        parts, missing = [], self.batch
        while missing:
            epoch, within = divmod(place, self.clips)
            part = self._order_of(epoch)[within : within + missing]
            parts.append(part)
            place, missing = place + len(part), missing - len(part)
        return torch.from_numpy(np.concatenate(parts))

    def __iter__(self) -> Iterator[Tensor]:
        """Goes on from where it stands, for ever."""
        while True:
            index = self.batch_at(self._position)
            self._position += 1
            yield index

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, and what it is: the same state means the same batches from here on.

        A ``DataLoader`` with workers draws ahead of what the loop has seen; set ``position`` to
        the number of batches used.
        """
        return {"position": self._position} | self._identity()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where another sampler of the same clips stopped.

        Raises:
            InputError: the state is of other clips, another batch, seed or number of ranks.
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
        return {key: getattr(self, key) for key in keys} | {"weighted": self._share is not None}

    def _order_of(self, epoch: int) -> Int[np.ndarray, " clips"]:
        """The order of one epoch; the last one asked for is kept."""
        if epoch != self._epoch:
            random = np.random.default_rng([self.seed % 2**64, epoch])
            order = random.permutation(self.clips)
            if self._share is not None:
                place = (np.arange(self.clips) + random.random()) / self.clips
                chosen = np.searchsorted(self._share, place, side="right")
                order = chosen.clip(max=self.clips - 1)[order]
            self._epoch, self._order = epoch, order
        return self._order


def _cumulative_share(weights: Tensor, clips: int) -> Float[np.ndarray, " clips"]:
    values = weights.detach().cpu().double().numpy()
    if len(values) != clips or not np.isfinite(values).all() or values.min() < 0:
        raise InputError(
            f"sampler: {len(values)} weights for {clips} clips; give one for each, none negative"
        )
    if not values.sum() > 0:
        raise InputError("sampler: all weights are zero; no clip could be drawn")
    share = values.cumsum()
    return share / share[-1]
