"""The rows of a table of drivers: how each is trained, and what was published about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ppuu.costs import DrivingCostConfig

from .commands import Options


@dataclass(frozen=True)
class Family:
    """Presets that belong together.

    Attributes:
        world_model: of ``train.world_model``.
        policy: of ``train.policy``, for policies in such a world model.
    """

    world_model: str
    policy: str


FAMILIES = {
    "tokens": Family("small", "small"),
    "coupled": Family("coupled", "coupled"),
    "paper": Family("paper", "paper"),
    "debug": Family("debug", "debug"),
}


@dataclass(frozen=True)
class Learned:
    """A row whose policy is trained once a seed.

    Attributes:
        name: in the table.
        method: of ``train.policy``.
        family: of the world model.
        world: a variant of the world model, one of ``WORLDS``; or ``ENSEMBLE``.
        options: further options of ``train.policy``.
        published: success in per cent and mean distance in metres on I-80, as published.
    """

    name: str
    method: str
    family: str = "tokens"
    world: str = "stochastic"
    options: Options = field(default_factory=dict)
    published: str = ""


WORLDS: Mapping[str, Options] = {
    "stochastic": {},
    "deterministic": {"loss.latent_dropout": 1},
    "without-z-dropout": {"loss.latent_dropout": 0},
}
"""Variants of a world model: options of ``train.world_model``."""

ENSEMBLE = "ensemble"
"""The first variant of all seeds, as the members of one."""


@dataclass(frozen=True)
class TablePreset:
    """A table.

    Attributes:
        learned: rows that are trained.
        planners: names of planners; ``{world_model}`` in them stands for the world model of the
            family ``tokens`` and the first seed.
        published: results of drivers that need no training.
    """

    learned: tuple[Learned, ...]
    planners: tuple[str, ...] = ()
    published: dict[str, str] = field(
        default_factory=lambda: {"human": "100.0 / 209.4", "no-action": "16.2 / 87.3"}
    )

    @property
    def summary(self) -> str:
        """One line of the command's help."""
        return f"{len(self.learned)} trained rows, {len(self.planners)} planners"


_MPER: Options = {"updates": 700}
"""Its batches hold as many clips as MPUR has rollouts; fewer updates suffice."""
MPUR = Learned("MPUR", "mpur", published="74.8 ± 3.0 / 171.2")
CORE = (
    MPUR,
    Learned("MPUR without uncertainty (SVG)", "mpur-without-uncertainty", published="0.0 / 17.1"),
    Learned("MPER", "mper", options=_MPER, published="4.6 ± 2.1 / 70.0"),
    Learned("1-step imitation", "imitation", published="7.3 ± 4.1 / 73.8"),
)
"""The published main table: Henaff et al., 2019, table 1, stochastic model with z-dropout."""


def _core_in(family: str, title: str) -> tuple[Learned, ...]:
    """The main table in another family of models, for policies on pixels."""
    return tuple(
        replace(row, name=f"{row.name}, {title}", family=family, options={}) for row in CORE
    )


COUPLED = _core_in("coupled", "coupled")
"""The same in PPUU's coupled model, for policies on pixels."""

PAPER = _core_in("paper", "published size")
"""The same at PPUU's size."""

_SWEEP = {
    1: ("0.3", "9.8 (1 frame), 16.2 (3)"), 2: ("0.6", "22.4 (5 frames)"), 3: ("0.9", "58.3 (10)"),
    7: ("2.1", "59.2 (20)"), 13: ("3.9", "74.9 (40)"),
}  # fmt: skip
SWEEP = tuple(
    replace(
        MPUR, name=f"MPUR, {seconds} s unrolled", options={"unroll.steps": steps},
        published=published,
    )
    for steps, (seconds, published) in _SWEEP.items()
)  # fmt: skip
"""How far the policy is unrolled; the published sweep counts frames of 0.1 s."""

ABLATIONS = (
    replace(MPUR, name="MPUR, deterministic model", world="deterministic", published="69.1 ± 1.6"),
    replace(MPUR, name="MPUR, no z-dropout", world="without-z-dropout", published="63.6"),
    replace(
        MPUR, name="MPUR, latents of the posterior",
        options={"unroll.latents": "posterior"}, published="30.8",
    ),
    replace(MPUR, name="MPUR, ensemble instead of dropout", world=ENSEMBLE, published=""),
    Learned(
        "VG: deterministic, no uncertainty", "mpur-without-uncertainty", world="deterministic",
        published="0.0 / 11.9",
    ),
    Learned(
        "MPER, deterministic model", "mper", world="deterministic", options=_MPER,
        published="63.7 ± 0.5",
    ),
)  # fmt: skip

_OFFROAD = DrivingCostConfig().offroad
_SIMPLE = tuple(
    f"planner:{world},cost.offroad.weight={_OFFROAD.weight:g},cost.offroad.margin_m={_OFFROAD.margin_m:g}"
    for world in ("constant-acceleration", "recorded", "{world_model}")
)
"""With the costs that policies learn from; a planner's own weigh the road's edge more."""

PRESETS = {
    "ppuu": TablePreset(
        (*CORE, *COUPLED, *SWEEP, *ABLATIONS),
        _SIMPLE,
    ),
    "core": TablePreset(CORE, _SIMPLE),
    "coupled": TablePreset(COUPLED),
    "paper": TablePreset(PAPER),
    "sweep": TablePreset((MPUR, *SWEEP)),
    "ablations": TablePreset((MPUR, *ABLATIONS)),
    "debug": TablePreset((replace(MPUR, family="debug"),), ("planner:constant-acceleration",)),
}  # fmt: skip
