"""When to stop: the validation loss has not improved for a while."""

from __future__ import annotations

import math


class EarlyStop:
    """The best validation loss, and how many validations since then were not better.

    Args:
        patience: validations without improvement that end the training; 0 never does.

    Attributes:
        best: lowest loss so far, infinite before the first.
        step: updates done when it was reached.
        waited: validations since then.
    """

    def __init__(self, patience: int):
        self._patience = patience
        self.best, self.step, self.waited = math.inf, 0, 0

    def improved(self, loss: float, step: int) -> bool:
        """Records a validation loss; true if it is the best one.  NaN never is."""
        if loss < self.best:
            self.best, self.step, self.waited = loss, step, 0
            return True
        self.waited += 1
        return False

    @property
    def over(self) -> bool:
        """Patience is used up."""
        return 0 < self._patience <= self.waited

    def state_dict(self) -> dict[str, float | int]:
        return {"best": self.best, "step": self.step, "waited": self.waited}

    def load_state_dict(self, state: dict[str, float | int]) -> None:
        self.best = float(state["best"])
        self.step, self.waited = int(state["step"]), int(state["waited"])
