"""Loads trained models and policies from run directories, as configured in their checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..policies.learned_costs import CostModel, CostModelConfig, ValueConfig, ValueFunction
from ..policies.network import NetworkPolicy, NetworkPolicyConfig
from ..runtime.checkpoint import Checkpoint
from ..runtime.config import from_json
from ..runtime.errors import InputError
from ..world_models import Ensemble, WorldModel, WorldModelConfig


def weights_hash(module: nn.Module) -> str:
    """SHA-256 of a module's weights and buffers."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_world_model(run: str | Path) -> WorldModel:
    """The trained model of a run, frozen, in evaluation mode.

    Raises:
        InputError: no such run, or not a checkpoint of a world model of this version.
    """
    checkpoint = Checkpoint.load(run, "world_model")
    model = from_json(WorldModelConfig, checkpoint.config.get("model"), f"{run}: model").build()
    checkpoint.restore(model, run)
    return model.requires_grad_(False).eval()


def load_world_models(runs: Sequence[str | Path]) -> WorldModel:
    """The trained model of a run, or an ensemble of several.

    Raises:
        InputError: see ``load_world_model``; or the models are incompatible.
    """
    if len({Path(run).resolve() for run in runs}) < len(runs):
        raise InputError(f"{runs[-1]}: an ensemble needs different runs")
    models = [load_world_model(run) for run in runs]
    return models[0] if len(models) == 1 else Ensemble(models).eval()


def load_policy(run: str | Path) -> NetworkPolicy:
    """The trained policy of a run, frozen, in evaluation mode.

    Raises:
        InputError: no such run, or not a checkpoint of a policy of this version.
    """
    checkpoint = Checkpoint.load(run, "policy")
    policy = from_json(
        NetworkPolicyConfig, checkpoint.config.get("policy"), f"{run}: policy"
    ).build()
    checkpoint.restore(policy, run)
    return policy.requires_grad_(False).eval()


def load_value(run: str | Path) -> ValueFunction:
    """The trained value function of a run, frozen, in evaluation mode.

    Raises:
        InputError: no such run, or not a checkpoint of a value function of this version.
    """
    return _load_regressor(run, "value", ValueConfig)


def load_cost_model(run: str | Path) -> CostModel:
    """The trained cost model of a run, frozen, in evaluation mode.

    Raises:
        InputError: no such run, or not a checkpoint of a cost model of this version.
    """
    return _load_regressor(run, "cost_model", CostModelConfig)


def _load_regressor(run: str | Path, kind: str, config: type[CostModelConfig]) -> Any:
    checkpoint = Checkpoint.load(run, kind)
    judge = from_json(config, checkpoint.config.get("network"), f"{run}: network").build()
    checkpoint.restore(judge, run)
    return judge.requires_grad_(False).eval()
