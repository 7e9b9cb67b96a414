"""Joint-embedding predictive architecture (JEPA): encoder and predictor of embeddings.

``z_t = h(o_t)``, ``zhat_0 = z_0``, ``zhat_{t+1} = f(zhat_t, u_t)``: only the first image of a
rollout is encoded; targets are the encoder's embeddings of the later images, by default with
their gradient.  A regulariser prevents collapse (``regularizers``).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..runtime.errors import InputError
from .conv import ConvConfig
from .embedding_rollout import EmbeddingRollout, as_locations
from .heads import LinearProduct, MapHead, VectorHead
from .impala import ImpalaConfig
from .norms import Norm, norm_layer
from .predictors import GruConfig, ResidualConfig
from .vit import VitConfig


@dataclass(frozen=True)
class JepaNetworkConfig:
    """Parts of the network.

    Attributes:
        encoder: of images.
        head: embedding as a map or as one vector.
        predictor: of the next embedding.
        linear_layers: of IRMAE, between head and embedding; 0 for none.
        norm: of embeddings; ``layer`` is also applied to predictions.
        projector: width of the MLP between embeddings and the regulariser, with layer
            normalisation at each location (the papers: batch normalisation); 0 for none.
        target_momentum: of the target encoder, an exponential moving average of the encoder; 0
            for none.
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


class JepaNetwork(nn.Module):
    """Encoder, predictor, projector and target encoder.

    Args:
        config: parts and sizes.
        channels, rows, columns: of images.
        inputs: width of the predictor's input at each step: actions and latents.

    Attributes:
        features: width of an embedding at each location.
        grid: rows and columns of the embedding.
        projected_features: width of the projector's output.
    """

    def __init__(
        self, config: JepaNetworkConfig, channels: int, rows: int, columns: int, inputs: int
    ):
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
        # Batch statistics would leak between time steps; layer normalisation is local.
        self.predictor_norm = norm if config.norm == "layer" else nn.Identity()
        self.projector = _projector(self.features, config.projector)
        self.projected_features = config.projector or self.features
        self.momentum = config.target_momentum
        self.target_encoder = None
        if config.target_momentum:
            self.target_encoder = copy.deepcopy(self.encoder).requires_grad_(False)

    def encode(
        self, images: Float[Tensor, "*shape channels rows columns"]
    ) -> Float[Tensor, "*shape features rows2 columns2"]:
        """Embeddings of images, each encoded independently."""
        return self._encode_all(self.encoder, images)

    def _encode_all(self, encoder: nn.Module, images: Tensor) -> Tensor:
        return encoder(images.flatten(0, -4)).unflatten(0, images.shape[:-3])

    def predict(
        self,
        state: Float[Tensor, "batch features rows columns"],
        input: Float[Tensor, "batch inputs"],
    ) -> Float[Tensor, "batch features rows columns"]:
        """The embedding one step later."""
        return self.predictor_norm(self.predictor(state, input))

    def unroll(
        self,
        state: Float[Tensor, "batch features rows columns"],
        inputs: Float[Tensor, "batch time inputs"],
    ) -> Float[Tensor, "batch time1 features rows columns"]:
        """The first state and its predicted successors, by repeated ``predict``."""
        states = [state]
        for input in inputs.unbind(1):
            states.append(self.predict(states[-1], input))
        return torch.stack(states, dim=1)

    def targets(
        self, images: Float[Tensor, "batch time channels rows columns"]
    ) -> Float[Tensor, "batch time features rows2 columns2"]:
        """Target embeddings, of the target encoder if there is one."""
        if self.target_encoder is None:
            return self.encode(images)
        with torch.no_grad():
            return self._encode_all(self.target_encoder, images)

    def online(
        self,
        images: Float[Tensor, "batch time channels rows columns"],
        targets: Float[Tensor, "batch time features rows2 columns2"],
    ) -> Float[Tensor, "batch time features rows2 columns2"]:
        """Embeddings of the trained encoder; ``targets`` unless a target encoder made those."""
        return targets if self.target_encoder is None else self.encode(images)

    def project(
        self, predicted: Tensor, target: Tensor, online: Tensor | None = None
    ) -> EmbeddingRollout:
        """Projected embeddings; ``online`` only if it differs from ``target``."""
        projected_target = self.projector(as_locations(target))
        shared = online is None or online is target
        return EmbeddingRollout(
            self.projector(as_locations(predicted)),
            projected_target,
            projected_target if shared else self.projector(as_locations(online)),
        )

    @torch.no_grad()
    def ema_update(self) -> None:
        """Updates the target encoder (exponential moving average); call once before an update."""
        if self.target_encoder is None:
            return
        pairs = zip(self.target_encoder.parameters(), self.encoder.parameters(), strict=True)
        for average, weight in pairs:
            average.lerp_(weight, 1.0 - self.momentum)
        buffers = zip(self.target_encoder.buffers(), self.encoder.buffers(), strict=True)
        for average, current in buffers:
            average.copy_(current)


def _projector(features: int, width: int) -> nn.Module:
    """An MLP at each location, its last layer without bias."""
    if not width:
        return nn.Identity()
    return nn.Sequential(
        nn.Linear(features, width), nn.LayerNorm(width), nn.ReLU(),
        nn.Linear(width, width, bias=False),
    )  # fmt: skip
