"""The joint-embedding predictive assembly: encode the first image, predict embeddings, no pixels.

``z_t = h(o_t)``, ``zhat_0 = z_0``, ``zhat_{t+1} = f(zhat_t, u_t)``: only the first image of an
unroll is encoded; targets are the encoder's own embeddings of the later ones, by default with
their gradient.  What keeps them from collapsing is a regulariser (``regularizers``).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..runtime.errors import InputError
from .conv import ConvConfig
from .heads import LinearProduct, MapHead, VectorHead
from .impala import ImpalaConfig
from .norms import Norm, norm_layer
from .predictors import GruConfig, ResidualConfig
from .unrolled import Unrolled, as_places
from .vit import VitConfig


@dataclass(frozen=True)
class AssemblyConfig:
    """What an assembly is made of.

    Attributes:
        encoder: of images.
        head: map or vector.
        predictor: of embeddings.
        linear_layers: of IRMAE, between head and embedding.
        norm: of embeddings; ``layer`` is applied to predictions, too.
        projector: width of an MLP through which objectives look at embeddings, with a norm of each
            place's features (the papers: over the batch); 0 is none.
        target_momentum: of a moving average of the encoder that makes the targets; 0 is none.
    """

    encoder: ConvConfig | ImpalaConfig | VitConfig = field(default_factory=ConvConfig)
    head: MapHead | VectorHead = field(default_factory=MapHead)
    predictor: GruConfig | ResidualConfig = field(default_factory=ResidualConfig)
    linear_layers: int = 0
    norm: Norm = "none"
    projector: int = 0
    target_momentum: float = 0.0

    def __post_init__(self):
        if min(self.linear_layers, self.projector) < 0 or not 0.0 <= self.target_momentum < 1.0:
            raise InputError(
                f"linear_layers {self.linear_layers} and projector {self.projector} must not be "
                f"negative, target_momentum {self.target_momentum} from 0 to below 1"
            )


class Assembly(nn.Module):
    """Encoder, predictor, and what objectives need besides.

    Args:
        config: the parts.
        channels, rows, columns: of images.
        inputs: width of what the predictor is told at each step: an action, a latent.

    Attributes:
        features: width of an embedding at each place.
        grid: rows and columns of places.
    """

    def __init__(self, config: AssemblyConfig, channels: int, rows: int, columns: int, inputs: int):
        super().__init__()
        encoder = config.encoder.build(channels, rows, columns)
        grid = encoder.grid(channels, rows, columns)
        self.features, self.grid = config.head.features, config.head.grid(grid)
        norm = norm_layer(config.norm, self.features)
        self.encoder = nn.Sequential(
            encoder,
            config.head.build(encoder.features, grid),
            LinearProduct(self.features, config.linear_layers),
            norm,
        )
        self.predictor = config.predictor.build(self.features, inputs, self.grid)
        # Statistics of a batch would leak between steps; a place's own features may be normalised.
        self.tied_norm = norm if config.norm == "layer" else nn.Identity()
        self.projector = _projector(self.features, config.projector)
        self.projected = config.projector or self.features
        self.momentum = config.target_momentum
        self.target = None
        if config.target_momentum:
            self.target = copy.deepcopy(self.encoder).requires_grad_(False)

    def encode(
        self, images: Float[Tensor, "*shape channels rows columns"]
    ) -> Float[Tensor, "*shape features rows2 columns2"]:
        """Embeddings of images, each by itself."""
        return self._each(self.encoder, images)

    def _each(self, encoder: nn.Module, images: Tensor) -> Tensor:
        return encoder(images.flatten(0, -4)).unflatten(0, images.shape[:-3])

    def predict(
        self,
        state: Float[Tensor, "batch features rows columns"],
        input: Float[Tensor, "batch inputs"],
    ) -> Float[Tensor, "batch features rows columns"]:
        """The embedding one step later."""
        return self.tied_norm(self.predictor(state, input))

    def unroll(
        self,
        state: Float[Tensor, "batch features rows columns"],
        inputs: Float[Tensor, "batch time inputs"],
    ) -> Float[Tensor, "batch time1 features rows columns"]:
        """A state and its successors; every step is one of ``predict``."""
        states = [state]
        for input in inputs.unbind(1):
            states.append(self.predict(states[-1], input))
        return torch.stack(states, dim=1)

    def targets(
        self, images: Float[Tensor, "batch time channels rows columns"]
    ) -> Float[Tensor, "batch time features rows2 columns2"]:
        """What predictions are compared with."""
        if self.target is None:
            return self.encode(images)
        with torch.no_grad():
            return self._each(self.target, images)

    def online(
        self,
        images: Float[Tensor, "batch time channels rows columns"],
        targets: Float[Tensor, "batch time features rows2 columns2"],
    ) -> Float[Tensor, "batch time features rows2 columns2"]:
        """What the encoder that learns makes of the images: ``targets``, unless those follow it."""
        return targets if self.target is None else self.encode(images)

    def through_projector(
        self, predicted: Tensor, target: Tensor, online: Tensor | None = None
    ) -> Unrolled:
        """Maps of embeddings as objectives see them; ``online`` only if it is not ``target``."""
        target_seen = self.projector(as_places(target))
        own = online is None or online is target
        return Unrolled(
            self.projector(as_places(predicted)),
            target_seen,
            target_seen if own else self.projector(as_places(online)),
        )

    @torch.no_grad()
    def follow(self) -> None:
        """Moves the targets' encoder towards the encoder; to be called once before an update."""
        if self.target is None:
            return
        pairs = zip(self.target.parameters(), self.encoder.parameters(), strict=True)
        for slow, fast in pairs:
            slow.lerp_(fast, 1.0 - self.momentum)
        for slow, fast in zip(self.target.buffers(), self.encoder.buffers(), strict=True):
            slow.copy_(fast)


def _projector(features: int, width: int) -> nn.Module:
    """An MLP on each place, its last layer without bias."""
    if not width:
        return nn.Identity()
    return nn.Sequential(
        nn.Linear(features, width), nn.LayerNorm(width), nn.ReLU(),
        nn.Linear(width, width, bias=False),
    )  # fmt: skip
