"""DirectCLR (2110.09348): contrast on the first few features, no projector."""

from __future__ import annotations

from dataclasses import dataclass

from ...runtime.errors import InputError
from ...runtime.loss_terms import Terms
from ..unrolled import Unrolled
from .base import Regularizer, by_moment
from .info_nce import contrast_one_view


@dataclass(frozen=True)
class DirectClrConfig:
    """Settings.

    Attributes:
        share: of the features that are contrasted (360 of 2048 in the paper).
        temperature: of the cosines.
    """

    share: float = 0.18
    temperature: float = 0.1

    def __post_init__(self):
        if not 0.0 < self.share <= 1.0 or not self.temperature > 0:
            raise InputError(
                f"DirectCLR: share {self.share} must be from above 0 to 1, temperature "
                f"{self.temperature} positive"
            )

    def build(self, features: int, places: int = 1) -> Regularizer:
        """The loss."""
        return _DirectClr(max(1, round(self.share * features)), self.temperature)


class _DirectClr(Regularizer):
    def __init__(self, features: int, temperature: float):
        super().__init__()
        self.features, self.temperature = features, temperature

    def forward(self, unrolled: Unrolled) -> Terms:
        predicted = by_moment(unrolled.predicted[:, 1:, :, : self.features])
        target = by_moment(unrolled.target[:, 1:, :, : self.features])
        loss = contrast_one_view(predicted, target, self.temperature)
        return Terms(loss, {"contrast": loss})
